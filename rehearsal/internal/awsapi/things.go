package awsapi

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"
)

// Type tokens of what is shown.
const (
	vpcs          = "aws:ec2/vpc:Vpc"
	subnets       = "aws:ec2/subnet:Subnet"
	gateways      = "aws:ec2/internetGateway:InternetGateway"
	addresses     = "aws:ec2/eip:Eip"
	nats          = "aws:ec2/natGateway:NatGateway"
	routeTables   = "aws:ec2/routeTable:RouteTable"
	associations  = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	endpoints     = "aws:ec2/vpcEndpoint:VpcEndpoint"
	templates     = "aws:ec2/launchTemplate:LaunchTemplate"
	groups        = "aws:ec2/securityGroup:SecurityGroup"
	ingress       = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	egress        = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	interfaces    = "aws:ec2/networkInterface:NetworkInterface"
	instances     = "aws:ec2/instance:Instance"
	volumes       = "aws:ebs/volume:Volume"
	snapshots     = "aws:ebs/snapshot:Snapshot"
	scalingGroups = "aws:autoscaling/group:Group"
	balancers     = "aws:lb/loadBalancer:LoadBalancer"
	targetGroups  = "aws:lb/targetGroup:TargetGroup"
	clusters      = "aws:eks/cluster:Cluster"
	nodeGroups    = "aws:eks/nodeGroup:NodeGroup"
	addons        = "aws:eks/addon:Addon"
	accessEntries = "aws:eks/accessEntry:AccessEntry"
	podIdentities = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
	signIns       = "aws:eks/identityProviderConfig:IdentityProviderConfig"
	insights      = "aws:eks/insight:Insight"
	roles         = "aws:iam/role:Role"
	serviceRoles  = "aws:iam/serviceLinkedRole:ServiceLinkedRole"
	rolePolicies  = "aws:iam/rolePolicy:RolePolicy"
	attachments   = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
	profiles      = "aws:iam/instanceProfile:InstanceProfile"
	oidcProviders = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
	keys          = "aws:kms/key:Key"
	aliases       = "aws:kms/alias:Alias"
	logGroups     = "aws:cloudwatch/logGroup:LogGroup"
	logPolicies   = "aws:cloudwatch/logResourcePolicy:LogResourcePolicy"
	alarms        = "aws:cloudwatch/metricAlarm:MetricAlarm"
	metrics       = "aws:cloudwatch/metric:Metric"
	topics        = "aws:sns/topic:Topic"
	domains       = "aws:opensearch/domain:Domain"
	domainAccess  = "aws:opensearch/domainPolicy:DomainPolicy"
	repositories  = "aws:ecr/repository:Repository"
	cacheRules    = "aws:ecr/pullThroughCacheRule:PullThroughCacheRule"
	images        = "aws:ecr/image:Image"
	certificates  = "aws:acm/certificate:Certificate"
)

// show lists the things of a type in the answer's list: of each what the model has under the members' names, its ID under one, its tags,
// and what more adds. more may be nil, and leaves a thing out by giving nil.
func (c *call) show(typ, id string, more func(o awsmodel.Object) obj) obj {
	name, shown := c.list(nil)
	field, _ := c.out.FieldByName(name)
	for _, o := range c.Model.Objects(typ) {
		added := obj{}
		if more != nil {
			added = more(o)
		}
		if added == nil {
			continue
		}
		one := same(field.Type.Elem(), o)
		one[id] = o.ID
		maps.Copy(one, added)
		shown = append(shown, one)
	}
	return obj{name: shown}
}

