// Package tests runs the whole program under Pulumi's mocks: what it registers, with which inputs, and how it fails.
// What only an engine, an API server or AWS would notice is the rehearsal's.
package tests

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"expense/internal/config"
	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

const (
	account   = "111122223333"
	registry  = account + ".dkr.ecr.us-east-1.amazonaws.com/"
	apiToken  = "a-token-that-must-stay-secret"
	accessKey = "expense:cluster.publicAccessCidrs"
)

// registered is one resource as the program registered it.
type registered struct {
	Type, Name, URN, ID string
	Custom, Remote      bool
	Parent, Provider    string
	DependsOn           []string
	IgnoreChanges       []string
	RetainOnDelete      bool
	// Inputs have no secrets, outputs or unknowns left; what was secret is in Secrets.
	Inputs map[string]any
	// Secrets are the top-level inputs that were secret or held a secret.
	Secrets []string
}

// String is how failures name the resource.
func (r registered) String() string { return r.Type + " " + r.Name }

// kubeconfig has the parts of the component's kubeconfig that are read.
const kubeconfig = `{"kind":"Config","users":[{"name":"aws","user":{"exec":{"command":"aws","args":["eks","get-token"]}}}]}`

// recorder answers registrations with outputs in AWS's shapes, and keeps them. It fails on what it does not know, so that
// a new type gets the outputs that the program needs of it.
type recorder struct {
	mu   sync.Mutex
	all  []registered
	fail string // type whose registration fails
	// answers replace outputs, by type.
	answers map[string]map[string]any
}

var errInjected = errors.New("injected failure")

// outputs are, by type, what AWS adds to the inputs. A type that is not listed is unknown.
var outputs = map[string]func(in map[string]any, id string) map[string]any{
	"pulumi:providers:aws":        none,
	"pulumi:providers:eks":        none,
	"pulumi:providers:kubernetes": none,
	"eks:index:Cluster": func(in map[string]any, _ string) map[string]any {
		return map[string]any{
			"kubeconfigJson":         kubeconfig,
			"clusterSecurityGroupId": "sg-0cluster",
			"oidcProviderUrl":        "https://oidc.eks.us-east-1.amazonaws.com/id/" + strings.ToUpper(fmt.Sprint(in["name"])),
		}
	},
	"aws:ec2/vpc:Vpc":                         arn("ec2", "vpc/"),
	"aws:ec2/subnet:Subnet":                   none,
	"aws:ec2/internetGateway:InternetGateway": none,
	"aws:ec2/eip:Eip":                         none,
	"aws:ec2/natGateway:NatGateway": func(map[string]any,
		string) map[string]any {
		return map[string]any{"publicIp": "198.51.100.1"}
	},
	"aws:ec2/routeTable:RouteTable":                             none,
	"aws:ec2/route:Route":                                       none,
	"aws:ec2/routeTableAssociation:RouteTableAssociation":       none,
	"aws:ec2/vpcEndpoint:VpcEndpoint":                           none,
	"aws:ec2/securityGroup:SecurityGroup":                       none,
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": none,
	"aws:eks/accessEntry:AccessEntry":                           none,
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation":   none,
	"aws:eks/addon:Addon":                                       none,
	"aws:eks/podIdentityAssociation:PodIdentityAssociation":     none,
	"aws:eks/identityProviderConfig:IdentityProviderConfig":     none,
	"aws:iam/rolePolicy:RolePolicy":                             none,
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":         none,
	"aws:iam/serviceLinkedRole:ServiceLinkedRole":               none,
	"aws:kms/alias:Alias":                                       none,
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy":        none,
	"aws:opensearch/domainPolicy:DomainPolicy":                  none,
	"aws:cloudwatch/metricAlarm:MetricAlarm":                    none,
	"aws:sns/topicSubscription:TopicSubscription":               none,
	"aws:sns/topicPolicy:TopicPolicy":                           none,
	"aws:sns/topic:Topic":                                       arn("sns", ""),
	"aws:ecr/lifecyclePolicy:LifecyclePolicy":                   none,
	"aws:ecr/repository:Repository": func(in map[string]any, _ string) map[string]any {
		return map[string]any{"repositoryUrl": registry + fmt.Sprint(in["name"])}
	},
	"aws:ecr/pullThroughCacheRule:PullThroughCacheRule": func(map[string]any, string) map[string]any {
		return map[string]any{"registryId": account}
	},
	"aws:ec2/launchTemplate:LaunchTemplate": func(map[string]any,
		string) map[string]any {
		return map[string]any{"latestVersion": 1}
	},
	"aws:eks/nodeGroup:NodeGroup": suffixed("nodeGroupName", "nodeGroupNamePrefix"),
	"aws:kms/key:Key":             arn("kms", "key/"),
	"aws:iam/role:Role":           arn("iam", "role/"),
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider": func(in map[string]any, _ string) map[string]any {
		return map[string]any{"arn": "arn:aws:iam::" + account + ":oidc-provider/" + strings.TrimPrefix(fmt.Sprint(in["url"]), "https://")}
	},
	"aws:cloudwatch/logGroup:LogGroup": arn("logs", "log-group:"),
	"aws:opensearch/domain:Domain": func(in map[string]any, _ string) map[string]any {
		host := fmt.Sprintf("vpc-%s-abc.us-east-1.es.amazonaws.com", in["domainName"])
		return map[string]any{
			"arn":      fmt.Sprintf("arn:aws:es:us-east-1:%s:domain/%s", account, in["domainName"]),
			"endpoint": host, "dashboardEndpoint": host + "/_dashboards",
		}
	},
}

