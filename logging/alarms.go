package logging

import (
	"fmt"
	"strings"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// AlarmsArgs describe the domain and the receiver of its alarms.
type AlarmsArgs struct {
	DomainName pulumi.StringInput
	// DomainARN has the account, which is a dimension of the domain's metrics.
	DomainARN pulumi.StringOutput
	// VolumeSizeGiB is the size of each data node's volume.
	VolumeSizeGiB int
	// Replicas is the number of copies of an index beside the original. Without any, the domain may stay yellow, because OpenSearch's own
	// indices may want copies that one node cannot hold.
	Replicas int
	// DedicatedMasters says whether the domain has them.
	DedicatedMasters bool
	// Email is an address for a new topic, and TopicARN an existing topic. One of them is set.
	Email    string
	TopicARN string
}

// Alarms are CloudWatch's alarms about the domain.
type Alarms struct {
	pulumi.ResourceState

	// TopicARN is the topic of the alarms.
	TopicARN pulumi.StringOutput `pulumi:"topicArn"`
}

// NewAlarms makes the alarms that AWS recommends for a domain, and requests-refused. With an address it makes a topic too. AWS mails the
// address once, and sends alarms only after its owner has confirmed.
func NewAlarms(ctx *pulumi.Context, name string, args *AlarmsArgs, opts ...pulumi.ResourceOption) (*Alarms, error) {
	if args == nil {
		return nil, fmt.Errorf("alarms %q: no arguments", name)
	}
	if (args.Email == "") == (args.TopicARN == "") {
		return nil, fmt.Errorf("alarms %q: found e-mail address %q and topic %q, expected one of them", name, args.Email, args.TopicARN)
	}
	a := &Alarms{}
	if err := ctx.RegisterComponentResource(typeAlarms, name, a, opts...); err != nil {
		return nil, err
	}
	a.TopicARN = pulumi.String(args.TopicARN).ToStringOutput()
	if args.Email != "" {
		if err := a.topic(ctx, name, args); err != nil {
			return nil, err
		}
	}
	dimensions := pulumi.StringMap{
		"DomainName": args.DomainName,
		"ClientId":   args.DomainARN.ApplyT(iampolicy.Account).(pulumi.StringOutput),
	}
	for _, alarm := range domainAlarms(args) {
		if _, err := cloudwatch.NewMetricAlarm(ctx, name+"-"+alarm.name, alarm.args(name, dimensions, a.TopicARN), pulumi.Parent(a)); err != nil {
			return nil, fmt.Errorf("alarm %s: %w", alarm.name, err)
		}
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{"topicArn": a.TopicARN})
}

// topic makes a topic for the address. SNS always encrypts its disks
// (https://docs.aws.amazon.com/sns/latest/dg/sns-data-encryption.html). A KMS key would have to be customer-managed: AWS's own,
// alias/aws/sns, does not admit CloudWatch (https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns). A message holds
// figures and no log line.
func (a *Alarms) topic(ctx *pulumi.Context, name string, args *AlarmsArgs) error {
	topic, err := sns.NewTopic(ctx, name, &sns.TopicArgs{Tags: tags.Name(name)}, pulumi.Parent(a))
	if err != nil {
		return fmt.Errorf("topic: %w", err)
	}
	if _, err := sns.NewTopicPolicy(ctx, name,
		&sns.TopicPolicyArgs{Arn: topic.Arn, Policy: topic.Arn.ApplyT(topicPolicy).(pulumi.StringOutput)}, pulumi.Parent(a)); err != nil {
		return fmt.Errorf("topic policy: %w", err)
	}
	if _, err := sns.NewTopicSubscription(ctx, name, &sns.TopicSubscriptionArgs{
		Topic: topic.Arn, Protocol: pulumi.String("email"), Endpoint: pulumi.String(args.Email),
	}, pulumi.Parent(a)); err != nil {
		return fmt.Errorf("subscription: %w", err)
	}
	a.TopicARN = topic.Arn
	return nil
}

// topicPolicy lets only alarms of the topic's account and region publish
// (https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger).
func topicPolicy(topic string) (string, error) {
	account, err := iampolicy.Account(topic)
	if err != nil {
		return "", err
	}
	parts := strings.Split(topic, ":")
	return iampolicy.Document(iampolicy.Statement{
		Sid:       "Alarms",
		Principal: iampolicy.Principal{Service: "cloudwatch.amazonaws.com"},
		Actions:   []string{"sns:Publish"},
		Resources: []string{topic},
		Conditions: map[string]map[string]string{
			"StringEquals": {"aws:SourceAccount": account},
			"ArnLike":      {"aws:SourceArn": fmt.Sprintf("arn:%s:cloudwatch:%s:%s:alarm:*", parts[1], parts[3], account)},
		},
	})
}

// alarm is one alarm about the domain. It goes off if the metric reaches the threshold in that many periods in a row.
type alarm struct {
	name string
	// metric is in CloudWatch's namespace AWS/ES. With share, the value is its sum in percent of all requests.
	metric    string
	share     bool
	statistic string
	// below is an alarm for values at or below the threshold. Other alarms are for values at or above it.
	below     bool
	threshold float64
	seconds   int
	periods   int
	missing   string
	// text is the mail: what it means, and where to look.
	text string
}

// What CloudWatch takes a missing value for
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data).
const (
	// silenceIsAnAlarm is for one alarm: a domain that reports nothing is broken.
	silenceIsAnAlarm = "breaching"
	// silenceSaysNothing keeps an alarm as it is.
	silenceSaysNothing = "ignore"
	// silenceIsFine is for shares of requests, because there may be no request.
	silenceIsFine = "notBreaching"
)

