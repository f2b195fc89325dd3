package eksprovider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsprovider"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// engine is as much of the Pulumi engine as a component needs; it makes AWS's resources in a model.
type engine struct {
	pulumirpc.UnimplementedResourceMonitorServer
	pulumirpc.UnimplementedEngineServer
	model    *awsmodel.Model
	dryRun   bool
	endpoint string // the cluster's; default one that answers

	mu         sync.Mutex
	registered []*pulumirpc.RegisterResourceRequest
	invoked    []string
	shown      []string
}

func (e *engine) SupportsFeature(context.Context, *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	return &pulumirpc.SupportsFeatureResponse{HasSupport: true}, nil
}

func (e *engine) Log(_ context.Context, req *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = append(e.shown, req.GetMessage())
	return &emptypb.Empty{}, nil
}

func (e *engine) RegisterResourceOutputs(context.Context, *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (e *engine) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (e *engine) Invoke(_ context.Context, req *pulumirpc.ResourceInvokeRequest) (*pulumirpc.ResourceInvokeResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invoked = append(e.invoked, req.GetTok())
	ret, err := structpb.NewStruct(map[string]any{"partition": "aws", "dnsSuffix": "amazonaws.com"})
	return &pulumirpc.ResourceInvokeResponse{Return: ret}, err
}

func (e *engine) RegisterResource(ctx context.Context, req *pulumirpc.RegisterResourceRequest) (
	*pulumirpc.RegisterResourceResponse, error,
) {
	e.mu.Lock()
	e.registered = append(e.registered, req)
	e.mu.Unlock()
	urn := fmt.Sprintf("urn:pulumi:dev::expense::%s::%s", req.GetType(), req.GetName())
	resp := &pulumirpc.RegisterResourceResponse{Urn: urn}
	if !req.GetCustom() {
		return resp, nil
	}
	if e.dryRun || !strings.HasPrefix(req.GetType(), "aws:") {
		if !e.dryRun {
			resp.Id = "id"
		}
		resp.Object = req.GetObject()
		if req.GetType() == "aws:eks/cluster:Cluster" { // as in a preview of a change
			resp.Object.Fields["endpoint"] = structpb.NewStringValue(e.endpoint)
		}
		return resp, nil
	}
	in, err := plugin.UnmarshalProperties(req.GetObject(), plugin.MarshalOptions{KeepSecrets: true, KeepOutputValues: true})
	if err != nil {
		return nil, err
	}
	id, out, err := awsprovider.Client{Model: e.model}.Create(ctx, req.GetType(), req.GetName(), in)
	if err != nil {
		return nil, err
	}
	resp.Id = id
	if out.HasValue("endpoint") {
		out["endpoint"] = resource.NewProperty(e.endpoint)
	}
	resp.Object, err = plugin.MarshalProperties(out, plugin.MarshalOptions{})
	return resp, err
}

func (e *engine) serve(t *testing.T) string {
	t.Helper()
	if e.endpoint == "" {
		api := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(api.Close)
		e.endpoint = api.URL
	}
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: cancel, Init: func(s *grpc.Server) error {
		pulumirpc.RegisterResourceMonitorServer(s, e)
		pulumirpc.RegisterEngineServer(s, e)
		return nil
	}})
	require.NoError(t, err)
	t.Cleanup(func() { close(cancel); <-handle.Done })
	return fmt.Sprintf("127.0.0.1:%d", handle.Port)
}

// cli puts an aws command on PATH that prints a version.
func cli(t *testing.T, version string) {
	t.Helper()
	dir := t.TempDir()
	if version != "" {
		script := "#!/bin/sh\necho 'aws-cli/" + version + " Python/3.11.6'\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "aws"), []byte(script), 0o700))
	}
	t.Setenv("PATH", dir)
}

func client(t *testing.T, engineAddress string) pulumirpc.ResourceProviderClient {
	t.Helper()
	port, stop, err := Serve(t.Context(), Options{Patience: 60 * time.Millisecond})
	require.NoError(t, err)
	conn, err := grpc.NewClient(
		fmt.Sprintf("127.0.0.1:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions(),
	)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()); stop(); stop() })
	p := pulumirpc.NewResourceProviderClient(conn)
	if engineAddress != "" {
		_, err = p.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{EngineAddress: engineAddress})
		require.NoError(t, err)
	}
	info, err := p.GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, "3.9.1", info.GetVersion())
	return p
}

