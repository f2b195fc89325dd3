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

// balancerTags asks for the tags of load balancers and target groups, by ARN.
func (f *finder) balancerTags(ctx context.Context, arns []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for some := range slices.Chunk(arns, tagsAtOnce) {
		answer, err := f.balancers.DescribeTags(ctx, &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, err
		}
		for _, d := range answer.TagDescriptions {
			out[aws.ToString(d.ResourceArn)] = login.Tags(d.Tags)
		}
	}
	return out, nil
}

func findBalancers(ctx context.Context, f *finder) ([]Item, error) {
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(f.balancers, nil),
		func(p *elasticloadbalancingv2.DescribeLoadBalancersOutput) []types.LoadBalancer {
			return p.LoadBalancers
		})
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, b := range all {
		arns = append(arns, aws.ToString(b.LoadBalancerArn))
	}
	tags, err := f.balancerTags(ctx, arns)
	if err != nil {
		return nil, err
	}
	return counted(all, func(b types.LoadBalancer) *Item {
		arn := aws.ToString(b.LoadBalancerArn)
		i := f.item(&arn, string(b.Type), tags[arn], b.VpcId)
		if i == nil {
			return nil
		}
		if b.Type == types.LoadBalancerTypeEnumNetwork {
			f.cost(i, "elb.network", 1)
		}
		_, path, _ := strings.Cut(arn, ":loadbalancer/")
		i.ARN, i.refs = arn, []string{"ELB " + path} // the description of its interfaces
		return i
	}), nil
}

func findTargetGroups(ctx context.Context, f *finder) ([]Item, error) {
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeTargetGroupsPaginator(f.balancers, nil),
		func(p *elasticloadbalancingv2.DescribeTargetGroupsOutput) []types.TargetGroup { return p.TargetGroups })
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, g := range all {
		arns = append(arns, aws.ToString(g.TargetGroupArn))
	}
	tags, err := f.balancerTags(ctx, arns)
	if err != nil {
		return nil, err
	}
	return counted(all, func(g types.TargetGroup) *Item {
		return f.item(g.TargetGroupArn, "", tags[aws.ToString(g.TargetGroupArn)], g.VpcId).at(g.TargetGroupArn)
	}), nil
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
