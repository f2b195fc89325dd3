package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// asker calls AWS for one record. What lists answer is kept, so that each list is asked for once.
type asker struct {
	ec2    *ec2.Client
	eks    *eks.Client
	iam    *iam.Client
	kms    *kms.Client
	es     *opensearch.Client
	logs   *cloudwatchlogs.Client
	alarms *cloudwatch.Client
	sns    *sns.Client
	ecr    *ecr.Client

	lists map[string]listed
}

type listed struct {
	all any
	err error
}

func newAsker(cfg aws.Config) *asker {
	return &asker{
		ec2: ec2.NewFromConfig(cfg), eks: eks.NewFromConfig(cfg), iam: iam.NewFromConfig(cfg), kms: kms.NewFromConfig(cfg),
		es: opensearch.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), alarms: cloudwatch.NewFromConfig(cfg),
		sns: sns.NewFromConfig(cfg), ecr: ecr.NewFromConfig(cfg), lists: map[string]listed{},
	}
}

// thing is one resource of the state.
type thing struct{ apitype.ResourceV3 }

func (t thing) id() *string { return aws.String(string(t.ID)) }

func (t thing) text(path ...any) *string {
	text, _ := state.At(t.Outputs, path...).(string)
	return &text
}

// look is one call that says something of a resource.
type look struct {
	// call is the action, as IAM names it.
	call string
	ask  func(ctx context.Context, a *asker, t thing) (any, error)
}

// errAbsent is the answer of a list without the resource.
var errAbsent = errors.New("AWS's list does not have it")

// part is what one resource's answer has of another, so that no call is made for it.
type part struct{ of, why string }

// get is a look that asks for one thing.
func get[In, Out, Client, Option any](
	call string, client func(*asker) Client, method func(Client, context.Context, *In, ...Option) (*Out, error), in func(thing) *In,
	answer func(*Out) any,
) look {
	return look{call, func(ctx context.Context, a *asker, t thing) (any, error) {
		out, err := method(client(a), ctx, in(t))
		if err != nil {
			return nil, err
		}
		return answer(out), nil
	}}
}

// among is a look that picks one of what a call lists. of tells lists of one call apart.
func among[Item any](
	call string, of func(thing) string, all func(context.Context, *asker, thing) ([]Item, error), is func(Item, thing) bool,
) look {
	return look{call, func(ctx context.Context, a *asker, t thing) (any, error) {
		key := call + " " + of(t)
		kept, asked := a.lists[key]
		if !asked {
			kept.all, kept.err = all(ctx, a, t)
			a.lists[key] = kept
		}
		if kept.err != nil {
			return nil, kept.err
		}
		items, _ := kept.all.([]Item)
		i := slices.IndexFunc(items, func(item Item) bool { return is(item, t) })
		if i < 0 {
			return nil, errAbsent
		}
		return items[i], nil
	}}
}

func one(thing) string { return "" }

func ofText(output string) func(thing) string { return func(t thing) string { return *t.text(output) } }

func same(a, b *string) bool { return aws.ToString(a) == aws.ToString(b) && aws.ToString(a) != "" }

// byID picks by an ID.
func byID[Item any](id func(Item) *string) func(Item, thing) bool {
	return func(item Item, t thing) bool { return same(id(item), t.id()) }
}

// by picks by a text that is among the outputs.
func by[Item any](output string, text func(Item) *string) func(Item, thing) bool {
	return func(item Item, t thing) bool { return same(text(item), t.text(output)) }
}

func ofEC2(a *asker) *ec2.Client { return a.ec2 }
func ofEKS(a *asker) *eks.Client { return a.eks }
func ofIAM(a *asker) *iam.Client { return a.iam }
func ofKMS(a *asker) *kms.Client { return a.kms }
func ofSNS(a *asker) *sns.Client { return a.sns }

