package leftovers

import (
	"context"
	"fmt"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"
)

// members makes items of what a list of the cluster has; without a cluster there are none. What has the stack's tags stands
// for itself, since an `up` that was killed may have made it; the rest goes with the cluster: EKS made it, or somebody by hand.
func (f *finder) members(list func(each func(ids ...string)) error, tags func(id string) (map[string]string, error)) (items []Item, err error) {
	if !f.ourCluster {
		return nil, nil
	}
	var ids []string
	err = list(func(some ...string) { ids = append(ids, some...) })
	if login.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		tags, err := tags(id)
		if login.Missing(err) {
			continue // it went meanwhile
		}
		if err != nil {
			return items, err
		}
		i := Item{ID: id, Why: "of the stack's cluster " + f.Stack.Cluster, refs: []string{f.member(id)}}
		if f.stacks(tags) {
			i.Why += "; tags " + projectTag + "=" + Project + " and " + stackTag + "=" + f.Stack.Name
		} else {
			i.with = []string{f.cluster}
		}
		items = append(items, i)
	}
	return items, nil
}

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
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListNodegroupsPaginator(f.eks, &eks.ListNodegroupsInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListNodegroupsOutput) {
			each(page.Nodegroups...)
		})
	}, func(name string) (map[string]string, error) {
		answer, err := f.eks.DescribeNodegroup(ctx, &eks.DescribeNodegroupInput{ClusterName: &f.Stack.Cluster, NodegroupName: &name})
		if err != nil {
			return nil, err
		}
		return answer.Nodegroup.Tags, nil
	})
}

func findAddons(ctx context.Context, f *finder) ([]Item, error) {
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListAddonsPaginator(f.eks, &eks.ListAddonsInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListAddonsOutput) {
			each(page.Addons...)
		})
	}, func(name string) (map[string]string, error) {
		answer, err := f.eks.DescribeAddon(ctx, &eks.DescribeAddonInput{ClusterName: &f.Stack.Cluster, AddonName: &name})
		if err != nil {
			return nil, err
		}
		return answer.Addon.Tags, nil
	})
}

func findAccessEntries(ctx context.Context, f *finder) ([]Item, error) {
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListAccessEntriesPaginator(f.eks, &eks.ListAccessEntriesInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListAccessEntriesOutput) {
			each(page.AccessEntries...)
		})
	}, func(principal string) (map[string]string, error) {
		answer, err := f.eks.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: &f.Stack.Cluster, PrincipalArn: &principal})
		if err != nil {
			return nil, err
		}
		return answer.AccessEntry.Tags, nil
	})
}

func findPodIdentities(ctx context.Context, f *finder) ([]Item, error) {
	names := map[string]string{}
	items, err := f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListPodIdentityAssociationsPaginator(f.eks, &eks.ListPodIdentityAssociationsInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListPodIdentityAssociationsOutput) {
			for _, a := range page.Associations {
				names[aws.ToString(a.AssociationId)] = aws.ToString(a.Namespace) + "/" + aws.ToString(a.ServiceAccount)
				each(aws.ToString(a.AssociationId))
			}
		})
	}, func(id string) (map[string]string, error) {
		answer, err := f.eks.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{ClusterName: &f.Stack.Cluster, AssociationId: &id})
		if err != nil {
			return nil, err
		}
		return answer.Association.Tags, nil
	})
	for i := range items {
		items[i].Name = names[items[i].ID]
	}
	return items, err
}

// domainTags are those of the domain that the settings name, and its VPC. DescribeDomain comes first, because it says so if
// there is none.
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
	return tagMap(answer.TagList, func(t types.Tag) (*string, *string) { return t.Key, t.Value }), vpc, nil
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
		i.stays = fmt.Sprintf("logging.domain.protect is true in Pulumi.%s.yaml; if you mean to lose its logs: pulumi config set --path 'expense:logging.domain.protect' false --stack %[1]s", f.Stack.Name)
	}
	if shape := answer.DomainStatus.ClusterConfig; shape != nil {
		count := float64(aws.ToInt32(shape.InstanceCount))
		i.Name = fmt.Sprintf("%v x %s", count, shape.InstanceType)
		f.cost(&i, "opensearch."+strings.TrimSuffix(string(shape.InstanceType), ".search"), count)
	}
	return []Item{i}, nil
}
