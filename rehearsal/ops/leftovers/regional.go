package leftovers

import (
	"context"
	"maps"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// findLogGroups looks for the names that the program gives: the control plane's group and those of the domain. What has no
// tags at all is counted by its name, as long as the cluster's and the domain's names are the stack's: EKS and OpenSearch
// write it again after it was deleted.
func findLogGroups(ctx context.Context, f *finder) (items []Item, err error) {
	names := map[string]bool{config.ClusterLogGroup(f.Stack.Cluster): f.ourCluster}
	for log := range config.DomainLogs {
		names[config.DomainLogGroup(f.Stack.Domain, log)] = f.ourDomain
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		group, err := f.logGroup(ctx, name)
		if err != nil {
			return items, err
		}
		if group == nil {
			continue
		}
		arn := strings.TrimSuffix(aws.ToString(group.Arn), ":*")
		answer, err := f.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		i, ok := f.item(name, "", answer.Tags, "")
		if !ok && len(answer.Tags) == 0 && names[name] {
			i.Why, ok = "its name", true
			if name == config.ClusterLogGroup(f.Stack.Cluster) {
				i.kept = "EKS wrote its last lines after the stack's log group was deleted and so made a new one; remove it with: " +
					typed(f.Stack.command("logs delete-log-group --log-group-name ID", name, ""))
			}
		}
		if ok {
			i.ARN = arn
			f.cost(&i, "cloudwatch.logs-stored", float64(aws.ToInt64(group.StoredBytes))/(1<<30))
			items = append(items, i)
		}
	}
	return items, nil
}

// logGroup is the one of a name, nil if there is none. CloudWatch looks for beginnings of names.
func (f *finder) logGroup(ctx context.Context, name string) (group *types.LogGroup, err error) {
	list := cloudwatchlogs.NewDescribeLogGroupsPaginator(f.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	err = pages(ctx, list, func(page *cloudwatchlogs.DescribeLogGroupsOutput) {
		for _, g := range page.LogGroups {
			if aws.ToString(g.LogGroupName) == name {
				group = &g
			}
		}
	})
	return group, err
}

// findLogPolicies looks for the one policy by which the domain may write its logs: by its name, and by the log groups in it.
func findLogPolicies(ctx context.Context, f *finder) (items []Item, err error) {
	wanted := config.DomainLogPolicy(f.Stack.Domain)
	question := &cloudwatchlogs.DescribeResourcePoliciesInput{}
	for {
		page, err := f.logs.DescribeResourcePolicies(ctx, question)
		if err != nil {
			return items, err
		}
		for _, p := range page.ResourcePolicies {
			name := aws.ToString(p.PolicyName)
			if name == wanted && f.ourDomain && strings.Contains(aws.ToString(p.PolicyDocument), ":log-group:"+config.DomainLogGroup(f.Stack.Domain, "")) {
				items = append(items, Item{ID: name, Why: "its name, and the log groups in it", with: []string{f.domain}, refs: []string{"aws:cloudwatch/logResourcePolicy:LogResourcePolicy " + name}})
			}
		}
		if question.NextToken = page.NextToken; page.NextToken == nil {
			return items, nil
		}
	}
}

// tagged lists the ARNs of the resources of a type that have the stack's tags, and of some that had them not long ago.
func (f *finder) tagged(ctx context.Context, typ string) (arns []string, err error) {
	list := resourcegroupstaggingapi.NewGetResourcesPaginator(f.tagging, &resourcegroupstaggingapi.GetResourcesInput{
		ResourceTypeFilters: []string{typ},
		TagFilters: []tagtypes.TagFilter{
			{Key: aws.String(projectTag), Values: []string{Project}}, {Key: aws.String(stackTag), Values: []string{f.Stack.Name}},
		},
	})
	err = pages(ctx, list, func(page *resourcegroupstaggingapi.GetResourcesOutput) {
		for _, r := range page.ResourceTagMappingList {
			arns = append(arns, aws.ToString(r.ResourceARN))
		}
	})
	return arns, err
}

// confirmed makes items of what the tagging API lists and the service still has, with the tags that the service gives.
func (f *finder) confirmed(ctx context.Context, typ string, confirm func(arn string) (Item, map[string]string, error)) (items []Item, err error) {
	arns, err := f.tagged(ctx, typ)
	if err != nil {
		return nil, err
	}
	for _, arn := range arns {
		found, tags, err := confirm(arn)
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		i, ok := f.item(found.ID, found.Name, tags, "")
		if i.ARN, i.kept = arn, found.kept; ok {
			i.Monthly, i.Priced = found.Monthly, found.Priced
			items = append(items, i)
		}
	}
	return items, nil
}

func findAlarms(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "cloudwatch:alarm", func(arn string) (Item, map[string]string, error) {
		answer, err := f.cloudwatch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: &arn})
		if err != nil {
			return Item{}, nil, err
		}
		_, name, _ := strings.Cut(arn, ":alarm:")
		i := Item{ID: name}
		f.cost(&i, "cloudwatch.alarm", 1)
		return i, tagMap(answer.Tags, func(t cwtypes.Tag) (*string, *string) { return t.Key, t.Value }), nil
	})
}

