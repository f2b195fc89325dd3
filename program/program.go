// Package program puts the stack together: settings in, cluster, logging and workloads in between, outputs out.
// It decides what waits for what and who is told what; each part's details are the part's own.
package program

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"expense/cluster"
	"expense/internal/config"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-eks/sdk/v3/go/eks"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// name is the prefix of all logical names. It is the project's, not the cluster's: renaming a cluster replaces what must
// be replaced and nothing else.
const name = "expense"

// Run declares the whole stack. A setting that is missing or wrong is an error before the first resource.
func Run(ctx *pulumi.Context) error {
	cfg, err := config.Load(ctx)
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings(time.Now()) {
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return err
		}
	}
	tags := Tags(ctx.Stack())
	if boundary := cfg.IAM.PermissionsBoundary; boundary != "" {
		// All roles but the component's, which the control plane bounds.
		if err := ctx.RegisterStackTransformation(bounded(boundary)); err != nil {
			return fmt.Errorf("permissions boundary: %w", err)
		}
	}

	provider, err := aws.NewProvider(ctx, name, providerArgs(cfg, tags))
	if err != nil {
		return fmt.Errorf("aws provider: %w", err)
	}
	onAWS := pulumi.Providers(provider)
	// The component's own plugin; default providers are off for it too.
	component, err := eks.NewProvider(ctx, name, &eks.ProviderArgs{})
	if err != nil {
		return fmt.Errorf("eks provider: %w", err)
	}

	network, err := cluster.NewNetwork(ctx, name, &cluster.NetworkArgs{Region: cfg.Region, Network: cfg.Network}, onAWS)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	controlPlane, err := cluster.NewControlPlane(ctx, name, &cluster.ControlPlaneArgs{
		Region: cfg.Region, Account: cfg.Account, PermissionsBoundary: cfg.IAM.PermissionsBoundary, Cluster: cfg.Cluster, VpcID: network.VpcID, PrivateSubnetIDs: network.PrivateSubnetIDs,
	}, pulumi.Providers(provider, component))
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	nodes, err := newNodes(ctx, cfg, tags, network, controlPlane, onAWS)
	if err != nil {
		return err
	}

	master, err := logging.NewMaster(ctx, name+"-log-master", &logging.MasterArgs{
		ClusterName: cfg.Cluster.Name, Namespace: config.LoggingNamespace,
	}, onAWS)
	if err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	domain, err := logging.NewDomain(ctx, name, &logging.DomainArgs{
		Logging: cfg.Logging, Region: cfg.Region, VpcID: network.VpcID, SubnetIDs: network.PrivateSubnetIDs,
		ClientSecurityGroupID: controlPlane.SecurityGroupID, MasterRoleARN: master.RoleARN, SlowResources: network.Egress,
	}, onAWS)
	if err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	if alarms := cfg.Logging.Alarms; alarms != (config.Alarms{}) {
		if _, err := logging.NewAlarms(ctx, name+"-alarms", &logging.AlarmsArgs{
			DomainName: domain.Name, DomainARN: domain.ARN, VolumeSizeGiB: cfg.Logging.VolumeSizeGiB(), Replicas: cfg.Logging.Domain.Replicas(),
			DedicatedMasters: cfg.Logging.Domain.MasterInstanceType != "", Email: alarms.Email, TopicARN: alarms.TopicARN,
		}, onAWS); err != nil {
			return fmt.Errorf("alarms: %w", err)
		}
	}
	access, err := logging.NewAccess(ctx, name+"-log", &logging.AccessArgs{
		DomainName:          domain.Name,
		DomainARN:           domain.ARN,
		OIDCProviderARN:     controlPlane.OIDCProviderARN,
		OIDCIssuer:          controlPlane.OIDCIssuer,
		Namespace:           cfg.Workloads.Namespace,
		DashboardsNamespace: config.LoggingNamespace,
		MasterRoleARN:       master.RoleARN,
		Setup:               setupInput(cfg),
		SlowResources:       nodes.running,
	}, onAWS)
	if err != nil {
		return fmt.Errorf("log access: %w", err)
	}

	// From here on the program waits: a component's end waits for its URN, which comes when its Kubernetes provider does
	// (RegisterResourceOutputs of https://github.com/pulumi/pulumi/blob/master/sdk/go/pulumi/context.go). So all that needs
	// AWS only is declared before, but for what the set-up and the autoscaler have of their own.
	if cfg.Cluster.Autoscaler.Enabled {
		if _, err := cluster.NewAutoscaler(ctx, name+"-autoscaler", &cluster.AutoscalerArgs{
			ClusterName: controlPlane.Name, Region: cfg.Region, Image: cfg.Cluster.Autoscaler.Image, NodeGroups: cfg.Cluster.NodeGroups, DependsOn: nodes.addons,
		}, onAWS, pulumi.Provider(nodes.kubernetes)); err != nil {
			return err
		}
	}
	if err := newWorkloads(ctx, cfg, nodes, master, domain, access, provider); err != nil {
		return err
	}

	for key, value := range outputs(cfg, controlPlane, nodes, domain) {
		ctx.Export(key, value)
	}
	return nil
}

