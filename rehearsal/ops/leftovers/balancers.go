package leftovers

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	classictypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// tagsAtOnce is how many names both generations of Elastic Load Balancing take in one question for tags
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html).
const tagsAtOnce = 20

// balancerTags asks for the tags of load balancers and target groups, by ARN.
func (f *finder) balancerTags(ctx context.Context, arns []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for some := range slices.Chunk(arns, tagsAtOnce) {
		answer, err := f.balancers.DescribeTags(ctx, &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, err
		}
		for _, d := range answer.TagDescriptions {
			out[aws.ToString(d.ResourceArn)] = tagMap(d.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
		}
	}
	return out, nil
}

func findBalancers(ctx context.Context, f *finder) (items []Item, err error) {
	var all []types.LoadBalancer
	var arns []string
	err = pages(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(f.balancers, &elasticloadbalancingv2.DescribeLoadBalancersInput{}), func(page *elasticloadbalancingv2.DescribeLoadBalancersOutput) {
		for _, b := range page.LoadBalancers {
			all, arns = append(all, b), append(arns, aws.ToString(b.LoadBalancerArn))
		}
	})
	if err != nil {
		return nil, err
	}
	tags, err := f.balancerTags(ctx, arns)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		arn := aws.ToString(b.LoadBalancerArn)
		i, ok := f.item(arn, string(b.Type), tags[arn], aws.ToString(b.VpcId))
		if !ok {
			continue
		}
		i.ARN = arn
		if b.Type == types.LoadBalancerTypeEnumNetwork {
			f.cost(&i, "elb.network", 1)
		}
		// What its interfaces say that they are for.
		_, path, _ := strings.Cut(arn, ":loadbalancer/")
		i.refs = []string{"ELB " + path}
		items = append(items, i)
	}
	return items, nil
}

func findTargetGroups(ctx context.Context, f *finder) (items []Item, err error) {
	var all []types.TargetGroup
	var arns []string
	err = pages(ctx, elasticloadbalancingv2.NewDescribeTargetGroupsPaginator(f.balancers, &elasticloadbalancingv2.DescribeTargetGroupsInput{}), func(page *elasticloadbalancingv2.DescribeTargetGroupsOutput) {
		for _, g := range page.TargetGroups {
			all, arns = append(all, g), append(arns, aws.ToString(g.TargetGroupArn))
		}
	})
	if err != nil {
		return nil, err
	}
	tags, err := f.balancerTags(ctx, arns)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		arn := aws.ToString(g.TargetGroupArn)
		if i, ok := f.item(arn, "", tags[arn], aws.ToString(g.VpcId)); ok {
			i.ARN = arn
			items = append(items, i)
		}
	}
	return items, nil
}

func findClassic(ctx context.Context, f *finder) (items []Item, err error) {
	vpcs := map[string]string{}
	var names []string
	err = pages(ctx, elasticloadbalancing.NewDescribeLoadBalancersPaginator(f.classic, &elasticloadbalancing.DescribeLoadBalancersInput{}), func(page *elasticloadbalancing.DescribeLoadBalancersOutput) {
		for _, b := range page.LoadBalancerDescriptions {
			names = append(names, aws.ToString(b.LoadBalancerName))
			vpcs[aws.ToString(b.LoadBalancerName)] = aws.ToString(b.VPCId)
		}
	})
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(names, tagsAtOnce) {
		answer, err := f.classic.DescribeTags(ctx, &elasticloadbalancing.DescribeTagsInput{LoadBalancerNames: some})
		if err != nil {
			return items, err
		}
		for _, d := range answer.TagDescriptions {
			name := aws.ToString(d.LoadBalancerName)
			tags := tagMap(d.Tags, func(t classictypes.Tag) (*string, *string) { return t.Key, t.Value })
			if i, ok := f.item(name, "", tags, vpcs[name]); ok {
				i.refs = []string{"ELB " + name}
				f.cost(&i, "elb.classic", 1)
				items = append(items, i)
			}
		}
	}
	return items, nil
}
