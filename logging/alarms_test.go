package logging

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const ownTopic = "arn:aws:sns:us-east-1:111122223333:expense-alarms-0123abc"

// alarmsWith registers the alarms of a domain and returns those of CloudWatch by name.
func alarmsWith(t *testing.T, args AlarmsArgs) (map[string]resource.PropertyMap, *inAWS) {
	aws, err := register(func(ctx *pulumi.Context) error {
		args.DomainName, args.DomainARN = pulumi.String("expense"), pulumi.String(domainARN).ToStringOutput()
		_, err := NewAlarms(ctx, "expense-alarms", &args)
		return err
	})
	require.NoError(t, err)
	alarms := map[string]resource.PropertyMap{}
	for key, inputs := range aws.inputs {
		if name, found := strings.CutPrefix(key, "aws:cloudwatch/metricAlarm:MetricAlarm expense-alarms-"); found {
			alarms[name] = inputs
		}
	}
	return alarms, aws
}

// The figures of AWS's page, each once more, so that a change of one is a decision.
func TestAlarmsAreThoseThatAWSRecommends(t *testing.T) {
	type figures struct {
		metric, statistic, comparison string
		threshold, seconds, periods   float64
		missing                       string
	}
	const above, below = "GreaterThanOrEqualToThreshold", "LessThanOrEqualToThreshold"
	want := map[string]figures{
		"cluster-red":       {"ClusterStatus.red", "Maximum", above, 1, 60, 1, "breaching"},
		"cluster-yellow":    {"ClusterStatus.yellow", "Maximum", above, 1, 60, 5, "ignore"},
		"free-storage":      {"FreeStorageSpace", "Minimum", below, 49664, 60, 1, "ignore"}, // A quarter of 194 GiB, in MiB.
		"writes-blocked":    {"ClusterIndexWritesBlocked", "Maximum", above, 1, 300, 1, "ignore"},
		"snapshot-failed":   {"AutomatedSnapshotFailure", "Maximum", above, 1, 60, 1, "ignore"},
		"cpu":               {"CPUUtilization", "Maximum", above, 80, 900, 3, "ignore"},
		"jvm-memory":        {"JVMMemoryPressure", "Maximum", above, 95, 60, 3, "ignore"},
		"master-cpu":        {"MasterCPUUtilization", "Maximum", above, 50, 900, 3, "ignore"},
		"master-jvm-memory": {"MasterJVMMemoryPressure", "Maximum", above, 95, 60, 3, "ignore"},
	}
	alarms, _ := alarmsWith(t, AlarmsArgs{VolumeSizeGiB: 194, Replicas: 1, DedicatedMasters: true, Email: "ops@example.com"})
	for name, f := range want {
		in := alarms[name]
		require.NotNil(t, in, name)
		assert.Equal(t, f, figures{
			in["metricName"].StringValue(), in["statistic"].StringValue(), in["comparisonOperator"].StringValue(),
			in["threshold"].NumberValue(), in["period"].NumberValue(), in["evaluationPeriods"].NumberValue(), in["treatMissingData"].StringValue(),
		}, name)
		assert.Equal(t, "AWS/ES", in["namespace"].StringValue())
		assert.Equal(t, map[string]any{"DomainName": "expense", "ClientId": "111122223333"}, in["dimensions"].Mappable())
	}
	assert.Len(t, alarms, len(want)+2, "and the two shares of requests")
}

func TestRequestsThatFailAreTakenInPercentOfAll(t *testing.T) {
	alarms, _ := alarmsWith(t, AlarmsArgs{VolumeSizeGiB: 10, TopicARN: ownTopic})
	for name, metric := range map[string]string{"requests-failed": "5xx", "requests-refused": "4xx"} {
		in := alarms[name]
		require.NotNil(t, in, name)
		assert.False(t, in.HasValue("metricName"), name)
		assert.Equal(t, 10.0, in["threshold"].NumberValue())
		assert.Equal(t, "notBreaching", in["treatMissingData"].StringValue(), "no requests are no failed ones")
		queries := map[string]map[string]any{}
		for _, q := range in["metricQueries"].ArrayValue() {
			q := q.Mappable().(map[string]any)
			queries[q["id"].(string)] = q
		}
		require.Len(t, queries, 3)
		assert.Equal(t, "100 * failed / requests", queries["share"]["expression"])
		assert.Equal(t, true, queries["share"]["returnData"])
		for id, of := range map[string]string{"failed": metric, "requests": "OpenSearchRequests"} {
			assert.NotContains(t, queries[id], "returnData", "one line of the three is the alarm's")
			assert.Equal(t, map[string]any{
				"namespace": "AWS/ES", "metricName": of, "stat": "Sum", "period": 300.0,
				"dimensions": map[string]any{"DomainName": "expense", "ClientId": "111122223333"},
			}, queries[id]["metric"])
		}
	}
}

