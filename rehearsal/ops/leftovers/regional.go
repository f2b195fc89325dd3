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
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// findLogGroups looks for the names that the program gives: the control plane's group and those of the domain. A group without tags is
// counted by its name if the cluster's or the domain's name is the stack's: EKS and OpenSearch make it again when they write after its
// deletion.
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
		i := f.item(&name, "", answer.Tags, nil)
		if i == nil && len(answer.Tags) == 0 && names[name] {
			i = &Item{ID: name, Why: "its name"}
			if name == config.ClusterLogGroup(f.Stack.Cluster) {
				i.kept = "EKS wrote its last lines after the stack's log group was deleted and so made a new one; remove it with: " +
					typed(f.Stack.command("logs delete-log-group --log-group-name ID", name, ""))
			}
		}
		if f.cost(i.at(&arn), "cloudwatch.logs-stored", float64(aws.ToInt64(group.StoredBytes))/(1<<30)) != nil {
			items = append(items, *i)
		}
	}
	return items, nil
}

// logGroup is the one of a name, nil if there is none. CloudWatch looks for beginnings of names.
func (f *finder) logGroup(ctx context.Context, name string) (*types.LogGroup, error) {
	list := cloudwatchlogs.NewDescribeLogGroupsPaginator(f.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	all, err := login.All(ctx, list, func(p *cloudwatchlogs.DescribeLogGroupsOutput) []types.LogGroup { return p.LogGroups })
	for _, g := range all {
		if aws.ToString(g.LogGroupName) == name {
			return &g, err
		}
	}
	return nil, err
}

// findLogPolicies looks for the one policy by which the domain may write its logs: by its name, and by the log groups in it.
func findLogPolicies(ctx context.Context, f *finder) (items []Item, err error) {
	groups := ":log-group:" + config.DomainLogGroup(f.Stack.Domain, "")
	question := &cloudwatchlogs.DescribeResourcePoliciesInput{}
	for {
		page, err := f.logs.DescribeResourcePolicies(ctx, question)
		if err != nil {
			return items, err
		}
		for _, p := range page.ResourcePolicies {
			name := aws.ToString(p.PolicyName)
			if name == config.DomainLogPolicy(f.Stack.Domain) && f.ourDomain && strings.Contains(aws.ToString(p.PolicyDocument), groups) {
				items = append(items, Item{ID: name, Why: "its name, and the log groups in it", with: []string{f.domain},
					refs: []string{"aws:cloudwatch/logResourcePolicy:LogResourcePolicy " + name}})
			}
		}
		if question.NextToken = page.NextToken; page.NextToken == nil {
			return items, nil
		}
	}
}

// confirmed makes items of what the tagging API lists and the service still has, with the service's tags. The API also lists what had the
// stack's tags not long ago.
func (f *finder) confirmed(
	ctx context.Context, typ string, confirm func(i *Item) (tags map[string]string, err error),
) (items []Item, err error) {
	list := resourcegroupstaggingapi.NewGetResourcesPaginator(f.tagging, &resourcegroupstaggingapi.GetResourcesInput{
		ResourceTypeFilters: []string{typ},
		TagFilters: []tagtypes.TagFilter{
			{Key: aws.String(projectTag), Values: []string{Project}}, {Key: aws.String(stackTag), Values: []string{f.Stack.Name}},
		},
	})
	resources, err := login.All(ctx, list,
		func(p *resourcegroupstaggingapi.GetResourcesOutput) []tagtypes.ResourceTagMapping {
			return p.ResourceTagMappingList
		})
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		i := Item{ARN: aws.ToString(r.ResourceARN)}
		tags, err := confirm(&i)
		if login.Missing(err) {
			continue
		}
		if err != nil {
			return items, err
		}
		if i.Why, i.with, _ = f.match(tags, ""); i.Why != "" {
			items = append(items, i)
		}
	}
	return items, nil
}

func findAlarms(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "cloudwatch:alarm", func(i *Item) (map[string]string, error) {
		_, i.ID, _ = strings.Cut(i.ARN, ":alarm:")
		f.cost(i, "cloudwatch.alarm", 1)
		answer, err := f.cloudwatch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: &i.ARN})
		if err != nil {
			return nil, err
		}
		return login.Tags(answer.Tags), nil
	})
}

func findTopics(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "sns", func(i *Item) (map[string]string, error) {
		i.ID = i.ARN
		answer, err := f.sns.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &i.ARN})
		if err != nil {
			return nil, err
		}
		return login.Tags(answer.Tags), nil
	})
}

// findAliases looks for the alias that the program gives its key. Others use the same form of a name, so its key must be the stack's, or
// gone.
func findAliases(ctx context.Context, f *finder) (items []Item, err error) {
	aliases, err := login.All(ctx, kms.NewListAliasesPaginator(f.kms, nil),
		func(p *kms.ListAliasesOutput) []kmstypes.AliasListEntry { return p.Aliases })
	if err != nil || !f.ourCluster {
		return nil, err
	}
	for _, a := range aliases {
		name := aws.ToString(a.AliasName)
		if name != config.ClusterKeyAlias(f.Stack.Cluster) {
			continue
		}
		tags, err := f.keyTags(ctx, a.TargetKeyId)
		if login.Missing(err) || err == nil && f.stacks(tags) {
			return []Item{{ID: name, ARN: aws.ToString(a.AliasArn), Why: "its name, and its key's tags", with: []string{f.cluster}}}, nil
		}
		return nil, err
	}
	return nil, nil
}

func (f *finder) keyTags(ctx context.Context, key *string) (map[string]string, error) {
	tags, err := login.All(ctx, kms.NewListResourceTagsPaginator(f.kms, &kms.ListResourceTagsInput{KeyId: key}),
		func(p *kms.ListResourceTagsOutput) []kmstypes.Tag { return p.Tags })
	return login.Tags(tags), err
}

// findKeys marks a key that waits for its deletion as kept: it is unusable and free of charge until then
// (https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html).
func findKeys(ctx context.Context, f *finder) ([]Item, error) {
	return f.confirmed(ctx, "kms:key", func(i *Item) (map[string]string, error) {
		answer, err := f.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &i.ARN})
		if err != nil {
			return nil, err
		}
		i.ID, i.Name = aws.ToString(answer.KeyMetadata.KeyId), string(answer.KeyMetadata.KeyState)
		if answer.KeyMetadata.KeyState == kmstypes.KeyStatePendingDeletion {
			i.kept = "KMS deletes a key only after a waiting time; it is unusable and free of charge until then"
		} else {
			f.cost(i, "kms.key", 1)
		}
		return f.keyTags(ctx, &i.ARN)
	})
}

// keysInUse keeps keys while a cluster of the stack's name exists: its data may be encrypted with the key, and the command that deletes the
// cluster may fail.
func keysInUse(_ context.Context, f *finder, items []*Item) error {
	for _, i := range items {
		if !f.noCluster {
			i.stays = "the cluster " + f.Stack.Cluster + " is there and may need it"
		}
	}
	return nil
}
