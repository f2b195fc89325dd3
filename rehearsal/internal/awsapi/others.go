package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	opensearchtypes "github.com/aws/aws-sdk-go-v2/service/opensearch/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

var otherRows = []row{
	on((*opensearch.Client).DescribeDomain, func(c *call) (obj, error) {
		o, err := c.findBy(domains, "domainName", c.text("DomainName"), noResource)
		return obj{"DomainStatus": c.showDomain(o)}, err
	}),
	on((*opensearch.Client).ListTags, tags(domains, "ARN", noResource)),
	on((*opensearch.Client).DeleteDomain, func(c *call) (obj, error) {
		o, err := c.findBy(domains, "domainName", c.text("DomainName"), noResource)
		if err == nil {
			err = c.delete(domains, o.ID, noResource)
		}
		return obj{}, err
	}),

	on((*cloudwatchlogs.Client).DescribeLogGroups, func(c *call) (obj, error) {
		prefix := c.text("LogGroupNamePrefix")
		return c.show(logGroups, "LogGroupName", func(o awsmodel.Object) obj {
			if !strings.HasPrefix(o.ID, prefix) {
				return nil
			}
			arn := c.arn("logs", "log-group:"+o.ID)
			return obj{"LogGroupArn": arn, "Arn": arn + ":*"}
		}), nil
	}),
	on((*cloudwatchlogs.Client).ListTagsForResource, tags(logGroups, "ResourceArn", noResource)),
	on((*cloudwatchlogs.Client).DeleteLogGroup, deletion(logGroups, "LogGroupName", noResource)),
	on((*cloudwatchlogs.Client).DescribeResourcePolicies, describe(logPolicies, "PolicyName", nil)),
	on((*cloudwatchlogs.Client).DeleteResourcePolicy, deletion(logPolicies, "PolicyName", noResource)),

	on((*kms.Client).ListAliases, func(c *call) (obj, error) {
		return c.show(aliases, "AliasName", func(o awsmodel.Object) obj { return obj{"AliasArn": c.arn("kms", o.ID)} }), nil
	}),
	on((*kms.Client).DeleteAlias, deletion(aliases, "AliasName", "NotFoundException")),
	on((*kms.Client).DescribeKey, func(c *call) (obj, error) {
		o, err := c.key()
		state := "Enabled"
		switch {
		case o.Status == "PENDING_DELETION":
			state = "PendingDeletion"
		case o.Properties["isEnabled"] == false:
			state = "Disabled"
		}
		return obj{"KeyMetadata": obj{"KeyId": o.ID, "Arn": c.arn("kms", "key/"+o.ID), "KeyState": state, "KeyManager": "CUSTOMER"}}, err
	}),
	on((*kms.Client).GetKeyPolicy, func(c *call) (obj, error) {
		o, err := c.key()
		return obj{"Policy": text(o, "policy")}, err
	}),
	on((*kms.Client).ListGrants, func(c *call) (obj, error) {
		o, err := c.key()
		grants := list{}
		if to := c.text("GranteePrincipal"); slices.Contains(texts(o, "grantees"), to) {
			grants = append(grants, obj{"GranteePrincipal": to})
		}
		return obj{"Grants": grants}, err
	}),
	on((*kms.Client).ListResourceTags, tags(keys, "KeyId", "NotFoundException")),
	on((*kms.Client).ScheduleKeyDeletion, func(c *call) (obj, error) {
		if days, err := strconv.Atoi(c.text("PendingWindowInDays")); err != nil || days < 7 || days > 30 {
			return nil, refuse("ValidationException", "PendingWindowInDays must be 7 to 30")
		}
		o, err := c.key()
		if err == nil {
			err = c.delete(keys, o.ID, "")
		}
		return obj{}, err
	}),

	// Nothing in the model is measured: a test plants a metric by its name, with a value.
	on((*cloudwatch.Client).GetMetricData, func(c *call) (obj, error) {
		for _, member := range []string{"MetricDataQueries", "StartTime", "EndTime"} {
			c.read[member] = true
		}
		queries, _ := c.input["MetricDataQueries"].([]cwtypes.MetricDataQuery)
		out := list{}
		for _, q := range queries {
			values := list{}
			if o, err := c.find(metrics, aws.ToString(q.MetricStat.Metric.MetricName), ""); err == nil {
				values = append(values, o.Properties["value"])
			}
			out = append(out, obj{"Id": q.Id, "Values": values})
		}
		return obj{"MetricDataResults": out}, nil
	}),
	on((*cloudwatch.Client).ListTagsForResource, tags(alarms, "ResourceARN", noResource)),
	on((*cloudwatch.Client).DeleteAlarms, deletion(alarms, "AlarmNames", "ResourceNotFound")),
	on((*sns.Client).ListTagsForResource, tags(topics, "ResourceArn", "ResourceNotFound")),
	on((*sns.Client).DeleteTopic, deletion(topics, "TopicArn", "NotFound")),
	on((*resourcegroupstaggingapi.Client).GetResources, getResources),
}

