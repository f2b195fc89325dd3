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
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
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

// A filter that is not read would let a caller see everything.
func TestFiltersAreReadOrRefused(t *testing.T) {
	a, cfg := once()
	ours := a.Model.Plant(groups, "", "sg-", awsmodel.Program, map[string]any{"vpcId": "vpc-1"})
	a.Model.Plant(groups, "", "sg-", awsmodel.Program, map[string]any{"vpcId": "vpc-2"})
	ask := func(name string) (*ec2.DescribeSecurityGroupsOutput, error) {
		return ec2.NewFromConfig(cfg).DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{
			Filters: []types.Filter{{Name: aws.String(name), Values: []string{"vpc-1"}}},
		})
	}
	answer, err := ask("vpc-id")
	require.NoError(t, err)
	require.Len(t, answer.SecurityGroups, 1)
	assert.Equal(t, ours, aws.ToString(answer.SecurityGroups[0].GroupId))
	_, err = ask("owner-id")
	assert.ErrorContains(t, err, "the model filters by vpc-id, not by owner-id")
}

// An instance and its root volume are what the launch template of its group says.
func TestAnInstanceIsWhatItsTemplateSays(t *testing.T) {
	a, cfg := once()
	client := ec2.NewFromConfig(cfg)
	a.Model.Plant(templates, "lt-1", "", awsmodel.Program, map[string]any{
		"metadataOptions": map[string]any{"httpTokens": "required", "httpPutResponseHopLimit": 1.0},
		"blockDeviceMappings": []any{
			map[string]any{"ebs": map[string]any{"volumeType": "gp3", "volumeSize": 80.0, "encrypted": "true"}},
		},
	})
	a.Model.Plant(nodeGroups, "c:g", "", awsmodel.Program, map[string]any{"launchTemplate": map[string]any{"id": "lt-1"}})
	id := a.Model.Plant(instances, "", "i-", awsmodel.AWS, map[string]any{"owner": "c:g"})
	a.Model.Plant(interfaces, "", "eni-", awsmodel.AWS, map[string]any{"owner": id, "publicIp": "203.0.113.5"})
	answer, err := client.DescribeInstances(t.Context(), nil)
	require.NoError(t, err)
	i := answer.Reservations[0].Instances[0]
	assert.Equal(t, types.HttpTokensStateRequired, i.MetadataOptions.HttpTokens)
	assert.EqualValues(t, 1, *i.MetadataOptions.HttpPutResponseHopLimit)
	assert.Equal(t, "203.0.113.5", *i.PublicIpAddress)
	volumes, err := client.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{
		Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{id}}},
	})
	require.NoError(t, err)
	require.Len(t, volumes.Volumes, 1)
	assert.True(t, *volumes.Volumes[0].Encrypted)
	assert.EqualValues(t, 80, *volumes.Volumes[0].Size)
	all, err := client.DescribeVolumes(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, all.Volumes, "root volumes go with their instances")
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
