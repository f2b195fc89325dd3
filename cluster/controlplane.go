package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	awseks "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-eks/sdk/v3/go/eks"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// ControlPlaneArgs describe the control plane.
type ControlPlaneArgs struct {
	Region string
	// Account has the profile and the role of the kubeconfig. Without them it uses the environment's credentials.
	Account config.Account
	// PermissionsBoundary is the ARN of the boundary for the role that the eks component makes. Empty sets none.
	PermissionsBoundary string
	config.Cluster
	// PrivateSubnetIDs are one for each zone. The control plane's network interfaces go into the first two.
	PrivateSubnetIDs pulumi.StringArrayInput
	VpcID            pulumi.StringInput
}

// controlPlaneZones is the number of zones with the control plane's network interfaces. EKS requires two at least, and a cluster
// keeps the zones that it was created with (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html). With more, no zone
// could be appended later. Nodes may be in any zone of the VPC.
const controlPlaneZones = 2

// ControlPlane is the EKS control plane with its encryption key, its log group, the access entries of people, and the OIDC provider
// through which service accounts assume IAM roles.
type ControlPlane struct {
	pulumi.ResourceState

	// KubeconfigJSON authenticates with `aws eks get-token`. It holds no secret. Its user needs the aws CLI, and the profile if it
	// names one.
	KubeconfigJSON pulumi.StringOutput `pulumi:"kubeconfigJson"`
	// SecurityGroupID is the group that EKS makes for the control plane and every node of a managed group.
	SecurityGroupID pulumi.StringOutput `pulumi:"securityGroupId"`
	// OIDCProviderARN and OIDCIssuer (with https://) go into a role's trust policy for a service account.
	OIDCProviderARN pulumi.StringOutput `pulumi:"oidcProviderArn"`
	OIDCIssuer      pulumi.StringOutput `pulumi:"oidcIssuer"`

	// Name is the cluster's name. It is a plain string: an output that is unknown in a preview would show everything with the name
	// as replaced. Resources that use it must depend on Cluster.
	Name string
	// Cluster is a remote component. The engine deletes all of its children after what depends on it.
	Cluster *eks.Cluster
	// Access are the access entries' policies. What depends on them is gone before people lose their access.
	Access []pulumi.Resource
}

// controlPlaneLogs are all five types (https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html).
var controlPlaneLogs = pulumi.ToStringArray([]string{"api", "audit", "authenticator", "controllerManager", "scheduler"})

// NewControlPlane makes the control plane. A change of the cluster's name, service range or key replaces it.
func NewControlPlane(ctx *pulumi.Context, name string, args *ControlPlaneArgs, opts ...pulumi.ResourceOption) (*ControlPlane, error) {
	if args == nil {
		return nil, fmt.Errorf("control plane %q: no arguments", name)
	}
	c := &ControlPlane{Name: args.Name}
	if err := ctx.RegisterComponentResource(typeControlPlane, name, c, opts...); err != nil {
		return nil, err
	}
	key, err := c.key(ctx, name, args)
	if err != nil {
		return nil, err
	}
	// EKS writes to the group of this name, and makes one without retention if it finds none. So the group is created before the
	// cluster and deleted after it.
	logs, err := cloudwatch.NewLogGroup(ctx, name+"-control-plane", &cloudwatch.LogGroupArgs{
		Name:            pulumi.String(config.ClusterLogGroup(args.Name)),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
	}, pulumi.Parent(c))
	if err != nil {
		return nil, fmt.Errorf("log group: %w", err)
	}
	c.Cluster, err = eks.NewCluster(ctx, name, clusterArgs(args, key), pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{logs}),
		pulumi.Transforms([]pulumi.ResourceTransform{componentTransform(args.PermissionsBoundary)}))
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.KubeconfigJSON = c.Cluster.KubeconfigJson
	if profile := args.Account.Profile; profile != "" {
		c.KubeconfigJSON = c.KubeconfigJSON.ApplyT(func(text string) (string, error) { return withProfile(text, profile) }).(pulumi.StringOutput)
	}
	c.SecurityGroupID = c.Cluster.ClusterSecurityGroupId
	c.OIDCIssuer = c.Cluster.OidcProviderUrl

	provider, err := iam.NewOpenIdConnectProvider(ctx, name, &iam.OpenIdConnectProviderArgs{
		// No thumbprints: IAM trusts the certificate authorities of EKS's issuers
		// (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html).
		Url:           c.OIDCIssuer,
		ClientIdLists: pulumi.StringArray{pulumi.String("sts.amazonaws.com")},
		Tags:          tags.Name(name),
	}, pulumi.Parent(c))
	if err != nil {
		return nil, fmt.Errorf("OIDC provider: %w", err)
	}
	c.OIDCProviderARN = provider.Arn

	if err := c.people(ctx, name, args); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{
		"kubeconfigJson":  c.KubeconfigJSON,
		"securityGroupId": c.SecurityGroupID,
		"oidcProviderArn": c.OIDCProviderARN,
		"oidcIssuer":      c.OIDCIssuer,
	})
}

