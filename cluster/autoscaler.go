package cluster

import (
	"fmt"
	"maps"
	"slices"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/pod"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// AutoscalerArgs describe the node autoscaler.
type AutoscalerArgs struct {
	ClusterName string
	Region      string
	Image       string
	// NodeGroups are the settings of the groups that it sizes.
	NodeGroups map[string]config.NodeGroup
	// DependsOn is the pod identity agent. Without it the pod starts without a role and crashes.
	DependsOn []pulumi.Resource
}

// Autoscaler is the Cluster Autoscaler. Within a group's limits, it adds a node when a pod finds no room and removes a node that
// stays nearly empty.
type Autoscaler struct {
	pulumi.ResourceState
}

const (
	autoscalerName      = "cluster-autoscaler"
	autoscalerNamespace = "kube-system"
)

// NewAutoscaler runs the Cluster Autoscaler in kube-system, once in a cluster. Its role may resize only this cluster's groups.
// The options need both providers, aws and kubernetes.
func NewAutoscaler(ctx *pulumi.Context, name string, args *AutoscalerArgs, opts ...pulumi.ResourceOption) (*Autoscaler, error) {
	if args == nil {
		return nil, fmt.Errorf("autoscaler %q: no arguments", name)
	}
	a := &Autoscaler{}
	if err := ctx.RegisterComponentResource(typeAutoscaler, name, a, opts...); err != nil {
		return nil, err
	}
	identity, err := a.identity(ctx, name, args)
	if err != nil {
		return nil, err
	}
	account, permissions, err := a.rbac(ctx, name)
	if err != nil {
		return nil, err
	}
	priorities, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		// The autoscaler reads the ConfigMap of this name.
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String("cluster-autoscaler-priority-expander"),
			Namespace: pulumi.String(autoscalerNamespace)},
		Data: pulumi.StringMap{"priorities": pulumi.String(autoscalerPriorities(args.NodeGroups))},
	}, pulumi.Parent(a))
	if err != nil {
		return nil, fmt.Errorf("priorities: %w", err)
	}
	if err := a.deployment(ctx, name, args, account, slices.Concat(permissions, identity, []pulumi.Resource{priorities})); err != nil {
		return nil, err
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{})
}

// identity makes the IAM role. It allows the calls in the autoscaler's source (https://github.com/kubernetes/autoscaler at
// cluster-autoscaler-1.35.0, cluster-autoscaler/cloudprovider/aws: auto_scaling_groups.go, aws_wrapper.go). The two writing actions
// are limited to groups that EKS tagged as this cluster's. The reading actions have no resource-level permissions
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html).
func (a *Autoscaler) identity(ctx *pulumi.Context, name string, args *AutoscalerArgs) ([]pulumi.Resource, error) {
	trust, err := iampolicy.PodIdentityTrust(args.ClusterName, autoscalerNamespace, autoscalerName)
	if err != nil {
		return nil, err
	}
	policy, err := autoscalerPolicy(args.Region, args.ClusterName)
	if err != nil {
		return nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust), Tags: tags.Name(name)}, pulumi.Parent(a))
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	rolePolicy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{Role: role.Name, Policy: pulumi.String(policy)}, pulumi.Parent(a))
	if err != nil {
		return nil, fmt.Errorf("role policy: %w", err)
	}
	association, err := eks.NewPodIdentityAssociation(ctx, name, &eks.PodIdentityAssociationArgs{
		ClusterName:    pulumi.String(args.ClusterName),
		Namespace:      pulumi.String(autoscalerNamespace),
		ServiceAccount: pulumi.String(autoscalerName),
		RoleArn:        role.Arn,
		Tags:           tags.Name(name),
	}, pulumi.Parent(a), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("pod identity: %w", err)
	}
	return []pulumi.Resource{rolePolicy, association}, nil
}

