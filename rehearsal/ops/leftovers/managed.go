package leftovers

import (
	"context"
	"fmt"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
)

// members makes items of what a list of the cluster has; without a cluster there are none. What has the stack's tags stands for itself,
// since an `up` that was killed may have made it. The rest goes with the cluster: EKS or a person made it.
func members[Page, Option, Member any](ctx context.Context, f *finder, list interface {
	HasMorePages() bool
	NextPage(ctx context.Context, options ...Option) (Page, error)
}, listed func(Page) []Member, item func(Member) (id, name string), tagsOf func(id string) (map[string]string, error)) ([]Item, error) {
	if !f.ourCluster {
		return nil, nil
	}
	all, err := login.All(ctx, list, listed)
	if login.Missing(err) {
		return nil, nil
	}
	var items []Item
	for _, m := range all {
		id, name := item(m)
		tags, gone := tagsOf(id)
		if login.Missing(gone) {
			continue
		}
		if gone != nil {
			return items, gone
		}
		i := Item{ID: id, Name: name, Why: "of the stack's cluster " + f.Stack.Cluster, refs: []string{f.member(id)}}
		if f.stacks(tags) {
			i.Why += "; tags " + projectTag + "=" + Project + " and " + stackTag + "=" + f.Stack.Name
		} else {
			i.with = []string{f.cluster}
		}
		items = append(items, i)
	}
	return items, err
}

// nameOnly is the item of a list that has names only.
func nameOnly(name string) (id, label string) { return name, "" }

// member is the ID in a stack's state of what a cluster has under a name
// (https://www.pulumi.com/registry/packages/aws/api-docs/eks/nodegroup/#import).
func (f *finder) member(name string) string { return f.Stack.Cluster + ":" + name }

func findClusters(ctx context.Context, f *finder) (items []Item, err error) {
	if !f.ourCluster {
		return nil, nil
	}
	answer, err := f.eks.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &f.Stack.Cluster})
	if login.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := Item{ID: f.Stack.Cluster, ARN: f.cluster, Name: string(answer.Cluster.Status), Why: "the name in the stack's settings, and its tags"}
	f.cost(&i, "eks.control-plane", 1)
	return []Item{i}, nil
}

func findNodeGroups(ctx context.Context, f *finder) ([]Item, error) {
	list := eks.NewListNodegroupsPaginator(f.eks, &eks.ListNodegroupsInput{ClusterName: &f.Stack.Cluster})
	return members(ctx, f, list, func(p *eks.ListNodegroupsOutput) []string { return p.Nodegroups }, nameOnly,
		func(name string) (map[string]string, error) {
			answer, err := f.eks.DescribeNodegroup(ctx, &eks.DescribeNodegroupInput{ClusterName: &f.Stack.Cluster, NodegroupName: &name})
			if err != nil {
				return nil, err
			}
			return answer.Nodegroup.Tags, nil
		})
}

func findAddons(ctx context.Context, f *finder) ([]Item, error) {
	list := eks.NewListAddonsPaginator(f.eks, &eks.ListAddonsInput{ClusterName: &f.Stack.Cluster})
	return members(ctx, f, list, func(p *eks.ListAddonsOutput) []string { return p.Addons }, nameOnly,
		func(name string) (map[string]string, error) {
			answer, err := f.eks.DescribeAddon(ctx, &eks.DescribeAddonInput{ClusterName: &f.Stack.Cluster, AddonName: &name})
			if err != nil {
				return nil, err
			}
			return answer.Addon.Tags, nil
		})
}

func findAccessEntries(ctx context.Context, f *finder) ([]Item, error) {
	list := eks.NewListAccessEntriesPaginator(f.eks, &eks.ListAccessEntriesInput{ClusterName: &f.Stack.Cluster})
	return members(ctx, f, list, func(p *eks.ListAccessEntriesOutput) []string { return p.AccessEntries }, nameOnly,
		func(principal string) (map[string]string, error) {
			answer, err := f.eks.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{
				ClusterName: &f.Stack.Cluster, PrincipalArn: &principal,
			})
			if err != nil {
				return nil, err
			}
			return answer.AccessEntry.Tags, nil
		})
}

