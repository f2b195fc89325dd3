package cluster

import (
	"encoding/json"
	"fmt"

	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The service accounts in kube-system that two add-ons use to call AWS: the EBS CSI driver's controller
// (https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html) and the network plugin
// (https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html).
const (
	storageAccount = "ebs-csi-controller-sa"
	networkAccount = "aws-node"
)

// AddonsArgs describe a set of EKS add-ons.
type AddonsArgs struct {
	ClusterName string
	Region      string
	// Versions pins add-ons by name. The others get EKS's default version when they are created.
	Versions map[string]string
	// DependsOn is what every add-on of the set waits for: the cluster, or nodes. Nodes are given as NodeGroup.Ready, because on a
	// failed group the add-ons would wait in vain.
	DependsOn pulumi.ResourceArray
}

// Addons is a set of EKS add-ons.
type Addons struct {
	pulumi.ResourceState

	// All are the add-ons, for dependants.
	All []pulumi.Resource
	// Storage is the EBS CSI driver. It is nil in a set without it.
	Storage pulumi.Resource

	cameUp *pulumi.ResourceHook
}

// NewNodeAddons makes the add-ons that are DaemonSets. They are healthy without nodes, and nodes need them from the start: vpc-cni
// and kube-proxy make a node Ready, the pod identity agent gives pods their roles, and the monitoring agent reports to node repair
// what the kubelet cannot see.
func NewNodeAddons(ctx *pulumi.Context, name string, args *AddonsArgs, opts ...pulumi.ResourceOption) (*Addons, error) {
	return newAddons(ctx, name, args, opts, func(a *Addons) error {
		agent, err := a.add(ctx, name, args, addon{name: "eks-pod-identity-agent"})
		if err != nil {
			return err
		}
		role, attachment, err := a.role(ctx, name+"-vpc-cni", args, networkAccount, "AmazonEKS_CNI_Policy")
		if err != nil {
			return err
		}
		// The plugin has a role of its own, so that the node's role does not carry its rights. It gets the role from the agent, which is
		// created first and deleted last. Without enableNetworkPolicy, NetworkPolicy objects are accepted and do nothing
		// (docs/decisions/network-plugin.md).
		if _, err := a.add(ctx, name, args, addon{
			name: "vpc-cni", values: map[string]string{"enableNetworkPolicy": "true"}, account: networkAccount, role: role,
		}, agent, attachment); err != nil {
			return err
		}
		for _, other := range []string{"kube-proxy", "eks-node-monitoring-agent"} {
			if _, err := a.add(ctx, name, args, addon{name: other}); err != nil {
				return err
			}
		}
		return nil
	})
}

// PodAddonsArgs describe add-ons that run as Deployments.
type PodAddonsArgs struct {
	AddonsArgs
	// VolumeTags are the tags of volumes that the driver makes for claims.
	VolumeTags map[string]string
}

// NewPodAddons makes the add-ons that run as Deployments: coredns, metrics-server and the EBS CSI driver with its role. EKS reports
// them as degraded until a node runs their pods.
func NewPodAddons(ctx *pulumi.Context, name string, args *PodAddonsArgs, opts ...pulumi.ResourceOption) (*Addons, error) {
	if args == nil {
		return nil, fmt.Errorf("add-ons %q: no arguments", name)
	}
	return newAddons(ctx, name, &args.AddonsArgs, opts, func(a *Addons) error {
		for _, other := range []string{"coredns", "metrics-server"} {
			if _, err := a.add(ctx, name, &args.AddonsArgs, addon{name: other}); err != nil {
				return err
			}
		}
		role, attachment, err := a.role(ctx, name+"-ebs-csi", &args.AddonsArgs, storageAccount,
			// AWS maintains it with the driver. It is limited to volumes that the driver tagged
			// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEBSCSIDriverPolicy.html).
			"service-role/AmazonEBSCSIDriverPolicy")
		if err != nil {
			return err
		}
		// The nodes' hop limit of 1 keeps the driver's node pods from the instance's metadata. They read Kubernetes instead and do not
		// subtract network interfaces from a node's volume limit. That is too many, and one claim does not reach it
		// (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/issues/2262).
		a.Storage, err = a.add(ctx, name, &args.AddonsArgs, addon{
			name: "aws-ebs-csi-driver", values: map[string]any{"controller": map[string]any{"extraVolumeTags": args.VolumeTags}},
			account: storageAccount, role: role,
		}, attachment)
		return err
	})
}

func newAddons(
	ctx *pulumi.Context, name string, args *AddonsArgs, opts []pulumi.ResourceOption, fill func(*Addons) error,
) (*Addons, error) {
	if args == nil {
		return nil, fmt.Errorf("add-ons %q: no arguments", name)
	}
	a := &Addons{}
	if err := ctx.RegisterComponentResource(typeAddons, name, a, opts...); err != nil {
		return nil, err
	}
	hook, err := ctx.RegisterResourceHook(name+"-addons", addonCameUp(args.Region), &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("hook of add-ons %q: %w", name, err)
	}
	a.cameUp = hook
	if err := fill(a); err != nil {
		return nil, err
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{})
}

// addon is one add-on, by AWS's name.
type addon struct {
	name string
	// values follow the add-on's configuration schema. nil keeps its defaults.
	values any
	// role is given to the add-on's pods with the service account. nil gives none.
	account string
	role    *iam.Role
}

// add makes one add-on.
func (a *Addons) add(ctx *pulumi.Context, name string, args *AddonsArgs, one addon, after ...pulumi.Resource) (*eks.Addon, error) {
	resource := &eks.AddonArgs{
		ClusterName: pulumi.String(args.ClusterName),
		AddonName:   pulumi.String(one.name),
		// EKS starts every cluster with unmanaged copies of vpc-cni, kube-proxy and coredns. The add-on takes them over, and
		// overwrites manual edits later.
		ResolveConflictsOnCreate: pulumi.String("OVERWRITE"),
		ResolveConflictsOnUpdate: pulumi.String("OVERWRITE"),
		Tags:                     tags.Name(name + "-" + one.name),
	}
	if one.role != nil {
		resource.PodIdentityAssociations = eks.AddonPodIdentityAssociationArray{
			eks.AddonPodIdentityAssociationArgs{ServiceAccount: pulumi.String(one.account), RoleArn: one.role.Arn},
		}
	}
	if version, pinned := args.Versions[one.name]; pinned {
		resource.AddonVersion = pulumi.String(version)
	}
	if one.values != nil {
		data, err := json.Marshal(one.values)
		if err != nil {
			return nil, fmt.Errorf("add-on %s: %w", one.name, err)
		}
		resource.ConfigurationValues = pulumi.String(data)
	}
	out, err := eks.NewAddon(ctx, name+"-"+one.name, resource, pulumi.Parent(a), pulumi.DependsOn(after),
		pulumi.DependsOnInputs(args.DependsOn),
		pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{a.cameUp}}),
		// A cluster has an add-on once, so its successor cannot come up beside it.
		pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, fmt.Errorf("add-on %s: %w", one.name, err)
	}
	a.All = append(a.All, out)
	return out, nil
}

// role makes a role for one add-on's service account, with one of AWS's managed policies.
func (a *Addons) role(
	ctx *pulumi.Context, name string, args *AddonsArgs, account, policy string,
) (*iam.Role, *iam.RolePolicyAttachment, error) {
	trust, err := iampolicy.PodIdentityTrust(args.ClusterName, "kube-system", account)
	if err != nil {
		return nil, nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust), Tags: tags.Name(name)}, pulumi.Parent(a))
	if err != nil {
		return nil, nil, fmt.Errorf("role %s: %w", name, err)
	}
	attachment, err := iam.NewRolePolicyAttachment(ctx, name, &iam.RolePolicyAttachmentArgs{
		Role: role.Name, PolicyArn: pulumi.String(iampolicy.ManagedPolicy(args.Region, policy)),
	}, pulumi.Parent(a))
	if err != nil {
		return nil, nil, fmt.Errorf("policy of role %s: %w", name, err)
	}
	return role, attachment, nil
}