func findTopics(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "sns", func(arn string) (Item, map[string]string, error) {
		answer, err := f.sns.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &arn})
		if err != nil {
			return Item{}, nil, err
		}
		return Item{ID: arn}, tagMap(answer.Tags, func(t snstypes.Tag) (*string, *string) { return t.Key, t.Value }), nil
	})
}

// findAliases looks for the alias that the program gives its key. Others use the same form of a name, so its key must be the
// stack's, or gone.
func findAliases(ctx context.Context, f *finder) (items []Item, err error) {
	wanted, target, arn := config.ClusterKeyAlias(f.Stack.Cluster), "", ""
	err = pages(ctx, kms.NewListAliasesPaginator(f.kms, &kms.ListAliasesInput{}), func(page *kms.ListAliasesOutput) {
		for _, a := range page.Aliases {
			if aws.ToString(a.AliasName) == wanted {
				target, arn = aws.ToString(a.TargetKeyId), aws.ToString(a.AliasArn)
			}
		}
	})
	if err != nil || arn == "" || !f.ourCluster {
		return nil, err
	}
	tags, err := f.keyTags(ctx, target)
	if login.Missing(err) || err == nil && f.stacks(tags) {
		return []Item{{ID: wanted, ARN: arn, Why: "its name, and its key's tags", with: []string{f.cluster}}}, nil
	}
	return nil, err
}

func (f *finder) keyTags(ctx context.Context, key string) (map[string]string, error) {
	var tags []kmstypes.Tag
	err := pages(ctx, kms.NewListResourceTagsPaginator(f.kms, &kms.ListResourceTagsInput{KeyId: &key}), func(page *kms.ListResourceTagsOutput) {
		tags = append(tags, page.Tags...)
	})
	return tagMap(tags, func(t kmstypes.Tag) (*string, *string) { return t.TagKey, t.TagValue }), err
}

// findKeys marks a key that waits for its deletion as kept: it is unusable and free of charge until then
// (https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html).
func findKeys(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "kms:key", func(arn string) (Item, map[string]string, error) {
		answer, err := f.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &arn})
		if err != nil {
			return Item{}, nil, err
		}
		key := answer.KeyMetadata
		i := Item{ID: aws.ToString(key.KeyId), Name: string(key.KeyState)}
		if key.KeyState == kmstypes.KeyStatePendingDeletion {
			i.kept = "KMS deletes a key only after a waiting time; it is unusable and free of charge until then"
		} else {
			f.cost(&i, "kms.key", 1)
		}
		tags, err := f.keyTags(ctx, arn)
		return i, tags, err
	})
}

// keysInUse keeps keys for as long as a cluster of the stack's name is there: the key may be what its data are encrypted with,
// and the command that deletes the cluster may fail.
func keysInUse(_ context.Context, f *finder, items []*Item) error {
	for _, i := range items {
		if !f.noCluster {
			i.stays = "the cluster " + f.Stack.Cluster + " is there and may need it"
		}
	}
	return nil
}
