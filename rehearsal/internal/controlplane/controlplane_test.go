package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

const (
	wait = 2 * time.Minute
	tick = 50 * time.Millisecond

	// ownerVariable makes this test program an owner of a control plane that is waiting to be killed; it names the folder.
	ownerVariable = "CONTROLPLANE_TEST_OWNER"
)

// shared is one control plane for all tests that do not stop it. They keep apart by namespaces and node names.
var shared struct {
	once         sync.Once
	dir          string
	controlPlane *ControlPlane
	err          error
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
	}
	code := m.Run()
	if shared.controlPlane != nil {
		shared.controlPlane.Stop()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// own starts a control plane, reports its health addresses as JSON and waits to be killed.
func own(dir string) {
	c, err := Start(context.Background(), Options{Binary: os.Getenv("KUBERNETES_BIN"), Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(healthHosts(c)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}

// binary finds the kubernetes program; without one there is nothing to test.
func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("KUBERNETES_BIN"); path != "" {
		require.FileExists(t, path, "KUBERNETES_BIN names a program that is not there; run `make tools`")
		return path
	}
	path, err := filepath.Abs("../../../.tools/bin/kubernetes")
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Skip("the Kubernetes control plane is not built; run `make tools` to have this test run")
	}
	return path
}

func sharedControlPlane(t *testing.T) *ControlPlane {
	t.Helper()
	path := binary(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "controlplane"); shared.err == nil {
			shared.controlPlane, shared.err = Start(context.Background(), Options{Binary: path, Dir: shared.dir})
		}
	})
	require.NoError(t, shared.err)
	return shared.controlPlane
}

// cluster is the shared control plane, with a namespace and a node for one test.
type cluster struct {
	*ControlPlane
	kubernetes.Interface
	namespace string
	node      string
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	c := sharedControlPlane(t)
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	require.NoError(t, err)
	name := strings.ToLower(t.Name())

	_, err = client.CoreV1().Namespaces().Create(
		t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{},
	)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // without it no pod is admitted
		_, err := client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	}, wait, tick)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("2"),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("29"),
	}
	_, err = client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"test": name, corev1.LabelTopologyZone: "us-east-1a"}},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "192.168.64.10"},
				{Type: corev1.NodeHostName, Address: name}, // without both, kwok takes all addresses away
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return cluster{ControlPlane: c, Interface: client, namespace: name, node: name}
}

func (c cluster) podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector: map[string]string{"test": c.node},
		Containers:   []corev1.Container{{Name: "nginx", Image: "nginx:1.29"}},
	}
}

func (c cluster) createPod(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	_, err := c.CoreV1().Pods(c.namespace).Create(
		t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{},
	)
	require.NoError(t, err)
}

// awaitReady returns the pod once it is Running and Ready.
func (c cluster) awaitReady(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	require.EventuallyWithT(t, func(check *assert.CollectT) {
		var err error
		pod, err = c.CoreV1().Pods(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(check, err)
		assert.Equal(check, corev1.PodRunning, pod.Status.Phase)
		assert.Equal(check, "True", podConditions(pod)[corev1.PodReady])
	}, wait, tick)
	return pod
}

func podConditions(pod *corev1.Pod) map[corev1.PodConditionType]string {
	conditions := map[corev1.PodConditionType]string{}
	for _, condition := range pod.Status.Conditions {
		conditions[condition.Type] = string(condition.Status)
	}
	return conditions
}

func TestReportsThePinnedVersion(t *testing.T) {
	c := newCluster(t)
	version, err := c.Discovery().ServerVersion()
	require.NoError(t, err)
	assert.Equal(t, "v1.35.4", version.GitVersion)
	assert.Equal(t, "1", version.Major)
	assert.Equal(t, "35", version.Minor)
}

func TestNodeBecomesReady(t *testing.T) {
	c := newCluster(t)
	require.EventuallyWithT(t, func(check *assert.CollectT) {
		node, err := c.CoreV1().Nodes().Get(t.Context(), c.node, metav1.GetOptions{})
		require.NoError(check, err)
		ready := slices.IndexFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		})
		assert.GreaterOrEqual(check, ready, 0, "conditions: %v", node.Status.Conditions)
		require.NotEmpty(check, node.Status.Addresses)
		assert.Equal(check, "192.168.64.10", node.Status.Addresses[0].Address, "the creator's address stays")
		assert.Equal(check, "2", node.Status.Capacity.Cpu().String(), "the creator's capacity stays")
		assert.Empty(check, node.Spec.Taints, "a ready node is open to pods")
		_, err = c.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), c.node, metav1.GetOptions{})
		assert.NoError(check, err, "the node's heartbeat")
	}, wait, tick)
}

