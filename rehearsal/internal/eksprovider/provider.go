// Package eksprovider is a stand-in for the component provider of pulumi-eks 3.9.1. Its one component, eks:index:Cluster,
// registers with the engine what the real one registers for a cluster with API authentication and nothing of the
// component's own beside the control plane: same types, names, parents and inputs. Arguments with another meaning are
// refused by name.
//
// Source: pulumi/pulumi-eks at v3.9.1, nodejs/eks/cluster/cluster.ts, nodejs/eks/servicerole.ts and
// nodejs/eks/dependencies.ts.
package eksprovider

import (
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumiprovider "github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	// Version is the version of pulumi-eks that the stand-in reports.
	Version = "3.9.1"
	// kubernetesVersion is the pulumi-kubernetes that pulumi-eks 3.9.1 carries and asks for.
	kubernetesVersion = "4.19.0"

	clusterType = "eks:index:Cluster"
)

// NotModelled lists what the stand-in lacks of the real component.
var NotModelled = []string{
	"outputs that are resources (eksCluster, core, instanceRoles, security groups): the program must use the scalar ones",
	"everything but the control plane: node groups, security groups, add-ons, access entries, OIDC provider, Fargate, Auto Mode, storage " +
		"classes",
	"the method getKubeconfig",
}

// Options change what the real component fixes.
type Options struct {
	// Patience is how long it waits for a public endpoint to answer. Default: five minutes, as the real one.
	Patience time.Duration
	// AWS is the aws CLI; default the one on PATH.
	AWS string
}

type server struct {
	pulumirpc.UnimplementedResourceProviderServer
	options Options

	mu     sync.Mutex
	engine *pulumiprovider.HostClient
}

// Serve listens on a free port of 127.0.0.1 until ctx ends or stop is called, which waits for requests under way.
func Serve(ctx context.Context, options Options, serving ...grpc.ServerOption) (port int, stop func(), err error) {
	s := &server{options: options}
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  cancel,
		Options: serving,
		Init: func(g *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(g, s)
			return nil
		},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("eks stand-in: %w", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			close(cancel)
			<-handle.Done
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.engine != nil {
				_ = s.engine.Close()
			}
		})
	}
	context.AfterFunc(ctx, stop)
	return handle.Port, stop, nil
}

// connect remembers the engine that resources are registered with; every run of the CLI has its own.
func (s *server) connect(address string) error {
	client, err := pulumiprovider.NewHostClient(address)
	if err != nil {
		return fmt.Errorf("connecting to the engine at %s: %w", address, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != nil {
		_ = s.engine.Close()
	}
	s.engine = client
	return nil
}

// Handshake is the engine's first call and tells its address.
func (s *server) Handshake(_ context.Context, req *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{
		AcceptSecrets: true, AcceptResources: true, AcceptOutputs: true,
	}, s.connect(req.GetEngineAddress())
}

// Attach is the engine's call to a provider that already runs.
func (s *server) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.connect(req.GetAddress())
}

// GetPluginInfo reports Version.
func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// CheckConfig accepts all: the component provider has no settings.
func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: req.GetNews()}, nil
}

// DiffConfig finds no difference.
func (s *server) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

// Configure needs nothing.
func (s *server) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: true}, nil
}

// Cancel does nothing: the engine cancels the registrations itself.
func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Construct registers the component and its children.
func (s *server) Construct(ctx context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	if err := checkCLI(ctx, s.options.AWS); err != nil {
		return nil, err
	}
	if req.GetType() != clusterType {
		return nil, fmt.Errorf("component %s is not modelled; the stand-in knows %s only", req.GetType(), clusterType)
	}
	if err := checkInputs(req); err != nil {
		return nil, err
	}
	s.mu.Lock()
	engine := s.engine
	s.mu.Unlock()
	if engine == nil {
		return nil, errors.New("no engine has attached to the eks stand-in")
	}
	return pulumiprovider.Construct(ctx, req, engine.EngineConn(), s.construct)
}

