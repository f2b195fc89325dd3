package logging

import (
	"encoding/json"
	"testing"

	"expense/internal/config"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/opensearch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const domainARN = "arn:aws:es:us-east-1:111122223333:domain/expense"

// calls are the actions that a policy allows a principal, by resource.
func calls(t *testing.T, policy, principal string) map[string][]string {
	var doc struct {
		Statement []struct {
			Principal map[string]string
			Action    []string
			Resource  []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(policy), &doc))
	out := map[string][]string{}
	for _, s := range doc.Statement {
		if s.Principal["AWS"] == principal {
			for _, resource := range s.Resource {
				out[resource] = append(out[resource], s.Action...)
			}
		}
	}
	return out
}

// The writer adds documents to its own indices, and reads, changes and deletes nothing.
func TestTheWriterOnlyWrites(t *testing.T) {
	policy, err := accessPolicy(domainARN, "project", "writer", "")
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{
		domainARN + "/":                {"es:ESHttpGet"},
		domainARN + "/_bulk":           {"es:ESHttpPost"},
		domainARN + "/project-*/_bulk": {"es:ESHttpPost"},
	}, calls(t, policy, "writer"))
}

// The proxy reaches the dashboards, and no index, below whose name a request could write.
func TestTheReaderStaysBelowTheDashboards(t *testing.T) {
	policy, err := accessPolicy(domainARN, "project", "writer", "reader")
	require.NoError(t, err)
	for resource := range calls(t, policy, "reader") {
		assert.Contains(t, []string{domainARN + "/_dashboards", domainARN + "/_dashboards/*"}, resource)
	}
	assert.Len(t, calls(t, policy, "reader"), 2)
	assert.Len(t, calls(t, policy, "writer"), 3)
}

func TestWithoutAProxyThePolicyAdmitsTheWriterAlone(t *testing.T) {
	policy, err := accessPolicy(domainARN, "project", "writer", "")
	require.NoError(t, err)
	assert.Empty(t, calls(t, policy, ""))
	assert.NotContains(t, policy, "_dashboards")
}

// Another account's domain must not be able to use OpenSearch as its deputy to write into these groups.
func TestOnlyThisDomainWritesItsLogs(t *testing.T) {
	group := "arn:aws:logs:us-east-1:111122223333:log-group:/aws/OpenSearchService/domains/expense/application"
	policy, err := logPolicy("us-east-1", "expense", []string{group})
	require.NoError(t, err)
	assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [{
		"Sid": "DomainLogs", "Effect": "Allow", "Principal": {"Service": "es.amazonaws.com"},
		"Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:PutLogEventsBatch"],
		"Resource": ["`+group+`:*"],
		"Condition": {
			"StringEquals": {"aws:SourceAccount": "111122223333"},
			"ArnLike": {"aws:SourceArn": "`+domainARN+`"}
		}
	}]}`, policy)

	_, err = logPolicy("us-east-1", "expense", []string{"expense-application"})
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
	three := clusterConfig(config.Domain{InstanceType: "m7g.large.search", InstanceCount: 3, ZoneCount: 3, MasterInstanceType: "m7g.medium.search"})
	assert.Equal(t, pulumi.Bool(true), three.ZoneAwarenessEnabled)
	assert.Equal(t, opensearch.DomainClusterConfigZoneAwarenessConfigArgs{AvailabilityZoneCount: pulumi.Int(3)}, three.ZoneAwarenessConfig)
	assert.Equal(t, pulumi.Int(3), three.DedicatedMasterCount, "with two, losing one stops the election")
}
