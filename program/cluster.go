package program

import (
	"fmt"
	"slices"

	"expense/cluster"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func (s *stack) addNetwork() (err error) {
	s.network, err = cluster.NewNetwork(s.ctx, name, &cluster.NetworkArgs{Region: s.cfg.Region, Network: s.cfg.Network}, s.onAWS())
	return err
}

func (s *stack) addControlPlane() (err error) {
	s.controlPlane, err = cluster.NewControlPlane(s.ctx, name, &cluster.ControlPlaneArgs{
		Region:              s.cfg.Region,
		Account:             s.cfg.Account,
		PermissionsBoundary: s.cfg.IAM.PermissionsBoundary,
		Cluster:             s.cfg.Cluster,
		VpcID:               s.network.VpcID,
		PrivateSubnetIDs:    s.network.PrivateSubnetIDs,
	}, pulumi.Providers(s.aws, s.eks))
	return err
}

// addNodes makes the nodes after the add-ons that a node needs to become Ready.
func (s *stack) addNodes() error {
	role, err := cluster.NewNodeRole(s.ctx, name+"-node", &cluster.NodeRoleArgs{
		Region: s.cfg.Region, Caches: s.cfg.Cluster.Caches(),
	}, s.onAWS())
	if err != nil {
		return err
	}
	s.nodeAddons, err = cluster.NewNodeAddons(s.ctx, name+"-node", s.addons(pulumi.NewResourceOutput(s.controlPlane.Cluster)), s.onAWS())
	if err != nil {
		return err
	}
	s.groups = map[string]*cluster.NodeGroup{}
	for _, g := range s.cfg.Groups() {
		var subnets pulumi.StringArray
		for _, zone := range g.Zones {
			subnets = append(subnets, s.network.PrivateSubnets[zone])
		}
		group, err := cluster.NewNodeGroup(s.ctx, g.Name, &cluster.NodeGroupArgs{
			NodeGroup:   g.NodeGroup,
			ClusterName: s.controlPlane.Name,
			Version:     s.cfg.Cluster.Version,
			RoleARN:     role.ARN,
			SubnetIDs:   subnets,
			Autoscaled:  s.cfg.Cluster.Autoscaler.Enabled,
			Tags:        s.tags,
			DependsOn:   slices.Concat(s.network.Egress, role.Policies, s.nodeAddons.All),
		}, s.onAWS())
		if err != nil {
			return fmt.Errorf("node group %s: %w", g.Name, err)
		}
		s.groups[g.Name] = group
		s.running = append(s.running, group.Group)
	}
	return nil
}

// addKubernetes makes what pods need beside nodes: the add-ons that run on nodes, the Kubernetes provider and the storage class.
func (s *stack) addKubernetes() error {
	var ready []pulumi.ResourceOutput
	for _, g := range s.cfg.Groups() {
		ready = append(ready, s.groups[g.Name].Ready)
	}
	addons, err := cluster.NewPodAddons(s.ctx, name+"-pod", &cluster.PodAddonsArgs{
		AddonsArgs: *s.addons(ready...),
		VolumeTags: s.tags,
	}, s.onAWS())
	if err != nil {
		return err
	}
	s.eksReady = slices.Concat([]pulumi.Resource{s.controlPlane.Cluster}, s.controlPlane.Access, s.running, addons.All)
	s.kubernetes, err = cluster.NewKubernetesProvider(s.ctx, name, &cluster.KubernetesProviderArgs{
		Kubeconfig:  s.controlPlane.KubeconfigJSON,
		ClusterName: s.controlPlane.Name,
		Region:      s.cfg.Region,
		DependsOn:   s.eksReady,
	})
	if err != nil {
		return err
	}
	class, err := cluster.NewStorageClass(s.ctx, cluster.StorageClassName, &cluster.StorageClassArgs{Driver: addons.Storage},
		pulumi.Provider(s.kubernetes))
	if err != nil {
		return err
	}
	s.storageClass = class.Metadata.Name().Elem()
	return nil
}

// addons are the arguments of a set of add-ons.
func (s *stack) addons(dependsOn ...pulumi.ResourceOutput) *cluster.AddonsArgs {
	args := &cluster.AddonsArgs{ClusterName: s.controlPlane.Name, Region: s.cfg.Region, Versions: s.cfg.Cluster.AddonVersions}
	for _, resource := range dependsOn {
		args.DependsOn = append(args.DependsOn, resource)
	}
	return args
}

func (s *stack) addIdentityProvider() error {
	if !s.cfg.Cluster.IdentityProvider.Wanted() {
		return nil
	}
	_, err := cluster.NewIdentityProvider(s.ctx, name+"-people", &cluster.IdentityProviderArgs{
		ClusterName:      s.controlPlane.Name,
		IdentityProvider: s.cfg.Cluster.IdentityProvider,
		DependsOn:        s.eksReady,
	}, s.inCluster())
	return err
}

func (s *stack) addAutoscaler() error {
	if !s.cfg.Cluster.Autoscaler.Enabled {
		return nil
	}
	_, err := cluster.NewAutoscaler(s.ctx, name+"-autoscaler", &cluster.AutoscalerArgs{
		ClusterName: s.controlPlane.Name,
		Region:      s.cfg.Region,
		Image:       s.cfg.Cluster.Autoscaler.Image,
		NodeGroups:  s.cfg.Cluster.NodeGroups,
		DependsOn:   s.nodeAddons.All,
	}, s.inCluster())
	return err
}