// checkCLI looks for the aws CLI that the component's kubeconfig runs.
func checkCLI(ctx context.Context, aws string) error {
	path, err := exec.LookPath(cmp.Or(aws, "aws"))
	if err != nil {
		return errors.New("could not find the aws CLI on PATH, which kubectl and the kubernetes provider need to log in; " +
			"see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("aws --version: %w", err)
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return fmt.Errorf("aws --version printed %q, expected aws-cli/X.Y.Z", out)
	}
	version, err := semver.ParseTolerant(strings.TrimPrefix(words[0], "aws-cli/"))
	if err != nil {
		return fmt.Errorf("aws --version printed %q, expected aws-cli/X.Y.Z: %w", out, err)
	}
	least := semver.MustParse("2.7.0")
	if version.Major == 1 {
		least = semver.MustParse("1.24.0")
	}
	if version.LT(least) {
		return fmt.Errorf("at least v%s of aws-cli is required, found %s at %s", least, version, path)
	}
	return nil
}

// passed are the arguments that go into the resources; fixed those that must have one value, because any other makes the
// real component register more than the stand-in does.
var (
	passed = []string{"name", "version", "vpcId", "publicSubnetIds", "privateSubnetIds", "subnetIds", "endpointPublicAccess",
		"endpointPrivateAccess",
		"publicAccessCidrs", "enabledClusterLogTypes", "encryptionConfigKeyArn", "kubernetesServiceIpAddressRange", "tags", "clusterTags",
		"providerCredentialOpts"}
	fixed = []struct {
		argument, why string
		value         any
		required      bool
	}{
		{"authenticationMode", "other modes write the aws-auth ConfigMap through the Kubernetes API", "API", true},
		{"skipDefaultNodeGroup", "the default node group is not modelled", true, true},
		{"skipDefaultSecurityGroups", "the default security groups are not modelled", true, true},
		{"useDefaultVpcCni", "the component's vpc-cni add-on is not modelled", true, true},
		// The other two are defaults of the Go SDK, without effect while the add-on is off.
		{"kubeProxyAddonOptions", "the component's kube-proxy add-on is not modelled", map[string]any{
			"enabled": false, "resolveConflictsOnCreate": "OVERWRITE", "resolveConflictsOnUpdate": "OVERWRITE",
		}, true},
		{"createOidcProvider", "the component's OIDC provider opens TLS to AWS, also in a preview", false, false},
	}
)

func checkInputs(req *pulumirpc.ConstructRequest) error {
	inputs, err := plugin.UnmarshalProperties(req.GetInputs(), plugin.MarshalOptions{KeepUnknowns: true, SkipNulls: true})
	if err != nil {
		return fmt.Errorf("arguments of %s: %w", req.GetName(), err)
	}
	var problems []string
	known := slices.Clone(passed)
	for _, f := range fixed {
		known = append(known, f.argument)
		got, given := inputs[resource.PropertyKey(f.argument)]
		if given || f.required {
			if want := resource.NewPropertyValue(f.value); !got.DeepEquals(want) {
				problems = append(problems, fmt.Sprintf("%s is %v, the eks stand-in takes only %v: %s", f.argument, show(got), f.value, f.why))
			}
		}
	}
	for _, key := range inputs.StableKeys() {
		if !slices.Contains(known, string(key)) {
			problems = append(problems, fmt.Sprintf("argument %s is not modelled by the eks stand-in", key))
		}
	}
	has := func(k resource.PropertyKey) bool { return inputs.HasValue(k) }
	if !has("vpcId") {
		problems = append(problems, "vpcId is not set: the real component would look up the account's default VPC")
	}
	if !has("providerCredentialOpts") {
		problems = append(
			problems,
			"providerCredentialOpts is not set: the real component would take the shell's AWS_PROFILE, and each person would see another preview",
		)
	}
	if has("subnetIds") && (has("publicSubnetIds") || has("privateSubnetIds")) {
		problems = append(
			problems, "subnetIds, and the use of publicSubnetIds and/or privateSubnetIds are mutually exclusive. Choose a single approach.",
		)
	}
	if v := inputs["endpointPublicAccess"]; has("publicAccessCidrs") && v.IsBool() && !v.BoolValue() {
		problems = append(problems, "`publicAccessCidrs` can only be set when `endpointPublicAccess` is true")
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s %s: %s", clusterType, req.GetName(), strings.Join(problems, "; "))
	}
	return nil
}

func show(v resource.PropertyValue) any {
	switch {
	case v.IsNull():
		return "not set"
	case v.ContainsUnknowns():
		return "not known yet"
	}
	return v.Mappable()
}

type clusterArgs struct {
	Name                            pulumi.StringPtrInput   `pulumi:"name"`
	Version                         pulumi.StringPtrInput   `pulumi:"version"`
	PublicSubnetIDs                 pulumi.StringArrayInput `pulumi:"publicSubnetIds"`
	PrivateSubnetIDs                pulumi.StringArrayInput `pulumi:"privateSubnetIds"`
	SubnetIDs                       pulumi.StringArrayInput `pulumi:"subnetIds"`
	EndpointPublicAccess            pulumi.BoolPtrInput     `pulumi:"endpointPublicAccess"`
	EndpointPrivateAccess           pulumi.BoolPtrInput     `pulumi:"endpointPrivateAccess"`
	PublicAccessCidrs               pulumi.StringArrayInput `pulumi:"publicAccessCidrs"`
	EnabledClusterLogTypes          pulumi.StringArrayInput `pulumi:"enabledClusterLogTypes"`
	EncryptionConfigKeyArn          pulumi.StringPtrInput   `pulumi:"encryptionConfigKeyArn"`
	KubernetesServiceIPAddressRange pulumi.StringPtrInput   `pulumi:"kubernetesServiceIpAddressRange"`
	Tags                            pulumi.StringMapInput   `pulumi:"tags"`
	ClusterTags                     pulumi.StringMapInput   `pulumi:"clusterTags"`
	Credentials                     pulumi.StringMapInput   `pulumi:"providerCredentialOpts"`
}

// cluster is the component; its fields are the outputs, "" where the real one has nothing for these arguments.
type cluster struct {
	pulumi.ResourceState

	Kubeconfig              pulumi.AnyOutput    `pulumi:"kubeconfig"`
	KubeconfigJSON          pulumi.StringOutput `pulumi:"kubeconfigJson"`
	ClusterSecurityGroupID  pulumi.StringOutput `pulumi:"clusterSecurityGroupId"`
	NodeSecurityGroupID     pulumi.StringOutput `pulumi:"nodeSecurityGroupId"`
	ClusterIngressRuleID    pulumi.StringOutput `pulumi:"clusterIngressRuleId"`
	DefaultNodeGroupAsgName pulumi.StringOutput `pulumi:"defaultNodeGroupAsgName"`
	FargateProfileID        pulumi.StringOutput `pulumi:"fargateProfileId"`
	FargateProfileStatus    pulumi.StringOutput `pulumi:"fargateProfileStatus"`
	OidcProviderArn         pulumi.StringOutput `pulumi:"oidcProviderArn"`
	OidcProviderURL         pulumi.StringOutput `pulumi:"oidcProviderUrl"`
	OidcIssuer              pulumi.StringOutput `pulumi:"oidcIssuer"`
	AutoModeNodeRoleName    pulumi.StringOutput `pulumi:"autoModeNodeRoleName"`
}

type awsRole struct {
	pulumi.CustomResourceState
	ARN pulumi.StringOutput `pulumi:"arn"`
}

type awsAttachment struct{ pulumi.CustomResourceState }

type awsCluster struct {
	pulumi.CustomResourceState
	ARN                  pulumi.StringOutput `pulumi:"arn"`
	Name                 pulumi.StringOutput `pulumi:"name"`
	Endpoint             pulumi.StringOutput `pulumi:"endpoint"`
	CertificateAuthority pulumi.MapOutput    `pulumi:"certificateAuthority"`
	VpcConfig            pulumi.MapOutput    `pulumi:"vpcConfig"`
	Identities           pulumi.ArrayOutput  `pulumi:"identities"`
}

func (s *server) construct(ctx *pulumi.Context, _, name string, inputs pulumiprovider.ConstructInputs, opts pulumi.ResourceOption) (
	*pulumiprovider.ConstructResult, error,
) {
	args := &clusterArgs{}
	if err := inputs.CopyTo(args); err != nil {
		return nil, fmt.Errorf("arguments of %s: %w", name, err)
	}
	c := &cluster{}
	if err := ctx.RegisterComponentResource(clusterType, name, c, opts); err != nil {
		return nil, err
	}
	child := pulumi.Parent(c)
	var partition struct {
		Partition string `pulumi:"partition"`
	}
	if err := ctx.Invoke("aws:index/getPartition:getPartition", &struct{}{}, &partition, child); err != nil {
		return nil, fmt.Errorf("partition: %w", err)
	}
	role, attachment, err := serviceRole(ctx, name+"-eksRole", partition.Partition, args, child)
	if err != nil {
		return nil, err
	}
	eks, err := controlPlane(ctx, name+"-eksCluster", args, role, child, pulumi.DependsOn([]pulumi.Resource{role, attachment}))
	if err != nil {
		return nil, err
	}

	endpoint := s.answering(ctx, eks, args)
	// The output has the role and not the profile, which people may name differently (kubeconfigWithoutProfile).
	withProfile := func(profile bool) pulumi.AnyOutput {
		return pulumi.All(eks.Name, endpoint, eks.CertificateAuthority, eks.ARN, args.Credentials).ApplyT(func(v []any) any {
			ca, _ := v[2].(map[string]any)["data"].(string)
			credentials := v[4].(map[string]string)
			var options []string
			if role := credentials["roleArn"]; role != "" {
				options = append(options, "--role", role)
			}
			if name := credentials["profileName"]; profile && name != "" {
				options = append(options, "--profile", name)
			}
			return kubeconfig(v[0].(string), v[1].(string), ca, regionOf(v[3].(string)), options)
		}).(pulumi.AnyOutput)
	}
	c.Kubeconfig = withProfile(false)
	c.KubeconfigJSON = pulumi.JSONMarshal(c.Kubeconfig)
	if err := ctx.RegisterResource("pulumi:providers:kubernetes", name+"-eks-k8s", pulumi.Map{
		"kubeconfig": pulumi.JSONMarshal(withProfile(true)),
	},
		&pulumi.ProviderResourceState{}, child, pulumi.Version(kubernetesVersion)); err != nil {
		return nil, fmt.Errorf("kubernetes provider: %w", err)
	}

	group := eks.VpcConfig.ApplyT(func(v map[string]any) string {
		id, _ := v["clusterSecurityGroupId"].(string)
		return id
	}).(pulumi.StringOutput)
	c.ClusterSecurityGroupID, c.NodeSecurityGroupID = group, group
	c.OidcProviderURL = eks.Identities.ApplyT(issuer).(pulumi.StringOutput)
	c.OidcIssuer = c.OidcProviderURL.ApplyT(func(url string) string { return strings.TrimPrefix(url, "https://") }).(pulumi.StringOutput)
	none := pulumi.String("").ToStringOutput()
	c.ClusterIngressRuleID, c.DefaultNodeGroupAsgName, c.FargateProfileID = none, none, none
	c.FargateProfileStatus, c.OidcProviderArn, c.AutoModeNodeRoleName = none, none, none
	if err := ctx.RegisterResourceOutputs(c, pulumi.Map{"kubeconfig": c.Kubeconfig}); err != nil {
		return nil, err
	}
	return pulumiprovider.NewConstructResult(c)
}

// answering returns the endpoint; a public one after it has answered. The component asks for its health every five seconds, 60 times,
// at every update and in no preview, and then goes on anyway (nodejs/eks/cluster/cluster.ts).
func (s *server) answering(ctx *pulumi.Context, eks *awsCluster, args *clusterArgs) pulumi.StringOutput {
	if ctx.DryRun() || args.EndpointPublicAccess == nil {
		return eks.Endpoint
	}
	const attempts = 60
	pause := cmp.Or(s.options.Patience, 5*time.Minute) / attempts
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // any answer will do
	}}
	show := func(text string) { // an engine that is gone has no user
		_ = ctx.Log.Info(text, &pulumi.LogArgs{Resource: eks, Ephemeral: true})
	}
	return pulumi.All(eks.Endpoint, args.EndpointPublicAccess.ToBoolPtrOutput()).ApplyT(func(v []any) (string, error) {
		endpoint := v[0].(string)
		if public := v[1].(*bool); public == nil || !*public {
			return endpoint, nil
		}
		defer client.CloseIdleConnections()
		for i := range attempts {
			response, err := client.Get(endpoint + "/healthz")
			if err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					show("Cluster is ready")
					return endpoint, nil
				}
			}
			show(fmt.Sprintf("Waiting up to (%d) more seconds for cluster readiness...", (attempts-i)*5))
			select {
			case <-ctx.Context().Done():
				return "", ctx.Context().Err()
			case <-time.After(pause):
			}
		}
		return endpoint, nil
	}).(pulumi.StringOutput)
}