func autoscalerPolicy(region, cluster string) (string, error) {
	partition := iampolicy.Partition(region)
	return iampolicy.Document(
		iampolicy.Statement{
			Sid: "Read",
			Actions: []string{
				"autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities",
				"ec2:DescribeImages", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions",
				"ec2:GetInstanceTypesFromInstanceRequirements",
			},
			Resources: []string{"*"},
		},
		iampolicy.Statement{
			// For the labels and taints of a group without nodes, so that it can grow from zero.
			Sid:       "ReadNodeGroups",
			Actions:   []string{"eks:DescribeNodegroup"},
			Resources: []string{fmt.Sprintf("arn:%s:eks:%s:*:nodegroup/%s/*", partition, region, cluster)},
		},
		iampolicy.Statement{
			Sid:       "Resize",
			Actions:   []string{"autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"},
			Resources: []string{fmt.Sprintf("arn:%s:autoscaling:%s:*:autoScalingGroup:*", partition, region)},
			Conditions: map[string]map[string]string{"StringEquals": {
				"aws:ResourceTag/k8s.io/cluster-autoscaler/" + cluster: "owned",
			}},
		},
	)
}

// rbac makes the permissions in Kubernetes: read what the scheduler reads, evict pods, taint nodes, and write the autoscaler's own
// lease and status. Kubernetes deletes the Node of a terminated instance.
func (a *Autoscaler) rbac(ctx *pulumi.Context, name string) (*corev1.ServiceAccount, []pulumi.Resource, error) {
	meta := metav1.ObjectMetaArgs{Name: pulumi.String(autoscalerName), Namespace: pulumi.String(autoscalerNamespace)}
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata:                     meta,
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(a))
	if err != nil {
		return nil, nil, fmt.Errorf("service account: %w", err)
	}
	rule := func(group string, resources, verbs []string) rbacv1.PolicyRuleArgs {
		return rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.StringArray{pulumi.String(group)}, Resources: pulumi.ToStringArray(resources), Verbs: pulumi.ToStringArray(verbs),
		}
	}
	read := []string{"get", "list", "watch"}
	clusterRole, err := rbacv1.NewClusterRole(ctx, name, &rbacv1.ClusterRoleArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(autoscalerName)},
		Rules: rbacv1.PolicyRuleArray{
			rule("", []string{"namespaces", "persistentvolumeclaims", "persistentvolumes", "pods", "replicationcontrollers", "services"}, read),
			rule("", []string{"events"}, []string{"create", "patch"}),
			rule("", []string{"nodes"}, append([]string{"update"}, read...)),
			rule("", []string{"pods/eviction"}, []string{"create"}),
			rule("apps", []string{"daemonsets", "replicasets", "statefulsets"}, read),
			rule("batch", []string{"jobs"}, read),
			rule("policy", []string{"poddisruptionbudgets"}, read),
			rule("resource.k8s.io", []string{"deviceclasses", "resourceclaims", "resourceslices"}, read),
			rule("storage.k8s.io", []string{"csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"}, read),
		},
	}, pulumi.Parent(a))
	if err != nil {
		return nil, nil, fmt.Errorf("cluster role: %w", err)
	}
	role, err := rbacv1.NewRole(ctx, name, &rbacv1.RoleArgs{
		Metadata: meta,
		Rules: rbacv1.PolicyRuleArray{
			rule("coordination.k8s.io", []string{"leases"}, []string{"create"}),
			rule("", []string{"configmaps"}, append([]string{"create"}, read...)),
			rbacv1.PolicyRuleArgs{
				ApiGroups:     pulumi.StringArray{pulumi.String("coordination.k8s.io")},
				Resources:     pulumi.StringArray{pulumi.String("leases")},
				ResourceNames: pulumi.StringArray{pulumi.String(autoscalerName)},
				Verbs:         pulumi.ToStringArray([]string{"get", "update"}),
			},
			rbacv1.PolicyRuleArgs{
				ApiGroups:     pulumi.StringArray{pulumi.String("")},
				Resources:     pulumi.StringArray{pulumi.String("configmaps")},
				ResourceNames: pulumi.StringArray{pulumi.String("cluster-autoscaler-status")},
				Verbs:         pulumi.ToStringArray([]string{"delete", "update"}),
			},
		},
	}, pulumi.Parent(a))
	if err != nil {
		return nil, nil, fmt.Errorf("role in %s: %w", autoscalerNamespace, err)
	}
	subjects := rbacv1.SubjectArray{rbacv1.SubjectArgs{
		Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(autoscalerName), Namespace: pulumi.String(autoscalerNamespace),
	}}
	roleRef := func(kind string) rbacv1.RoleRefArgs {
		return rbacv1.RoleRefArgs{
			ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String(kind), Name: pulumi.String(autoscalerName),
		}
	}
	clusterBinding, err := rbacv1.NewClusterRoleBinding(ctx, name, &rbacv1.ClusterRoleBindingArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(autoscalerName)}, RoleRef: roleRef("ClusterRole"), Subjects: subjects,
	}, pulumi.Parent(a), pulumi.DependsOn([]pulumi.Resource{clusterRole}))
	if err != nil {
		return nil, nil, fmt.Errorf("cluster role binding: %w", err)
	}
	binding, err := rbacv1.NewRoleBinding(ctx, name, &rbacv1.RoleBindingArgs{
		Metadata: meta, RoleRef: roleRef("Role"), Subjects: subjects,
	}, pulumi.Parent(a), pulumi.DependsOn([]pulumi.Resource{role}))
	if err != nil {
		return nil, nil, fmt.Errorf("role binding: %w", err)
	}
	return account, []pulumi.Resource{clusterBinding, binding}, nil
}

