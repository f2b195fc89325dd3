package logging

import (
	"fmt"
	"sync"
	"testing"

	"expense/internal/config"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/opensearch"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inAWS answers the registrations of one component with ARNs in AWS's shape, and keeps them by type and name.
type inAWS struct {
	mu        sync.Mutex
	inputs    map[string]resource.PropertyMap
	protected map[string]bool
}

func (a *inAWS) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := args.TypeToken + " " + args.Name
	a.inputs[key], a.protected[key] = args.Inputs, args.RegisterRPC.GetProtect()
	out := args.Inputs.Copy()
	switch args.TypeToken {
	case "aws:cloudwatch/logGroup:LogGroup":
		out["arn"] = resource.NewStringProperty("arn:aws:logs:us-east-1:111122223333:log-group:" + out["name"].StringValue())
	case "aws:sns/topic:Topic":
		out["arn"] = resource.NewStringProperty("arn:aws:sns:us-east-1:111122223333:" + args.Name + "-0123abc")
	case "aws:opensearch/domain:Domain":
		out["arn"], out["endpoint"] = resource.NewStringProperty(domainARN), resource.NewStringProperty("search.example.com")
	}
	return args.Name + "-id", out, nil
}

func (a *inAWS) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("called %s", args.Token)
}

// register runs a function that registers resources, and returns them when all is done.
func register(declare func(ctx *pulumi.Context) error) (*inAWS, error) {
	a := &inAWS{inputs: map[string]resource.PropertyMap{}, protected: map[string]bool{}}
	return a, pulumi.RunErr(declare, pulumi.WithMocks("expense", "test", a))
}

// domainWith registers a domain with these settings and returns its inputs.
func domainWith(t *testing.T, region string, settings config.Domain) (resource.PropertyMap, *inAWS) {
	aws, err := register(func(ctx *pulumi.Context) error {
		_, err := NewDomain(ctx, "expense", &DomainArgs{
			Logging: config.Logging{GiBPerDay: 5, RetentionDays: 30, LogRetentionDays: 7, Domain: settings},
			Region:  region, VpcID: pulumi.String("vpc-0"), SubnetIDs: pulumi.ToStringArray([]string{"a", "b", "c"}).ToStringArrayOutput(),
			ClientSecurityGroupID: pulumi.String("sg-0"), MasterRoleARN: pulumi.String("arn:aws:iam::111122223333:role/setup"),
		})
		return err
	})
	require.NoError(t, err)
	inputs := aws.inputs["aws:opensearch/domain:Domain expense"]
	require.NotNil(t, inputs)
	return inputs, aws
}

var (
	small = config.Domain{Name: "expense", EngineVersion: "OpenSearch_2.19", InstanceType: "t3.small.search", InstanceCount: 1, ZoneCount: 1}
	large = config.Domain{
		Name: "expense", EngineVersion: "OpenSearch_2.19", InstanceType: "m7g.large.search", InstanceCount: 3, ZoneCount: 3,
		MasterInstanceType: "m7g.medium.search",
		Protect:            true, AuditLogs: true,
	}
)

// Inside the domain one role may do everything, and there is no password to guess. What it needs of the domain is on.
func TestTheDomainHasOneMasterAndNoUsersOfItsOwn(t *testing.T) {
	for _, settings := range []config.Domain{small, large} {
		in, _ := domainWith(t, "us-east-1", settings)
		assert.Equal(t, map[string]any{
			"enabled": true, "internalUserDatabaseEnabled": false,
			"masterUserOptions": map[string]any{"masterUserArn": "arn:aws:iam::111122223333:role/setup"},
		}, in["advancedSecurityOptions"].Mappable())
		assert.Equal(t, map[string]any{"enabled": true}, in["encryptAtRest"].Mappable())
		assert.Equal(t, map[string]any{"enabled": true}, in["nodeToNodeEncryption"].Mappable())
		assert.Equal(t, true, in["domainEndpointOptions"].ObjectValue()["enforceHttps"].BoolValue())
	}
	_, err := register(func(ctx *pulumi.Context) error {
		_, err := NewDomain(ctx, "expense", &DomainArgs{})
		return err
	})
	assert.ErrorContains(t, err, `domain "expense": no master role`)
}

// A type without Auto-Tune refuses it even when it is to be off, and so does a region without it.
func TestAutoTuneIsOnWhereThereIsOne(t *testing.T) {
	for _, c := range []struct {
		region, instance string
		want             any
	}{
		{"us-east-1", "t3.small.search", nil},
		{"us-gov-west-1", "m7g.large.search", nil},
		{"us-east-1", "m7g.large.search", map[string]any{"desiredState": "ENABLED", "useOffPeakWindow": true}},
	} {
		settings := small
		settings.InstanceType = c.instance
		in, _ := domainWith(t, c.region, settings)
		var got any
		if in.HasValue("autoTuneOptions") {
			got = in["autoTuneOptions"].Mappable()
		}
		assert.Equal(t, c.want, got, "%s in %s", c.instance, c.region)
		assert.Equal(t, map[string]any{"enabled": true}, in["offPeakWindowOptions"].Mappable())
		assert.Equal(t, map[string]any{"autoSoftwareUpdateEnabled": true}, in["softwareUpdateOptions"].Mappable())
	}
}