// serviceRole registers the component eks:index:ServiceRole with a role for EKS and its one policy.
func serviceRole(ctx *pulumi.Context, name, partition string, args *clusterArgs, parent pulumi.ResourceOption) (
	*awsRole, *awsAttachment, error,
) {
	component := &pulumi.ResourceState{}
	if err := ctx.RegisterComponentResource("eks:index:ServiceRole", name, component, parent); err != nil {
		return nil, nil, fmt.Errorf("service role: %w", err)
	}
	child := pulumi.Parent(component)
	trust, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Action": []string{"sts:AssumeRole", "sts:TagSession"}, "Effect": "Allow",
		"Principal": map[string]any{"Service": []string{"eks.amazonaws.com"}}}}})
	if err != nil {
		return nil, nil, err
	}
	props := pulumi.Map{
		"description": pulumi.String("Allows EKS to manage clusters on your behalf."), "assumeRolePolicy": pulumi.String(trust),
	}
	if args.Tags != nil {
		props["tags"] = args.Tags
	}
	role := &awsRole{}
	if err := ctx.RegisterResource("aws:iam/role:Role", name+"-role", props, role, child); err != nil {
		return nil, nil, fmt.Errorf("service role: %w", err)
	}
	const policy = "iam::aws:policy/AmazonEKSClusterPolicy"
	attachment := &awsAttachment{}
	if err := ctx.RegisterResource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", name+"-"+shortHash("arn:aws:"+policy), pulumi.Map{
		"policyArn": pulumi.String("arn:" + partition + ":" + policy),
		"role":      role.ID().ToStringOutput(),
	}, attachment, child); err != nil {
		return nil, nil, fmt.Errorf("service role policy: %w", err)
	}
	return role, attachment, ctx.RegisterResourceOutputs(component, pulumi.Map{})
}

