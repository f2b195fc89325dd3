package cluster

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// nodeConfig is the user data of nodes with MaxPods. EKS merges it with its own, which was seen to come first, and nodeadm lets the last
// part win (https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html#launch-template-user-data,
// https://github.com/awslabs/amazon-eks-ami/issues/1988, https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/examples/).
//
//go:embed files/node.mime
var nodeConfig string

// podsTag tells the autoscaler how many pods a node of a group without nodes will hold. Otherwise it takes 110
// (https://github.com/kubernetes/autoscaler at cluster-autoscaler-1.35.0, cluster-autoscaler/cloudprovider/aws/aws_manager.go).
const podsTag = "k8s.io/cluster-autoscaler/node-template/resources/pods"

// NodeGroupArgs describe one managed node group.
type NodeGroupArgs struct {
	config.NodeGroup
	// ClusterName and Version are the control plane's. Nodes follow its upgrades.
	ClusterName string
	Version     string
	// RoleARN is the ARN of the NodeRole.
	RoleARN   pulumi.StringInput
	SubnetIDs pulumi.StringArrayInput
	// Autoscaled leaves the number of nodes to the autoscaler after the group is created.
	Autoscaled bool
	// Tags are for instances, volumes and network interfaces, which the provider's default tags do not reach.
	Tags map[string]string
	// DependsOn is what nodes need to join: routes, the role's policies, the network add-ons.
	DependsOn []pulumi.Resource
}

// NodeGroup is a managed node group with its own launch template. EKS drains and replaces a spot node when EC2 announces that it
// reclaims it.
type NodeGroup struct {
	pulumi.ResourceState

	// Name is the group's name on AWS. Its unique suffix lets a successor come up beside it.
	Name pulumi.StringOutput `pulumi:"name"`

	// Group is the dependency of what needs nodes. Ready is the same, or an error if the group's creation failed.
	Group *eks.NodeGroup
	Ready pulumi.ResourceOutput
}

// NewNodeGroup makes a node group. A change of capacity type, instance types, AMI type, role or subnets replaces it: the successor is
// created first, then the old nodes are drained. A change of the root volume or of MaxPods rolls the nodes in place.
func NewNodeGroup(ctx *pulumi.Context, name string, args *NodeGroupArgs, opts ...pulumi.ResourceOption) (*NodeGroup, error) {
	if args == nil {
		return nil, fmt.Errorf("node group %q: no arguments", name)
	}
	g := &NodeGroup{}
	if err := ctx.RegisterComponentResource(typeNodeGroup, name, g, opts...); err != nil {
		return nil, err
	}

	userData, groupTags := pods(name, args.MaxPods)
	template, err := ec2.NewLaunchTemplate(ctx, name, &ec2.LaunchTemplateArgs{
		BlockDeviceMappings: ec2.LaunchTemplateBlockDeviceMappingArray{ec2.LaunchTemplateBlockDeviceMappingArgs{
			// The root device of Amazon Linux 2023.
			DeviceName: pulumi.String("/dev/xvda"),
			Ebs: ec2.LaunchTemplateBlockDeviceMappingEbsArgs{
				VolumeType:          pulumi.String("gp3"),
				VolumeSize:          pulumi.Int(args.DiskSizeGiB),
				Encrypted:           pulumi.String("true"),
				DeleteOnTermination: pulumi.String("true"),
			},
		}},
		MetadataOptions: ec2.LaunchTemplateMetadataOptionsArgs{
			HttpEndpoint: pulumi.String("enabled"),
			HttpTokens:   pulumi.String("required"),
			// One hop ends on the node. So pods cannot get the node's role. They get roles by their service accounts
			// (https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html).
			HttpPutResponseHopLimit: pulumi.Int(1),
		},
		UserData:          userData,
		TagSpecifications: tagSpecifications(args.ClusterName+"-"+name, args.Tags),
		Tags:              tags.Name(name),
	}, pulumi.Parent(g))
	if err != nil {
		return nil, fmt.Errorf("launch template: %w", err)
	}

	options := []pulumi.ResourceOption{pulumi.Parent(g), pulumi.DependsOn(args.DependsOn)}
	if args.Autoscaled {
		warn, err := warnOfLimits(ctx, name)
		if err != nil {
			return nil, err
		}
		options = append(options, pulumi.IgnoreChanges([]string{"scalingConfig.desiredSize"}), warn)
	}
	group, err := eks.NewNodeGroup(ctx, name, &eks.NodeGroupArgs{
		ClusterName: pulumi.String(args.ClusterName),
		// A prefix, because two groups of one name cannot exist side by side: a replacement would go through zero nodes.
		NodeGroupNamePrefix: pulumi.String(name + "-"),
		Version:             pulumi.String(args.Version),
		NodeRoleArn:         args.RoleARN,
		SubnetIds:           args.SubnetIDs,
		CapacityType:        pulumi.String(string(args.CapacityType)),
		InstanceTypes:       pulumi.ToStringArray(args.InstanceTypes),
		AmiType:             pulumi.String(args.AMIType),
		ScalingConfig: eks.NodeGroupScalingConfigArgs{
			MinSize: pulumi.Int(args.MinSize), DesiredSize: pulumi.Int(args.DesiredSize), MaxSize: pulumi.Int(args.MaxSize),
		},
		UpdateConfig:     eks.NodeGroupUpdateConfigArgs{MaxUnavailablePercentage: pulumi.Int(args.MaxUnavailablePercentage)},
		NodeRepairConfig: eks.NodeGroupNodeRepairConfigArgs{Enabled: pulumi.Bool(args.NodeRepair)},
		LaunchTemplate: eks.NodeGroupLaunchTemplateArgs{
			Id: template.ID(), Version: template.LatestVersion.ApplyT(strconv.Itoa).(pulumi.StringOutput),
		},
		Labels: pulumi.ToStringMap(args.Labels),
		Taints: taints(args.Taints),
		Tags:   groupTags,
	}, options...)
	if err != nil {
		return nil, fmt.Errorf("node group: %w", err)
	}
	g.Name = unlessFailed("node group "+name, group.URN(), group.NodeGroupName, group.Status, func(status string) string {
		if status == "CREATE_FAILED" {
			return "is " + status
		}
		return ""
	})
	g.Group = group
	g.Ready = g.Name.ApplyT(func(string) pulumi.Resource { return group }).(pulumi.ResourceOutput)
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"name": g.Name})
}

