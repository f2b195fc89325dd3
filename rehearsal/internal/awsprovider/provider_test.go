package awsprovider

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

type in = map[string]any

const (
	vpcType   = "aws:ec2/vpc:Vpc"
	roleType  = "aws:iam/role:Role"
	groupType = "aws:cloudwatch/logGroup:LogGroup"
)

func urn(typ, name string) string { return "urn:pulumi:dev::expense::" + typ + "::" + name }

func pack(t *testing.T, v in) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(v), plugin.MarshalOptions{KeepUnknowns: true})
	require.NoError(t, err)
	return s
}

func client(t *testing.T, m *awsmodel.Model, tags string) pulumirpc.ResourceProviderClient {
	t.Helper()
	port, stop, err := Serve(t.Context(), m)
	require.NoError(t, err)
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()),
		rpcutil.GrpcChannelOptions())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()); stop(); stop() })
	p := pulumirpc.NewResourceProviderClient(conn)
	_, err = p.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{})
	require.NoError(t, err)
	args := in{"region": m.Region()}
	if tags != "" {
		args["defaultTags"] = tags
	}
	resp, err := p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, args)})
	require.NoError(t, err)
	assert.True(t, resp.GetSupportsPreview())
	assert.False(t, resp.GetAcceptSecrets(), "the engine keeps secrets for us")
	return p
}

// run is check and create, as the engine does.
func run(t *testing.T, p pulumirpc.ResourceProviderClient, typ, name string, inputs in) (*structpb.Struct, *pulumirpc.CreateResponse,
	error) {
	t.Helper()
	checked, err := p.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn(typ, name), News: pack(t, inputs), RandomSeed: []byte("s")})
	require.NoError(t, err)
	require.Empty(t, checked.GetFailures())
	resp, err := p.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(typ, name), Properties: checked.GetInputs()})
	return checked.GetInputs(), resp, err
}

func TestInfoAndConfig(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	info, err := p.GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, "6.83.4", info.GetVersion())
	_, err = p.Attach(t.Context(), &pulumirpc.PluginAttach{})
	require.NoError(t, err)

	for region, failures := range map[string]int{"": 1, "us-east-1": 0} {
		resp, err := p.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: pack(t, in{"region": region})})
		require.NoError(t, err)
		assert.Len(t, resp.GetFailures(), failures)
	}
	_, err = p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, in{"region": "eu-west-1"})})
	require.ErrorContains(t, err, `the provider's region is "eu-west-1", the rehearsal's account is in us-east-1`)
	_, err = p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, in{"region": "us-east-1", "defaultTags": "{"})})
	require.ErrorContains(t, err, "defaultTags")
	_, err = p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, in{"region": "us-east-1", "ignoreTags": "{}"})})
	require.ErrorContains(t, err, `provider settings: json: unknown field "ignoreTags"`)

	for _, c := range []struct {
		olds, news in
		want       pulumirpc.DiffResponse_DiffChanges
		replaces   []string
	}{
		{in{"region": "a", "version": "1"}, in{"region": "a", "version": "2"}, pulumirpc.DiffResponse_DIFF_NONE, nil},
		{in{"region": "a"}, in{"region": "b"}, pulumirpc.DiffResponse_DIFF_SOME, []string{"region"}},
		{in{"defaultTags": "a"}, in{"defaultTags": "b"}, pulumirpc.DiffResponse_DIFF_SOME, nil},
	} {
		resp, err := p.DiffConfig(t.Context(), &pulumirpc.DiffRequest{OldInputs: pack(t, c.olds), News: pack(t, c.news)})
		require.NoError(t, err)
		assert.Equal(t, c.want, resp.GetChanges())
		assert.Equal(t, c.replaces, resp.GetReplaces())
	}
}

// The rehearsal's account is refused as AWS's would be, however the lists come; who signs in to it is of no matter.
func TestAWrongAccountIsRefused(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	for _, c := range []struct {
		args    in
		refused bool
	}{
		{
			in{"allowedAccountIds": `["111122223333"]`, "profile": "work", "assumeRole": `{"roleArn": "arn:aws:iam::111122223333:role/a"}`},
			false,
		},
		{
			in{"allowedAccountIds": []any{"999999999999", "111122223333"}, "assumeRole": in{"roleArn": "arn:aws:iam::111122223333:role/a"}},
			false,
		},
		{in{"forbiddenAccountIds": `["999999999999"]`}, false},
		{in{"allowedAccountIds": `["999999999999"]`}, true},
		{in{"allowedAccountIds": []any{"999999999999"}}, true},
		{in{"forbiddenAccountIds": `["999999999999", "111122223333"]`}, true},
	} {
		c.args["region"] = "us-east-1"
		_, err := p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, c.args)})
		if c.refused {
			assert.ErrorContains(t, err, "AWS account ID not allowed: 111122223333")
		} else {
			assert.NoError(t, err)
		}
	}
}

