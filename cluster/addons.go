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

// The service accounts in kube-system of add-ons that call AWS, constants of theirs: the EBS CSI driver's controller
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
	// Versions pins add-ons by name; the others get EKS's default version when they are created.
	Versions map[string]string
	// DependsOn is what all of the set wait for: the cluster, or nodes to run on, each as NodeGroup.Ready, since on a group
	// that failed they would wait in vain.
	DependsOn pulumi.ResourceArray
}

// Addons is a set of EKS add-ons.
type Addons struct {
	pulumi.ResourceState

	// All are the add-ons, for what cannot work without them.
	All []pulumi.Resource
	// Storage is the EBS CSI driver, nil in a set without it.
	Storage pulumi.Resource

	cameUp *pulumi.ResourceHook
}

// NewNodeAddons makes the add-ons that are DaemonSets: they are healthy without nodes, and nodes need them from their
// first minute. vpc-cni and kube-proxy make a node Ready, the pod identity agent gives pods their roles, and the
// monitoring agent tells node repair what the kubelet cannot see.
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
		// With a role of its own, what runs on a node's network does not have the plugin's rights by the node's role. The agent is
		// there first and goes last, because the plugin gets its role from it. Without the switch, NetworkPolicy objects are accepted
		// and do nothing (docs/decisions/network-plugin.md).
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

// PodAddonsArgs describe the add-ons that run as Deployments.
type PodAddonsArgs struct {
	AddonsArgs
	// VolumeTags are put on the volumes of claims.
	VolumeTags map[string]string
}

// NewPodAddons makes the add-ons that run as Deployments, which EKS reports as degraded until a node runs their pods:
// coredns, metrics-server and the EBS CSI driver with its role.
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
			// Maintained with the driver, and limited to volumes that the driver tagged
			// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEBSCSIDriverPolicy.html).
			"service-role/AmazonEBSCSIDriverPolicy")
		if err != nil {
			return err
		}
		// Behind the nodes' hop limit of 1 the driver's node pods read Kubernetes in place of the instance's metadata, so they count
		// how many volumes a node takes without its network interfaces: too many, which one claim does not meet
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
	// values are those of its configuration schema; nil leaves its defaults.
	values any
	// role is handed to its pods of the service account; nil is none.
	account string
	role    *iam.Role
}

// add makes one add-on.
func (a *Addons) add(ctx *pulumi.Context, name string, args *AddonsArgs, one addon, after ...pulumi.Resource) (*eks.Addon, error) {
	resource := &eks.AddonArgs{
		ClusterName: pulumi.String(args.ClusterName),
		AddonName:   pulumi.String(one.name),
		// EKS starts every cluster with copies of vpc-cni, kube-proxy and coredns that it does not manage: the add-on
		// takes them over. Later edits of ours are kept out the same way.
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
		// An add-on has no name of its own, so its successor cannot come up beside it.
		pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, fmt.Errorf("add-on %s: %w", one.name, err)
	}
	a.All = append(a.All, out)
	return out, nil
}

// role makes a role with one of AWS's managed policies, for one service account of an add-on.
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