// Tags are on every AWS resource of the stack, and on what EC2 and the EBS CSI driver make for it: one filter finds all.
func Tags(stack string) map[string]string {
	return map[string]string{"pulumi:project": name, "pulumi:stack": stack}
}

// bounded gives each IAM role the boundary. A service-linked role is another type, which takes none.
func bounded(boundary string) pulumi.ResourceTransformation {
	return func(args *pulumi.ResourceTransformationArgs) *pulumi.ResourceTransformationResult {
		role, ok := args.Props.(*iam.RoleArgs)
		if !ok {
			return nil
		}
		with := *role
		with.PermissionsBoundary = pulumi.String(boundary)
		return &pulumi.ResourceTransformationResult{Props: &with, Opts: args.Opts}
	}
}

// providerArgs leave out what the stack does not set, so that no preview shows it.
func providerArgs(cfg *config.Config, tags map[string]string) *aws.ProviderArgs {
	args := &aws.ProviderArgs{
		Region:      pulumi.String(cfg.Region),
		DefaultTags: aws.ProviderDefaultTagsArgs{Tags: pulumi.ToStringMap(tags)},
	}
	if cfg.Account.Profile != "" {
		args.Profile = pulumi.String(cfg.Account.Profile)
	}
	if cfg.Account.RoleARN != "" {
		args.AssumeRole = aws.ProviderAssumeRoleArgs{RoleArn: pulumi.String(cfg.Account.RoleARN)}
	}
	if len(cfg.Account.AllowedIDs) > 0 {
		args.AllowedAccountIds = pulumi.ToStringArray(cfg.Account.AllowedIDs)
	}
	if len(cfg.Account.ForbiddenIDs) > 0 {
		args.ForbiddenAccountIds = pulumi.ToStringArray(cfg.Account.ForbiddenIDs)
	}
	return args
}

// nodes is a cluster that can run pods.
type nodes struct {
	groups map[string]*cluster.NodeGroup
	// addons are those that nodes need, running the groups themselves.
	addons, running []pulumi.Resource
	// kubernetes waits for all that pods need.
	kubernetes   *kubernetes.Provider
	storageClass pulumi.StringOutput
}