// domainAlarms are the alarms. Metrics, statistics, thresholds and times are AWS's
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cloudwatch-alarms.html). AWS
// recommends none for 4xx: requests-refused has what AWS recommends for 5xx. AWS names no period for either. Three times five minutes keep
// one failed request in a quiet minute from being an alarm.
// KMSKeyError is omitted: it concerns customer-managed keys, and this domain uses AWS's.
func domainAlarms(args *AlarmsArgs) []alarm {
	const minute, gib = 60, 1024
	alarms := []alarm{
		{
			name: "cluster-red", metric: "ClusterStatus.red", statistic: "Maximum", threshold: 1, seconds: minute, periods: 1,
			missing: silenceIsAnAlarm,
			text:    "An index has lost a shard, or the domain reports nothing: see handling-errors.html#handling-errors-red-cluster-status",
		},
		{
			// The metric is in MiB.
			name: "free-storage", metric: "FreeStorageSpace", statistic: "Minimum", below: true,
			threshold: float64(args.VolumeSizeGiB*gib*config.FreeStoragePercent) / 100, seconds: minute, periods: 1, missing: silenceSaysNothing,
			text: "A data node's volume is three quarters full, which logs of gibPerDay do not do: raise expense:logging.gibPerDay before it is " +
				"full, as nothing is deleted by age then",
		},
		{
			name: "writes-blocked", metric: "ClusterIndexWritesBlocked", statistic: "Maximum", threshold: 1, seconds: 5 * minute, periods: 1,
			missing: silenceSaysNothing,
			text: "The domain takes no logs, for lack of space or memory. For lack of space raise expense:logging.gibPerDay: nothing is deleted " +
				"by age now; see handling-errors.html#troubleshooting-cluster-block",
		},
		{
			name: "snapshot-failed", metric: "AutomatedSnapshotFailure", statistic: "Maximum", threshold: 1, seconds: minute, periods: 1,
			missing: silenceSaysNothing,
			text:    "The hourly snapshot failed, mostly because the domain is red",
		},
		{
			name: "cpu", metric: "CPUUtilization", statistic: "Maximum", threshold: 80, seconds: 15 * minute, periods: 3,
			missing: silenceSaysNothing,
			text:    "A data node has been busy for three quarters of an hour: use larger or more data nodes",
		},
		{
			name: "jvm-memory", metric: "JVMMemoryPressure", statistic: "Maximum", threshold: 95, seconds: minute, periods: 3,
			missing: silenceSaysNothing,
			text:    "A data node runs out of heap: use a larger instanceType",
		},
		{
			name: "requests-failed", metric: "5xx", share: true, threshold: 10, seconds: 5 * minute, periods: 3, missing: silenceIsFine,
			text: "A tenth of the requests fail: the data nodes are overloaded, or the domain is not well",
		},
		{
			name: "requests-refused", metric: "4xx", share: true, threshold: 10, seconds: 5 * minute, periods: 3, missing: silenceIsFine,
			text: "A tenth of the requests are refused: roles that are not mapped (403), or more than the domain can take (429)",
		},
	}
	if args.Replicas > 0 {
		alarms = append(alarms, alarm{
			name: "cluster-yellow", metric: "ClusterStatus.yellow", statistic: "Maximum", threshold: 1, seconds: minute, periods: 5,
			missing: silenceSaysNothing,
			text:    "An index has lost a copy: see handling-errors.html#handling-errors-yellow-cluster-status",
		})
	}
	if args.DedicatedMasters {
		alarms = append(alarms, alarm{
			name: "master-cpu", metric: "MasterCPUUtilization", statistic: "Maximum", threshold: 50, seconds: 15 * minute, periods: 3,
			missing: silenceSaysNothing,
			text:    "A master has been busy for three quarters of an hour: use a larger masterInstanceType",
		}, alarm{
			name: "master-jvm-memory", metric: "MasterJVMMemoryPressure", statistic: "Maximum", threshold: 95, seconds: minute, periods: 3,
			missing: silenceSaysNothing,
			text:    "A master runs out of heap: use a larger masterInstanceType",
		})
	}
	return alarms
}