func arguments(subnets ...any) map[string]any {
	return map[string]any{
		"name": "expense", "version": "1.35", "vpcId": "vpc-1", "privateSubnetIds": subnets, "authenticationMode": "API",
		"endpointPrivateAccess": true, "endpointPublicAccess": true, "publicAccessCidrs": []any{"203.0.113.0/24"},
		"enabledClusterLogTypes": []any{"api"}, "kubernetesServiceIpAddressRange": "10.100.0.0/16",
		"skipDefaultNodeGroup": true, "skipDefaultSecurityGroups": true, "createOidcProvider": false, "useDefaultVpcCni": true,
		"kubeProxyAddonOptions": map[string]any{
			"enabled": false, "resolveConflictsOnCreate": "OVERWRITE", "resolveConflictsOnUpdate": "OVERWRITE",
		},
		"tags":                   map[string]any{"team": "a"},
		"providerCredentialOpts": map[string]any{},
	}
}

func constructRequest(t *testing.T, monitor string, args map[string]any, dryRun bool) *pulumirpc.ConstructRequest {
	t.Helper()
	in, err := plugin.MarshalProperties(
		resource.NewPropertyMapFromMap(args), plugin.MarshalOptions{KeepUnknowns: true, KeepOutputValues: true},
	)
	require.NoError(t, err)
	return &pulumirpc.ConstructRequest{Project: "expense", Stack: "dev", MonitorEndpoint: monitor, Type: "eks:index:Cluster",
		Name: "expense", DryRun: dryRun, Inputs: in,
		Parallel: 4, Providers: map[string]string{"aws": "urn:pulumi:dev::expense::pulumi:providers:aws::aws::provider-id"}}
}

func subnets(t *testing.T, m *awsmodel.Model) []any {
	t.Helper()
	vpc, _, err := m.Create(
		t.Context(), "aws:ec2/vpc:Vpc", "v",
		resource.NewPropertyMapFromMap(map[string]any{"cidrBlock": "192.168.0.0/16", "enableDnsHostnames": true}),
	)
	require.NoError(t, err)
	var ids []any
	for i, zone := range []string{"use1-az1", "use1-az2"} {
		id, _, err := m.Create(
			t.Context(), "aws:ec2/subnet:Subnet", "s",
			resource.NewPropertyMapFromMap(map[string]any{"vpcId": vpc, "availabilityZoneId": zone, "cidrBlock": fmt.Sprintf("192.168.%d.0/24", i)}),
		)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

// Not parallel: PATH is the process's.
func TestConstruct(t *testing.T) {
	cli(t, "2.15.0")
	e := &engine{model: awsmodel.New(awsmodel.Options{})}
	address := e.serve(t)
	p := client(t, address)
	resp, err := p.Construct(t.Context(), constructRequest(t, address, arguments(subnets(t, e.model)...), false))
	require.NoError(t, err)
	assert.Equal(t, "urn:pulumi:dev::expense::eks:index:Cluster::expense", resp.GetUrn())

	type child struct{ typ, name, parent string }
	byName := map[string]*pulumirpc.RegisterResourceRequest{}
	var got []child
	for _, r := range e.registered {
		parent := r.GetParent()
		got = append(got, child{r.GetType(), r.GetName(), parent[strings.LastIndex(parent, ":")+1:]})
		byName[r.GetName()] = r
	}
	assert.ElementsMatch(t, []child{
		{"eks:index:Cluster", "expense", ""},
		{"eks:index:ServiceRole", "expense-eksRole", "expense"},
		{"aws:iam/role:Role", "expense-eksRole-role", "expense-eksRole"},
		{"aws:iam/rolePolicyAttachment:RolePolicyAttachment", "expense-eksRole-4b490823", "expense-eksRole"},
		{"aws:eks/cluster:Cluster", "expense-eksCluster", "expense"},
		{"pulumi:providers:kubernetes", "expense-eks-k8s", "expense"},
	}, got)
	assert.Equal(t, []string{"aws:index/getPartition:getPartition"}, e.invoked)
	assert.Equal(t, "4.19.0", byName["expense-eks-k8s"].GetVersion())

	cluster := byName["expense-eksCluster"]
	in := cluster.GetObject().AsMap()
	assert.Equal(t, map[string]any{"Name": "expense-eksCluster", "team": "a"}, in["tags"])
	assert.Equal(t, map[string]any{"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": true}, in["accessConfig"])
	assert.Equal(t, map[string]any{"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"}, in["kubernetesNetworkConfig"])
	assert.ElementsMatch(
		t, []string{"name", "version", "roleArn", "vpcConfig", "accessConfig", "tags", "enabledClusterLogTypes", "kubernetesNetworkConfig"},
		slices.Collect(maps.Keys(in)),
	)
	assert.Equal(t, []string{"accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons"}, cluster.GetIgnoreChanges())
	assert.Contains(
		t, strings.Join(cluster.GetDependencies(), " "), "expense-eksRole-4b490823", "the policy is attached before the cluster is made",
	)
	for _, name := range []string{"expense-eksRole-role", "expense-eksRole-4b490823", "expense-eksCluster"} {
		assert.Contains(t, byName[name].GetProvider(), "pulumi:providers:aws::aws::provider-id", "%s uses the caller's provider", name)
	}

	state := resp.GetState().AsMap()
	assert.Regexp(t, `^sg-0`, state["clusterSecurityGroupId"])
	assert.Equal(t, state["clusterSecurityGroupId"], state["nodeSecurityGroupId"])
	assert.Regexp(t, `^https://oidc\.eks\.us-east-1\.amazonaws\.com/id/`, state["oidcProviderUrl"])
	assert.Equal(t, state["oidcProviderUrl"], "https://"+state["oidcIssuer"].(string))
	assert.Empty(t, state["oidcProviderArn"])
	kubeconfig := parse(t, state["kubeconfigJson"])
	assert.Equal(t, "aws", kubeconfig.Users[0].User.Exec.Command)
	assert.Equal(t, getToken, kubeconfig.Users[0].User.Exec.Args)
	assert.Regexp(t, `^https://`, kubeconfig.Clusters[0].Cluster["server"])
	assert.NotEmpty(t, kubeconfig.Clusters[0].Cluster["certificate-authority-data"])
}

var getToken = []string{"--region", "us-east-1", "eks", "get-token", "--cluster-name", "expense", "--output", "json"}

type config struct {
	Clusters []struct{ Cluster map[string]string }
	Users    []struct {
		User struct {
			Exec struct {
				Command string
				Args    []string
			}
		}
	}
}

func parse(t *testing.T, text any) (c config) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text.(string)), &c))
	return c
}

