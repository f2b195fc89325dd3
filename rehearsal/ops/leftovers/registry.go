package leftovers

import (
	"context"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// cachePrefixes are those of all cache rules that a stack with the cluster's name can have.
func (f *finder) cachePrefixes() (out []string) {
	every := config.Cluster{Name: f.Stack.Cluster, Registry: config.Registry{Cache: true, DockerHubSecretARN: "any"}}
	for _, cache := range every.Caches() {
		out = append(out, cache.Prefix)
	}
	return out
}

// cacheRule is a rule's reference in a stack's state.
func cacheRule(prefix string) string {
	return "aws:ecr/pullThroughCacheRule:PullThroughCacheRule " + prefix
}

// findCacheRules looks for the prefixes that the program gives: rules have no tags.
func findCacheRules(ctx context.Context, f *finder) ([]Item, error) {
	if !f.ourCluster {
		return nil, nil
	}
	ours := f.cachePrefixes()
	return each(ctx, ecr.NewDescribePullThroughCacheRulesPaginator(f.ecr, nil),
		func(p *ecr.DescribePullThroughCacheRulesOutput) []types.PullThroughCacheRule {
			return p.PullThroughCacheRules
		},
		func(r types.PullThroughCacheRule) *Item {
			prefix := aws.ToString(r.EcrRepositoryPrefix)
			if !slices.Contains(ours, prefix) {
				return nil
			}
			return &Item{ID: prefix, Name: aws.ToString(r.UpstreamRegistryUrl), Why: "its prefix", refs: []string{cacheRule(prefix)}}
		})
}

// findRepositories looks below the cluster's name: for repositories with the stack's tags, and for those without tags that ECR made for
// images pulled through one of the stack's cache rules.
func findRepositories(ctx context.Context, f *finder) (items []Item, err error) {
	all, err := login.All(ctx, ecr.NewDescribeRepositoriesPaginator(f.ecr, nil),
		func(p *ecr.DescribeRepositoriesOutput) []types.Repository { return p.Repositories })
	for _, r := range all {
		name := aws.ToString(r.RepositoryName)
		if !strings.HasPrefix(name, f.Stack.Cluster+"/") {
			continue
		}
		answer, err := f.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: r.RepositoryArn})
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		i := f.item(&name, "", login.Tags(answer.Tags), nil)
		if i == nil && len(answer.Tags) == 0 && f.ourCluster {
			i = f.cached(name)
		}
		if i.at(r.RepositoryArn) != nil {
			items = append(items, *i)
		}
	}
	return items, err
}

// cached makes an item of a repository below a cache rule's prefix, nil of another.
func (f *finder) cached(name string) *Item {
	for _, prefix := range f.cachePrefixes() {
		if !strings.HasPrefix(name, prefix+"/") {
			continue
		}
		i := &Item{ID: name, Why: "no tags, and the prefix of the stack's cache rule " + prefix}
		if f.State.has(cacheRule(prefix)) {
			i.kept = "ECR made it for images that were pulled through the stack's cache, and `pulumi destroy` leaves it; look again after that"
		}
		return i
	}
	return nil
}
