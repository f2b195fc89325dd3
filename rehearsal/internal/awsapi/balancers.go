package awsapi

import (
	"slices"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
)

// balancerSuffix ends the ARN of every load balancer and target group.
const balancerSuffix = "0123456789abcdef"

// classic tells whether a load balancer is of the first generation.
func classic(o awsmodel.Object) bool { return text(o, "loadBalancerType") == "classic" }

// elbARN is the ARN of a load balancer or a target group, "" for a classic load balancer, which has none.
func (c *call) elbARN(o awsmodel.Object) string {
	if o.Type == targetGroups {
		return c.arn("elasticloadbalancing", "targetgroup/"+o.ID+"/"+balancerSuffix)
	}
	short := map[string]string{"network": "net", "application": "app"}[text(o, "loadBalancerType")]
	if short == "" {
		return ""
	}
	return c.arn("elasticloadbalancing", "loadbalancer/"+short+"/"+o.ID+"/"+balancerSuffix)
}

// byARN finds a load balancer or a target group.
func (c *call) byARN(typ, arn string) (awsmodel.Object, bool) {
	all := c.Model.Objects(typ)
	at := slices.IndexFunc(all, func(o awsmodel.Object) bool { return c.elbARN(o) == arn })
	if at < 0 {
		return awsmodel.Object{}, false
	}
	return all[at], true
}

var balancerRows = []row{
	on((*elasticloadbalancing.Client).DescribeLoadBalancers, describe(balancers, "LoadBalancerName", func(o awsmodel.Object) obj {
		if !classic(o) {
			return nil
		}
		return obj{}
	})),
	on((*elasticloadbalancing.Client).DescribeTags, func(c *call) (obj, error) {
		return c.balancerTags("LoadBalancerName", func(name string) (awsmodel.Object, bool) {
			o, err := c.find(balancers, name, "")
			return o, err == nil && classic(o)
		})
	}),
	on((*elasticloadbalancing.Client).DeleteLoadBalancer, func(c *call) (obj, error) {
		return obj{}, c.Model.DeleteLoadBalancer(c.text("LoadBalancerName"))
	}),

	on((*elasticloadbalancingv2.Client).DescribeLoadBalancers, func(c *call) (obj, error) {
		return c.show(balancers, "LoadBalancerName", func(o awsmodel.Object) obj {
			if classic(o) {
				return nil
			}
			return obj{"LoadBalancerArn": c.elbARN(o), "Type": text(o, "loadBalancerType")}
		}), nil
	}),
	on((*elasticloadbalancingv2.Client).DescribeTargetGroups, func(c *call) (obj, error) {
		return c.show(targetGroups, "TargetGroupName", func(o awsmodel.Object) obj { return obj{"TargetGroupArn": c.elbARN(o)} }), nil
	}),
	on((*elasticloadbalancingv2.Client).DescribeTags, func(c *call) (obj, error) {
		return c.balancerTags("ResourceArn", func(arn string) (awsmodel.Object, bool) {
			if o, found := c.byARN(balancers, arn); found {
				return o, true
			}
			return c.byARN(targetGroups, arn)
		})
	}),
	on((*elasticloadbalancingv2.Client).DeleteLoadBalancer, func(c *call) (obj, error) {
		if o, found := c.byARN(balancers, c.text("LoadBalancerArn")); found {
			return obj{}, c.Model.DeleteLoadBalancer(o.ID)
		}
		return obj{}, nil
	}),
	on((*elasticloadbalancingv2.Client).DeleteTargetGroup, func(c *call) (obj, error) {
		arn := c.text("TargetGroupArn")
		o, _ := c.byARN(targetGroups, arn)
		if _, err := c.find(balancers, text(o, "loadBalancer"), ""); err == nil {
			return nil, refuse("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
		}
		c.Model.Uproot(targetGroups, o.ID)
		return obj{}, nil
	}),
}

// balancerTags answers for at most 20 names, as both generations do
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html).
func (c *call) balancerTags(member string, find func(name string) (awsmodel.Object, bool)) (obj, error) {
	names, out := c.texts(member+"s"), list{}
	if len(names) == 0 || len(names) > 20 {
		return nil, refuse("ValidationError", "between 1 and 20 names, found %d", len(names))
	}
	for _, name := range names {
		o, found := find(name)
		if !found {
			return nil, refuse("LoadBalancerNotFound", "%s not found", name)
		}
		out = append(out, obj{member: name, "Tags": pairs("", o.Tags)})
	}
	return obj{"TagDescriptions": out}, nil
}
