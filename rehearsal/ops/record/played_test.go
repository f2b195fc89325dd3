package record

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/program"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsprovider"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

const project = "../../.."

// played is the program in front of the model, without an engine and a cluster. It holds the state that the engine would have.
type played struct {
	*awsapi.API
	stack  string
	values map[string]string
	tags   map[string]string // those of every resource

	mu    sync.Mutex
	state apitype.DeploymentV3
}

// play runs the program with the settings.
func play(t *testing.T, stack string, values map[string]string) *played {
	region := values["aws:region"]
	account, err := config.ReadAccount(values, nil)
	require.NoError(t, err)
	p := &played{
		API:   &awsapi.API{Model: awsmodel.New(awsmodel.Options{Region: region, Account: account.ID()})},
		stack: stack, values: values,
	}
	settings := p.side(t).Settings
	p.tags = program.Tags(stack, settings.Tags)
	Furnish(p.Model, settings)
	require.NoError(t, pulumi.RunErr(program.Run, pulumi.WithMocks("expense", stack, p), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = values, []string{"expense:secrets"}
	}))
	return p
}

// side is what Make looks at.
func (p *played) side(t *testing.T) Side {
	settings, err := config.Read(p.values, []string{"expense:secrets"})
	require.NoError(t, err)
	return Side{AWS: p.Config(), State: p.state, Settings: settings, Project: project}
}

func (p *played) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("the program called %s", args.Token)
}

func (p *played) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	in := args.Inputs.Copy()
	switch {
	case args.TypeToken == "eks:index:Cluster":
		out, err := p.component(args.Name, in)
		return "", out, err
	case strings.HasPrefix(args.TypeToken, "aws:"):
		return p.create(args.TypeToken, args.Name, in)
	case strings.HasPrefix(args.TypeToken, "kubernetes:"):
		metadata := in["metadata"].ObjectValue().Copy()
		if !metadata.HasValue("name") {
			metadata["name"] = resource.NewStringProperty(args.Name)
		}
		in["metadata"] = resource.NewObjectProperty(metadata)
	}
	return args.Name, in, nil
}

