package leftovers

import (
	"context"
	"slices"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	classictypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// tagsAtOnce is how many names both generations of Elastic Load Balancing take in one question for tags
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html).
const tagsAtOnce = 20

// withTags makes items of load balancers or target groups, whose tags are asked for by their ARNs.
func withTags[Member any](
	ctx context.Context, f *finder, all []Member, arn func(Member) *string, item func(m Member, tags map[string]string) *Item,
) ([]Item, error) {
	var arns []string
	for _, m := range all {
		arns = append(arns, *arn(m))
	}
	tags := map[string]map[string]string{}
	for some := range slices.Chunk(arns, tagsAtOnce) {
		answer, err := f.balancers.DescribeTags(ctx, &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, err
		}
		for _, d := range answer.TagDescriptions {
			tags[aws.ToString(d.ResourceArn)] = login.Tags(d.Tags)
		}
	}
	return counted(all, func(m Member) *Item { return item(m, tags[*arn(m)]).at(arn(m)) }), nil
}

func findBalancers(ctx context.Context, f *finder) ([]Item, error) {
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(f.balancers, nil),
		func(p *elasticloadbalancingv2.DescribeLoadBalancersOutput) []types.LoadBalancer {
			return p.LoadBalancers
		})
	if err != nil {
		return nil, err
	}
	arn := func(b types.LoadBalancer) *string { return b.LoadBalancerArn }
	return withTags(ctx, f, all, arn, func(b types.LoadBalancer, tags map[string]string) *Item {
		i := f.item(b.LoadBalancerArn, string(b.Type), tags, b.VpcId)
		if b.Type == types.LoadBalancerTypeEnumNetwork {
			f.cost(i, "elb.network", 1)
		}
		if i != nil {
			_, path, _ := strings.Cut(i.ID, ":loadbalancer/")
			i.refs = []string{"ELB " + path} // the description of its interfaces
		}
		return i
	})
}

func findTargetGroups(ctx context.Context, f *finder) ([]Item, error) {
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeTargetGroupsPaginator(f.balancers, nil),
		func(p *elasticloadbalancingv2.DescribeTargetGroupsOutput) []types.TargetGroup { return p.TargetGroups })
	if err != nil {
		return nil, err
	}
	arn := func(g types.TargetGroup) *string { return g.TargetGroupArn }
	return withTags(ctx, f, all, arn, func(g types.TargetGroup, tags map[string]string) *Item {
		return f.item(g.TargetGroupArn, "", tags, g.VpcId)
	})
}

func findClassic(ctx context.Context, f *finder) (items []Item, err error) {
	all, err := login.All(ctx, elasticloadbalancing.NewDescribeLoadBalancersPaginator(f.classic, nil),
		func(p *elasticloadbalancing.DescribeLoadBalancersOutput) []classictypes.LoadBalancerDescription {
			return p.LoadBalancerDescriptions
		})
	if err != nil {
		return nil, err
	}
	vpcs, names := map[string]*string{}, []string(nil)
	for _, b := range all {
		names = append(names, aws.ToString(b.LoadBalancerName))
		vpcs[aws.ToString(b.LoadBalancerName)] = b.VPCId
	}
	for some := range slices.Chunk(names, tagsAtOnce) {
		answer, err := f.classic.DescribeTags(ctx, &elasticloadbalancing.DescribeTagsInput{LoadBalancerNames: some})
		if err != nil {
			return items, err
		}
		items = append(items, counted(answer.TagDescriptions, func(d classictypes.TagDescription) *Item {
			name := aws.ToString(d.LoadBalancerName)
			i := f.cost(f.item(&name, "", login.Tags(d.Tags), vpcs[name]), "elb.classic", 1)
			if i != nil {
				i.refs = []string{"ELB " + name}
			}
			return i
		})...)
	}
	return items, nil
}
