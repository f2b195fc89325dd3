package awsapi

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Type tokens of what is shown here only.
const (
	routes         = "aws:ec2/route:Route"
	accessPolicies = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
	topicPolicies  = "aws:sns/topicPolicy:TopicPolicy"
	subscriptions  = "aws:sns/topicSubscription:TopicSubscription"
	lifecycles     = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
)

// recordRows are what package record asks for beside the rows that others need. Members are those of the SDK's types, which are made from
// AWS's models; what a text in them looks like is from the page beside it.
var recordRows = []row{
	on((*ec2.Client).DescribeVpcAttribute, func(c *call) (obj, error) {
		o, err := c.find(vpcs, c.text("VpcId"), "InvalidVpcID.NotFound")
		name := c.text("Attribute")
		member := strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
		if err == nil && !slices.Contains([]string{"enableDnsSupport", "enableDnsHostnames"}, name) {
			err = refuse("InvalidParameterValue", "the model does not know the attribute %s", name)
		}
		return obj{"VpcId": o.ID, member: obj{"Value": o.Properties[name]}}, err
	}),
	on((*ec2.Client).DescribeLaunchTemplateVersions, func(c *call) (obj, error) {
		o, err := c.find(templates, c.text("LaunchTemplateId"), "InvalidLaunchTemplateId.NotFound")
		if versions := c.texts("Versions"); err == nil && !slices.Equal(versions, []string{"$Latest"}) {
			err = refuse("InvalidParameterValue", "the model has the version $Latest only")
		}
		data := like(reflect.TypeFor[types.ResponseLaunchTemplateData](), o.Properties)
		data["SecurityGroupIds"] = o.Properties["vpcSecurityGroupIds"]
		return obj{"LaunchTemplateVersions": list{obj{
			"LaunchTemplateId": o.ID, "LaunchTemplateName": text(o, "name"), "VersionNumber": o.Properties["latestVersion"],
			"LaunchTemplateData": data,
		}}}, err
	}),

	on((*iam.Client).GetRolePolicy, func(c *call) (obj, error) {
		role, name := c.text("RoleName"), c.text("PolicyName")
		o, err := c.find(rolePolicies, role+":"+name, "NoSuchEntity")
		return obj{"RoleName": role, "PolicyName": name, "PolicyDocument": encoded(text(o, "policy"))}, err
	}),
	on((*iam.Client).GetOpenIDConnectProvider, func(c *call) (obj, error) {
		o, err := c.find(oidcProviders, c.text("OpenIDConnectProviderArn"), "NoSuchEntity")
		return obj{
			// How Url is written is not published.
			"ClientIDList": o.Properties["clientIdLists"], "ThumbprintList": o.Properties["thumbprintLists"], "Tags": pairs("", o.Tags),
		}, err
	}),

	on((*eks.Client).DescribeAccessEntry, func(c *call) (obj, error) {
		o, err := c.find(accessEntries, c.memberID(accessEntries, "PrincipalArn"), noResource)
		return obj{"AccessEntry": like(reflect.TypeFor[ekstypes.AccessEntry](), o.Properties)}, err
	}),
	on((*eks.Client).ListAssociatedAccessPolicies, func(c *call) (obj, error) {
		cluster, principal, associated := c.text("ClusterName"), c.text("PrincipalArn"), list{}
		_, err := c.find(accessEntries, cluster+":"+principal, noResource)
		for _, o := range c.Model.Objects(accessPolicies) {
			if text(o, "clusterName") == cluster && text(o, "principalArn") == principal {
				scope, _ := o.Properties["accessScope"].(map[string]any)
				associated = append(associated, obj{"PolicyArn": text(o, "policyArn"), "AccessScope": obj{"Type": scope["type"]}})
			}
		}
		return obj{"ClusterName": cluster, "PrincipalArn": principal, "AssociatedAccessPolicies": associated}, err
	}),

	on((*kms.Client).GetKeyRotationStatus, func(c *call) (obj, error) {
		o, err := c.key()
		return obj{"KeyId": c.arn("kms", "key/"+o.ID), "KeyRotationEnabled": o.Properties["enableKeyRotation"]}, err
	}),
	// An alarm is INSUFFICIENT_DATA until it is evaluated, and its actions are on by default
	// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html).
	on((*cloudwatch.Client).DescribeAlarms, func(c *call) (obj, error) {
		asked, shown := c.texts("AlarmNames"), list{}
		field, _ := c.out.FieldByName("MetricAlarms")
		for _, o := range c.Model.Objects(alarms) {
			if !slices.Contains(asked, o.ID) {
				continue
			}
			one := like(field.Type.Elem(), o.Properties)
			one["AlarmName"], one["AlarmArn"] = o.ID, text(o, "arn")
			one["OKActions"], one["Dimensions"] = o.Properties["okActions"], dimensions(o)
			one["StateValue"], one["ActionsEnabled"] = "INSUFFICIENT_DATA", o.Properties["actionsEnabled"] != false
			shown = append(shown, one)
		}
		return obj{"MetricAlarms": shown}, nil
	}),

	// Values are texts, see the maps of https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html and
	// https://docs.aws.amazon.com/sns/latest/api/API_GetSubscriptionAttributes.html.
	on((*sns.Client).GetTopicAttributes, func(c *call) (obj, error) {
		o, err := c.find(topics, c.text("TopicArn"), "NotFound")
		attributes := map[string]string{"TopicArn": o.ID, "Owner": c.account()}
		if policy, none := c.findBy(topicPolicies, "arn", o.ID, ""); none == nil {
			attributes["Policy"] = text(policy, "policy")
		}
		return obj{"Attributes": attributes}, err
	}),
	on((*sns.Client).GetSubscriptionAttributes, func(c *call) (obj, error) {
		o, err := c.find(subscriptions, c.text("SubscriptionArn"), "NotFound")
		pending, _ := o.Properties["pendingConfirmation"].(bool)
		return obj{"Attributes": map[string]string{
			"SubscriptionArn": o.ID, "TopicArn": text(o, "topic"), "Protocol": text(o, "protocol"), "Endpoint": text(o, "endpoint"),
			"Owner": c.account(), "PendingConfirmation": strconv.FormatBool(pending),
		}}, err
	}),
	on((*ecr.Client).GetLifecyclePolicy, func(c *call) (obj, error) {
		o, err := c.find(lifecycles, c.text("RepositoryName"), "LifecyclePolicyNotFoundException")
		return obj{"RepositoryName": o.ID, "LifecyclePolicyText": text(o, "policy"), "RegistryId": c.account()}, err
	}),
}