// shortHash is what the component puts into the names of its policy attachments.
func shortHash(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])[:8]
}

func controlPlane(ctx *pulumi.Context, name string, args *clusterArgs, role *awsRole, opts ...pulumi.ResourceOption) (*awsCluster, error) {
	subnets := args.SubnetIDs
	if subnets == nil {
		subnets = concat(args.PublicSubnetIDs, args.PrivateSubnetIDs)
	}
	vpc := pulumi.Map{"subnetIds": subnets}
	props := pulumi.Map{
		"roleArn":   role.ARN,
		"vpcConfig": vpc,
		// A creator without these rights could not use the cluster that it makes.
		"accessConfig": pulumi.Map{"authenticationMode": pulumi.String("API"), "bootstrapClusterCreatorAdminPermissions": pulumi.Bool(true)},
		"tags":         tags(name, args),
	}
	set(vpc, "endpointPrivateAccess", args.EndpointPrivateAccess)
	set(vpc, "endpointPublicAccess", args.EndpointPublicAccess)
	set(vpc, "publicAccessCidrs", args.PublicAccessCidrs)
	set(props, "name", args.Name)
	set(props, "version", args.Version)
	set(props, "enabledClusterLogTypes", args.EnabledClusterLogTypes)
	if args.EncryptionConfigKeyArn != nil {
		props["encryptionConfig"] = pulumi.Map{
			"provider": pulumi.Map{"keyArn": args.EncryptionConfigKeyArn}, "resources": pulumi.ToStringArray([]string{"secrets"}),
		}
	}
	if args.KubernetesServiceIPAddressRange != nil {
		props["kubernetesNetworkConfig"] = pulumi.Map{"serviceIpv4Cidr": args.KubernetesServiceIPAddressRange, "ipFamily": pulumi.String("ipv4")}
	}
	c := &awsCluster{}
	opts = append(opts, pulumi.IgnoreChanges([]string{"accessConfig.bootstrapClusterCreatorAdminPermissions", "bootstrapSelfManagedAddons"}))
	if err := ctx.RegisterResource("aws:eks/cluster:Cluster", name, props, c, opts...); err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	return c, nil
}