// handbook is the address of the pages that the texts name.
const handbook = "https://docs.aws.amazon.com/opensearch-service/latest/developerguide/"

func (a alarm) args(name string, dimensions pulumi.StringMap, topic pulumi.StringOutput) *cloudwatch.MetricAlarmArgs {
	const namespace = "AWS/ES"
	comparison := "GreaterThanOrEqualToThreshold"
	if a.below {
		comparison = "LessThanOrEqualToThreshold"
	}
	out := &cloudwatch.MetricAlarmArgs{
		AlarmDescription:   pulumi.String(strings.Replace(a.text, "see ", "see "+handbook, 1)),
		ComparisonOperator: pulumi.String(comparison),
		Threshold:          pulumi.Float64(a.threshold),
		EvaluationPeriods:  pulumi.Int(a.periods),
		TreatMissingData:   pulumi.String(a.missing),
		AlarmActions:       pulumi.Array{topic},
		OkActions:          pulumi.Array{topic},
		Tags:               tags.Name(name + "-" + a.name),
	}
	if !a.share {
		out.Namespace, out.MetricName, out.Dimensions = pulumi.String(namespace), pulumi.String(a.metric), dimensions
		out.Statistic, out.Period = pulumi.String(a.statistic), pulumi.Int(a.seconds)
		return out
	}
	sum := func(id, metric string) cloudwatch.MetricAlarmMetricQueryArgs {
		return cloudwatch.MetricAlarmMetricQueryArgs{Id: pulumi.String(id), Metric: cloudwatch.MetricAlarmMetricQueryMetricArgs{
			Namespace: pulumi.String(namespace), MetricName: pulumi.String(metric), Dimensions: dimensions, Stat: pulumi.String("Sum"),
			Period: pulumi.Int(a.seconds),
		}}
	}
	out.MetricQueries = cloudwatch.MetricAlarmMetricQueryArray{
		cloudwatch.MetricAlarmMetricQueryArgs{
			Id: pulumi.String("share"), Expression: pulumi.String("100 * failed / requests"),
			Label:      pulumi.String(a.metric + " in percent of all requests"),
			ReturnData: pulumi.Bool(true),
		},
		sum("failed", a.metric), sum("requests", "OpenSearchRequests"),
	}
	return out
}