// showDomain answers with the members of https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DomainStatus.html.
func (c *call) showDomain(o awsmodel.Object) obj {
	out := with(whole[opensearchtypes.DomainStatus](o), obj{
		"ARN": o.ID, "DomainId": c.account() + "/" + text(o, "domainName"), "Processing": o.Status != "ACTIVE",
		"EncryptionAtRestOptions":     formed[opensearchtypes.EncryptionAtRestOptions](o, "encryptAtRest"),
		"NodeToNodeEncryptionOptions": formed[opensearchtypes.NodeToNodeEncryptionOptions](o, "nodeToNodeEncryption"),
	})
	if endpoint := text(o, "endpoint"); endpoint != "" {
		out["Endpoints"] = obj{"vpc": endpoint}
	}
	logs := obj{}
	options, _ := o.Properties["logPublishingOptions"].([]any)
	for _, option := range options {
		option, _ := option.(obj)
		kind, _ := option["logType"].(string)
		logs[kind] = obj{"CloudWatchLogsLogGroupArn": option["cloudwatchLogGroupArn"], "Enabled": option["enabled"] != false}
	}
	out["LogPublishingOptions"] = logs
	if policy, err := c.findBy(domainAccess, "domainName", text(o, "domainName"), ""); err == nil {
		out["AccessPolicies"] = text(policy, "accessPolicies")
	}
	return out
}

func (c *call) key() (awsmodel.Object, error) {
	return c.find(keys, lastPart(c.text("KeyId")), "NotFoundException")
}

// getResources knows the types that ops asks for, and refuses the others.
func getResources(c *call) (obj, error) {
	c.read["TagFilters"] = true
	filters, _ := c.input["TagFilters"].([]tagtypes.TagFilter)
	out := list{}
	for _, name := range c.texts("ResourceTypeFilters") {
		typ, known := map[string]string{"kms:key": keys, "sns": topics, "cloudwatch:alarm": alarms}[name]
		if !known {
			return nil, refuse("InvalidParameterException", "the model does not know resources of type %s", name)
		}
		for _, o := range c.Model.Objects(typ) {
			if !slices.ContainsFunc(filters, func(f tagtypes.TagFilter) bool {
				value, has := o.Tags[*f.Key]
				return !has || !slices.Contains(f.Values, value)
			}) {
				out = append(out, obj{"ResourceARN": c.arnOf(o)})
			}
		}
	}
	return obj{"ResourceTagMappingList": out}, nil
}

// arnOf is the ARN by which the tagging API and a service's tags know a thing.
func (c *call) arnOf(o awsmodel.Object) string {
	switch o.Type {
	case keys:
		return c.arn("kms", "key/"+o.ID)
	case alarms:
		return c.arn("cloudwatch", "alarm:"+o.ID)
	case repositories:
		return c.arn("ecr", "repository/"+o.ID)
	case logGroups:
		return c.arn("logs", "log-group:"+o.ID)
	}
	return o.ID
}
