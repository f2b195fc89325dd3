package program

import (
	"fmt"

	"expense/cluster"
	"expense/internal/config"
	"expense/logging"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The names of the stack's outputs. They are an interface: scripts read them with `pulumi stack output NAME`.
const (
	// OutputKubeconfig is the kubeconfig as JSON. It holds no credential: it runs `aws eks get-token`.
	OutputKubeconfig = "kubeconfig"
	// OutputClusterName is the EKS cluster's name.
	OutputClusterName = "clusterName"
	// OutputRegion is the AWS region.
	OutputRegion = "region"
	// OutputNamespace is the namespace of the workloads.
	OutputNamespace = "namespace"
	// OutputNodeGroups are the groups' names on AWS, by what they start with: the name in the settings and, with perZone, the zone.
	OutputNodeGroups = "nodeGroups"
	// OutputOpenSearchEndpoint is the domain's URL, which answers inside the VPC.
	OutputOpenSearchEndpoint = "openSearchEndpoint"
	// OutputDashboardsURL is the URL of OpenSearch Dashboards, which answers inside the VPC.
	OutputDashboardsURL = "dashboardsUrl"
	// OutputCommands are what a person types next, by what for.
	OutputCommands = "commands"
)

func outputs(cfg *config.Config, controlPlane *cluster.ControlPlane, nodes *nodes, domain *logging.Domain) pulumi.Map {
	groups := pulumi.StringMap{}
	for key, group := range nodes.groups {
		groups[key] = group.Name
	}
	return pulumi.Map{
		OutputKubeconfig:         controlPlane.KubeconfigJSON,
		OutputClusterName:        pulumi.String(cfg.Cluster.Name),
		OutputRegion:             pulumi.String(cfg.Region),
		OutputNamespace:          pulumi.String(cfg.Workloads.Namespace),
		OutputNodeGroups:         groups,
		OutputOpenSearchEndpoint: pulumi.Sprintf("https://%s", domain.Endpoint),
		OutputDashboardsURL:      pulumi.Sprintf("https://%s", domain.DashboardsEndpoint),
		OutputCommands:           pulumi.ToStringMap(commands(cfg)),
	}
}

func commands(cfg *config.Config) map[string]string {
	namespace := cfg.Workloads.Namespace
	out := map[string]string{
		"kubeconfig": fmt.Sprintf("aws eks update-kubeconfig --name %s --region %s", cfg.Cluster.Name, cfg.Region),
		"nodes":      "kubectl get nodes -L topology.kubernetes.io/zone,node.kubernetes.io/instance-type,eks.amazonaws.com/capacityType",
		"pods":       fmt.Sprintf("kubectl get pods -n %s -o wide", namespace),
		"shell":      fmt.Sprintf("kubectl exec -it multi-container -n %s -c alma -- bash", namespace),
		"web":        fmt.Sprintf("kubectl port-forward -n %s service/web 8080:8080", namespace),
		"logs":       fmt.Sprintf("kubectl logs -n %s deployment/web -c fluentd --all-pods", namespace),
		// The Job stays; its pod, and what that printed, goes with its node.
		"logSetup": fmt.Sprintf("kubectl get jobs -n %[1]s && kubectl logs -n %[1]s -l app.kubernetes.io/name=log-setup --tail=-1", config.LoggingNamespace),
	}
	if cfg.Account.Profile != "" || cfg.Account.RoleARN != "" {
		// What update-kubeconfig writes loses to credentials in the environment, and takes no other profile for the role.
		out["kubeconfig"] = fmt.Sprintf("mkdir -p ~/.kube && pulumi stack output kubeconfig >~/.kube/%[1]s && export KUBECONFIG=~/.kube/%[1]s", cfg.Cluster.Name)
	}
	if cfg.Logging.Dashboards.Enabled {
		out["dashboards"] = fmt.Sprintf("kubectl port-forward -n %s deployment/dashboards 5601:%d", config.LoggingNamespace, logging.DashboardsPort)
		out["dashboardsBrowser"] = "http://localhost:5601/_dashboards"
	} else {
		out["dashboards"] = "pulumi config set --path 'expense:logging.dashboards.enabled' true && pulumi up"
	}
	if mail := cfg.Logging.Alarms.Email; mail != "" {
		// SNS mails once, nothing waits for the answer, and a subscription without one goes away after some days
		// (https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html).
		out["alarms"] = fmt.Sprintf("confirm the mail that SNS sends to %s: until then no alarm arrives", mail)
	}
	return out
}