// looks are the calls for each type of resource.
var looks = map[string][]look{
	"aws:ec2/vpc:Vpc": {
		among("ec2:DescribeVpcs", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.Vpc, error) {
			return login.All(ctx, ec2.NewDescribeVpcsPaginator(a.ec2, &ec2.DescribeVpcsInput{}),
				func(p *ec2.DescribeVpcsOutput) []ec2types.Vpc { return p.Vpcs })
		}, byID(func(v ec2types.Vpc) *string { return v.VpcId })),
		vpcAttribute(ec2types.VpcAttributeNameEnableDnsSupport), vpcAttribute(ec2types.VpcAttributeNameEnableDnsHostnames),
	},
	"aws:ec2/subnet:Subnet": {
		among("ec2:DescribeSubnets", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.Subnet, error) {
			return login.All(ctx, ec2.NewDescribeSubnetsPaginator(a.ec2, &ec2.DescribeSubnetsInput{}),
				func(p *ec2.DescribeSubnetsOutput) []ec2types.Subnet { return p.Subnets })
		}, byID(func(v ec2types.Subnet) *string { return v.SubnetId })),
	},
	"aws:ec2/internetGateway:InternetGateway": {
		among("ec2:DescribeInternetGateways", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.InternetGateway, error) {
			return login.All(ctx, ec2.NewDescribeInternetGatewaysPaginator(a.ec2, &ec2.DescribeInternetGatewaysInput{}),
				func(p *ec2.DescribeInternetGatewaysOutput) []ec2types.InternetGateway { return p.InternetGateways })
		}, byID(func(v ec2types.InternetGateway) *string { return v.InternetGatewayId })),
	},
	"aws:ec2/eip:Eip": {
		among("ec2:DescribeAddresses", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.Address, error) {
			out, err := a.ec2.DescribeAddresses(ctx, &ec2.DescribeAddressesInput{})
			if err != nil {
				return nil, err
			}
			return out.Addresses, nil
		}, byID(func(v ec2types.Address) *string { return v.AllocationId })),
	},
	"aws:ec2/natGateway:NatGateway": {
		among("ec2:DescribeNatGateways", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.NatGateway, error) {
			return login.All(ctx, ec2.NewDescribeNatGatewaysPaginator(a.ec2, &ec2.DescribeNatGatewaysInput{}),
				func(p *ec2.DescribeNatGatewaysOutput) []ec2types.NatGateway { return p.NatGateways })
		}, byID(func(v ec2types.NatGateway) *string { return v.NatGatewayId })),
	},
	"aws:ec2/routeTable:RouteTable": {
		among("ec2:DescribeRouteTables", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.RouteTable, error) {
			return login.All(ctx, ec2.NewDescribeRouteTablesPaginator(a.ec2, &ec2.DescribeRouteTablesInput{}),
				func(p *ec2.DescribeRouteTablesOutput) []ec2types.RouteTable { return p.RouteTables })
		}, byID(func(v ec2types.RouteTable) *string { return v.RouteTableId })),
	},
	"aws:ec2/vpcEndpoint:VpcEndpoint": {
		among("ec2:DescribeVpcEndpoints", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.VpcEndpoint, error) {
			return login.All(ctx, ec2.NewDescribeVpcEndpointsPaginator(a.ec2, &ec2.DescribeVpcEndpointsInput{}),
				func(p *ec2.DescribeVpcEndpointsOutput) []ec2types.VpcEndpoint { return p.VpcEndpoints })
		}, byID(func(v ec2types.VpcEndpoint) *string { return v.VpcEndpointId })),
	},
	"aws:ec2/securityGroup:SecurityGroup": {
		among("ec2:DescribeSecurityGroups", one, func(ctx context.Context, a *asker, _ thing) ([]ec2types.SecurityGroup, error) {
			return login.All(ctx, ec2.NewDescribeSecurityGroupsPaginator(a.ec2, &ec2.DescribeSecurityGroupsInput{}),
				func(p *ec2.DescribeSecurityGroupsOutput) []ec2types.SecurityGroup { return p.SecurityGroups })
		}, byID(func(v ec2types.SecurityGroup) *string { return v.GroupId })),
	},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
		among("ec2:DescribeSecurityGroupRules", ofText("securityGroupId"),
			func(ctx context.Context, a *asker, t thing) ([]ec2types.SecurityGroupRule, error) {
				return login.All(ctx, ec2.NewDescribeSecurityGroupRulesPaginator(a.ec2, &ec2.DescribeSecurityGroupRulesInput{
					Filters: []ec2types.Filter{{Name: aws.String("group-id"), Values: []string{*t.text("securityGroupId")}}},
				}), func(p *ec2.DescribeSecurityGroupRulesOutput) []ec2types.SecurityGroupRule {
					return p.SecurityGroupRules
				})
			}, byID(func(v ec2types.SecurityGroupRule) *string { return v.SecurityGroupRuleId })),
	},
	"aws:ec2/launchTemplate:LaunchTemplate": {
		get("ec2:DescribeLaunchTemplateVersions", ofEC2, (*ec2.Client).DescribeLaunchTemplateVersions,
			func(t thing) *ec2.DescribeLaunchTemplateVersionsInput {
				return &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: t.id(), Versions: []string{"$Latest"}}
			}, func(out *ec2.DescribeLaunchTemplateVersionsOutput) any { return out.LaunchTemplateVersions }),
	},

	"aws:iam/role:Role":                           {role},
	"aws:iam/serviceLinkedRole:ServiceLinkedRole": {role},
	"aws:iam/rolePolicy:RolePolicy": {
		get("iam:GetRolePolicy", ofIAM, (*iam.Client).GetRolePolicy, func(t thing) *iam.GetRolePolicyInput {
			return &iam.GetRolePolicyInput{RoleName: t.text("role"), PolicyName: t.text("name")}
		}, func(out *iam.GetRolePolicyOutput) any { return out }),
	},
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
		among("iam:ListAttachedRolePolicies", ofText("role"), func(ctx context.Context, a *asker, t thing) ([]iamtypes.AttachedPolicy, error) {
			return login.All(ctx, iam.NewListAttachedRolePoliciesPaginator(a.iam, &iam.ListAttachedRolePoliciesInput{RoleName: t.text("role")}),
				func(p *iam.ListAttachedRolePoliciesOutput) []iamtypes.AttachedPolicy { return p.AttachedPolicies })
		}, by("policyArn", func(v iamtypes.AttachedPolicy) *string { return v.PolicyArn })),
	},
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
		get("iam:GetOpenIDConnectProvider", ofIAM, (*iam.Client).GetOpenIDConnectProvider, func(t thing) *iam.GetOpenIDConnectProviderInput {
			return &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: t.id()}
		}, func(out *iam.GetOpenIDConnectProviderOutput) any { return out }),
	},

	"aws:eks/cluster:Cluster": {
		get("eks:DescribeCluster", ofEKS, (*eks.Client).DescribeCluster, func(t thing) *eks.DescribeClusterInput {
			return &eks.DescribeClusterInput{Name: t.text("name")}
		}, func(out *eks.DescribeClusterOutput) any { return out.Cluster }),
	},
	"aws:eks/nodeGroup:NodeGroup": {
		get("eks:DescribeNodegroup", ofEKS, (*eks.Client).DescribeNodegroup, func(t thing) *eks.DescribeNodegroupInput {
			return &eks.DescribeNodegroupInput{ClusterName: t.text("clusterName"), NodegroupName: t.text("nodeGroupName")}
		}, func(out *eks.DescribeNodegroupOutput) any { return out.Nodegroup }),
	},
	"aws:eks/addon:Addon": {
		get("eks:DescribeAddon", ofEKS, (*eks.Client).DescribeAddon, func(t thing) *eks.DescribeAddonInput {
			return &eks.DescribeAddonInput{ClusterName: t.text("clusterName"), AddonName: t.text("addonName")}
		}, func(out *eks.DescribeAddonOutput) any { return out.Addon }),
	},
	"aws:eks/accessEntry:AccessEntry": {
		get("eks:DescribeAccessEntry", ofEKS, (*eks.Client).DescribeAccessEntry, func(t thing) *eks.DescribeAccessEntryInput {
			return &eks.DescribeAccessEntryInput{ClusterName: t.text("clusterName"), PrincipalArn: t.text("principalArn")}
		}, func(out *eks.DescribeAccessEntryOutput) any { return out.AccessEntry }),
	},
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation": {
		get("eks:ListAssociatedAccessPolicies", ofEKS, (*eks.Client).ListAssociatedAccessPolicies,
			func(t thing) *eks.ListAssociatedAccessPoliciesInput {
				return &eks.ListAssociatedAccessPoliciesInput{ClusterName: t.text("clusterName"), PrincipalArn: t.text("principalArn")}
			}, func(out *eks.ListAssociatedAccessPoliciesOutput) any { return out.AssociatedAccessPolicies }),
	},
	"aws:eks/podIdentityAssociation:PodIdentityAssociation": {
		get("eks:DescribePodIdentityAssociation", ofEKS, (*eks.Client).DescribePodIdentityAssociation,
			func(t thing) *eks.DescribePodIdentityAssociationInput {
				return &eks.DescribePodIdentityAssociationInput{ClusterName: t.text("clusterName"), AssociationId: t.text("associationId")}
			}, func(out *eks.DescribePodIdentityAssociationOutput) any { return out.Association }),
	},

	"aws:eks/identityProviderConfig:IdentityProviderConfig": {
		get("eks:DescribeIdentityProviderConfig", ofEKS, (*eks.Client).DescribeIdentityProviderConfig,
			func(t thing) *eks.DescribeIdentityProviderConfigInput {
				return &eks.DescribeIdentityProviderConfigInput{
					ClusterName: t.text("clusterName"), IdentityProviderConfig: &ekstypes.IdentityProviderConfig{
						Type: aws.String("oidc"), Name: t.text("oidc", "identityProviderConfigName"),
					},
				}
			}, func(out *eks.DescribeIdentityProviderConfigOutput) any { return out.IdentityProviderConfig }),
	},

	"aws:kms/key:Key": {
		get("kms:DescribeKey", ofKMS, (*kms.Client).DescribeKey, func(t thing) *kms.DescribeKeyInput {
			return &kms.DescribeKeyInput{KeyId: t.id()}
		}, func(out *kms.DescribeKeyOutput) any { return out.KeyMetadata }),
		get("kms:GetKeyPolicy", ofKMS, (*kms.Client).GetKeyPolicy, func(t thing) *kms.GetKeyPolicyInput {
			return &kms.GetKeyPolicyInput{KeyId: t.id()}
		}, func(out *kms.GetKeyPolicyOutput) any { return out }),
		get("kms:GetKeyRotationStatus", ofKMS, (*kms.Client).GetKeyRotationStatus, func(t thing) *kms.GetKeyRotationStatusInput {
			return &kms.GetKeyRotationStatusInput{KeyId: t.id()}
		}, func(out *kms.GetKeyRotationStatusOutput) any { return out }),
	},
	"aws:kms/alias:Alias": {
		among("kms:ListAliases", one, func(ctx context.Context, a *asker, _ thing) ([]kmstypes.AliasListEntry, error) {
			return login.All(ctx, kms.NewListAliasesPaginator(a.kms, &kms.ListAliasesInput{}),
				func(p *kms.ListAliasesOutput) []kmstypes.AliasListEntry { return p.Aliases })
		}, by("name", func(v kmstypes.AliasListEntry) *string { return v.AliasName })),
	},
	"aws:cloudwatch/logGroup:LogGroup": {
		among("logs:DescribeLogGroups", ofText("name"), func(ctx context.Context, a *asker, t thing) ([]logstypes.LogGroup, error) {
			in := &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: t.text("name")}
			return login.All(ctx, cloudwatchlogs.NewDescribeLogGroupsPaginator(a.logs, in),
				func(p *cloudwatchlogs.DescribeLogGroupsOutput) []logstypes.LogGroup { return p.LogGroups })
		}, by("name", func(v logstypes.LogGroup) *string { return v.LogGroupName })),
	},
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy": {
		among("logs:DescribeResourcePolicies", one, func(ctx context.Context, a *asker, _ thing) ([]logstypes.ResourcePolicy, error) {
			var all []logstypes.ResourcePolicy
			for in := (&cloudwatchlogs.DescribeResourcePoliciesInput{}); ; {
				page, err := a.logs.DescribeResourcePolicies(ctx, in)
				if err != nil {
					return nil, err
				}
				all = append(all, page.ResourcePolicies...)
				if in.NextToken = page.NextToken; aws.ToString(in.NextToken) == "" {
					return all, nil
				}
			}
		}, by("policyName", func(v logstypes.ResourcePolicy) *string { return v.PolicyName })),
	},
	"aws:cloudwatch/metricAlarm:MetricAlarm": {
		get("cloudwatch:DescribeAlarms", func(a *asker) *cloudwatch.Client { return a.alarms }, (*cloudwatch.Client).DescribeAlarms,
			func(t thing) *cloudwatch.DescribeAlarmsInput {
				return &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{string(t.ID)}}
			}, func(out *cloudwatch.DescribeAlarmsOutput) any { return out.MetricAlarms }),
	},
	"aws:sns/topic:Topic": {
		get("sns:GetTopicAttributes", ofSNS, (*sns.Client).GetTopicAttributes, func(t thing) *sns.GetTopicAttributesInput {
			return &sns.GetTopicAttributesInput{TopicArn: t.id()}
		}, func(out *sns.GetTopicAttributesOutput) any { return out.Attributes }),
	},
	"aws:sns/topicSubscription:TopicSubscription": {
		get("sns:GetSubscriptionAttributes", ofSNS, (*sns.Client).GetSubscriptionAttributes,
			func(t thing) *sns.GetSubscriptionAttributesInput {
				return &sns.GetSubscriptionAttributesInput{SubscriptionArn: t.id()}
			}, func(out *sns.GetSubscriptionAttributesOutput) any { return out.Attributes }),
	},
	"aws:ecr/repository:Repository": {
		among("ecr:DescribeRepositories", one, func(ctx context.Context, a *asker, _ thing) ([]ecrtypes.Repository, error) {
			return login.All(ctx, ecr.NewDescribeRepositoriesPaginator(a.ecr, &ecr.DescribeRepositoriesInput{}),
				func(p *ecr.DescribeRepositoriesOutput) []ecrtypes.Repository { return p.Repositories })
		}, by("name", func(v ecrtypes.Repository) *string { return v.RepositoryName })),
	},
	"aws:ecr/lifecyclePolicy:LifecyclePolicy": {
		get("ecr:GetLifecyclePolicy", func(a *asker) *ecr.Client { return a.ecr }, (*ecr.Client).GetLifecyclePolicy,
			func(t thing) *ecr.GetLifecyclePolicyInput {
				return &ecr.GetLifecyclePolicyInput{RepositoryName: t.text("repository")}
			}, func(out *ecr.GetLifecyclePolicyOutput) any { return out }),
	},
	"aws:ecr/pullThroughCacheRule:PullThroughCacheRule": {
		among("ecr:DescribePullThroughCacheRules", one, func(ctx context.Context, a *asker, _ thing) ([]ecrtypes.PullThroughCacheRule, error) {
			return login.All(ctx, ecr.NewDescribePullThroughCacheRulesPaginator(a.ecr, &ecr.DescribePullThroughCacheRulesInput{}),
				func(p *ecr.DescribePullThroughCacheRulesOutput) []ecrtypes.PullThroughCacheRule {
					return p.PullThroughCacheRules
				})
		}, by("ecrRepositoryPrefix", func(v ecrtypes.PullThroughCacheRule) *string { return v.EcrRepositoryPrefix })),
	},
	"aws:opensearch/domain:Domain": {
		get("es:DescribeDomain", func(a *asker) *opensearch.Client { return a.es }, (*opensearch.Client).DescribeDomain,
			func(t thing) *opensearch.DescribeDomainInput {
				return &opensearch.DescribeDomainInput{DomainName: t.text("domainName")}
			}, func(out *opensearch.DescribeDomainOutput) any { return out.DomainStatus }),
	},
}