func TestCheckNamesAndTags(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), `{"tags":{"stack":"dev","team":"a"}}`)
	check := func(typ string, olds, news in) *pulumirpc.CheckResponse {
		resp, err := p.Check(t.Context(),
			&pulumirpc.CheckRequest{Urn: urn(typ, "web"), Olds: pack(t, olds), News: pack(t, news), RandomSeed: []byte("seed")})
		require.NoError(t, err)
		return resp
	}
	auto := check(groupType, nil, in{"tags": in{"team": "b"}}).GetInputs().AsMap()
	assert.Regexp(t, `^web-[0-9a-f]{7}$`, auto["name"])
	assert.Equal(t, []any{"name"}, auto["__defaults"])
	assert.Equal(t, in{"stack": "dev", "team": "b"}, auto["tags"], "the resource's own tag wins")

	again := check(groupType, auto, in{}).GetInputs().AsMap()
	assert.Equal(t, auto["name"], again["name"], "an automatic name stays")
	other := check(groupType, in{"name": "mine", "__defaults": []any{}}, in{}).GetInputs().AsMap()
	assert.Regexp(t, `^web-`, other["name"], "a given name does not")
	named := check(groupType, nil, in{"name": "mine"}).GetInputs().AsMap()
	assert.Equal(t, []any{}, named["__defaults"])

	untagged := check("aws:iam/rolePolicyAttachment:RolePolicyAttachment", nil, in{
		"role": "r", "policyArn": "arn:aws:iam::aws:policy/x",
	}).GetInputs().AsMap()
	assert.NotContains(t, untagged, "tags")

	failures := check(groupType, nil, in{"retentionInDays": 2}).GetFailures()
	require.Len(t, failures, 1)
	assert.Equal(t, "retentionInDays", failures[0].GetProperty())

	_, err := p.Check(t.Context(), &pulumirpc.CheckRequest{Urn: urn("aws:s3/bucket:Bucket", "b"), News: pack(t, nil)})
	require.ErrorContains(t, err, "aws:s3/bucket:Bucket")
}

func TestLifeCycle(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, `{"tags":{"stack":"dev"}}`)
	inputs, created, err := run(t, p, vpcType, "net", in{"cidrBlock": "10.0.0.0/16"})
	require.NoError(t, err)
	out := created.GetProperties().AsMap()
	assert.Equal(t, in{"stack": "dev"}, out["tagsAll"])

	read, err := p.Read(t.Context(),
		&pulumirpc.ReadRequest{Id: created.GetId(), Urn: urn(vpcType, "net"), Properties: created.GetProperties(), Inputs: inputs})
	require.NoError(t, err)
	assert.Equal(t, out, read.GetProperties().AsMap(), "a refresh finds no drift")
	assert.Equal(t, inputs.AsMap(), read.GetInputs().AsMap())

	diff := func(news in) *pulumirpc.DiffResponse {
		resp, err := p.Diff(t.Context(),
			&pulumirpc.DiffRequest{
				Id: created.GetId(), Urn: urn(vpcType, "net"), OldInputs: inputs, Olds: created.GetProperties(), News: pack(t, news),
			})
		require.NoError(t, err)
		return resp
	}
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, diff(inputs.AsMap()).GetChanges())
	r := diff(in{"cidrBlock": "10.1.0.0/16", "tags": in{"stack": "dev", "a": "b"}})
	assert.Equal(t, []string{"cidrBlock"}, r.GetReplaces())
	assert.ElementsMatch(t, []string{"cidrBlock", "tags"}, r.GetDiffs())
	assert.Equal(t, pulumirpc.PropertyDiff_UPDATE_REPLACE, r.GetDetailedDiff()["cidrBlock"].GetKind())
	assert.Equal(t, pulumirpc.PropertyDiff_ADD, r.GetDetailedDiff()["tags.a"].GetKind())
	assert.False(t, r.GetDeleteBeforeReplace())

	news := in{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true}
	preview, err := p.Update(t.Context(),
		&pulumirpc.UpdateRequest{
			Id: created.GetId(), Urn: urn(vpcType, "net"), Olds: created.GetProperties(), OldInputs: inputs, News: pack(t, news),
			Preview: true,
		})
	require.NoError(t, err)
	assert.Equal(t, true, preview.GetProperties().AsMap()["enableDnsHostnames"])
	assert.Equal(t, out["arn"], preview.GetProperties().AsMap()["arn"])
	_, now, _ := m.Read(vpcType, created.GetId())
	assert.False(t, now["enableDnsHostnames"].BoolValue(), "a preview changes nothing")
	_, err = p.Update(t.Context(),
		&pulumirpc.UpdateRequest{
			Id: created.GetId(), Urn: urn(vpcType, "net"), Olds: created.GetProperties(), OldInputs: inputs, News: pack(t, news),
		})
	require.NoError(t, err)

	_, err = p.Delete(t.Context(), &pulumirpc.DeleteRequest{Id: created.GetId(), Urn: urn(vpcType, "net")})
	require.NoError(t, err)
	gone, err := p.Read(t.Context(), &pulumirpc.ReadRequest{Id: created.GetId(), Urn: urn(vpcType, "net")})
	require.NoError(t, err)
	assert.Empty(t, gone.GetId())
	assert.Empty(t, m.Inventory())
}