// set adds a property if the program has set it.
func set[T interface {
	comparable
	pulumi.Input
}](m pulumi.Map, key string, v T) {
	var none T
	if v != none {
		m[key] = v
	}
}

func concat(lists ...pulumi.StringArrayInput) pulumi.StringArrayOutput {
	all := []any{}
	for _, l := range lists {
		if l != nil {
			all = append(all, l.ToStringArrayOutput())
		}
	}
	return pulumi.All(all...).ApplyT(func(lists []any) []string {
		var out []string
		for _, l := range lists {
			out = append(out, l.([]string)...)
		}
		return out
	}).(pulumi.StringArrayOutput)
}

// tags puts the component's Name below the cluster's tags, and those below the tags for everything.
func tags(name string, args *clusterArgs) pulumi.StringMapOutput {
	all := []any{}
	for _, t := range []pulumi.StringMapInput{args.ClusterTags, args.Tags} {
		if t != nil {
			all = append(all, t.ToStringMapOutput())
		}
	}
	return pulumi.All(all...).ApplyT(func(layers []any) map[string]string {
		out := map[string]string{"Name": name}
		for _, l := range layers {
			for k, v := range l.(map[string]string) {
				out[k] = v
			}
		}
		return out
	}).(pulumi.StringMapOutput)
}