func TestDeploymentBecomesAvailableAndReplacesAPod(t *testing.T) {
	c := newCluster(t)
	labels := map[string]string{"app": "web"}
	_, err := c.AppsV1().Deployments(c.namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](3),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: c.podSpec()},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	// readyPods waits for three pods that are Running and Ready and returns their names.
	readyPods := func() []string {
		var names []string
		require.EventuallyWithT(t, func(check *assert.CollectT) {
			deployment, err := c.AppsV1().Deployments(c.namespace).Get(t.Context(), "web", metav1.GetOptions{})
			require.NoError(check, err)
			assert.EqualValues(check, 3, deployment.Status.AvailableReplicas)
			pods, err := c.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
			require.NoError(check, err)
			names = nil
			for _, pod := range pods.Items {
				assert.Equal(check, corev1.PodRunning, pod.Status.Phase)
				assert.Equal(check, "True", podConditions(&pod)[corev1.PodReady])
				assert.NotEmpty(check, pod.Status.PodIP)
				names = append(names, pod.Name)
			}
			assert.Len(check, names, 3)
		}, wait, tick)
		return names
	}

	before := readyPods()
	require.NoError(t, c.CoreV1().Pods(c.namespace).Delete(t.Context(), before[0], metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := c.CoreV1().Pods(c.namespace).Get(t.Context(), before[0], metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, wait, tick)
	assert.NotContains(t, readyPods(), before[0])
}

func TestNativeSidecarAndInitContainer(t *testing.T) {
	c := newCluster(t)
	spec := c.podSpec()
	spec.InitContainers = []corev1.Container{
		{Name: "prepare", Image: "almalinux:9"},
		{Name: "fluentd", Image: "fluentd:v1.19", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)},
	}
	c.createPod(t, "logging", spec)
	status := c.awaitReady(t, "logging").Status

	require.Len(t, status.InitContainerStatuses, 2)
	prepare, fluentd := status.InitContainerStatuses[0], status.InitContainerStatuses[1]
	assert.Equal(t, "prepare", prepare.Name)
	require.NotNil(t, prepare.State.Terminated, "an ordinary init container has ended")
	assert.Equal(t, "Completed", prepare.State.Terminated.Reason)
	assert.Zero(t, prepare.State.Terminated.ExitCode)
	assert.Equal(t, "fluentd", fluentd.Name)
	assert.NotNil(t, fluentd.State.Running, "a sidecar runs on")
	assert.True(t, fluentd.Ready)
	assert.Equal(t, ptr.To(true), fluentd.Started)

	require.Len(t, status.ContainerStatuses, 1)
	assert.NotNil(t, status.ContainerStatuses[0].State.Running)
	assert.True(t, status.ContainerStatuses[0].Ready)
}

