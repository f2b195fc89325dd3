package awsmodel

import (
	"context"
	"fmt"
	"slices"

	"expense/internal/published"
)

func addonRows() rows {
	return of("EKS", rows{
		tAddon: {
			ops: "CreateAddon UpdateAddon DeleteAddon", required: "addonName clusterName", keeps: "addonVersion configurationValues",
			id: func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.in.str("addonName") }, tagged: true,
			blank: "createdAt modifiedAt", refs: []ref{clusterRef},
			takenCode: "ResourceInUseException", takenText: "Addon already exists: %s.",
			times:  took(30*seconds, 30*seconds, 10*seconds),
			create: createAddon, fill: fillAddon, settle: settleAddon, after: runAddon, update: again(createAddon), drain: stopAddon,
			gone: addonGone,
		},
	})
}

// selfManaged are the add-ons that EKS installs by itself in a new cluster. Which there are besides, and what they run, is in
// internal/published/addons.csv: those with pods of Deployments need nodes for their health, the others are DaemonSets, which are
// healthy on no node at all (https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html).
var selfManaged = []string{"vpc-cni", "kube-proxy", "coredns"}

func createAddon(m *Model, o *object) error {
	name := o.in.str("addonName")
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	if cluster.status != active { // InvalidRequestException: "invalid given the state of the cluster" (EKS's API model)
		return refuse("InvalidRequestException", "Cluster '%s' is not in ACTIVE status", cluster.id)
	}
	version := cluster.out.str("version")
	if _, known := published.Addons()[name]; !known {
		return invalidParameter("Addon %s specified is not supported in %s kubernetes version", name, version)
	}
	if err := addonValues(name, o.in.str("configurationValues")); err != nil {
		return err
	}
	for _, p := range o.in.objs("podIdentityAssociations") {
		if err := podIdentityRole(m, o, p.str("roleArn")); err != nil {
			return err
		}
	}
	return nil
}

// defaultVersion is what EKS installs when the program pins nothing. The numbers are the model's own: add-on versions
// cannot be derived, they are looked up with describe-addon-versions.
const defaultVersion = "v1.0.0-eksbuild.1"

func fillAddon(m *Model, o *object) {
	if !o.out.has("arn") {
		o.out.set("arn", m.arnOf("eks|addon/{cluster}/"+o.in.str("addonName")+"/{uuid}", o))
	}
	o.out.setDefault("addonVersion", defaultVersion)
	o.out.setDefault("configurationValues", "")
}

func settleAddon(m *Model, o *object) error {
	name, cluster := o.in.str("addonName"), m.objects[tCluster][o.in.str("clusterName")]
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAddon.html, resolveConflicts
	if slices.Contains(selfManaged, name) && o.in.str("resolveConflictsOnCreate") != "OVERWRITE" {
		return fmt.Errorf("unexpected state 'CREATE_FAILED', wanted target 'ACTIVE'. last error: ConfigurationConflict: Conflicts found "+
			"when trying to apply. Will not continue due to resolve conflicts mode: the self-managed %s is installed", name)
	}
	degraded := func(code, why string) error {
		return fmt.Errorf("timeout while waiting for state to become 'ACTIVE' (last state: 'DEGRADED', timeout: 20m0s): %s: %s", code, why)
	}
	if pods := published.Addons()[name].Replicas; pods > 0 && m.room(cluster.id) < pods {
		return degraded("InsufficientNumberOfReplicas", "The add-on is unhealthy because it doesn't have the desired number of replicas.")
	}
	if name == "aws-ebs-csi-driver" && !m.hasCredentials(cluster, o, "kube-system", "ebs-csi-controller-sa",
		"service-role/AmazonEBSCSIDriverPolicy", "AmazonEBSCSIDriverPolicyV2") {
		// The driver's start calls ec2:DescribeAvailabilityZones: kubernetes-sigs/aws-ebs-csi-driver, docs/install.md.
		return degraded("InsufficientNumberOfReplicas",
			"The add-on is unhealthy because all deployments have less than the desired number of replicas: ebs-csi-controller has no "+
				"AWS credentials (no pod identity association with a running eks-pod-identity-agent, no IRSA role, no policy on the node "+
				"role).")
	}
	return nil
}

func (m *Model) addon(cluster, name string) *object {
	return m.objects[tAddon][cluster+":"+name]
}

// room is how many more pods of Deployments the cluster's nodes hold beside what add-ons run there. What else runs is not
// counted: workloads come after the add-ons.
func (m *Model) room(cluster string) (pods int) {
	onEach := 0
	for _, a := range m.where(tAddon, "clusterName", cluster) {
		runs := published.Addons()[a.in.str("addonName")]
		onEach += runs.OnEach
		if a.status == active {
			pods -= runs.Replicas
		}
	}
	for _, g := range m.where(tNodeGroup, "clusterName", cluster) {
		for _, i := range m.instances(g.id) {
			if i.joined && !slices.ContainsFunc(i.node.Taints, func(t Taint) bool { return t.Effect != "PreferNoSchedule" }) {
				pods += max(0, i.node.MaxPods-onEach)
			}
		}
	}
	return pods
}

// runAddon tells the Kubernetes side what an add-on in service runs.
func runAddon(ctx context.Context, m *Model, o *object) error {
	if m.opts.Cluster == nil {
		return nil
	}
	name := o.in.str("addonName")
	return m.opts.Cluster.RunAddon(ctx, name, published.Addons()[name])
}

func stopAddon(ctx context.Context, m *Model, o *object) error {
	if m.opts.Cluster == nil {
		return nil
	}
	return m.opts.Cluster.StopAddon(ctx, o.in.str("addonName"))
}

// hasCredentials tells whether a service account can reach AWS with one of the managed policies or one of the account's
// own: through pod identity, which needs its agent, or the nodes' role.
func (m *Model) hasCredentials(cluster, addon *object, namespace, account string, policies ...string) bool {
	permitted := func(arn string) bool {
		role := m.first(tRole, "arn", arn)
		return role != nil && (m.attached(role, policies...) || m.hasOwnPolicy(role))
	}
	agent := m.addon(cluster.id, "eks-pod-identity-agent") != nil
	for _, p := range m.where(tPodIdentity, "clusterName", cluster.id) {
		if agent && p.in.str("namespace") == namespace && p.in.str("serviceAccount") == account && permitted(p.in.str("roleArn")) {
			return true
		}
	}
	if addon != nil {
		for _, p := range addon.in.objs("podIdentityAssociations") {
			if agent && p.str("serviceAccount") == account && permitted(p.str("roleArn")) {
				return true
			}
		}
	}
	for _, g := range m.where(tNodeGroup, "clusterName", cluster.id) {
		if role := m.first(tRole, "arn", g.in.str("nodeRoleArn")); role != nil && m.attached(role, policies...) {
			return true
		}
	}
	return false
}

func addonGone(m *Model, o *object) bool {
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	runs := func(i *object) bool { return i.joined && !i.doomed && i.node.Cluster == cluster.id }
	if cluster != nil && o.in.str("addonName") == "vpc-cni" && slices.ContainsFunc(m.all(tInstance), runs) {
		cluster.cniGone = true
	}
	return false
}