// same is what the model has of a thing under the names that the SDK's type has, and its tags.
func same(typ reflect.Type, o awsmodel.Object) obj {
	out := obj{}
	for name, value := range o.Properties {
		field, has := typ.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !has {
			continue
		}
		kind := field.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch value.(type) {
		case string:
			has = kind.Kind() == reflect.String
		case float64:
			has = kind.Kind() == reflect.Int32 || kind.Kind() == reflect.Int64
		case []any:
			has = kind == reflect.TypeFor[[]string]()
		default:
			has = false
		}
		if has {
			out[field.Name] = value
		}
	}
	for _, name := range []string{"Tags", "TagSet", "TagList"} {
		if field, has := typ.FieldByName(name); has {
			out[name] = tagsOf(field.Type, o.Tags)
		}
	}
	return out
}

// tagsOf are tags as the SDK's type has them.
func tagsOf(typ reflect.Type, tags map[string]string) any {
	if typ.Kind() == reflect.Map {
		return tags
	}
	if _, kms := typ.Elem().FieldByName("TagKey"); kms {
		return pairs("Tag", tags)
	}
	return pairs("", tags)
}

// pairs are tags as a list of members Key and Value, with a prefix before both.
func pairs(prefix string, tags map[string]string) (out list) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, obj{prefix + "Key": key, prefix + "Value": tags[key]})
	}
	return out
}

// tags is the run of an operation that lists the tags of the thing whose ID or ARN a member gives.
func tags(typ, member, code string) func(*call) (obj, error) {
	return func(c *call) (obj, error) {
		id := c.text(member)
		for _, o := range c.Model.Objects(typ) {
			if o.ID == id || c.arnOf(o) == id {
				return same(c.out, o), nil
			}
		}
		return nil, refuse(code, "%s does not exist", id)
	}
}

// named lists a property of the things of a type, of those only that have a value in another, if one is named.
func (c *call) named(typ, property, value, name string) list {
	out := list{}
	for _, o := range c.Model.Objects(typ) {
		if property == "" || text(o, property) == value {
			out = append(out, text(o, name))
		}
	}
	return out
}

// describe is the run of an operation that lists what show shows.
func describe(typ, id string, more func(o awsmodel.Object) obj) func(*call) (obj, error) {
	return func(c *call) (obj, error) { return c.show(typ, id, more), nil }
}

// deletion is the run of an operation that takes away what one member names.
func deletion(typ, member, code string) func(*call) (obj, error) {
	return func(c *call) (obj, error) { return obj{}, c.delete(typ, c.text(member), code) }
}

// find gives one thing, or the service's error for none.
func (c *call) find(typ, id, code string) (awsmodel.Object, error) {
	return c.findBy(typ, "", id, code)
}

// findBy finds one by a property, or by its ID if the property has no name.
func (c *call) findBy(typ, property, value, code string) (awsmodel.Object, error) {
	for _, o := range c.Model.Objects(typ) {
		if property == "" && o.ID == value || property != "" && text(o, property) == value {
			return o, nil
		}
	}
	return awsmodel.Object{}, refuse(code, "%s does not exist", value)
}

// delete takes a thing away by the model's rules, or without any where the model has none.
func (c *call) delete(typ, id, code string) error {
	if _, err := c.find(typ, id, code); err != nil {
		return err
	}
	if !slices.Contains(awsmodel.Types(), typ) {
		c.Model.Uproot(typ, id)
		return nil
	}
	return c.Model.Delete(context.Background(), typ, id)
}

// arn is the name of something in the model's account.
func (c *call) arn(service, resource string) string {
	region := c.Model.Region()
	if service == "iam" {
		region = ""
	}
	return strings.Join([]string{"arn", c.Model.Partition(), service, region, c.account(), resource}, ":")
}

func (c *call) account() string { return strings.Split(c.Model.Caller(), ":")[4] }

// text is a property, "" if the thing has none of the name.
func text(o awsmodel.Object, name string) string {
	s, _ := o.Properties[name].(string)
	return s
}

func texts(o awsmodel.Object, name string) (out []string) {
	values, _ := o.Properties[name].([]any)
	for _, v := range values {
		out = append(out, fmt.Sprint(v))
	}
	return out
}