// newNodes makes everything between a control plane and a cluster that runs pods. Order: the DaemonSets that make a node
// Ready, the nodes, the add-ons that need nodes, and then whatever is declared in Kubernetes.
func newNodes(ctx *pulumi.Context, cfg *config.Config, tags map[string]string, network *cluster.Network,
	controlPlane *cluster.ControlPlane, onAWS pulumi.ResourceOption,
) (*nodes, error) {
	role, err := cluster.NewNodeRole(ctx, name+"-node", &cluster.NodeRoleArgs{Region: cfg.Region}, onAWS)
	if err != nil {
		return nil, err
	}
	nodeAddons, err := cluster.NewNodeAddons(ctx, name+"-node", &cluster.AddonsArgs{
		ClusterName: controlPlane.Name, Region: cfg.Region, Versions: cfg.Cluster.AddonVersions, DependsOn: pulumi.ResourceArray{pulumi.NewResourceOutput(controlPlane.Cluster)},
	}, onAWS)
	if err != nil {
		return nil, err
	}

	out := &nodes{groups: map[string]*cluster.NodeGroup{}}
	var groups []pulumi.Resource
	var ready pulumi.ResourceArray
	for _, g := range cfg.Groups() {
		var subnets pulumi.StringArray
		for _, zone := range g.Zones {
			subnets = append(subnets, network.PrivateSubnets[zone])
		}
		group, err := cluster.NewNodeGroup(ctx, g.Name, &cluster.NodeGroupArgs{
			NodeGroup:   g.NodeGroup,
			ClusterName: controlPlane.Name,
			Version:     cfg.Cluster.Version,
			RoleARN:     role.ARN,
			SubnetIDs:   subnets,
			Autoscaled:  cfg.Cluster.Autoscaler.Enabled,
			Tags:        tags,
			DependsOn:   slices.Concat(network.Egress, role.Policies, nodeAddons.All),
		}, onAWS)
		if err != nil {
			return nil, fmt.Errorf("node group %s: %w", g.Name, err)
		}
		out.groups[g.Name] = group
		groups, ready = append(groups, group.Group), append(ready, group.Ready)
	}
	podAddons, err := cluster.NewPodAddons(ctx, name+"-pod", &cluster.PodAddonsArgs{
		AddonsArgs: cluster.AddonsArgs{ClusterName: controlPlane.Name, Region: cfg.Region, Versions: cfg.Cluster.AddonVersions, DependsOn: ready},
		VolumeTags: tags,
	}, onAWS)
	if err != nil {
		return nil, err
	}

	out.kubernetes, err = cluster.NewKubernetesProvider(ctx, name, controlPlane, cfg.Region,
		slices.Concat([]pulumi.Resource{controlPlane.Cluster}, controlPlane.Access, groups, podAddons.All))
	if err != nil {
		return nil, err
	}
	class, err := cluster.NewStorageClass(ctx, cluster.StorageClassName, podAddons.Storage, pulumi.Provider(out.kubernetes))
	if err != nil {
		return nil, err
	}
	out.storageClass = class.Metadata.Name().Elem()
	out.addons, out.running = nodeAddons.All, groups
	return out, nil
}

// newWorkloads makes the namespaces, the shipping of logs out of them, and what runs in them.
func newWorkloads(ctx *pulumi.Context, cfg *config.Config, nodes *nodes,
	master *logging.Master, domain *logging.Domain, access *logging.Access, provider *aws.Provider,
) error {
	inCluster := pulumi.Providers(nodes.kubernetes, provider)
	namespace, err := workloads.NewNamespace(ctx, cfg.Workloads.Namespace, &workloads.NamespaceArgs{
		Name:        cfg.Workloads.Namespace,
		Environment: cfg.Workloads.Environment,
		Quota:       cfg.Workloads.Quota,
		VPCCIDR:     cfg.Network.CIDR,
		Web:         &cfg.Workloads.Web,
	}, inCluster)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", cfg.Workloads.Namespace, err)
	}
	sidecar, logs, err := newLogs(ctx, cfg, namespace, master, domain, access, inCluster)
	if err != nil {
		return err
	}

	dependsOn := slices.Concat(namespace.Guards, logs)
	if _, err := workloads.NewNginx(ctx, "nginx", &workloads.NginxArgs{
		Namespace: namespace.Name, Image: cfg.Workloads.Images.Nginx, Ship: sidecar.Add, DependsOn: dependsOn,
	}, inCluster); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	if _, err := workloads.NewMultiContainer(ctx, "multi-container", &workloads.MultiContainerArgs{
		Namespace: namespace.Name, NginxImage: cfg.Workloads.Images.Nginx, AlmaImage: cfg.Workloads.Images.Alma,
		VolumeSizeGiB: cfg.Workloads.VolumeSizeGiB, StorageClass: nodes.storageClass, Ship: sidecar.Add, DependsOn: dependsOn,
	}, inCluster); err != nil {
		return fmt.Errorf("multi-container: %w", err)
	}
	if _, err := workloads.NewWeb(ctx, "web", &workloads.WebArgs{
		Web: cfg.Workloads.Web, Namespace: namespace.Name, Image: cfg.Workloads.Images.Nginx, Secret: cfg.WebSecret,
		Ship: sidecar.Add, DependsOn: dependsOn,
	}, inCluster); err != nil {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}