// A log that is left out goes on, so each is named, and says whether it is on.
func TestEveryLogIsNamedOnOrOff(t *testing.T) {
	var policies []string
	for _, settings := range []config.Domain{small, large} {
		in, aws := domainWith(t, "us-east-1", settings)
		on := map[string]bool{}
		for _, option := range in["logPublishingOptions"].ArrayValue() {
			option := option.ObjectValue()
			on[option["logType"].StringValue()] = option["enabled"].BoolValue()
			assert.Contains(t, option["cloudwatchLogGroupArn"].StringValue(), "/aws/OpenSearchService/domains/expense/")
		}
		assert.Equal(t, map[string]bool{
			"AUDIT_LOGS": settings.AuditLogs, "ES_APPLICATION_LOGS": true, "INDEX_SLOW_LOGS": true, "SEARCH_SLOW_LOGS": true,
		}, on)
		assert.Equal(t, 7.0, aws.inputs["aws:cloudwatch/logGroup:LogGroup expense-audit"]["retentionInDays"].NumberValue())
		policies = append(policies, aws.inputs["aws:cloudwatch/logResourcePolicy:LogResourcePolicy expense"]["policyDocument"].StringValue())
	}
	assert.Equal(t, policies[0], policies[1], "the domain would be asked to write them seconds after the policy changed")
	assert.Contains(t, policies[0], "log-group:/aws/OpenSearchService/domains/expense/*:*")
}

func TestVolumesAreWhatTheLogsNeed(t *testing.T) {
	in, _ := domainWith(t, "us-east-1", large)
	assert.Equal(t, map[string]any{"ebsEnabled": true, "volumeType": "gp3", "volumeSize": 194.0, "iops": 3000.0, "throughput": 250.0},
		in["ebsOptions"].Mappable())
}

// Only the domain holds data; the rest can be made again.
func TestProtectionIsTheDomainsAlone(t *testing.T) {
	for _, settings := range []config.Domain{small, large} {
		_, aws := domainWith(t, "us-east-1", settings)
		checked := 0
		for key, protected := range aws.protected {
			assert.Equal(t, settings.Protect && key == "aws:opensearch/domain:Domain expense", protected, key)
			checked++
		}
		assert.Greater(t, checked, 7)
	}
}

// Another account's domain must not be able to use OpenSearch as its deputy to write into these groups.
func TestOnlyThisDomainWritesItsLogs(t *testing.T) {
	policy, err := logPolicy("us-east-1", "expense", "arn:aws:iam::111122223333:role/expense-log-master")
	require.NoError(t, err)
	assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [{
		"Sid": "DomainLogs", "Effect": "Allow", "Principal": {"Service": "es.amazonaws.com"},
		"Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
		"Resource": ["arn:aws:logs:us-east-1:111122223333:log-group:/aws/OpenSearchService/domains/expense/*:*"],
		"Condition": {
			"StringEquals": {"aws:SourceAccount": "111122223333"},
			"ArnLike": {"aws:SourceArn": "`+domainARN+`"}
		}
	}]}`, policy)

	_, err = logPolicy("us-east-1", "expense", "expense-log-master")
	assert.ErrorContains(t, err, "expected arn:partition:service")
}

// A domain takes one subnet for each of its zones, no more and no fewer.
func TestTheDomainTakesOneSubnetForEachZone(t *testing.T) {
	subnets, err := firstSubnets([]string{"a", "b", "c"}, 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, subnets)
	_, err = firstSubnets([]string{"a"}, 2)
	assert.ErrorContains(t, err, "domain over 2 zones: the network has 1 private subnets")
}

func TestTheShapeOfTheDomain(t *testing.T) {
	one := clusterConfig(config.Domain{InstanceType: "t3.small.search", InstanceCount: 1, ZoneCount: 1})
	assert.Equal(t, opensearch.DomainClusterConfigArgs{
		InstanceType: pulumi.String("t3.small.search"), InstanceCount: pulumi.Int(1), ZoneAwarenessEnabled: pulumi.Bool(false),
	}, one)
	three := clusterConfig(config.Domain{InstanceType: "m7g.large.search", InstanceCount: 3, ZoneCount: 3,
		MasterInstanceType: "m7g.medium.search"})
	assert.Equal(t, pulumi.Bool(true), three.ZoneAwarenessEnabled)
	assert.Equal(t, opensearch.DomainClusterConfigZoneAwarenessConfigArgs{AvailabilityZoneCount: pulumi.Int(3)}, three.ZoneAwarenessConfig)
	assert.Equal(t, pulumi.Int(3), three.DedicatedMasterCount, "with two, losing one stops the election")
}
