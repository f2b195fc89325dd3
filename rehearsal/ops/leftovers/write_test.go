package leftovers

import (
	"bytes"
	"strings"
	"testing"

	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is left over comes first, with its price and why it is counted; what could not be looked at is never passed over.
func TestTheTextSaysWhatStaysWhyAndAtWhatPrice(t *testing.T) {
	a := newAccount()
	a.model.Plant("aws:ec2/natGateway:NatGateway", "nat-1", "", awsmodel.Program, properties{"tags": stackTags()})
	a.model.Plant("aws:ebs/volume:Volume", "vol-1", "", awsmodel.InCluster, properties{"size": 8, "tags": properties{owned: "owned"}})
	a.model.Plant("aws:ec2/launchTemplate:LaunchTemplate", "lt-1", "", awsmodel.Program, properties{"name": "expense-1", "tags": stackTags()})
	text := func() string {
		var out bytes.Buffer
		require.NoError(t, a.find(t).Text(&out))
		return out.String()
	}
	got := text()
	for _, want := range []string{
		"Stack dev, account 111122223333, us-east-1: cluster expense, domain expense.",
		"LEFTOVER  NAT gateway      nat-1 (available)  365.00 USD a month  tags pulumi:project=expense and pulumi:stack=dev",
		"LEFTOVER  volume           vol-1 (available)  2.00 USD a month    tag kubernetes.io/cluster/expense=owned",
		"LEFTOVER  launch template  lt-1 (expense-1)                       tags pulumi:project=expense and pulumi:stack=dev",
		"3 left over (367.00 USD a month at on-demand list prices of us-east-1, as far as they are known), 0 kept by AWS, 0 owned, 0 that " +
			"could be either.",
	} {
		assert.Contains(t, got, want)
	}
	assert.NotContains(t, got, "Nothing is left over.")
	assert.True(t, strings.HasSuffix(got, "STACK=dev, until nothing is left.\n\nexport AWS_PAGER=\n"+
		"aws ec2 delete-launch-template --launch-template-id lt-1 --region us-east-1\n"+
		"aws ec2 delete-nat-gateway --nat-gateway-id nat-1 --region us-east-1\n"+
		"aws ec2 wait nat-gateway-deleted --nat-gateway-ids nat-1 --region us-east-1\n"+
		"aws ec2 delete-volume --volume-id vol-1 --region us-east-1\n"), got)

	for typ, id := range map[string]string{"aws:ec2/natGateway:NatGateway": "nat-1", "aws:ebs/volume:Volume": "vol-1",
		"aws:ec2/launchTemplate:LaunchTemplate": "lt-1"} {
		require.True(t, a.model.Uproot(typ, id))
	}
	assert.Contains(t, text(), "Nothing is left over.")
	a.api.Inject("ec2:DescribeVolumes", awsapi.Denied)
	got = text()
	assert.NotContains(t, got, "Nothing is left over.")
	assert.Contains(t, got, "not checked: volume: EC2 DescribeVolumes: not allowed (AccessDenied)")
	assert.Contains(t, got, "There may be more")
}

// The commands are for the account that was looked at, and a name from there is one word to a shell.
func TestTheCommandsAreTypedForTheStacksAccount(t *testing.T) {
	report := &Report{Stack: dev, Items: []Item{{Kind: "alarm", ID: "it's $(mine)", Mark: Leftover}, {Kind: "alarm", ID: "kept", Mark: Owned}}}
	text := func() string {
		var out bytes.Buffer
		require.NoError(t, report.Text(&out))
		_, commands, _ := strings.Cut(out.String(), "export AWS_PAGER=\n")
		return commands
	}
	report.Stack.Account.Profile = "work"
	assert.Equal(t, `aws cloudwatch delete-alarms --alarm-names 'it'\''s $(mine)' --region us-east-1 --profile work`+"\n", text())
	report.Stack.Account.RoleARN = "arn:aws:iam::111122223333:role/Deploy"
	first, second, _ := strings.Cut(text(), "\n")
	assert.True(t, strings.HasPrefix(first, "export $(aws sts assume-role --role-arn arn:aws:iam::111122223333:role/Deploy "), first)
	assert.True(t, strings.HasSuffix(first, " --profile work)"), first)
	assert.Equal(t, `aws cloudwatch delete-alarms --alarm-names 'it'\''s $(mine)' --region us-east-1`+"\n", second)
}

// A command that nothing played would be wrong on AWS only.
func TestTheModelKnowsTheCommandsOfEveryKind(t *testing.T) {
	a := newAccount()
	kindsOf := map[string]bool{}
	for _, command := range AllCommands(dev) {
		kindsOf[command[1]] = true
		if err := a.api.Command(command); command[2] != "wait" && err != nil {
			assert.NotContains(t, err.Error(), "the endpoint does not", command)
		}
	}
	assert.Len(t, kindsOf, 12, "services")
}
