package awsapi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// once makes an API and the configuration of clients that make one attempt.
func once() (*API, aws.Config) {
	a := &API{Model: awsmodel.New(awsmodel.Options{})}
	cfg := a.Config()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return a, cfg
}

func TestARequestWithoutASignatureIsRefused(t *testing.T) {
	_, cfg := once()
	cfg.Credentials = aws.AnonymousCredentials{}
	_, err := ec2.NewFromConfig(cfg).DescribeVpcs(t.Context(), nil)
	assert.ErrorContains(t, err, "not signed")
}

// An invented answer would let a test pass that fails on AWS.
func TestWhatIsNotKnownIsRefused(t *testing.T) {
	a, cfg := once()
	_, err := ec2.NewFromConfig(cfg).DescribeKeyPairs(t.Context(), nil)
	assert.ErrorContains(t, err, "does not know ec2.DescribeKeyPairsInput")
	_, err = ec2.NewFromConfig(cfg).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{DryRun: aws.Bool(false)})
	assert.ErrorContains(t, err, "does not read DryRun of DescribeVpcs")
	assert.Equal(t, map[string]int{"ec2:DescribeVpcs": 1}, a.Calls())
	assert.ErrorContains(t, a.Command(strings.Fields("aws ec2 delete-key-pair --key-name x")), "does not know aws ec2 delete-key-pair")
	assert.ErrorContains(t, a.Command(strings.Fields("aws ec2 delete-vpc --vpc-name x")), "does not read --vpc-name of aws ec2 delete-vpc")
	assert.ErrorContains(t, a.Command(strings.Fields("aws ec2 delete-vpc --vpc-id x --dry-run")), "does not read DryRun of DeleteVpc")
}

func TestAnErrorHasTheServicesCode(t *testing.T) {
	_, cfg := once()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"InvalidVpcID.NotFound": func() error {
			_, err := ec2.NewFromConfig(cfg).DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: aws.String("vpc-1")})
			return err
		},
		"NoSuchEntity": func() error {
			_, err := iam.NewFromConfig(cfg).DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("nobody")})
			return err
		},
		"ResourceNotFoundException": func() error {
			_, err := eks.NewFromConfig(cfg).DescribeCluster(ctx, &eks.DescribeClusterInput{Name: aws.String("none")})
			return err
		},
		"NotFoundException": func() error {
			_, err := kms.NewFromConfig(cfg).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("none")})
			return err
		},
	} {
		var api smithy.APIError
		require.ErrorAs(t, call(), &api, name)
		assert.Equal(t, name, api.ErrorCode())
		assert.NotEmpty(t, api.ErrorMessage())
	}
}

func TestAFaultEndsAfterItsTimes(t *testing.T) {
	s, cfg := once()
	fault := Throttled
	fault.Times = 2
	s.Inject("kms:ListAliases", fault)
	for _, want := range []bool{true, true, false} {
		_, err := kms.NewFromConfig(cfg).ListAliases(t.Context(), &kms.ListAliasesInput{})
		assert.Equal(t, want, err != nil)
	}
	assert.Equal(t, map[string]int{"kms:ListAliases": 3}, s.Calls())
}

func TestAListComesInPagesThatHoldEachItemOnce(t *testing.T) {
	s, cfg := once()
	s.PageSize = 2
	var want, got []string
	for range 5 {
		want = append(want, s.Model.Plant("aws:ec2/vpc:Vpc", "", "vpc-", awsmodel.Program, nil))
	}
	pages := 0
	for list := ec2.NewDescribeVpcsPaginator(ec2.NewFromConfig(cfg), &ec2.DescribeVpcsInput{}); list.HasMorePages(); pages++ {
		page, err := list.NextPage(t.Context())
		require.NoError(t, err)
		for _, v := range page.Vpcs {
			got = append(got, *v.VpcId)
		}
	}
	assert.Equal(t, want, got)
	assert.Equal(t, 3, pages)
}

// A page's list would not be cut if it were not the one that the row answers with, and a wrong name of a member would be no answer.
func TestEveryRowAnswersInItsOutputsType(t *testing.T) {
	a, answers := &API{Model: awsmodel.New(awsmodel.Options{}), PageSize: 1}, 0
	for _, r := range rows {
		if _, err := a.do(r, map[string]any{}); err == nil {
			answers++
		} else {
			assert.ErrorAs(t, err, new(smithy.APIError), r.operation())
		}
	}
	assert.GreaterOrEqual(t, len(rows), 80)
	assert.GreaterOrEqual(t, answers, 25)
}

func TestAPagesPolicyIsReadStrictly(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(policy string) {
		require.NoError(t, os.WriteFile(page, []byte("Some text.\n\n```json\n"+policy+"\n```\n"), 0o600))
	}
	const right = `{"Version":"2012-10-17","Statement":[{"Sid":"List","Effect":"Allow","Action":["a:B","a:C"],"Resource":"*"}]}`
	write(right)
	actions, err := PagePolicy(page, "List")
	require.NoError(t, err)
	assert.True(t, slices.Equal([]string{"a:B", "a:C"}, actions))
	for _, change := range [][2]string{
		{"2012-10-17", "2008-10-17"}, {"Allow", "Deny"}, {`"a:B","a:C"`, `"a:C","a:B"`}, {`"Resource":"*"`, `"Resource":"x"`},
		{`"List"`, `"Else"`}, {`}]}`, ``},
	} {
		write(strings.Replace(right, change[0], change[1], 1))
		_, err := PagePolicy(page, "List")
		assert.Error(t, err, change[0])
	}
}