// The component's own provider gets the profile; what it hands over has the role only.
func TestTheProfileIsNotHandedOver(t *testing.T) {
	cli(t, "2.15.0")
	e := &engine{model: awsmodel.New(awsmodel.Options{})}
	address := e.serve(t)
	args := arguments(subnets(t, e.model)...)
	args["providerCredentialOpts"] = map[string]any{"profileName": "work", "roleArn": "arn:aws:iam::111122223333:role/Deploy"}
	resp, err := client(t, address).Construct(t.Context(), constructRequest(t, address, args, false))
	require.NoError(t, err)
	want := append(slices.Clone(getToken), "--role", "arn:aws:iam::111122223333:role/Deploy")
	assert.Equal(t, want, parse(t, resp.GetState().AsMap()["kubeconfigJson"]).Users[0].User.Exec.Args)
	own := slices.IndexFunc(e.registered, func(r *pulumirpc.RegisterResourceRequest) bool { return r.GetName() == "expense-eks-k8s" })
	assert.Equal(t, append(want, "--profile", "work"), parse(t, e.registered[own].GetObject().AsMap()["kubeconfig"]).Users[0].User.Exec.Args)
}

func TestConstructInPreview(t *testing.T) {
	cli(t, "2.15.0")
	e := &engine{model: awsmodel.New(awsmodel.Options{}), dryRun: true}
	address := e.serve(t)
	args := arguments()
	args["privateSubnetIds"] = resource.NewProperty(resource.Output{})
	args["vpcId"] = resource.NewProperty(resource.Output{})
	resp, err := client(t, address).Construct(t.Context(), constructRequest(t, address, args, true))
	require.NoError(t, err)
	assert.Len(t, e.registered, 6)
	assert.Equal(t, plugin.UnknownStringValue, resp.GetState().AsMap()["kubeconfigJson"])
	assert.Empty(t, e.shown, "no endpoint is waited for")
	assert.Empty(t, e.model.Inventory())
}

