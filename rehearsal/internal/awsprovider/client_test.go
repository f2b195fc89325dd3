package awsprovider

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func props(v in) resource.PropertyMap { return resource.NewPropertyMapFromMap(v) }

func TestErrorsHaveTheProvidersWords(t *testing.T) {
	c := Client{awsmodel.New(awsmodel.Options{})}
	vpc, _, err := c.Create(t.Context(), vpcType, "v", props(in{"cidrBlock": "10.0.0.0/16"}))
	require.NoError(t, err)
	_, _, err = c.Create(t.Context(), "aws:ec2/subnet:Subnet", "s", props(in{"vpcId": vpc, "cidrBlock": "10.1.0.0/24"}))
	require.ErrorContains(t, err, "creating EC2 Subnet (s): operation error EC2: CreateSubnet, https response error StatusCode: 400")
	_, err = c.Update(t.Context(), vpcType, vpc, props(in{"cidrBlock": "10.1.0.0/16"}))
	require.ErrorContains(t, err, "updating EC2 VPC ("+vpc+"): ")
	require.ErrorContains(t, err, "cannot be changed in place")
	_, _, err = c.Create(t.Context(), "aws:ec2/subnet:Subnet", "s", props(in{"vpcId": vpc, "cidrBlock": "10.0.0.0/24"}))
	require.NoError(t, err)
	require.ErrorContains(t, c.Delete(t.Context(), vpcType, vpc), "deleting EC2 VPC ("+vpc+"): operation error EC2: DeleteVpc")
}

func TestEveryTypeOfTheModelHasItsHabits(t *testing.T) {
	assert.Equal(t, awsmodel.Types(), slices.Sorted(maps.Keys(habits)))
	for typ, h := range habits {
		assert.NotEmpty(t, h.noun, typ)
	}
}

// repeated are answers of AWS to a request that comes too early, or in the middle of something, and whether the provider repeats
// the request when it creates and when it updates.
var repeated = []struct {
	typ, operation, code, message string
	creating, updating            bool
}{
	{roleType, "", "MalformedPolicyDocument", "Invalid principal in policy: \"AWS\"", true, false},
	{roleType, "", "MalformedPolicyDocument", "Syntax errors in policy.", false, false},
	{"aws:eks/cluster:Cluster", "", "InvalidParameterException", "Role could not be assumed because it does not exist", true, false},
	{
		"aws:eks/cluster:Cluster", "", "InvalidParameterException",
		"The provided role doesn't have the Amazon EKS Managed Policies associated with it", true, false,
	},
	{"aws:eks/addon:Addon", "", "InvalidParameterException", "Role with arn x does not exist", true, false},
	{
		"aws:eks/accessEntry:AccessEntry", "", "InvalidParameterException", "The specified principalArn is invalid: invalid principal: x",
		true, false,
	},
	{
		"aws:eks/podIdentityAssociation:PodIdentityAssociation", "", "InvalidParameterException",
		"Role provided in the request does not exist: x", true, true,
	},
	{"aws:sns/topicPolicy:TopicPolicy", "", "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound", true, true},
	{"aws:opensearch/domain:Domain", "UpdateDomainConfig", "ValidationException", awsmodel.InProgress, true, true},
	{"aws:opensearch/domain:Domain", "UpgradeDomain", "ValidationException", awsmodel.InProgress, false, false},
	{"aws:opensearch/domain:Domain", "CreateDomain", "ValidationException", "The master user ARN x does not exist", false, false},
	{"aws:opensearch/domainPolicy:DomainPolicy", "UpdateDomainConfig", "ValidationException", awsmodel.InProgress, true, true},
	{"aws:opensearch/domainPolicy:DomainPolicy", "UpdateDomainConfig", "InvalidTypeException", "Error setting policy: [x]", false, false},
	{"aws:eks/nodeGroup:NodeGroup", "", "InvalidParameterException", "The role with name x cannot be found.", false, false},
}

