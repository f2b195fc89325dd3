package controlplane

import (
	"strings"

	"expense/rehearsal/internal/port"
)

// serviceCIDR is the range of Service addresses that EKS chooses, out of two, for a VPC outside 10.0.0.0/8:
// https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html
const serviceCIDR = "10.100.0.0/16"

// The flags below name files relative to the folder that the components run in.

func etcdArgs(own *port.Kept) []string {
	url := "https://" + own.Address
	return []string{
		"--data-dir=etcd",
		"--listen-client-urls=" + url,
		"--advertise-client-urls=" + url,
		"--listen-peer-urls=https://127.0.0.1:0", // there are no peers, and nobody else may pose as one
		"--peer-cert-file=" + serverCertificate,
		"--peer-key-file=" + serverKey,
		"--peer-trusted-ca-file=" + authorityCertificate,
		"--peer-client-cert-auth",
		"--cert-file=" + serverCertificate,
		"--key-file=" + serverKey,
		"--trusted-ca-file=" + authorityCertificate,
		"--client-cert-auth",
		// The data need not survive anything, and the only voter need not wait for others.
		"--unsafe-no-fsync",
		"--heartbeat-interval=10",
		"--election-timeout=100",
	}
}

func apiServerArgs(own, etcd *port.Kept) []string {
	return append(servingArgs(own),
		"--advertise-address=127.0.0.1",
		// Endpoints may not have loopback addresses, and no pod runs that would call the service "kubernetes".
		"--endpoint-reconciler-type=none",
		"--etcd-servers=https://"+etcd.Address,
		"--etcd-cafile="+authorityCertificate,
		"--etcd-certfile="+serverCertificate,
		"--etcd-keyfile="+serverKey,
		"--client-ca-file="+authorityCertificate,
		"--token-auth-file="+tokens,
		"--authorization-mode=RBAC",
		"--allow-privileged", // as on EKS, where the CSI driver's and the VPC CNI's node pods are privileged
		"--service-cluster-ip-range="+serviceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+serviceAccountKey,
		"--service-account-signing-key-file="+serviceAccountKey,
		// How aggregated APIs know the API server, and the user on whose behalf it calls:
		// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
		"--proxy-client-cert-file="+proxyCertificate,
		"--proxy-client-key-file="+proxyKey,
		"--requestheader-client-ca-file="+authorityCertificate,
		"--requestheader-allowed-names="+proxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
	)
}

func controllerManagerArgs(own *port.Kept) []string {
	return append(servingArgs(own),
		"--kubeconfig="+controllerManagerKubeconfig,
		"--leader-elect=false",
		"--cloud-provider=external", // the stand-in for the cloud is another process
		"--use-service-account-credentials",
		// At the default of 20 requests a second, the controllers wait 4 seconds for their credentials.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--root-ca-file="+authorityCertificate,
		"--service-account-private-key-file="+serviceAccountKey,
		// An autoscaler acts on what it sees now, not on what it has seen for minutes. The defaults are 15 s, 5 min,
		// 5 min and 30 s: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
		"--horizontal-pod-autoscaler-sync-period=1s",
		"--horizontal-pod-autoscaler-downscale-stabilization=5s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=1s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=1s",
	)
}

func schedulerArgs(own *port.Kept) []string {
	return append(servingArgs(own),
		"--kubeconfig="+schedulerKubeconfig,
		"--leader-elect=false",
	)
}

func kwokArgs(own *port.Kept) []string {
	return []string{
		"--kubeconfig=" + kwokKubeconfig,
		"--health-address=" + own.Address,
	}
}

func servingArgs(own *port.Kept) []string {
	host, number, _ := strings.Cut(own.Address, ":")
	return []string{
		"--bind-address=" + host,
		"--secure-port=" + number,
		"--tls-cert-file=" + serverCertificate,
		"--tls-private-key-file=" + serverKey,
	}
}
