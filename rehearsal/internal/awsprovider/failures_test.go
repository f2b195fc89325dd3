package awsprovider

import (
	"errors"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"
)

// state is what the engine knows of a resource; its methods do what the engine does.
type state struct {
	t               *testing.T
	p               pulumirpc.ResourceProviderClient
	urn, id         string
	inputs, outputs *structpb.Struct
	initError       bool
}

func made(t *testing.T, p pulumirpc.ResourceProviderClient, typ string, inputs in) *state {
	t.Helper()
	checked, created, err := run(t, p, typ, "x", inputs)
	require.NoError(t, err)
	return &state{t: t, p: p, urn: urn(typ, "x"), id: created.GetId(), inputs: checked, outputs: created.GetProperties()}
}

// up is `pulumi up`: it tells what the preview shows and what came of it.
func (s *state) up(inputs in) (changes bool, err error) {
	s.t.Helper()
	checked, err := s.p.Check(s.t.Context(),
		&pulumirpc.CheckRequest{Urn: s.urn, Olds: s.inputs, News: pack(s.t, inputs), RandomSeed: []byte("s")})
	require.NoError(s.t, err)
	news := checked.GetInputs()
	diff, err := s.p.Diff(s.t.Context(), &pulumirpc.DiffRequest{Urn: s.urn, Id: s.id, Olds: s.outputs, OldInputs: s.inputs, News: news})
	require.NoError(s.t, err)
	changes = diff.GetChanges() == pulumirpc.DiffResponse_DIFF_SOME
	if !changes && !s.initError {
		return false, nil
	}
	resp, err := s.p.Update(s.t.Context(), &pulumirpc.UpdateRequest{Urn: s.urn, Id: s.id, Olds: s.outputs, OldInputs: s.inputs, News: news})
	if err == nil {
		s.inputs, s.outputs, s.initError = news, resp.GetProperties(), false
		return changes, nil
	}
	for _, d := range rpcerror.Convert(err).Details() {
		if f, ok := d.(*pulumirpc.ErrorResourceInitFailed); ok {
			s.outputs, s.initError = f.GetProperties(), true
		}
	}
	return changes, err
}

func (s *state) refresh() {
	s.t.Helper()
	resp, err := s.p.Read(s.t.Context(), &pulumirpc.ReadRequest{Urn: s.urn, Id: s.id, Properties: s.outputs, Inputs: s.inputs})
	require.NoError(s.t, err)
	s.inputs, s.outputs, s.initError = resp.GetInputs(), resp.GetProperties(), false
}

// role gives the inputs of a role whose trust policy names a principal, and what AWS has of them.
func role(m *awsmodel.Model, s *state) string {
	_, out, _ := m.Read(roleType, s.id)
	return out["assumeRolePolicy"].StringValue()
}

func trust(principal string) in {
	return in{"assumeRolePolicy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
		`"Principal":` + principal + `,"Action":"sts:AssumeRole"}}`}
}

// Seen with the real bridge 3.110 to 3.135 in front of the real engine.
func TestARefusedUpdateIsForgotten(t *testing.T) {
	const stranger = `{"AWS":"arn:aws:iam::111122223333:role/nobody"}`
	before, after := trust(`{"Service":"ec2.amazonaws.com"}`), trust(stranger)
	refused := func(t *testing.T) (*awsmodel.Model, *state) {
		m := awsmodel.New(awsmodel.Options{})
		s := made(t, client(t, m, ""), roleType, before)
		changes, err := s.up(after)
		assert.True(t, changes)
		require.ErrorContains(t, err, "updating "+s.urn+": 1 error occurred:\n\t* updating IAM Role (")
		require.ErrorContains(t, err, "MalformedPolicyDocument")
		assert.True(t, s.initError)
		assert.Equal(t, before["assumeRolePolicy"], s.inputs.AsMap()["assumeRolePolicy"], "the old inputs")
		assert.Equal(t, after["assumeRolePolicy"], s.outputs.AsMap()["assumeRolePolicy"], "and the new outputs")
		assert.NotContains(t, role(m, s), "nobody")
		return m, s
	}
	mend := func(m *awsmodel.Model, s *state) {
		made(s.t, s.p, roleType, in{"name": "nobody", "assumeRolePolicy": before["assumeRolePolicy"]})
		m.Pass(time.Minute) // until IAM knows it everywhere
	}

	t.Run("the same command again is green and does nothing, the third tries again", func(t *testing.T) {
		m, s := refused(t)
		mend(m, s)
		changes, err := s.up(after)
		require.NoError(t, err)
		assert.False(t, changes)
		assert.NotContains(t, role(m, s), "nobody")
		changes, err = s.up(after)
		require.NoError(t, err)
		assert.True(t, changes)
		assert.Contains(t, role(m, s), "nobody")
	})
	t.Run("with a refresh the second makes it", func(t *testing.T) {
		m, s := refused(t)
		mend(m, s)
		s.refresh()
		changes, err := s.up(after)
		require.NoError(t, err)
		assert.True(t, changes)
		assert.Contains(t, role(m, s), "nobody")
	})
	t.Run("refused again after a refresh it is forgotten again", func(t *testing.T) {
		m, s := refused(t)
		s.refresh()
		_, err := s.up(after)
		require.Error(t, err)
		_, err = s.up(after)
		require.NoError(t, err)
		assert.NotContains(t, role(m, s), "nobody")
	})
	t.Run("another change does not take it along", func(t *testing.T) {
		m, s := refused(t)
		mend(m, s)
		changes, err := s.up(in{"assumeRolePolicy": after["assumeRolePolicy"], "description": "x"})
		require.NoError(t, err)
		assert.True(t, changes)
		assert.NotContains(t, role(m, s), "nobody")
	})
	t.Run("taking it back is a change", func(t *testing.T) {
		m, s := refused(t)
		changes, err := s.up(before)
		require.NoError(t, err)
		assert.True(t, changes)
		assert.Contains(t, role(m, s), "ec2.amazonaws.com")
		changes, err = s.up(before)
		require.NoError(t, err)
		assert.False(t, changes)
	})
}