func (a *Autoscaler) deployment(
	ctx *pulumi.Context, name string, args *AutoscalerArgs, account *corev1.ServiceAccount, dependsOn []pulumi.Resource,
) error {
	_, err := appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: pod.Meta(autoscalerName, pulumi.String(autoscalerNamespace)),
		Spec: appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(1),
			Selector: pod.Selector(autoscalerName),
			Template: autoscalerPod(args, account.Metadata.Name()).Template(),
		},
	}, pulumi.Parent(a), pulumi.DependsOn(dependsOn))
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	return nil
}

func autoscalerPod(args *AutoscalerArgs, account pulumi.StringPtrInput) pod.Spec {
	health := func(seconds int) *pod.Probe {
		return &pod.Probe{Path: "/health-check", Port: 8085, PeriodSeconds: seconds}
	}
	return pod.Spec{
		Name: autoscalerName,
		// The user "nobody". The image names no user by number.
		User:            65534,
		ServiceAccount:  account,
		CallsKubernetes: true,
		PriorityClass:   "system-cluster-critical",
		Containers: []pod.Container{{
			Name:    autoscalerName,
			Image:   args.Image,
			Command: autoscalerCommand(args.ClusterName),
			// Without it the SDK asks the instance's metadata, which pods cannot reach.
			Env:       []pod.Variable{{Name: "AWS_REGION", Text: args.Region}},
			Resources: pod.Resources{CPU: "100m", Memory: "300Mi", MemoryLimit: "600Mi"},
			Liveness:  health(30),
			Readiness: health(10),
		}},
	}
}

// autoscalerCommand finds the groups by the tags that EKS puts on their Auto Scaling groups.
func autoscalerCommand(cluster string) []string {
	return []string{
		"./cluster-autoscaler",
		"--cloud-provider=aws",
		"--node-group-auto-discovery=asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/" + cluster,
		"--balance-similar-node-groups",
		// Groups of two zones count as similar, although each has its own launch template and its last node may be of another type
		// (https://github.com/awsdocs/amazon-eks-user-guide/issues/411).
		"--balancing-ignore-label=eks.amazonaws.com/sourceLaunchTemplateId",
		"--balancing-ignore-label=eks.amazonaws.com/sourceLaunchTemplateVersion",
		"--balancing-ignore-label=node.kubernetes.io/instance-type",
		"--balancing-ignore-label=beta.kubernetes.io/instance-type",
		// Spot before on-demand where both fit. With least-waste alone, equal waste would be decided at random.
		"--expander=priority,least-waste",
		// The pods here may move: they use emptyDir for temporary files and for log lines that are flushed on stop.
		"--skip-nodes-with-local-storage=false",
		"--stderrthreshold=info",
		"--v=2",
	}
}

// autoscalerPriorities is YAML that puts spot groups before all others
// (https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.35.0/cluster-autoscaler/expander/priority/readme.md).
// The regular expressions match names of Auto Scaling groups: eks-NODEGROUP-UUID, where NODEGROUP is the entry's name, the zone and
// the provider's unique suffix. They match any zone, because a change of the text replaces the ConfigMap.
func autoscalerPriorities(groups map[string]config.NodeGroup) string {
	text := "10:\n- .*\n20:\n"
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if groups[name].CapacityType == config.Spot {
			text += fmt.Sprintf("- ^eks-%s(-[a-z]+[0-9]-az[0-9]+)?-[0-9a-f]{26}-\n", name)
		}
	}
	return text
}