func findPodIdentities(ctx context.Context, f *finder) ([]Item, error) {
	list := eks.NewListPodIdentityAssociationsPaginator(f.eks, &eks.ListPodIdentityAssociationsInput{ClusterName: &f.Stack.Cluster})
	return members(ctx, f, list,
		func(p *eks.ListPodIdentityAssociationsOutput) []types.PodIdentityAssociationSummary {
			return p.Associations
		},
		func(a types.PodIdentityAssociationSummary) (id, name string) {
			return aws.ToString(a.AssociationId), aws.ToString(a.Namespace) + "/" + aws.ToString(a.ServiceAccount)
		},
		func(id string) (map[string]string, error) {
			answer, err := f.eks.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{
				ClusterName: &f.Stack.Cluster, AssociationId: &id,
			})
			if err != nil {
				return nil, err
			}
			return answer.Association.Tags, nil
		})
}

func findIdentityProviders(ctx context.Context, f *finder) ([]Item, error) {
	list := eks.NewListIdentityProviderConfigsPaginator(f.eks, &eks.ListIdentityProviderConfigsInput{ClusterName: &f.Stack.Cluster})
	return members(ctx, f, list,
		func(p *eks.ListIdentityProviderConfigsOutput) []types.IdentityProviderConfig {
			return p.IdentityProviderConfigs
		},
		func(p types.IdentityProviderConfig) (id, name string) { return aws.ToString(p.Name), "" },
		func(id string) (map[string]string, error) {
			answer, err := f.eks.DescribeIdentityProviderConfig(ctx, &eks.DescribeIdentityProviderConfigInput{
				ClusterName: &f.Stack.Cluster, IdentityProviderConfig: &types.IdentityProviderConfig{Type: aws.String("oidc"), Name: &id},
			})
			if err != nil {
				return nil, err
			}
			return answer.IdentityProviderConfig.Oidc.Tags, nil
		})
}

// clusterTags are the tags of the cluster that the settings name, and its VPC.
func (f *finder) clusterTags(ctx context.Context) (tags map[string]string, vpc string, err error) {
	answer, err := f.eks.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &f.Stack.Cluster})
	if err != nil {
		return nil, "", err
	}
	if network := answer.Cluster.ResourcesVpcConfig; network != nil {
		vpc = aws.ToString(network.VpcId)
	}
	return answer.Cluster.Tags, vpc, nil
}

// domainTags are the tags of the domain that the settings name, and its VPC. DescribeDomain comes first: it tells if there is no domain.
func (f *finder) domainTags(ctx context.Context) (tags map[string]string, vpc string, err error) {
	domain, err := f.opensearch.DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &f.Stack.Domain})
	if err != nil {
		return nil, "", err
	}
	answer, err := f.opensearch.ListTags(ctx, &opensearch.ListTagsInput{ARN: &f.domain})
	if err != nil {
		return nil, "", err
	}
	if options := domain.DomainStatus.VPCOptions; options != nil {
		vpc = aws.ToString(options.VPCId)
	}
	return login.Tags(answer.TagList), vpc, nil
}

func findDomains(ctx context.Context, f *finder) (items []Item, err error) {
	if !f.ourDomain {
		return nil, nil
	}
	answer, err := f.opensearch.DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &f.Stack.Domain})
	if login.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := Item{ID: f.Stack.Domain, ARN: f.domain, Why: "the name in the stack's settings, and its tags"}
	if f.Stack.Protected {
		i.stays = fmt.Sprintf("logging.domain.protect is true in Pulumi.%s.yaml; if you mean to lose its logs: "+
			"pulumi config set --path 'expense:logging.domain.protect' false --stack %[1]s", f.Stack.Name)
	}
	if shape := answer.DomainStatus.ClusterConfig; shape != nil {
		count := float64(aws.ToInt32(shape.InstanceCount))
		i.Name = fmt.Sprintf("%v x %s", count, shape.InstanceType)
		f.cost(&i, "opensearch."+strings.TrimSuffix(string(shape.InstanceType), ".search"), count)
	}
	return []Item{i}, nil
}