// The types whose update sends everything make it up for themselves.
func TestWhatIsSentAgainIsMadeByTheSameCommand(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, "")
	arn := made(t, p, "aws:sns/topic:Topic", in{}).outputs.AsMap()["arn"].(string)
	policy := func(principal string) in {
		return in{
			"arn": arn,
			"policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
				`"Principal":` + principal + `,"Action":"sns:Publish","Resource":"` + arn + `"}}`,
		}
	}
	s := made(t, p, "aws:sns/topicPolicy:TopicPolicy", policy(`{"Service":"cloudwatch.amazonaws.com"}`))
	after := policy(`{"Service":"events.amazonaws.com"}`)
	err := Refusal(&pulumirpc.UpdateRequest{Urn: s.urn, Id: s.id, Olds: s.outputs, OldInputs: s.inputs, News: pack(t, after)},
		errors.New("Throttling"))
	s.outputs, s.initError = initFailed(t, err).GetProperties(), true
	changes, err := s.up(after)
	require.NoError(t, err)
	assert.False(t, changes)
	_, out, _ := m.Read("aws:sns/topicPolicy:TopicPolicy", s.id)
	assert.Contains(t, out["policy"].StringValue(), "events")
}

func TestAFrameworkTypeKeepsItsState(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	vpc := made(t, p, vpcType, in{"cidrBlock": "10.0.0.0/16"})
	group := made(t, p, "aws:ec2/securityGroup:SecurityGroup", in{"vpcId": vpc.id})
	rule := in{"securityGroupId": group.id, "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "referencedSecurityGroupId": group.id}
	s := made(t, p, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", rule)
	rule["referencedSecurityGroupId"] = "sg-00000000000000000"
	for range 2 {
		changes, err := s.up(rule)
		assert.True(t, changes)
		require.ErrorContains(t, err, "InvalidGroup.NotFound")
		assert.NotContains(t, err.Error(), "1 error occurred")
		assert.False(t, s.initError)
	}
}

func TestATypeWithoutUpdateWaitsForARefresh(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	name := made(t, p, roleType, trust(`{"Service":"ec2.amazonaws.com"}`)).id
	attachment := in{"role": name, "policyArn": "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"}
	s := made(t, p, "aws:iam/rolePolicyAttachment:RolePolicyAttachment", attachment)
	s.initError = true
	for range 2 {
		_, err := s.up(attachment)
		require.ErrorContains(t, err, "doesn't support update")
	}
	s.refresh()
	_, err := s.up(attachment)
	require.NoError(t, err)
}

// What came up failed is read, and so is green, and after a refresh nothing tells.
func TestWhatCameUpFailedIsReadOnly(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, "")
	inputs := nat(t, p, true)
	m.Spoil(natType, "n", "unexpected state 'failed', wanted target 'available'")
	checked, _, err := run(t, p, natType, "n", inputs)
	f := initFailed(t, err)
	require.ErrorContains(t, err, "creating "+urn(natType, "n")+": 1 error occurred:\n\t* waiting for EC2 NAT Gateway (nat-0")
	s := &state{t: t, p: p, urn: urn(natType, "n"), id: f.GetId(), inputs: checked, outputs: f.GetProperties(), initError: true}
	changes, err := s.up(inputs)
	require.NoError(t, err)
	assert.False(t, changes)
	s.refresh()
	changes, err = s.up(inputs)
	require.NoError(t, err)
	assert.False(t, changes)
	for _, i := range m.Inventory() {
		if i.Type == natType {
			assert.Equal(t, "FAILED", i.Status)
		}
	}
}

// What AWS adds to an object or fills in by itself is no difference.
func TestWhatAWSAddedIsNoChange(t *testing.T) {
	assert.Equal(t, pack(t, in{"a": in{"b": 1}, "d": true}).AsMap(), func() in {
		outputs, _ := read(pack(t, in{"a": in{"b": 1, "c": 2}, "d": true, "e": 3}))
		before, _ := read(pack(t, in{"a": in{"b": 0}}))
		after, _ := read(pack(t, in{"a": in{"b": 1}, "d": true}))
		out, _ := write(believed(outputs, before, after))
		return out.AsMap()
	}())
}

// Somebody may have deleted by hand what the state still has.
func TestAnUpdateOfWhatIsGoneFails(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	olds := pack(t, in{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": false})
	_, err := p.Update(t.Context(), &pulumirpc.UpdateRequest{
		Id: "vpc-0", Urn: urn(vpcType, "v"), Olds: olds, OldInputs: olds, News: pack(t,
			in{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true}),
	})
	require.ErrorContains(t, err, "couldn't find resource")
}