// key makes the key that encrypts what Kubernetes stores. Since 1.28 that is everything, not only Secrets (EncryptionConfig of the
// EKS API's model).
func (c *ControlPlane) key(ctx *pulumi.Context, name string, args *ControlPlaneArgs) (*kms.Key, error) {
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String("Kubernetes API data of EKS cluster " + args.Name),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(args.KeyDeletionDays),
		Tags:                 tags.Name(name),
	}, pulumi.Parent(c))
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if _, err := kms.NewAlias(ctx, name, &kms.AliasArgs{
		// A fixed name, because people look the key up by it.
		Name:        pulumi.String(config.ClusterKeyAlias(args.Name)),
		TargetKeyId: key.KeyId,
	}, pulumi.Parent(c)); err != nil {
		return nil, fmt.Errorf("key alias: %w", err)
	}
	return key, nil
}

// clusterArgs are the arguments of the eks component. Nodes, add-ons and the OIDC provider are this program's own resources: those of
// the component look versions up in AWS on every run, and no test could see them.
func clusterArgs(args *ControlPlaneArgs, key *kms.Key) *eks.ClusterArgs {
	var publicCIDRs pulumi.StringArrayInput
	if args.PublicAccess {
		publicCIDRs = pulumi.ToStringArray(args.PublicAccessCIDRs)
	}
	// Never nil: then the component would put the shell's AWS_PROFILE into a kubeconfig, and everyone with another profile would see
	// a change (https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/cluster/cluster.ts, createCluster).
	credentials := eks.KubeconfigOptionsArgs{}
	if args.Account.Profile != "" {
		credentials.ProfileName = pulumi.String(args.Account.Profile)
	}
	if args.Account.RoleARN != "" {
		credentials.RoleArn = pulumi.String(args.Account.RoleARN)
	}
	api := eks.AuthenticationModeApi
	return &eks.ClusterArgs{
		Name:                            pulumi.String(args.Name),
		Version:                         pulumi.String(args.Version),
		VpcId:                           args.VpcID,
		PrivateSubnetIds:                args.PrivateSubnetIDs.ToStringArrayOutput().ApplyT(firstZones).(pulumi.StringArrayOutput),
		KubernetesServiceIpAddressRange: pulumi.String(args.ServiceCIDR),
		AuthenticationMode:              &api,
		EndpointPrivateAccess:           pulumi.Bool(true),
		EndpointPublicAccess:            pulumi.Bool(args.PublicAccess),
		PublicAccessCidrs:               publicCIDRs,
		EnabledClusterLogTypes:          controlPlaneLogs,
		EncryptionConfigKeyArn:          key.Arn,
		ProviderCredentialOpts:          credentials,
		SkipDefaultNodeGroup:            pulumi.BoolRef(true),
		SkipDefaultSecurityGroups:       pulumi.BoolRef(true),
		CreateOidcProvider:              pulumi.Bool(false),
		UseDefaultVpcCni:                pulumi.BoolRef(true),
		KubeProxyAddonOptions:           &eks.KubeProxyAddonOptionsArgs{Enabled: pulumi.BoolRef(false)},
	}
}