func TestFixedNameIsDeletedFirst(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	trust := func(service string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}}`
	}
	for defaults, want := range map[string]bool{"": true, "name": false} {
		list := []any{}
		if defaults != "" {
			list = append(list, defaults)
		}
		resp, err := p.Diff(t.Context(), &pulumirpc.DiffRequest{Urn: urn(roleType, "r"), OldInputs: pack(t,
			in{"name": "x", "path": "/a/", "assumeRolePolicy": trust("ec2.amazonaws.com")}),
			News: pack(t, in{"name": "x", "path": "/b/", "assumeRolePolicy": trust("ec2.amazonaws.com"), "__defaults": list})})
		require.NoError(t, err)
		assert.Equal(t, want, resp.GetDeleteBeforeReplace())
	}
}

func TestPreviewOfACreation(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, "")
	resp, err := p.Create(t.Context(),
		&pulumirpc.CreateRequest{
			Urn: urn(vpcType, "v"), Properties: pack(t, in{"cidrBlock": "10.0.0.0/16", "__defaults": []any{}}), Preview: true,
		})
	require.NoError(t, err)
	out := resp.GetProperties().AsMap()
	assert.Equal(t, "10.0.0.0/16", out["cidrBlock"])
	assert.Equal(t, plugin.UnknownStringValue, out["arn"])
	assert.NotContains(t, out, "__defaults")
	assert.Empty(t, m.Inventory())

	const template = "aws:ec2/launchTemplate:LaunchTemplate"
	_, created, err := run(t, p, template, "t", in{})
	require.NoError(t, err)
	up, err := p.Update(t.Context(),
		&pulumirpc.UpdateRequest{
			Id: created.GetId(), Urn: urn(template, "t"), Olds: created.GetProperties(), News: pack(t, in{"description": "x"}),
			Preview: true,
		})
	require.NoError(t, err)
	assert.Equal(t, plugin.UnknownStringValue, up.GetProperties().AsMap()["latestVersion"], "whoever uses the version is rolled")
}

func TestRefusalLeavesNothing(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	_, _, err := run(t, client(t, m, ""), "aws:ec2/subnet:Subnet", "s", in{"vpcId": "vpc-00000000000000000", "cidrBlock": "10.0.0.0/24"})
	require.ErrorContains(t, err, "api error InvalidVpcID.NotFound: The vpc ID 'vpc-00000000000000000' does not exist")
	for _, d := range rpcerror.Convert(err).Details() {
		_, partial := d.(*pulumirpc.ErrorResourceInitFailed)
		assert.False(t, partial)
	}
	assert.Empty(t, m.Inventory())
}

// nat makes what a NAT gateway needs, and gives its inputs.
func nat(t *testing.T, p pulumirpc.ResourceProviderClient, gateway bool) in {
	t.Helper()
	_, vpc, err := run(t, p, vpcType, "v", in{"cidrBlock": "10.0.0.0/16"})
	require.NoError(t, err)
	if gateway {
		_, _, err = run(t, p, "aws:ec2/internetGateway:InternetGateway", "i", in{"vpcId": vpc.GetId()})
		require.NoError(t, err)
	}
	_, subnet, err := run(t, p, "aws:ec2/subnet:Subnet", "s", in{"vpcId": vpc.GetId(), "cidrBlock": "10.0.0.0/24"})
	require.NoError(t, err)
	_, eip, err := run(t, p, "aws:ec2/eip:Eip", "e", in{})
	require.NoError(t, err)
	return in{"subnetId": subnet.GetId(), "allocationId": eip.GetId()}
}

func initFailed(t *testing.T, err error) *pulumirpc.ErrorResourceInitFailed {
	t.Helper()
	for _, d := range rpcerror.Convert(err).Details() {
		if f, ok := d.(*pulumirpc.ErrorResourceInitFailed); ok {
			return f
		}
	}
	t.Fatalf("no details in %v", err)
	return nil
}

const natType = "aws:ec2/natGateway:NatGateway"

func TestFailureAfterCreationKeepsTheResource(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, "")
	_, _, err := run(t, p, natType, "n", nat(t, p, false))
	f := initFailed(t, err)
	assert.True(t, strings.HasPrefix(f.GetId(), "nat-0"))
	assert.Contains(t, f.GetReasons()[0], "Gateway.NotAttached")
	assert.NotEmpty(t, f.GetProperties().AsMap()["networkInterfaceId"])
	assert.NotEmpty(t, f.GetInputs().AsMap()["subnetId"])
	_, err = p.Delete(t.Context(), &pulumirpc.DeleteRequest{Id: f.GetId(), Urn: urn(natType, "n")})
	require.NoError(t, err)
}

func TestCancel(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	inputs := pack(t, nat(t, p, true))
	_, err := p.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	_, err = p.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(natType, "n"), Properties: inputs})
	assert.Contains(t, initFailed(t, err).GetReasons()[0], context.Canceled.Error(), "what AWS has made is in the state")

	// the next command works again
	_, err = p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, in{"region": "us-east-1"})})
	require.NoError(t, err)
	_, _, err = run(t, p, groupType, "g", in{})
	require.NoError(t, err)
}

func TestInvoke(t *testing.T) {
	for region, partition := range map[string]string{"us-east-1": "aws", "us-gov-west-1": "aws-us-gov"} {
		p := client(t, awsmodel.New(awsmodel.Options{Region: region}), "")
		resp, err := p.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:index/getPartition:getPartition"})
		require.NoError(t, err)
		assert.Equal(t, partition, resp.GetReturn().AsMap()["partition"])
		assert.Equal(t, "amazonaws.com", resp.GetReturn().AsMap()["dnsSuffix"])
		_, err = p.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: "aws:index/getCallerIdentity:getCallerIdentity"})
		require.ErrorContains(t, err, "aws:index/getCallerIdentity:getCallerIdentity is not modelled")
	}
}

// What one command made is known everywhere when the next begins.
func TestTimePassesBetweenCommands(t *testing.T) {
	m := awsmodel.New(awsmodel.Options{})
	p := client(t, m, "")
	before := m.Now()
	_, err := p.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: pack(t, in{"region": "us-east-1"})})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, m.Now()-before, time.Minute)
}

// Whoever uses what AWS added to an object would else seem to change with every change of the object.
func TestPreviewOfAnUpdateKeepsWhatAWSAdded(t *testing.T) {
	p := client(t, awsmodel.New(awsmodel.Options{}), "")
	resp, err := p.Update(t.Context(), &pulumirpc.UpdateRequest{
		Urn: urn("aws:eks/cluster:Cluster", "c"), Preview: true,
		Olds: pack(t,
			in{"vpcConfig": in{"subnetIds": []any{"a", "b"}, "publicAccessCidrs": []any{"x"}, "clusterSecurityGroupId": "sg-0"}}),
		OldInputs: pack(t, in{"vpcConfig": in{"subnetIds": []any{"a", "b"}, "publicAccessCidrs": []any{"x"}}}),
		News:      pack(t, in{"vpcConfig": in{"subnetIds": []any{"a"}}}),
	})
	require.NoError(t, err)
	assert.Equal(t, in{"subnetIds": []any{"a"}, "clusterSecurityGroupId": "sg-0"}, resp.GetProperties().AsMap()["vpcConfig"])
}

// Who compares inputs with outputs meets the bridge's notes in the objects among them; AWS and the model never do.
func TestObjectsAmongTheInputsAreNoted(t *testing.T) {
	objects := in{"vpcConfig": in{"subnetIds": []any{"subnet-1"}}, "list": []any{in{"a": "b"}}, "tags": in{"k": "v"}}
	given := resource.NewPropertyMapFromMap(objects)
	want := in{
		"vpcConfig": in{"subnetIds": []any{"subnet-1"}, "__defaults": []any{}}, "list": []any{in{"a": "b", "__defaults": []any{}}},
		"tags": in{"k": "v"},
	}
	assert.Equal(t, want, noted(given).Mappable())
	assert.Equal(t, objects, unnoted(noted(given)).Mappable())
	assert.Equal(t, objects, given.Mappable())
}