// pods are the user data of nodes that hold that many pods, and the tags of their group. With 0 the number is EKS's.
func pods(name string, most int) (userData pulumi.StringPtrInput, groupTags pulumi.StringMap) {
	groupTags = tags.Name(name)
	if most == 0 {
		return nil, groupTags
	}
	number := strconv.Itoa(most)
	groupTags[podsTag] = pulumi.String(number)
	return pulumi.String(base64.StdEncoding.EncodeToString([]byte(strings.Replace(nodeConfig, "MAX_PODS", number, 1)))), groupTags
}

// tagSpecifications tag what EC2 makes from the template.
func tagSpecifications(name string, tags map[string]string) ec2.LaunchTemplateTagSpecificationArray {
	all := pulumi.ToStringMap(tags)
	all["Name"] = pulumi.String(name)
	var specs ec2.LaunchTemplateTagSpecificationArray
	for _, kind := range []string{"instance", "volume", "network-interface"} {
		specs = append(specs, ec2.LaunchTemplateTagSpecificationArgs{ResourceType: pulumi.String(kind), Tags: all})
	}
	return specs
}

func taints(taints []config.Taint) eks.NodeGroupTaintArray {
	var out eks.NodeGroupTaintArray
	for _, t := range taints {
		out = append(out, eks.NodeGroupTaintArgs{Key: pulumi.String(t.Key), Value: pulumi.String(t.Value), Effect: pulumi.String(t.Effect)})
	}
	return out
}

// nodePolicies let a node join and pull images
// (https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html). The network plugin has its own role. There is no
// AmazonSSMManagedInstanceCore: it would let IAM users open sessions on nodes, and nodes read the account's parameters
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSSMManagedInstanceCore.html).
var nodePolicies = []string{"AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy"}

// NodeRoleArgs describe the nodes' role.
type NodeRoleArgs struct {
	Region string
	// Caches are the cache rules whose images nodes pull.
	Caches []config.Cache
}

// NodeRole is the IAM role of all nodes. EKS makes its access entry, and keeps it after a group is deleted.
type NodeRole struct {
	pulumi.ResourceState

	ARN pulumi.StringOutput `pulumi:"arn"`

	// Policies are the role's attachments. A node that boots without them fails to join.
	Policies []pulumi.Resource
}

// NewNodeRole makes the nodes' role.
func NewNodeRole(ctx *pulumi.Context, name string, args *NodeRoleArgs, opts ...pulumi.ResourceOption) (*NodeRole, error) {
	if args == nil {
		return nil, fmt.Errorf("node role %q: no arguments", name)
	}
	r := &NodeRole{}
	if err := ctx.RegisterComponentResource(typeNodeRole, name, r, opts...); err != nil {
		return nil, err
	}
	trust, err := iampolicy.ServiceTrust("ec2.amazonaws.com")
	if err != nil {
		return nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust), Tags: tags.Name(name)}, pulumi.Parent(r))
	if err != nil {
		return nil, fmt.Errorf("node role: %w", err)
	}
	for _, policy := range nodePolicies {
		attachment, err := iam.NewRolePolicyAttachment(ctx, name+"-"+policy, &iam.RolePolicyAttachmentArgs{
			Role: role.Name, PolicyArn: pulumi.String(iampolicy.ManagedPolicy(args.Region, policy)),
		}, pulumi.Parent(r))
		if err != nil {
			return nil, fmt.Errorf("node role policy %s: %w", policy, err)
		}
		r.Policies = append(r.Policies, attachment)
	}
	if len(args.Caches) > 0 {
		policy, err := iam.NewRolePolicy(ctx, name+"-cache", &iam.RolePolicyArgs{
			Role: role.Name, Policy: cachePolicy(args, role.Arn),
		}, pulumi.Parent(r))
		if err != nil {
			return nil, fmt.Errorf("cache policy: %w", err)
		}
		r.Policies = append(r.Policies, policy)
	}
	r.ARN = role.Arn
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"arn": r.ARN})
}

// cachePolicy lets nodes be the first to pull an image through a cache rule: its repository is made in their name. That they may have
// the image imported, ecr:BatchImportUpstreamImage, AmazonEC2ContainerRegistryPullOnly says already
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html,
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEC2ContainerRegistryPullOnly.html).
func cachePolicy(args *NodeRoleArgs, roleARN pulumi.StringOutput) pulumi.StringOutput {
	return roleARN.ApplyT(func(arn string) (string, error) {
		account, err := iampolicy.Account(arn)
		if err != nil {
			return "", err
		}
		var repositories []string
		for _, cache := range args.Caches {
			repositories = append(repositories,
				fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s/*", iampolicy.Partition(args.Region), args.Region, account, cache.Prefix))
		}
		return iampolicy.Document(iampolicy.Statement{Sid: "Cache", Actions: []string{"ecr:CreateRepository"}, Resources: repositories})
	}).(pulumi.StringOutput)
}
