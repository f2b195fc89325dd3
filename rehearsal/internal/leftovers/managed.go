package leftovers

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/opensearch/types"
)

// ofCluster is an item that goes with the cluster.
func (f *finder) ofCluster(id string) Item {
	return Item{ID: id, Why: "of the stack's cluster " + f.Stack.Cluster, with: []string{f.cluster}}
}

// members makes items of what a list of the cluster has; without a cluster there are none.
func (f *finder) members(list func(each func(ids ...string)) error) (items []Item, err error) {
	if !f.ourCluster {
		return nil, nil
	}
	err = list(func(ids ...string) {
		for _, id := range ids {
			items = append(items, f.ofCluster(id))
		}
	})
	if missing(err) {
		return nil, nil
	}
	return items, err
}

func findClusters(ctx context.Context, f *finder) (items []Item, err error) {
	if !f.ourCluster {
		return nil, nil
	}
	answer, err := f.eks.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &f.Stack.Cluster})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := Item{ID: f.Stack.Cluster, ARN: f.cluster, Name: string(answer.Cluster.Status), Why: "the name in the stack's settings, and its tags"}
	f.cost(&i, "eks.control-plane", 1)
	return []Item{i}, nil
}

func removeCluster(ctx context.Context, f *finder, i Item) error {
	_, err := f.eks.DeleteCluster(ctx, &eks.DeleteClusterInput{Name: &i.ID})
	return err
}

func findNodeGroups(ctx context.Context, f *finder) ([]Item, error) {
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListNodegroupsPaginator(f.eks, &eks.ListNodegroupsInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListNodegroupsOutput) {
			each(page.Nodegroups...)
		})
	})
}

func removeNodeGroup(ctx context.Context, f *finder, i Item) error {
	_, err := f.eks.DeleteNodegroup(ctx, &eks.DeleteNodegroupInput{ClusterName: &f.Stack.Cluster, NodegroupName: &i.ID})
	return err
}

func findAddons(ctx context.Context, f *finder) ([]Item, error) {
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListAddonsPaginator(f.eks, &eks.ListAddonsInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListAddonsOutput) {
			each(page.Addons...)
		})
	})
}

func findAccessEntries(ctx context.Context, f *finder) ([]Item, error) {
	return f.members(func(each func(...string)) error {
		return pages(ctx, eks.NewListAccessEntriesPaginator(f.eks, &eks.ListAccessEntriesInput{ClusterName: &f.Stack.Cluster}), func(page *eks.ListAccessEntriesOutput) {
			each(page.AccessEntries...)
		})
	})
}

// domainTags are those of the domain that the settings name. DescribeDomain comes first, because it says so if there is none.
func (f *finder) domainTags(ctx context.Context) (map[string]string, error) {
	if _, err := f.opensearch.DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &f.Stack.Domain}); err != nil {
		return nil, err
	}
	answer, err := f.opensearch.ListTags(ctx, &opensearch.ListTagsInput{ARN: &f.domain})
	if err != nil {
		return nil, err
	}
	return tagMap(answer.TagList, func(t types.Tag) (*string, *string) { return t.Key, t.Value }), nil
}

func findDomains(ctx context.Context, f *finder) (items []Item, err error) {
	if !f.ourDomain {
		return nil, nil
	}
	answer, err := f.opensearch.DescribeDomain(ctx, &opensearch.DescribeDomainInput{DomainName: &f.Stack.Domain})
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := Item{ID: f.Stack.Domain, ARN: f.domain, Why: "the name in the stack's settings, and its tags"}
	if shape := answer.DomainStatus.ClusterConfig; shape != nil {
		count := float64(aws.ToInt32(shape.InstanceCount))
		i.Name = fmt.Sprintf("%v x %s", count, shape.InstanceType)
		f.cost(&i, "opensearch."+strings.TrimSuffix(string(shape.InstanceType), ".search"), count)
	}
	return []Item{i}, nil
}

func removeDomain(ctx context.Context, f *finder, i Item) error {
	_, err := f.opensearch.DeleteDomain(ctx, &opensearch.DeleteDomainInput{DomainName: &i.ID})
	return err
}