// A public endpoint that does not answer is waited for, at every update and in no preview; nothing fails for that.
func TestTheEndpointIsWaitedFor(t *testing.T) {
	cli(t, "2.15.0")
	asked := atomic.Int32{}
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/healthz", r.URL.Path)
		if asked.Add(1); strings.HasPrefix(r.Host, "127.0.0.1") {
			w.WriteHeader(http.StatusForbidden)
		} else if asked.Load() < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(api.Close)
	never := api.URL
	third := strings.Replace(never, "127.0.0.1", "localhost", 1)
	for name, test := range map[string]struct {
		endpoint string
		private  bool
		asked    int
		last     string
	}{
		"that never answers":      {endpoint: never, asked: 60, last: "Waiting up to (5) more seconds for cluster readiness..."},
		"that answers in the end": {endpoint: third, asked: 3, last: "Cluster is ready"},
		"that is private":         {endpoint: never, private: true},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			e := &engine{model: awsmodel.New(awsmodel.Options{}), endpoint: test.endpoint}
			address := e.serve(t)
			args := arguments(subnets(t, e.model)...)
			if test.private {
				args["endpointPublicAccess"] = false
				delete(args, "publicAccessCidrs")
			}
			resp, err := client(t, address).Construct(t.Context(), constructRequest(t, address, args, false))
			require.NoError(t, err)
			assert.Equal(t, test.endpoint, parse(t, resp.GetState().AsMap()["kubeconfigJson"]).Clusters[0].Cluster["server"])
			assert.EqualValues(t, test.asked, asked.Load())
			if test.last != "" {
				assert.Equal(t, test.last, e.shown[len(e.shown)-1])
			}
			if test.asked > 1 {
				assert.Equal(t, "Waiting up to (300) more seconds for cluster readiness...", e.shown[0])
			}
		})
	}
}

func TestAWSRefusal(t *testing.T) {
	cli(t, "2.15.0")
	e := &engine{model: awsmodel.New(awsmodel.Options{})}
	address := e.serve(t)
	_, err := client(t, address).Construct(t.Context(), constructRequest(t, address, arguments(subnets(t, e.model)[0]), false))
	require.Error(t, err)
}

func TestCLI(t *testing.T) {
	for version, want := range map[string]string{
		"": "could not find the aws CLI", "2.6.9": "at least v2.7.0", "1.23.0": "at least v1.24.0", "x": "expected aws-cli/X.Y.Z",
		"2.7.0": "no engine", "1.24.0": "no engine",
	} {
		cli(t, version)
		_, err := client(t, "").Construct(t.Context(), constructRequest(t, "", arguments("subnet-1"), false))
		require.ErrorContains(t, err, want, version)
	}
}

func TestRefusedArguments(t *testing.T) {
	cli(t, "2.15.0")
	p := client(t, "")
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"authenticationMode":        {"CONFIG_MAP", "authenticationMode is CONFIG_MAP"},
		"skipDefaultNodeGroup":      {nil, "skipDefaultNodeGroup is not set"},
		"skipDefaultSecurityGroups": {false, "skipDefaultSecurityGroups is false"},
		"useDefaultVpcCni":          {false, "useDefaultVpcCni is false"},
		"kubeProxyAddonOptions":     {map[string]any{"enabled": true}, "kube-proxy add-on is not modelled"},
		"createOidcProvider":        {true, "opens TLS to AWS"},
		"corednsAddonOptions":       {map[string]any{}, "argument corednsAddonOptions is not modelled"},
		"accessEntries":             {map[string]any{}, "argument accessEntries is not modelled"},
		"vpcId":                     {nil, "default VPC"},
		"providerCredentialOpts":    {nil, "the shell's AWS_PROFILE"},
		"subnetIds":                 {[]any{"a"}, "mutually exclusive"},
		"endpointPublicAccess":      {false, "can only be set when"},
	} {
		args := arguments("subnet-1")
		if args[name] = c.value; c.value == nil {
			delete(args, name)
		}
		_, err := p.Construct(t.Context(), constructRequest(t, "", args, false))
		require.ErrorContains(t, err, c.want, name)
	}
	req := constructRequest(t, "", arguments("subnet-1"), false)
	req.Type = "eks:index:ManagedNodeGroup"
	_, err := p.Construct(t.Context(), req)
	require.ErrorContains(t, err, "eks:index:ManagedNodeGroup is not modelled")
	for _, s := range NotModelled {
		assert.NotEmpty(t, s)
	}
}
