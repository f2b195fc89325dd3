package program

import (
	"fmt"

	"expense/internal/config"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The names of the stack's outputs. Scripts read them with `pulumi stack output NAME`, so a new name breaks scripts.
const (
	// OutputKubeconfig is the kubeconfig as JSON. It holds no credential: it runs `aws eks get-token`.
	OutputKubeconfig = "kubeconfig"
	// OutputClusterName is the EKS cluster's name.
	OutputClusterName = "clusterName"
	// OutputRegion is the AWS region.
	OutputRegion = "region"
	// OutputNamespace is the namespace of the workloads.
	OutputNamespace = "namespace"
	// OutputNodeGroups are the groups' names on AWS, by their start: the name in the settings and, with perZone, the zone.
	OutputNodeGroups = "nodeGroups"
	// OutputOpenSearchEndpoint is the domain's URL. It answers only inside the VPC.
	OutputOpenSearchEndpoint = "openSearchEndpoint"
	// OutputDashboardsURL is the URL of OpenSearch Dashboards. It answers only inside the VPC.
	OutputDashboardsURL = "dashboardsUrl"
	// OutputApps are commands for each app, by purpose.
	OutputApps = "apps"
	// OutputRepositories are the addresses of the stack's image repositories, by image.
	OutputRepositories = "repositories"
	// OutputCaches are what stands before the path of a cached image, by its registry's host.
	OutputCaches = "caches"
	// OutputCommands are commands for the next steps, by purpose.
	OutputCommands = "commands"
)

func (s *stack) export() {
	groups := pulumi.StringMap{}
	for key, group := range s.groups {
		groups[key] = group.Name
	}
	for key, value := range map[string]pulumi.Input{
		OutputKubeconfig:         s.controlPlane.KubeconfigJSON,
		OutputClusterName:        pulumi.String(s.cfg.Cluster.Name),
		OutputRegion:             pulumi.String(s.cfg.Region),
		OutputNamespace:          pulumi.String(s.cfg.Workloads.Namespace),
		OutputNodeGroups:         groups,
		OutputOpenSearchEndpoint: pulumi.Sprintf("https://%s", s.domain.Endpoint),
		OutputDashboardsURL:      pulumi.Sprintf("https://%s", s.domain.DashboardsEndpoint),
		OutputApps:               pulumi.ToStringMapMap(s.appCommands()),
		OutputCommands:           pulumi.ToStringMap(commands(s.cfg)),
	} {
		s.ctx.Export(key, value)
	}
}

func commands(cfg *config.Config) map[string]string {
	namespace := cfg.Workloads.Namespace
	out := map[string]string{
		"kubeconfig": fmt.Sprintf("aws eks update-kubeconfig --name %s --region %s", cfg.Cluster.Name, cfg.Region),
		"nodes":      "kubectl get nodes -L topology.kubernetes.io/zone,node.kubernetes.io/instance-type,eks.amazonaws.com/capacityType",
		"pods":       fmt.Sprintf("kubectl get pods -n %s -o wide", namespace),
		"shell":      fmt.Sprintf("kubectl exec -it %s -n %s -c %s -- bash", workloads.MultiContainerName, namespace, workloads.AlmaContainer),
		"web":        fmt.Sprintf("kubectl port-forward -n %s service/%s %[3]d:%[3]d", namespace, workloads.WebName, workloads.Port),
		"logs":       fmt.Sprintf("kubectl logs -n %s deployment/%s -c %s --all-pods", namespace, workloads.WebName, logging.SidecarName),
		// The Job stays. Its pod and the pod's output are lost with the node.
		"logSetup": fmt.Sprintf("kubectl get jobs -n %[1]s && kubectl logs -n %[1]s -l app.kubernetes.io/name=%[2]s --tail=-1",
			config.LoggingNamespace, logging.SetupName),
	}
	if cfg.Account.Profile != "" || cfg.Account.RoleARN != "" {
		// The environment's credentials win over what update-kubeconfig writes, and it takes no other profile for the role.
		out["kubeconfig"] = fmt.Sprintf("mkdir -p ~/.kube && pulumi stack output %[1]s >~/.kube/%[2]s && export KUBECONFIG=~/.kube/%[2]s",
			OutputKubeconfig, cfg.Cluster.Name)
	}
	if cfg.Logging.Dashboards.Enabled {
		out["dashboards"] = fmt.Sprintf("kubectl port-forward -n %s deployment/%s 5601:%d",
			config.LoggingNamespace, logging.DashboardsName, logging.DashboardsPort)
		out["dashboardsBrowser"] = "http://localhost:5601/_dashboards"
	} else {
		out["dashboards"] = "pulumi config set --path 'expense:logging.dashboards.enabled' true && pulumi up"
	}
	if mail := cfg.Logging.Alarms.Email; mail != "" {
		// SNS mails once, nothing waits for the answer, and an unconfirmed subscription is deleted after some days
		// (https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html).
		out["alarms"] = fmt.Sprintf("confirm the mail that SNS sends to %s: until then no alarm arrives", mail)
	}
	return out
}