func none(map[string]any, string) map[string]any { return nil }

func suffixed(output, prefix string) func(map[string]any, string) map[string]any {
	return func(in map[string]any, _ string) map[string]any {
		return map[string]any{output: fmt.Sprint(in[prefix]) + "20261124000000000000000001"}
	}
}

func arn(service, kind string) func(map[string]any, string) map[string]any {
	return func(in map[string]any, id string) map[string]any {
		name := id
		if given, ok := in["name"].(string); ok {
			name = given
		}
		region := "us-east-1"
		if service == "iam" {
			region = "" // IAM's ARNs have none
		}
		return map[string]any{
			"arn": fmt.Sprintf("arn:aws:%s:%s:%s:%s%s", service, region, account, kind, name), "name": name, "keyId": id,
		}
	}
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	rpc := args.RegisterRPC
	entry := registered{
		Type: args.TypeToken, Name: args.Name, Custom: args.Custom, Provider: args.Provider, Remote: rpc.GetRemote(),
		Parent: rpc.GetParent(), DependsOn: rpc.GetDependencies(), IgnoreChanges: rpc.GetIgnoreChanges(), RetainOnDelete: rpc.GetRetainOnDelete(),
	}
	entry.Inputs = plainMap(args.Inputs)
	for key, value := range args.Inputs {
		if value.ContainsSecrets() {
			entry.Secrets = append(entry.Secrets, string(key))
		}
	}
	slices.Sort(entry.Secrets)
	if entry.Custom {
		entry.ID = fmt.Sprintf("%s-%x", args.Name, sha256.Sum256([]byte(args.TypeToken)))[:len(args.Name)+9]
	}
	r.mu.Lock()
	r.all = append(r.all, entry)
	r.mu.Unlock()
	if args.TypeToken == r.fail {
		return "", nil, errInjected
	}

	out := args.Inputs.Copy()
	switch add, known := outputs[args.TypeToken]; {
	case known:
		for key, value := range add(entry.Inputs, entry.ID) {
			out[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
		}
		for key, value := range r.answers[args.TypeToken] {
			out[resource.PropertyKey(key)] = resource.NewPropertyValue(value)
		}
	case strings.HasPrefix(args.TypeToken, "kubernetes:"):
		// The API server answers with the object; a name that is missing is the provider's to make.
		metadata := out["metadata"].ObjectValue().Copy()
		if _, named := metadata["name"]; !named {
			metadata["name"] = resource.NewStringProperty(args.Name + "-0123abcd")
		}
		out["metadata"] = resource.NewObjectProperty(metadata)
	case strings.HasPrefix(args.TypeToken, "expense:"):
		// A component of the program.
	default:
		return "", nil, fmt.Errorf("the recorder does not know the type %s", args.TypeToken)
	}
	return entry.ID, out, nil
}

// Call fails: the program calls no functions, so a preview of an unchanged commit shows nothing.
func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program called %s: it must not look anything up", args.Token)
}

func plainMap(in resource.PropertyMap) map[string]any {
	out := map[string]any{}
	for key, value := range in {
		out[string(key)] = plainValue(value)
	}
	return out
}

func plainValue(value resource.PropertyValue) any {
	switch {
	case value.IsSecret():
		return plainValue(value.SecretValue().Element)
	case value.IsOutput():
		return plainValue(value.OutputValue().Element)
	case value.IsComputed():
		return "(unknown)"
	case value.IsArray():
		out := make([]any, len(value.ArrayValue()))
		for i, item := range value.ArrayValue() {
			out[i] = plainValue(item)
		}
		return out
	case value.IsObject():
		return plainMap(value.ObjectValue())
	case value.IsResourceReference():
		return value.ResourceReferenceValue().URN
	default:
		return value.V
	}
}