// create makes a resource as the provider does: with its names and its default tags.
func (p *played) create(typ, name string, in resource.PropertyMap) (string, resource.PropertyMap, error) {
	property, physical, err := awsprovider.Autoname(typ, name, []byte(p.Model.Account()+typ+name), in)
	if err != nil {
		return "", nil, err
	}
	if property != "" && !in.HasValue(resource.PropertyKey(property)) {
		in[resource.PropertyKey(property)] = resource.NewStringProperty(physical)
	}
	if awsprovider.Taggable(typ) {
		all := resource.PropertyMap{}
		for key, value := range p.tags {
			all[resource.PropertyKey(key)] = resource.NewStringProperty(value)
		}
		if given := in["tags"]; given.IsObject() {
			maps.Copy(all, given.ObjectValue())
		}
		in["tags"] = resource.NewObjectProperty(all)
	}
	id, out, err := awsprovider.Client{Model: p.Model}.Create(context.Background(), typ, name, in)
	if err != nil {
		return "", nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Resources = append(p.state.Resources, apitype.ResourceV3{
		URN:  resource.NewURN(tokens.QName(p.stack), "expense", "", tokens.Type(typ), name),
		Type: tokens.Type(typ), ID: resource.ID(id), Custom: true, Inputs: awsmodel.Plain(in).Mappable(), Outputs: out.Mappable(),
	})
	return id, out, nil
}

// component makes what the component of pulumi-eks makes: the control plane's role, its policy and the control plane.
func (p *played) component(name string, in resource.PropertyMap) (resource.PropertyMap, error) {
	text, object := resource.NewStringProperty, func(m resource.PropertyMap) resource.PropertyValue { return resource.NewObjectProperty(m) }
	_, role, err := p.create("aws:iam/role:Role", name+"-eksRole-role", resource.PropertyMap{"assumeRolePolicy": text(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},` +
			`"Action":["sts:AssumeRole","sts:TagSession"]}]}`)})
	if err != nil {
		return nil, err
	}
	_, _, err = p.create("aws:iam/rolePolicyAttachment:RolePolicyAttachment", name+"-eksRole-4b490823", resource.PropertyMap{
		"role": role["name"], "policyArn": text(iampolicy.ManagedPolicy(p.Model.Region(), "AmazonEKSClusterPolicy")),
	})
	if err != nil {
		return nil, err
	}
	_, cluster, err := p.create("aws:eks/cluster:Cluster", name+"-eksCluster", resource.PropertyMap{
		"name": in["name"], "roleArn": role["arn"], "version": in["version"],
		"vpcConfig": object(resource.PropertyMap{
			"subnetIds": in["privateSubnetIds"], "endpointPrivateAccess": in["endpointPrivateAccess"],
			"endpointPublicAccess": in["endpointPublicAccess"], "publicAccessCidrs": in["publicAccessCidrs"],
		}),
		"accessConfig": object(resource.PropertyMap{
			"authenticationMode": text("API"), "bootstrapClusterCreatorAdminPermissions": resource.NewBoolProperty(true),
		}),
		"kubernetesNetworkConfig": object(resource.PropertyMap{
			"ipFamily": text("ipv4"), "serviceIpv4Cidr": in["kubernetesServiceIpAddressRange"],
		}),
		"upgradePolicy":          object(resource.PropertyMap{"supportType": text("STANDARD")}),
		"enabledClusterLogTypes": in["enabledClusterLogTypes"],
		"tags":                   object(resource.PropertyMap{"Name": text(name + "-eksCluster")}),
		"encryptionConfig": object(resource.PropertyMap{
			"provider":  object(resource.PropertyMap{"keyArn": in["encryptionConfigKeyArn"]}),
			"resources": resource.NewArrayProperty([]resource.PropertyValue{text("secrets")}),
		}),
	})
	if err != nil {
		return nil, err
	}
	return resource.PropertyMap{
		"kubeconfigJson": text("{}"), "clusterSecurityGroupId": cluster["vpcConfig"].ObjectValue()["clusterSecurityGroupId"],
		"oidcProviderUrl": cluster["identities"].ArrayValue()[0].ObjectValue()["oidcs"].ArrayValue()[0].ObjectValue()["issuer"],
	}, nil
}

// settings are a committed stack file's, with what it leaves to its user, after an edit of a section's text.
func settings(t *testing.T, stack string, more map[string]map[string]any) map[string]string {
	values, _, err := config.File(project, stack)
	require.NoError(t, err)
	if stack == "example" {
		values["expense:secrets"] = `{"backend":{"API_TOKEN":"a word"}}`
	}
	for section, entries := range more {
		object := map[string]any{}
		if text := values["expense:"+section]; text != "" {
			require.NoError(t, json.Unmarshal([]byte(text), &object))
		}
		merge(object, entries)
		data, err := json.Marshal(object)
		require.NoError(t, err)
		values["expense:"+section] = string(data)
	}
	return values
}

// merge puts more into an object, at each depth.
func merge(into, more map[string]any) {
	for key, value := range more {
		inner, isObject := value.(map[string]any)
		if below, both := into[key].(map[string]any); both && isObject {
			merge(below, inner)
			continue
		}
		into[key] = value
	}
}

// everything is more than dev has, under names that no source has.
func everything(suffix string) map[string]map[string]any {
	return map[string]map[string]any{
		"cluster": {
			"name": "zebra" + suffix, "publicAccessCidrs": []any{"203.0.113." + fmt.Sprint(len(suffix)) + "/32"},
			"admins":   []any{"arn:aws:iam::444455556666:role/boss" + suffix},
			"registry": map[string]any{"repositories": []any{"quagga" + suffix}, "cache": true},
			"identityProvider": map[string]any{
				"issuerUrl": "https://login.tapir" + suffix + ".example", "clientId": "lemur" + suffix,
			},
		},
		"logging": {
			"domain": map[string]any{"name": "okapi" + suffix}, "alarms": map[string]any{"email": "duty@okapi" + suffix + ".example"},
		},
		"workloads": {"namespace": "gnu" + suffix},
	}
}
