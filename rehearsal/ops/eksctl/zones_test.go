package eksctl

import (
	"context"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// signedIn answers for an account. All zones of us-east-1 but the second have m5.large.
func signedIn(api *awsapi.API) func(*Options) {
	if api.Model == nil {
		api.Model = awsmodel.New(awsmodel.Options{})
	}
	if api.Region.Offered == nil {
		api.Region.Offered = map[string][]string{"m5.large": {"use1-az1", "use1-az3", "use1-az4", "use1-az5", "use1-az6"}}
	}
	return func(o *Options) {
		o.SignIn = func(context.Context, string) (aws.Config, error) { return api.Config(), nil }
	}
}

// The model calls use1-az6 us-east-1a, and use1-az1 us-east-1b: the names of an account are not in the IDs' order.
func TestZonesAreResolvedInTheAccount(t *testing.T) {
	written, _, err := fromText(t, seven+"availabilityZones: [us-east-1a, us-east-1b]\n", signedIn(&awsapi.API{}))
	require.NoError(t, err)
	assert.Contains(t, written, "    # In account 111122223333 these are us-east-1a, us-east-1b.\n    zones: [use1-az6, use1-az1]\n")
	assert.NotContains(t, written, "Not looked up")
}

func TestZonesAreChosenWhereEKSAndTheTypesAre(t *testing.T) {
	written, said, err := fromText(t, seven, signedIn(&awsapi.API{}))
	require.NoError(t, err)
	assert.Contains(t, written, "    zones: [use1-az1, use1-az4]\n")
	assert.Contains(t, said, "in account 111122223333 EKS and the instance types are there")
	assert.NotContains(t, said, "No account was asked")

	_, _,
		err = fromText(t, seven, signedIn(&awsapi.API{Region: awsapi.Region{Offered: map[string][]string{"m5.large": {"use1-az3", "use1-az4"}}}}))
	assert.ErrorContains(t, err, "two zones of us-east-1 in which EKS and the instance types are")
}

func TestAZoneThatCannotBeIsRefused(t *testing.T) {
	written, _,
		err := fromText(t, seven+"availabilityZones:\n- us-east-1a\n- us-east-1d\n- us-east-1c\n- us-east-1z\n", signedIn(&awsapi.API{}))
	for _, want := range []string{
		`line 13: availabilityZones[1]: found "us-east-1d", use1-az3 in account 111122223333; allowed: a zone in which EKS places control planes`,
		`line 14: availabilityZones[2]: found "us-east-1c", use1-az2 in account 111122223333, which has no instances for expense`,
		`line 15: availabilityZones[3]: found "us-east-1z", which account 111122223333 does not have; allowed: us-east-1a, us-east-1b`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, written)
}

func TestWithoutAnAccountTheWayToItIsSaid(t *testing.T) {
	written, said, err := fromText(t, seven+"availabilityZones: [us-east-1a, us-east-1b, us-east-1c]\n", nil)
	require.NoError(t, err)
	assert.Contains(t, written,
		"# In place of us-east-1a, us-east-1b, us-east-1c, which are other zones in other accounts: sign in, and run this\n")
	assert.Contains(t, written, "    zones: [use1-az1, use1-az2, use1-az4]\n")
	assert.Contains(t, said, "No account was asked: found no credentials")
	assert.Contains(t, said, "aws ec2 describe-availability-zones --region us-east-1")
}

// An account that does not answer is as good as none.
func TestAnAccountThatDoesNotAnswerIsLeftOut(t *testing.T) {
	for _, action := range []string{"sts:GetCallerIdentity", "ec2:DescribeAvailabilityZones", "ec2:DescribeInstanceTypeOfferings"} {
		api := &awsapi.API{}
		change := signedIn(api)
		api.Inject(action, awsapi.Denied)
		written, said, err := fromText(t, seven, change)
		require.NoError(t, err, action)
		assert.Contains(t, written, "zones: [use1-az1, use1-az2]", action)
		assert.Contains(t, said, "No account was asked: ", action)
	}
}

// OpenSearch Service's role is made once in each account.
func TestTheRoleOfOpenSearchIsLookedFor(t *testing.T) {
	written, _, err := fromText(t, seven, signedIn(&awsapi.API{}))
	require.NoError(t, err)
	assert.Contains(t, written, "    createServiceLinkedRole: true\n")
	model := awsmodel.New(awsmodel.Options{ServiceLinkedRoles: []string{"opensearchservice.amazonaws.com"}})
	written, _, err = fromText(t, seven, signedIn(&awsapi.API{Model: model}))
	require.NoError(t, err)
	assert.Contains(t, written, "    createServiceLinkedRole: false\n")
	api := &awsapi.API{}
	change := signedIn(api)
	api.Inject("iam:GetRole", awsapi.Denied)
	written, _, err = fromText(t, seven, change)
	require.NoError(t, err)
	assert.Contains(t, written, "aws iam get-role --role-name AWSServiceRoleForAmazonOpenSearchService\n    createServiceLinkedRole: true\n")
	assert.Contains(t, written, "zones: [use1-az1, use1-az4]")
}