// What a domain cannot have must not be waited for, and what it cannot help must not be an alarm.
func TestASmallDomainHasNoAlarmsAboutMastersAndCopies(t *testing.T) {
	alarms, _ := alarmsWith(t, AlarmsArgs{VolumeSizeGiB: 10, Email: "ops@example.com"})
	assert.Len(t, alarms, 8)
	for name := range alarms {
		assert.NotContains(t, name, "master")
		assert.NotContains(t, name, "yellow")
	}
	assert.Equal(t, 2560.0, alarms["free-storage"]["threshold"].NumberValue())
}

// An alarm is useless if nobody gets it or it does not say what to do.
func TestEveryAlarmSaysWhatToDoToTheOneTopic(t *testing.T) {
	for _, topic := range []string{"", "arn:aws:sns:us-east-1:111122223333:ops"} {
		args, want := AlarmsArgs{VolumeSizeGiB: 194, Replicas: 1, DedicatedMasters: true, TopicARN: topic}, topic
		if topic == "" {
			args.Email, want = "ops@example.com", ownTopic
		}
		alarms, aws := alarmsWith(t, args)
		for name, in := range alarms {
			assert.Equal(t, []any{want}, in["alarmActions"].Mappable(), name)
			assert.Equal(t, []any{want}, in["okActions"].Mappable(), name)
			assert.Greater(t, len(in["alarmDescription"].StringValue()), 40, name)
			assert.NotContains(t, in["alarmDescription"].StringValue(), "see handling", name)
		}
		assert.Len(t, alarms, 11)
		subscription, subscribed := aws.inputs["aws:sns/topicSubscription:TopicSubscription expense-alarms"]
		assert.Equal(t, topic == "", subscribed)
		if subscribed {
			assert.Equal(t, map[string]any{"topic": ownTopic, "protocol": "email", "endpoint": "ops@example.com"}, subscription.Mappable())
			// With AWS's own key CloudWatch could not publish.
			assert.NotContains(t, aws.inputs["aws:sns/topic:Topic expense-alarms"], resource.PropertyKey("kmsMasterKeyId"))
		}
	}
}

// A stranger who could publish to the topic could send mail in our name.
func TestOnlyTheAccountsAlarmsMayPublish(t *testing.T) {
	_, aws := alarmsWith(t, AlarmsArgs{VolumeSizeGiB: 10, Email: "ops@example.com"})
	in := aws.inputs["aws:sns/topicPolicy:TopicPolicy expense-alarms"]
	assert.Equal(t, ownTopic, in["arn"].StringValue())
	assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [{
		"Sid": "Alarms", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"},
		"Action": ["sns:Publish"], "Resource": ["`+ownTopic+`"],
		"Condition": {
			"StringEquals": {"aws:SourceAccount": "111122223333"},
			"ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:us-east-1:111122223333:alarm:*"}
		}
	}]}`, in["policy"].StringValue())

	policy, err := topicPolicy("arn:aws-us-gov:sns:us-gov-west-1:444455556666:t")
	require.NoError(t, err)
	assert.Contains(t, policy, "arn:aws-us-gov:cloudwatch:us-gov-west-1:444455556666:alarm:*")
	_, err = topicPolicy("ops")
	assert.ErrorContains(t, err, "expected arn:partition:service")
}

func TestAlarmsHaveOnePlaceToGo(t *testing.T) {
	for _, args := range []*AlarmsArgs{nil, {}, {Email: "a@example.com", TopicARN: ownTopic}} {
		_, err := register(func(ctx *pulumi.Context) error {
			_, err := NewAlarms(ctx, "expense-alarms", args)
			return err
		})
		assert.ErrorContains(t, err, `alarms "expense-alarms": `)
	}
}