func TestDeletedPodGoesAtOnce(t *testing.T) {
	c := newCluster(t)
	spec := c.podSpec()
	spec.TerminationGracePeriodSeconds = ptr.To[int64](3600)
	c.createPod(t, "nginx", spec)
	c.awaitReady(t, "nginx")
	require.NoError(t, c.CoreV1().Pods(c.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := c.CoreV1().Pods(c.namespace).Get(t.Context(), "nginx", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, wait, tick)
}

// The test is the CSI driver: it provisions the volume when the scheduler has chosen a node, and removes it when its
// claim is gone.
func TestClaimThatWaitsForItsFirstConsumer(t *testing.T) {
	c := newCluster(t)
	const driver = "ebs.csi.aws.com"
	class := c.namespace
	_, err := c.StorageV1().StorageClasses().Create(t.Context(), &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: driver,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	claims := c.CoreV1().PersistentVolumeClaims(c.namespace)
	_, err = claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	spec := c.podSpec()
	spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
	c.createPod(t, "writer", spec)

	var claim *corev1.PersistentVolumeClaim
	require.EventuallyWithT(t, func(check *assert.CollectT) {
		claim, err = claims.Get(t.Context(), "data", metav1.GetOptions{})
		require.NoError(check, err)
		assert.Equal(check, c.node, claim.Annotations["volume.kubernetes.io/selected-node"])
		assert.Equal(check, driver, claim.Annotations["volume.kubernetes.io/storage-provisioner"])
	}, wait, tick)
	pod, err := c.CoreV1().Pods(c.namespace).Get(t.Context(), "writer", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Empty(t, pod.Spec.NodeName, "the pod waits for its volume")

	volumes := c.CoreV1().PersistentVolumes()
	_, err = volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: c.namespace, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: class, AccessModes: claim.Spec.AccessModes, Capacity: size,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef:                      &corev1.ObjectReference{Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: "vol-0123456789abcdef0"},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Equal(t, c.node, c.awaitReady(t, "writer").Spec.NodeName)

	require.NoError(t, c.CoreV1().Pods(c.namespace).Delete(t.Context(), "writer", metav1.DeleteOptions{}))
	require.NoError(t, claims.Delete(t.Context(), "data", metav1.DeleteOptions{}))
	require.EventuallyWithT(t, func(check *assert.CollectT) {
		volume, err := volumes.Get(t.Context(), c.namespace, metav1.GetOptions{})
		require.NoError(check, err)
		assert.Equal(check, corev1.VolumeReleased, volume.Status.Phase, "left for the driver to delete")
	}, wait, tick)
	require.NoError(t, volumes.Delete(t.Context(), c.namespace, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := volumes.Get(t.Context(), c.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, wait, tick)
}

func TestNamespaceGoesWithItsContents(t *testing.T) {
	c := newCluster(t)
	c.createPod(t, "nginx", c.podSpec())
	c.awaitReady(t, "nginx")
	require.NoError(t, c.CoreV1().Namespaces().Delete(t.Context(), c.namespace, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := c.CoreV1().Namespaces().Get(t.Context(), c.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, wait, tick)
}

func TestAccessIsControlled(t *testing.T) {
	c := newCluster(t)

	t.Run("a user without a role may do nothing", func(t *testing.T) {
		config := c.RESTConfig()
		config.Impersonate.UserName = "nobody-in-particular"
		client, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		_, err = client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
		assert.True(t, apierrors.IsForbidden(err), "got: %v", err)
	})
	t.Run("a wrong token is refused", func(t *testing.T) {
		config := c.RESTConfig()
		config.BearerToken = "wrong"
		client, err := kubernetes.NewForConfig(config)
		require.NoError(t, err)
		_, err = client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
		assert.True(t, apierrors.IsUnauthorized(err), "got: %v", err)
	})
	t.Run("a restricted namespace refuses a pod that is not", func(t *testing.T) {
		name := c.namespace + "-restricted"
		_, err := c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		require.EventuallyWithT(t, func(check *assert.CollectT) { // until there is a service account, that is the error
			_, err = c.CoreV1().Pods(name).Create(
				t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: c.podSpec()}, metav1.CreateOptions{},
			)
			assert.ErrorContains(check, err, "violates PodSecurity")
		}, wait, tick)
	})
	t.Run("etcd refuses a client without a certificate", func(t *testing.T) {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(c.CA))
		conn, err := tls.Dial("tcp", healthHosts(c.ControlPlane)[0], &tls.Config{RootCAs: roots})
		if err == nil { // in TLS 1.3 the refusal comes with the first read
			_, err = conn.Read(make([]byte, 1))
		}
		assert.ErrorContains(t, err, "certificate required")
	})
}

func TestKubeconfigMakesAnAdministrator(t *testing.T) {
	c := newCluster(t)
	content, err := c.Kubeconfig("jane")
	require.NoError(t, err)
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	_, err = client.CoreV1().Secrets(c.namespace).List(t.Context(), metav1.ListOptions{})
	assert.NoError(t, err)
}

// A service of the type ExternalName leads the aggregator to a server outside the cluster, here on this machine.
func TestAggregatedAPIOnLoopback(t *testing.T) {
	c := newCluster(t)
	const group = "rehearsal.example.com"
	callers := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		list := metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: group + "/v1",
			APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Verbs: metav1.Verbs{"list"}}},
		}
		if strings.HasSuffix(r.URL.Path, "/things") {
			select {
			case callers <- r.TLS.PeerCertificates[0].Subject.CommonName + " for " + r.Header.Get("X-Remote-User"):
			default:
			}
		}
		_ = json.NewEncoder(w).Encode(list)
	}))
	clients := x509.NewCertPool()
	require.True(t, clients.AppendCertsFromPEM(c.CA))
	server.TLS = &tls.Config{ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()

	_, err := c.CoreV1().Services(c.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "api"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	anyClient, err := dynamic.NewForConfig(c.RESTConfig())
	require.NoError(t, err)
	apiServices := anyClient.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	_, err = apiServices.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1." + group},
		"spec": map[string]any{
			"group": group, "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service": map[string]any{
				"namespace": c.namespace, "name": "api", "port": int64(server.Listener.Addr().(*net.TCPAddr).Port),
			},
		},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { // an API that nobody serves keeps namespaces from going
		assert.NoError(t, apiServices.Delete(context.Background(), "v1."+group, metav1.DeleteOptions{}))
	})

	require.EventuallyWithT(t, func(check *assert.CollectT) {
		_, err := c.Discovery().RESTClient().Get().AbsPath("/apis/" + group + "/v1/things").DoRaw(t.Context())
		assert.NoError(check, err)
	}, wait, tick)
	assert.Equal(t, "front-proxy-client for cluster-creator", <-callers)
}

func TestStopEndsEverythingAndMayBeRepeated(t *testing.T) {
	c, err := Start(t.Context(), Options{Binary: binary(t), Dir: t.TempDir()})
	require.NoError(t, err)
	hosts := healthHosts(c)
	require.Len(t, hosts, 5)
	for _, host := range hosts {
		assert.True(t, listens(host), "%s listens while the control plane runs", host)
	}
	require.Len(t, c.Logs(), 5)
	for _, log := range c.Logs() {
		assert.FileExists(t, log)
	}

	var group sync.WaitGroup
	for range 2 {
		group.Go(c.Stop)
	}
	group.Wait()
	c.Stop()
	for _, host := range hosts {
		assert.False(t, listens(host), "nothing listens on %s after Stop", host)
	}
	assert.Empty(t, c.Failed(), "to be stopped is not to fail")
}

func TestNothingOutlivesAKilledOwner(t *testing.T) {
	path := binary(t)
	program, err := os.Executable()
	require.NoError(t, err)
	owner := exec.Command(program)
	owner.Env = append(os.Environ(), ownerVariable+"="+t.TempDir(), "KUBERNETES_BIN="+path)
	owner.Stderr = os.Stderr
	output, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	var hosts []string
	err = json.NewDecoder(output).Decode(&hosts)
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait()
	require.NoError(t, err)

	require.Len(t, hosts, 5)
	for _, host := range hosts {
		require.Eventually(t, func() bool { return !listens(host) }, wait, tick, "%s still listens", host)
	}
}

func TestComponentThatEndsIsReported(t *testing.T) {
	c, err := Start(t.Context(), Options{Binary: binary(t), Dir: t.TempDir()})
	require.NoError(t, err)
	defer c.Stop()
	require.NoError(t, c.components[4].process.Kill())
	select {
	case err := <-c.Failed():
		assert.ErrorContains(t, err, "kwok has ended by itself (signal: killed)")
	case <-time.After(wait):
		t.Fatal("nobody reported that kwok is gone")
	}
}

func healthHosts(c *ControlPlane) []string {
	var hosts []string
	for _, component := range c.components {
		address, err := url.Parse(component.health)
		if err != nil {
			panic(err)
		}
		hosts = append(hosts, address.Host)
	}
	return hosts
}

func listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