// withProfile adds a profile to the kubeconfig of the component. The component sets only the role (kubeconfigWithoutProfile in
// cluster.ts, as above). The profile is an argument, because the environment's keys win over AWS_PROFILE but not over --profile
// (https://docs.aws.amazon.com/cli/latest/topic/config-vars.html#precedence).
func withProfile(kubeconfig, profile string) (string, error) {
	var config map[string]any
	if err := json.Unmarshal([]byte(kubeconfig), &config); err != nil {
		return "", fmt.Errorf("kubeconfig of the cluster: %w", err)
	}
	added := false
	users, _ := config["users"].([]any)
	for _, entry := range users {
		entry, _ := entry.(map[string]any)
		user, _ := entry["user"].(map[string]any)
		exec, _ := user["exec"].(map[string]any)
		if args, ok := exec["args"].([]any); ok {
			exec["args"], added = append(args, "--profile", profile), true
		}
	}
	if !added {
		return "", fmt.Errorf("kubeconfig of the cluster: found no user that runs a command and could take the profile %s", profile)
	}
	out, err := json.Marshal(config)
	return string(out), err
}

// people makes the access of the settings' admins and readers.
func (c *ControlPlane) people(ctx *pulumi.Context, name string, args *ControlPlaneArgs) error {
	for _, principal := range args.Admins {
		if err := c.access(ctx, name, args, principal, "AmazonEKSClusterAdminPolicy"); err != nil {
			return err
		}
	}
	for _, principal := range args.Readers {
		// AdminView includes custom resources and nodes. View does not.
		if err := c.access(ctx, name, args, principal, "AmazonEKSAdminViewPolicy"); err != nil {
			return err
		}
	}
	return nil
}

// access gives one principal one of EKS's access policies for the whole cluster
// (https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html).
func (c *ControlPlane) access(ctx *pulumi.Context, name string, args *ControlPlaneArgs, principal, policy string) error {
	resource := name + "-" + principalName(principal)
	entry, err := awseks.NewAccessEntry(ctx, resource, &awseks.AccessEntryArgs{
		ClusterName:  pulumi.String(args.Name),
		PrincipalArn: pulumi.String(principal),
		// Without the path: a tag's value has 256 characters at most, and a path may have 512.
		Tags: tags.Name(name + "-" + path.Base(principal)),
	}, pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{c.Cluster}))
	if err != nil {
		return fmt.Errorf("access entry for %s: %w", principal, err)
	}
	association, err := awseks.NewAccessPolicyAssociation(ctx, resource, &awseks.AccessPolicyAssociationArgs{
		ClusterName:  pulumi.String(args.Name),
		PrincipalArn: entry.PrincipalArn,
		PolicyArn:    pulumi.String(fmt.Sprintf("arn:%s:eks::aws:cluster-access-policy/%s", iampolicy.Partition(args.Region), policy)),
		AccessScope:  awseks.AccessPolicyAssociationAccessScopeArgs{Type: pulumi.String("cluster")},
	}, pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{c.Cluster}))
	if err != nil {
		return fmt.Errorf("access policy for %s: %w", principal, err)
	}
	c.Access = append(c.Access, association)
	return nil
}

// principalName is a resource name for a principal: the account and the path of its ARN.
func principalName(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	return parts[len(parts)-2] + "-" + strings.ReplaceAll(parts[len(parts)-1], "/", "-")
}

// componentTransform sets what the eks component has no argument for. On the cluster:
//   - standard support: at its end AWS upgrades the cluster; the default, extended support, costs six times as much
//   - longer timeouts than the provider's 30 minutes to create and 15 to delete
//   - deletion before replacement, because the successor has the same name
//
// On its role: the boundary, if there is one.
func componentTransform(boundary string) pulumi.ResourceTransform {
	return func(_ context.Context, args *pulumi.ResourceTransformArgs) *pulumi.ResourceTransformResult {
		switch {
		case args.Type == "aws:eks/cluster:Cluster":
			args.Props["upgradePolicy"] = pulumi.Map{"supportType": pulumi.String("STANDARD")}
			args.Opts.DeleteBeforeReplace = true
			args.Opts.CustomTimeouts = &pulumi.CustomTimeouts{Create: "45m", Update: "90m", Delete: "45m"}
		case args.Type == "aws:iam/role:Role" && boundary != "":
			args.Props["permissionsBoundary"] = pulumi.String(boundary)
		default:
			return nil
		}
		return &pulumi.ResourceTransformResult{Props: args.Props, Opts: args.Opts}
	}
}

func firstZones(subnets []string) []string { return subnets[:min(len(subnets), controlPlaneZones)] }