func issuer(identities []any) (string, error) {
	if len(identities) > 0 {
		if first, ok := identities[0].(map[string]any); ok {
			if oidcs, ok := first["oidcs"].([]any); ok && len(oidcs) > 0 {
				if url, ok := oidcs[0].(map[string]any)["issuer"].(string); ok {
					return url, nil
				}
			}
		}
	}
	return "", fmt.Errorf("the cluster has no OIDC issuer: identities are %v", identities)
}

func regionOf(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// kubeconfig logs in with `aws eks get-token`; it has no secret in it.
func kubeconfig(name, endpoint, ca, region string, options []string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "aws",
		"clusters": []any{map[string]any{"name": "kubernetes", "cluster": map[string]any{"server": endpoint, "certificate-authority-data": ca}}},
		"contexts": []any{map[string]any{"name": "aws", "context": map[string]any{"cluster": "kubernetes", "user": "aws"}}},
		"users": []any{map[string]any{"name": "aws", "user": map[string]any{"exec": map[string]any{
			"apiVersion": "client.authentication.k8s.io/v1beta1",
			"command":    "aws",
			"args":       append([]string{"--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"}, options...),
			"env":        []any{map[string]any{"name": "KUBERNETES_EXEC_INFO", "value": `{"apiVersion": "client.authentication.k8s.io/v1beta1"}`}},
		}}}},
	}
}