// What the provider takes for a delay of AWS it asks for again, and gives up after its patience; the rest shows at once.
func TestWhatComesTooEarlyIsAskedForAgain(t *testing.T) {
	for _, r := range repeated {
		for creating, want := range map[bool]bool{true: r.creating, false: r.updating} {
			m := awsmodel.New(awsmodel.Options{})
			refused := &awsmodel.APIError{Service: "S", Operation: r.operation, Status: 400, Code: r.code, Message: r.message}
			ask := func(until time.Duration) (attempts int, err error) {
				begun := m.Now()
				return attempts, Client{m}.ask(t.Context(), habits[r.typ].repeats, creating, func(ctx context.Context) error {
					if attempts++; m.Asked(ctx)-begun < until {
						return refused
					}
					return nil
				})
			}
			attempts, err := ask(20 * time.Second)
			assert.Equal(t, want, err == nil, "%s %s", r.typ, r.message)
			assert.Equal(t, want, attempts > 1, "%s %s", r.typ, r.message)
			before := m.Now()
			_, err = ask(24 * time.Hour)
			require.ErrorIs(t, err, refused)
			assert.Equal(t, want, m.Now()-before >= 2*time.Minute, "%s %s", r.typ, r.message)
		}
	}
	for typ, h := range habits {
		for _, r := range h.repeats {
			found := false
			for _, c := range repeated {
				found = found || c.typ == typ && c.code == r.code && strings.Contains(c.message, r.text) && c.creating
			}
			assert.True(t, found, "%s: no case for %s", typ, r.code)
		}
	}
}

// The whole way: a role that is made the moment before is known when the provider asks again.
func TestANewRoleIsTrustedAtTheSecondTry(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	c := Client{m}
	m.Pass(time.Hour)
	_, out, err := c.Create(t.Context(), roleType, "new", props(trust(`{"Service":"ec2.amazonaws.com"}`)))
	require.NoError(t, err)
	begun := m.Now()
	_, _, err = c.Create(t.Context(), roleType, "friend", props(trust(`{"AWS":"`+out["arn"].StringValue()+`"}`)))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, m.Now()-m.Done(roleType, "new"), 20*time.Second, "it waited")
	assert.Less(t, m.Now()-begun, time.Hour)
}

// An answer that the SDK takes for throttling is repeated for more than an hour before anybody sees it.
func TestALimitShowsAfterAnHour(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	c := Client{m}
	limit := &awsmodel.APIError{Service: "OpenSearch", Operation: "CreateDomain", Status: 400, Code: "LimitExceededException"}
	for _, creating := range []bool{true, false} {
		asked := m.Now()
		err := c.ask(t.Context(), nil, creating, func(context.Context) error { return limit })
		require.ErrorContains(t, err,
			"operation error OpenSearch: CreateDomain, exceeded maximum number of attempts, 25, https response error StatusCode: 400")
		assert.Equal(t, "LimitExceededException", awsmodel.Code(err))
		assert.InDelta(t, 66*time.Minute, m.Now()-asked, float64(2*time.Minute))
	}

	// and Ctrl-C ends the wait
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.ask(ctx, nil, true, func(context.Context) error { return limit })
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, errors.Is(err, limit))
}

func TestAutoname(t *testing.T) {
	for typ, want := range map[string]string{
		"aws:iam/role:Role": `^web-[0-9a-f]{7}$`, "aws:kms/alias:Alias": `^alias/web-[0-9a-f]{7}$`,
		"aws:eks/nodeGroup:NodeGroup": `^web-[0-9a-f]{7}$`, "aws:opensearch/domain:Domain": `^web-[0-9a-f]{7}$`,
	} {
		property, name, err := Autoname(typ, "web", []byte("seed"), resource.PropertyMap{})
		require.NoError(t, err)
		assert.Contains(t, []string{"name", "nodeGroupName", "domainName"}, property)
		assert.Regexp(t, want, name)
		_, again, _ := Autoname(typ, "web", []byte("seed"), resource.PropertyMap{})
		assert.Equal(t, name, again, "the same seed gives the same name")
	}
	property, _, err := Autoname("aws:eks/nodeGroup:NodeGroup", "web", nil, resource.NewPropertyMapFromMap(in{"nodeGroupNamePrefix": "x"}))
	require.NoError(t, err)
	assert.Empty(t, property, "a prefix is the provider's, not Pulumi's, to expand")
	property, _, err = Autoname("aws:ec2/vpc:Vpc", "web", nil, nil)
	require.NoError(t, err)
	assert.Empty(t, property)
	_, _, err = Autoname("aws:iam/role:Role", strings.Repeat("x", 60), nil, nil)
	require.ErrorContains(t, err, "longer than maximum length 64")

	named := resource.NewPropertyMapFromMap(in{"name": "x", "__defaults": []any{}})
	auto := resource.NewPropertyMapFromMap(in{"name": "x", "__defaults": []any{"name"}})
	assert.True(t, deleteBeforeReplace("aws:iam/role:Role", named))
	assert.False(t, deleteBeforeReplace("aws:iam/role:Role", auto))
	assert.False(t, deleteBeforeReplace("aws:ec2/vpc:Vpc", named))
	assert.True(t, deleteBeforeReplace("aws:iam/rolePolicyAttachment:RolePolicyAttachment", resource.PropertyMap{}))
}
