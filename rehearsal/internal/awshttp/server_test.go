package awshttp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func serve(t *testing.T) (*Server, aws.Config) {
	s := &Server{Model: awsmodel.New(awsmodel.Options{})}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	return s, aws.Config{Region: "us-east-1", BaseEndpoint: &listener.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

func TestARequestWithoutASignatureIsRefused(t *testing.T) {
	_, cfg := serve(t)
	answer, err := http.PostForm(*cfg.BaseEndpoint, url.Values{"Action": {"DescribeVpcs"}})
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusForbidden, answer.StatusCode)
}

// An answer that was made up would let a test pass that AWS fails.
func TestWhatIsNotKnownIsRefused(t *testing.T) {
	s, cfg := serve(t)
	_, err := ec2.NewFromConfig(cfg).DescribeKeyPairs(context.Background(), &ec2.DescribeKeyPairsInput{})
	assert.ErrorContains(t, err, "501")
	_, err = eks.NewFromConfig(cfg).ListFargateProfiles(context.Background(), &eks.ListFargateProfilesInput{ClusterName: aws.String("expense")})
	assert.ErrorContains(t, err, "400")
	_, err = ec2.NewFromConfig(cfg).DescribeVpcs(context.Background(), &ec2.DescribeVpcsInput{DryRun: aws.Bool(true)})
	assert.ErrorContains(t, err, "does not read DryRun of DescribeVpcs")
	assert.Equal(t, map[string]int{"ec2:DescribeVpcs": 1}, s.Calls())
}

// Each protocol has its own form of an error; a client that does not understand it would not know what is missing.
func TestEachProtocolSaysWhatIsWrong(t *testing.T) {
	_, cfg := serve(t)
	ctx := context.Background()
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
		"ResourceNotFound": func() error {
			_, err := cloudwatch.NewFromConfig(cfg).DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"none"}})
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
	s, cfg := serve(t)
	fault := Throttled
	fault.Times = 2
	s.Inject("kms:ListAliases", fault)
	for _, want := range []bool{true, true, false} {
		_, err := kms.NewFromConfig(cfg).ListAliases(context.Background(), &kms.ListAliasesInput{})
		assert.Equal(t, want, err != nil)
	}
	assert.Equal(t, map[string]int{"kms:ListAliases": 3}, s.Calls())
}

func TestAListComesInPagesThatHoldEachItemOnce(t *testing.T) {
	s, cfg := serve(t)
	s.PageSize = 2
	var want, got []string
	for range 5 {
		want = append(want, s.Model.Plant("aws:ec2/vpc:Vpc", "", "vpc-", awsmodel.Program, nil))
	}
	pages := 0
	for list := ec2.NewDescribeVpcsPaginator(ec2.NewFromConfig(cfg), &ec2.DescribeVpcsInput{}); list.HasMorePages(); pages++ {
		page, err := list.NextPage(context.Background())
		require.NoError(t, err)
		for _, v := range page.Vpcs {
			got = append(got, *v.VpcId)
		}
	}
	assert.Equal(t, want, got)
	assert.Equal(t, 3, pages)
}

// A list of another name would never be cut into pages.
func TestEveryRowsListIsOneThatItAnswersWith(t *testing.T) {
	rows := 0
	for name, service := range services {
		for operation, row := range service.operations {
			rows++
			if row.list == "" {
				continue
			}
			c := &call{Server: &Server{Model: awsmodel.New(awsmodel.Options{})}, service: name, operation: operation, body: obj{}}
			if answer, err := row.run(c); err == nil {
				assert.Contains(t, answer, row.list, "%s %s", name, operation)
			}
		}
	}
	assert.GreaterOrEqual(t, rows, 80)
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
	for _, change := range [][2]string{{"2012-10-17", "2008-10-17"}, {"Allow", "Deny"}, {`"a:B","a:C"`, `"a:C","a:B"`}, {`"Resource":"*"`, `"Resource":"x"`}, {`"List"`, `"Else"`}, {`}]}`, ``}} {
		write(strings.Replace(right, change[0], change[1], 1))
		_, err := PagePolicy(page, "List")
		assert.Error(t, err, change[0])
	}
}