// parts are the types that another one's answer shows.
var parts = map[string]part{
	"aws:ec2/route:Route": {"aws:ec2/routeTable:RouteTable", "its route table has it among Routes"},
	"aws:ec2/routeTableAssociation:RouteTableAssociation": {"aws:ec2/routeTable:RouteTable", "its route table has it among Associations"},
	"aws:opensearch/domainPolicy:DomainPolicy":            {"aws:opensearch/domain:Domain", "its domain has it as AccessPolicies"},
	"aws:sns/topicPolicy:TopicPolicy":                     {"aws:sns/topic:Topic", "its topic has it as Policy"},
}

var role = get("iam:GetRole", ofIAM, (*iam.Client).GetRole, func(t thing) *iam.GetRoleInput {
	return &iam.GetRoleInput{RoleName: t.text("name")}
}, func(out *iam.GetRoleOutput) any { return out.Role })

func vpcAttribute(name ec2types.VpcAttributeName) look {
	return get("ec2:DescribeVpcAttribute", ofEC2, (*ec2.Client).DescribeVpcAttribute, func(t thing) *ec2.DescribeVpcAttributeInput {
		return &ec2.DescribeVpcAttributeInput{VpcId: t.id(), Attribute: name}
	}, func(out *ec2.DescribeVpcAttributeOutput) any { return out })
}

// Actions are the IAM actions of all calls, sorted. They only read.
func Actions() []string {
	all := map[string]bool{}
	for _, of := range looks {
		for _, l := range of {
			all[l.call] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// answers asks all that is asked about a resource, and masks what errors say. Members of several answers are in one object.
func (a *asker) answers(ctx context.Context, t thing, m *mask) (answer map[string]any, calls map[string]string, unseen []string) {
	answer, calls = map[string]any{}, map[string]string{}
	for _, l := range looks[string(t.Type)] {
		out, err := l.ask(ctx, a, t)
		if err != nil {
			unseen = append(unseen, fmt.Sprintf("%s: %s", l.call, m.prose(explain(err))))
			continue
		}
		for name, value := range members(out) {
			if _, taken := answer[name]; taken && name != "KeyId" && name != "VpcId" {
				name = l.call[strings.Index(l.call, ":")+1:] + "." + name
			}
			answer[name], calls[name] = value, l.call
		}
	}
	return answer, calls, unseen
}

// explain is what an error says without the request's ID.
func explain(err error) string {
	if code := login.Code(err); code != "" {
		return code
	}
	if errors.Is(err, errAbsent) {
		return errAbsent.Error()
	}
	return "no answer of AWS: " + err.Error()
}