// stackFile is the configuration in a committed stack file, as the engine would hand it to the program, with what the
// file leaves to its user.
func stackFile(t testing.TB, stack string) map[string]string {
	out, encrypted, err := config.File("..", stack)
	require.NoError(t, err)
	require.Empty(t, encrypted)
	set(t, out, accessKey, []string{"203.0.113.7/32"})
	secrets := `{"web":{"API_TOKEN":"` + apiToken + `"}`
	if stack == "example" {
		// What `make image` writes.
		registry := account + ".dkr.ecr.us-east-1.amazonaws.com/expense-example/"
		set(t, out, "expense:workloads.apps.backend.image", registry+"backend@sha256:"+strings.Repeat("1", 64))
		set(t, out, "expense:logging.captureImage", registry+"capture@sha256:"+strings.Repeat("2", 64))
		secrets += `,"backend":{"API_TOKEN":"` + apiToken + `"}`
	}
	out["expense:secrets"] = secrets + "}"
	return out
}

// set sets the setting at a path, as `pulumi config set --path` does.
func set(t testing.TB, settings map[string]string, path string, value any) {
	key, rest, nested := strings.Cut(path, ".")
	require.True(t, nested, path)
	var section map[string]any
	require.NoError(t, json.Unmarshal([]byte(cmp.Or(settings[key], "{}")), &section), key)
	at := section
	parts := strings.Split(rest, ".")
	for _, part := range parts[:len(parts)-1] {
		if at[part] == nil {
			at[part] = map[string]any{}
		}
		at = at[part].(map[string]any)
	}
	at[parts[len(parts)-1]] = value
	data, err := json.Marshal(section)
	require.NoError(t, err)
	settings[key] = string(data)
}

// runs are the runs without options so far, by stack and settings.
var runs sync.Map

// run runs the program with the settings and returns what it registered, which is for reading only: without options there is
// one run for all tests with the same settings.
func run(t testing.TB, stack string, settings map[string]string, options ...func(*recorder, *pulumi.RunInfo)) ([]registered, error) {
	if len(options) > 0 {
		return runOnce(stack, settings, options...)
	}
	key, err := json.Marshal([]any{stack, settings})
	require.NoError(t, err)
	shared, _ := runs.LoadOrStore(string(key), sync.OnceValues(func() ([]registered, error) { return runOnce(stack, settings) }))
	return shared.(func() ([]registered, error))()
}

// runOnce is over when it returns.
func runOnce(stack string, settings map[string]string, options ...func(*recorder, *pulumi.RunInfo)) ([]registered, error) {
	r := &recorder{}
	err := pulumi.RunErr(program.Run, pulumi.WithMocks("expense", stack, r), func(info *pulumi.RunInfo) {
		info.Config = settings
		info.ConfigSecretKeys = []string{"expense:secrets"}
		for _, option := range options {
			option(r, info)
		}
	})
	slices.SortFunc(r.all, func(a, b registered) int { return strings.Compare(a.String(), b.String()) })
	return r.all, err
}

func preview(_ *recorder, info *pulumi.RunInfo) { info.DryRun = true }

func failing(typ string) func(*recorder, *pulumi.RunInfo) {
	return func(r *recorder, _ *pulumi.RunInfo) { r.fail = typ }
}

func answering(typ, output string, value any) func(*recorder, *pulumi.RunInfo) {
	return func(r *recorder, _ *pulumi.RunInfo) { r.answers = map[string]map[string]any{typ: {output: value}} }
}

// of are the resources of a type.
func of(all []registered, typ string) []registered {
	var out []registered
	for _, r := range all {
		if r.Type == typ {
			out = append(out, r)
		}
	}
	return out
}

// one is the resource of a type and name.
func one(t testing.TB, all []registered, typ, name string) registered {
	var names []string
	for _, r := range of(all, typ) {
		if r.Name == name {
			return r
		}
		names = append(names, r.Name)
	}
	require.Fail(t, "no such resource", "%s %s; there are %v", typ, name, names)
	return registered{}
}

// at follows a path such as "spec.template.spec" through inputs. It is nil if there is nothing.
func at(value any, path string) any {
	for _, key := range strings.Split(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// list is an array of objects. It is empty if there is none.
func list(value any) []map[string]any {
	items, _ := value.([]any)
	var out []map[string]any
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}