// setupInput is what the set-up sends, without what only AWS knows.
func setupInput(cfg *config.Config) logging.SetupInput {
	return logging.SetupInput{
		Region:        cfg.Region,
		DataStream:    cfg.Logging.DataStream,
		Fields:        slices.Sorted(maps.Keys(cfg.Logging.Fields)),
		IndexedFields: cfg.Logging.IndexedFields,
		RetentionDays: cfg.Logging.RetentionDays,
		RolloverMiB:   cfg.Logging.RolloverMiB(),
		Replicas:      cfg.Logging.Domain.Replicas(),
		AuditLogs:     cfg.Logging.Domain.AuditLogs,
		Dashboards:    cfg.Logging.Dashboards.Enabled,
	}
}

// newLogs makes everything in the cluster between a pod's log files and the domain: its set-up, the dashboards' proxy, and
// the sidecar. What it returns beside the sidecar is in place before anything logs.
func newLogs(ctx *pulumi.Context, cfg *config.Config, source *workloads.Namespace,
	master *logging.Master, domain *logging.Domain, access *logging.Access, inCluster pulumi.ResourceOption,
) (*logging.Sidecar, []pulumi.Resource, error) {
	namespace, err := workloads.NewNamespace(ctx, config.LoggingNamespace, &workloads.NamespaceArgs{
		Name:        config.LoggingNamespace,
		Environment: cfg.Workloads.Environment,
		// The set-up's pod and the proxy, each beside its successor, and some room for pods that failed.
		Quota:       config.Quota{Pods: 8, CPU: 1, MemoryGiB: 2},
		VPCCIDR:     cfg.Network.CIDR,
		PodIdentity: true,
	}, inCluster)
	if err != nil {
		return nil, nil, fmt.Errorf("namespace %s: %w", config.LoggingNamespace, err)
	}
	setup, err := logging.NewSetup(ctx, name+"-log-setup", &logging.SetupArgs{
		Image:         cfg.Logging.Image,
		ClusterName:   cfg.Cluster.Name,
		Namespace:     namespace.Name,
		Master:        master,
		DomainARN:     domain.ARN,
		Settings:      setupInput(cfg),
		Endpoint:      domain.Endpoint,
		WriterRoleARN: access.WriterRoleARN,
		ReaderRoleARN: access.ReaderRoleARN,
		DependsOn:     slices.Concat(namespace.Guards, access.Policies),
	}, inCluster)
	if err != nil {
		return nil, nil, fmt.Errorf("log set-up: %w", err)
	}
	logs := append(slices.Clone(access.Policies), setup.Job)
	if cfg.Logging.Dashboards.Enabled {
		if _, err := logging.NewDashboards(ctx, "dashboards", &logging.DashboardsArgs{
			Image: cfg.Logging.Dashboards.Image, Region: cfg.Region, Namespace: namespace.Name, Endpoint: domain.Endpoint,
			RoleARN: access.ReaderRoleARN, DependsOn: slices.Concat(namespace.Guards, logs),
		}, inCluster); err != nil {
			return nil, nil, fmt.Errorf("dashboards: %w", err)
		}
	}
	sidecar, err := logging.NewSidecar(ctx, "fluentd", &logging.SidecarArgs{
		Image:         cfg.Logging.Image,
		Region:        cfg.Region,
		ClusterName:   cfg.Cluster.Name,
		DataStream:    cfg.Logging.DataStream,
		IndexedFields: cfg.Logging.IndexedFields,
		Fields:        cfg.Logging.Fields,
		DropLevels:    cfg.Logging.DropLevels,
		Redact:        cfg.Logging.Redact,
		BytesPerDay:   cfg.Logging.GiBPerDay << 30,
		Namespace:     source.Name,
		Endpoint:      domain.Endpoint,
		RoleARN:       access.WriterRoleARN,
	}, inCluster)
	if err != nil {
		return nil, nil, fmt.Errorf("fluentd: %w", err)
	}
	return sidecar, logs, nil
}