// like is what the model has of a thing under the names that the SDK's type has, at each depth. It leaves out what has another form there.
func like(typ reflect.Type, properties map[string]any) obj {
	out := obj{}
	for name, value := range properties {
		field, has := typ.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		if !has {
			continue
		}
		if shown, fits := likeOne(field.Type, value); fits {
			out[field.Name] = shown
		}
	}
	return out
}

func likeOne(typ reflect.Type, value any) (any, bool) {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch v := value.(type) {
	case string:
		if typ.Kind() == reflect.Bool { // some of the provider's flags are texts
			flag, err := strconv.ParseBool(v)
			return flag, err == nil
		}
		return v, typ.Kind() == reflect.String
	case bool:
		return v, typ.Kind() == reflect.Bool
	case float64:
		return v, slices.Contains([]reflect.Kind{reflect.Int32, reflect.Int64, reflect.Float64}, typ.Kind())
	case []any:
		if typ.Kind() != reflect.Slice {
			return nil, false
		}
		out := list{}
		for _, each := range v {
			shown, fits := likeOne(typ.Elem(), each)
			if !fits {
				return nil, false
			}
			out = append(out, shown)
		}
		return out, true
	case map[string]any:
		switch {
		case typ.Kind() == reflect.Struct:
			return like(typ, v), true
		case typ.Kind() == reflect.Map:
			return v, typ.Elem().Kind() == reflect.String
		case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct: // tags
			out := map[string]string{}
			for key, each := range v {
				out[key], _ = each.(string)
			}
			return tagsOf(typ, out), true
		}
	}
	return nil, false
}

func dimensions(o awsmodel.Object) list {
	out := list{}
	all, _ := o.Properties["dimensions"].(map[string]any)
	for name, value := range all {
		out = append(out, obj{"Name": name, "Value": value})
	}
	return out
}

// encoded is a document as IAM returns it, percent-encoded by RFC 3986
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html).
func encoded(document string) string {
	var out strings.Builder
	for _, b := range []byte(document) {
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-_.~", b) >= 0 {
			out.WriteByte(b)
			continue
		}
		out.WriteString("%" + strings.ToUpper(strconv.FormatInt(int64(b)+0x100, 16)[1:]))
	}
	return out.String()
}

// showNAT adds the gateway's address, as in the example of
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNatGateways.html.
func showNAT(o awsmodel.Object) obj {
	out := obj{"State": cmp.Or(text(o, "state"), "available")}
	if text(o, "allocationId") != "" {
		out["NatGatewayAddresses"] = list{like(reflect.TypeFor[types.NatGatewayAddress](), o.Properties)}
	}
	return out
}

func showEndpoint(o awsmodel.Object) obj {
	out := like(reflect.TypeFor[types.VpcEndpoint](), o.Properties)
	delete(out, "Tags")
	out["State"] = "available"
	if policy := text(o, "policy"); policy != "" {
		out["PolicyDocument"] = policy
	}
	with := list{}
	for _, id := range texts(o, "securityGroupIds") {
		with = append(with, obj{"GroupId": id})
	}
	out["Groups"] = with
	return out
}

func showSubnet(o awsmodel.Object) obj {
	return obj{"SubnetArn": text(o, "arn"), "MapPublicIpOnLaunch": o.Properties["mapPublicIpOnLaunch"]}
}

// routesOf are a table's routes.
func (c *call) routesOf(table string) list {
	out := list{}
	for _, o := range c.Model.Objects(routes) {
		if text(o, "routeTableId") == table {
			out = append(out, like(reflect.TypeFor[types.Route](), o.Properties))
		}
	}
	return out
}

func showRepository(c *call, o awsmodel.Object) obj {
	out := obj{"RepositoryArn": c.arnOf(o), "RepositoryUri": text(o, "repositoryUrl")}
	if configurations, _ := o.Properties["encryptionConfigurations"].([]any); len(configurations) == 1 {
		configuration, _ := configurations[0].(map[string]any)
		out["EncryptionConfiguration"] = obj{"EncryptionType": configuration["encryptionType"]}
	}
	return out
}
