// Package awsprovider speaks the Pulumi provider protocol for an awsmodel.Model: what the engine takes for the aws
// provider in a rehearsal. It adds what belongs to the provider and not to AWS: automatic names, default tags, what differs and
// what replaces (habits.go, diff.go), repeated requests and their wording (client.go), previews, and what is in the state after
// something failed (failures.go).
package awsprovider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Version is the version of the aws provider that the stand-in reports: that of the SDK which the program is built with.
const Version = "6.83.4"

// betweenCommands is the least time between two commands.
const betweenCommands = time.Minute

const (
	defaultsKey  = "__defaults" // which inputs the provider filled in; the real provider's own key
	getPartition = "aws:index/getPartition:getPartition"
)

// provider serves all aws providers of a stack; the last Configure counts.
type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	client Client

	mu     sync.Mutex
	tags   map[string]string
	ctx    context.Context // ends what is under way; a new one begins with every Configure
	cancel context.CancelFunc
}

// Serve listens on a free port of 127.0.0.1 until ctx ends or stop is called, which waits for requests under way.
func Serve(ctx context.Context, model *awsmodel.Model, options ...grpc.ServerOption) (port int, stop func(), err error) {
	p := &provider{client: Client{model}}
	p.renew()
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  cancel,
		Options: options,
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(s, p)
			return nil
		},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("aws stand-in: %w", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_, _ = p.Cancel(ctx, nil)
			close(cancel)
			<-handle.Done
		})
	}
	context.AfterFunc(ctx, stop)
	return handle.Port, stop, nil
}

func (p *provider) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ctx, p.cancel = context.WithCancel(context.Background())
}

// Handshake is the engine's first call.
func (p *provider) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{}, nil
}

// Attach is what older engines call instead of Handshake.
func (p *provider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// GetPluginInfo reports Version.
func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// CheckConfig accepts the provider's settings; a missing region is the real provider's first complaint.
func (p *provider) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	resp := &pulumirpc.CheckResponse{Inputs: req.GetNews()}
	if v, ok := req.GetNews().GetFields()["region"]; !ok || v.GetStringValue() == "" {
		resp.Failures = []*pulumirpc.CheckFailure{{
			Property: "region",
			Reason:   "missing required configuration key \"aws:region\": the region where AWS operations will take place",
		}}
	}
	return resp, nil
}

// DiffConfig: only another region replaces the provider.
func (p *provider) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	resp := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	o, n := req.GetOldInputs().AsMap(), req.GetNews().AsMap()
	if req.GetOldInputs() == nil {
		o = req.GetOlds().AsMap()
	}
	keys := maps.Clone(o)
	maps.Copy(keys, n)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if k != "version" && fmt.Sprint(o[k]) != fmt.Sprint(n[k]) {
			resp.Changes = pulumirpc.DiffResponse_DIFF_SOME
			resp.Diffs = append(resp.Diffs, k)
			if k == "region" {
				resp.Replaces = append(resp.Replaces, k)
			}
		}
	}
	return resp, nil
}

// settings are what the real provider is told; lists and objects come as JSON text.
type settings struct {
	Region              string   `json:"region"`
	AllowedAccountIDs   []string `json:"allowedAccountIds"`
	ForbiddenAccountIDs []string `json:"forbiddenAccountIds"`
	DefaultTags         struct {
		Tags map[string]string `json:"tags"`
	} `json:"defaultTags"`
	// The credentials. Here is one account without profiles and roles: any value is taken.
	Profile    string `json:"profile"`
	AssumeRole struct {
		RoleARN string `json:"roleArn"`
	} `json:"assumeRole"`
	// The SDK sets these two whatever the program says.
	SkipCredentialsValidation any    `json:"skipCredentialsValidation"`
	SkipRegionValidation      any    `json:"skipRegionValidation"`
	Version                   string `json:"version"`
}

// read decodes the settings. An unknown one is an error: it would have an effect on AWS only.
func (s *settings) read(args map[string]any) error {
	for key, value := range args {
		if text, ok := value.(string); ok && (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) {
			if !json.Valid([]byte(text)) {
				return fmt.Errorf("provider setting %s: found %q, which is no JSON", key, text)
			}
			args[key] = json.RawMessage(text)
		}
	}
	data, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("provider settings: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("provider settings: %w", err)
	}
	return nil
}

// Configure takes the region and the default tags, and refuses a wrong account in the real provider's words
// (https://github.com/hashicorp/terraform-provider-aws/pull/32352, VerifyAccountIDAllowed in hashicorp/aws-sdk-go-base
// internal/config/config.go).
func (p *provider) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	var s settings
	if err := s.read(req.GetArgs().AsMap()); err != nil {
		return nil, err
	}
	if s.Region != p.client.Model.Region() {
		return nil, fmt.Errorf("the provider's region is %q, the rehearsal's account is in %s: set both to the same", s.Region,
			p.client.Model.Region())
	}
	account := p.client.Model.Account()
	if slices.Contains(s.ForbiddenAccountIDs, account) || len(s.AllowedAccountIDs) > 0 && !slices.Contains(s.AllowedAccountIDs, account) {
		return nil, fmt.Errorf("AWS account ID not allowed: %s", account)
	}
	// A command begins. Its user has read the last one's output, and the CLI has compiled the program: what the last one made is known
	// everywhere now.
	p.client.Model.Pass(betweenCommands)
	p.renew()
	p.mu.Lock()
	p.tags = s.DefaultTags.Tags
	p.mu.Unlock()
	// Without AcceptSecrets the engine takes secrets out of inputs and marks the outputs of the same name.
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Check fills in default tags and the automatic name, and reports what the provider refuses.
func (p *provider) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	urn := resource.URN(req.GetUrn())
	typ := string(urn.Type())
	news, err := read(req.GetNews())
	if err != nil {
		return nil, err
	}
	olds, err := read(req.GetOlds())
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defaults := p.tags
	p.mu.Unlock()
	if v := news["tags"]; Taggable(typ) && len(defaults) > 0 && !v.ContainsUnknowns() {
		merged := resource.PropertyMap{}
		for k, t := range defaults {
			merged[resource.PropertyKey(k)] = resource.NewStringProperty(t)
		}
		if v.IsObject() {
			maps.Copy(merged, v.ObjectValue())
		}
		news["tags"] = resource.NewObjectProperty(merged)
	}

	filled := []resource.PropertyValue{}
	property, name, err := Autoname(typ, urn.Name(), req.GetRandomSeed(), news)
	if err != nil {
		return nil, err
	}
	if property != "" {
		key := resource.PropertyKey(property)
		news[key] = resource.NewStringProperty(name)
		if old := olds[key]; old.IsString() && wasFilled(olds, property) {
			news[key] = old
		}
		filled = append(filled, resource.NewStringProperty(property))
	}
	news[defaultsKey] = resource.NewArrayProperty(filled)

	inputs, err := write(noted(news))
	if err != nil {
		return nil, err
	}
	resp := &pulumirpc.CheckResponse{Inputs: inputs}
	for _, f := range p.client.Model.Check(typ, checked(urn, olds, news)) {
		resp.Failures = append(resp.Failures, &pulumirpc.CheckFailure{Property: f.Property, Reason: f.Reason})
	}
	return resp, nil
}

func wasFilled(inputs resource.PropertyMap, property string) bool {
	v := inputs[defaultsKey]
	return v.IsArray() && slices.ContainsFunc(v.ArrayValue(), func(e resource.PropertyValue) bool {
		return e.IsString() && e.StringValue() == property
	})
}

// Diff compares the news with what the provider takes for AWS's: the outputs, not the old inputs.
func (p *provider) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	typ := string(resource.URN(req.GetUrn()).Type())
	outputs, inputs, news, err := readAll(req)
	if err != nil {
		return nil, err
	}
	changes, replace := Diff(typ, believed(outputs, inputs, news), news)
	resp := &pulumirpc.DiffResponse{
		Changes: pulumirpc.DiffResponse_DIFF_NONE, HasDetailedDiff: true, DetailedDiff: map[string]*pulumirpc.PropertyDiff{},
		DeleteBeforeReplace: replace && deleteBeforeReplace(typ, news),
	}
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		resp.Changes = pulumirpc.DiffResponse_DIFF_SOME
		kind := changes[path].Kind
		resp.DetailedDiff[path] = &pulumirpc.PropertyDiff{Kind: pulumirpc.PropertyDiff_Kind(kind), InputDiff: true}
		resp.Diffs = append(resp.Diffs, top(path))
		if kind.IsReplace() {
			resp.Replaces = append(resp.Replaces, top(path))
		}
	}
	resp.Diffs, resp.Replaces = slices.Compact(resp.Diffs), slices.Compact(resp.Replaces)
	return resp, nil
}

// Create makes a resource, or in a preview foretells its outputs.
func (p *provider) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	urn := resource.URN(req.GetUrn())
	typ := string(urn.Type())
	inputs, err := read(req.GetProperties())
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		out := withoutBookkeeping(inputs)
		for _, output := range Outputs(typ) {
			path, err := resource.ParsePropertyPath(output)
			if err != nil {
				return nil, err
			}
			// not below what is unset or unknown
			path.Set(resource.NewObjectProperty(out), resource.MakeComputed(resource.NewStringProperty("")))
		}
		props, err := write(out)
		return &pulumirpc.CreateResponse{Properties: props}, err
	}
	ctx, done := p.operation(ctx)
	defer done()
	id, outputs, err := p.client.Create(ctx, typ, urn.Name(), inputs)
	if err != nil && id == "" {
		return nil, Refusal(req, err)
	}
	props, werr := write(outputs)
	if werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, partial(id, props, req.GetProperties(), framed("creating", req.GetUrn(), err))
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: props}, nil
}

// Read gives what exists now; an empty answer means that nothing does.
func (p *provider) Read(_ context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	inputs, outputs, found := p.client.Model.Read(string(resource.URN(req.GetUrn()).Type()), req.GetId())
	if !found {
		return &pulumirpc.ReadResponse{}, nil
	}
	in, err := write(noted(inputs))
	if err != nil {
		return nil, err
	}
	out, err := write(outputs)
	return &pulumirpc.ReadResponse{Id: req.GetId(), Inputs: in, Properties: out}, err
}

// Update changes a resource in place, or in a preview foretells its outputs. It sends what differs from what the provider
// takes for AWS's; where nothing does, it only reads, which is what a second `up` after a failure comes to.
func (p *provider) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	typ := string(resource.URN(req.GetUrn()).Type())
	outputs, inputs, news, err := readAll(req)
	if err != nil {
		return nil, err
	}
	if req.GetPreview() {
		out := merged(outputs, inputs, news)
		for _, k := range strings.Fields(habits[typ].recomputed) {
			out[resource.PropertyKey(k)] = resource.MakeComputed(resource.NewStringProperty(""))
		}
		props, err := write(out)
		return &pulumirpc.UpdateResponse{Properties: props}, err
	}
	keepIgnored(req, outputs, news)
	changes, _ := Diff(typ, believed(outputs, inputs, news), news)
	ctx, done := p.operation(ctx)
	defer done()
	send, out, found := p.client.Model.Read(typ, req.GetId())
	switch {
	case habits[typ].withoutUpdate:
		err = errors.New("doesn't support update")
	case !found || habits[typ].resent:
		out, err = p.client.Update(ctx, typ, req.GetId(), news)
	case len(changes) > 0:
		for path := range changes {
			key := resource.PropertyKey(top(path))
			delete(send, key)
			if v, ok := news[key]; ok {
				send[key] = v
			}
		}
		out, err = p.client.Update(ctx, typ, req.GetId(), send)
	}
	if err != nil {
		return nil, Refusal(req, err)
	}
	props, err := write(out)
	return &pulumirpc.UpdateResponse{Properties: props}, err
}

// Delete removes a resource.
func (p *provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	ctx, done := p.operation(ctx)
	defer done()
	if err := p.client.Delete(ctx, string(resource.URN(req.GetUrn()).Type()), req.GetId()); err != nil {
		return nil, Refusal(req, err)
	}
	return &emptypb.Empty{}, nil
}

// Invoke answers getPartition, which asks nothing of AWS. The program looks nothing else up.
func (p *provider) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	if req.GetTok() != getPartition {
		return nil, fmt.Errorf("function %s is not modelled: the program must look nothing up in AWS; only %s is answered", req.GetTok(),
			getPartition)
	}
	partition := p.client.Model.Partition()
	ret, err := structpb.NewStruct(map[string]any{
		"id": partition, "partition": partition, "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws",
	})
	return &pulumirpc.InvokeResponse{Return: ret}, err
}

// Cancel ends all operations under way: they answer with what AWS has made so far.
func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel()
	return &emptypb.Empty{}, nil
}

// operation is a request's context that Cancel ends too.
func (p *provider) operation(ctx context.Context) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	run := p.ctx
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	if run.Err() != nil {
		cancel()
	}
	release := context.AfterFunc(run, cancel)
	return ctx, func() { release(); cancel() }
}

// mapInputs are the inputs whose keys the program chooses.
var mapInputs = []resource.PropertyKey{"tags", "labels", "dimensions", "advancedOptions"}

// noted are checked inputs as the bridge gives them to the engine: each object in them says, too, that nothing in it was filled
// in (applyDefaults in pulumi/pulumi-terraform-bridge, pkg/tfbridge/schema.go). read takes that away again.
func noted(inputs resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for key, value := range inputs {
		if !slices.Contains(mapInputs, key) {
			value = within(value, func(inner resource.PropertyMap) resource.PropertyMap {
				inner = noted(inner)
				inner[defaultsKey] = resource.NewArrayProperty([]resource.PropertyValue{})
				return inner
			})
		}
		out[key] = value
	}
	return out
}

// within changes the objects that a value is or has.
func within(v resource.PropertyValue, change func(resource.PropertyMap) resource.PropertyMap) resource.PropertyValue {
	switch {
	case v.IsObject():
		return resource.NewObjectProperty(change(v.ObjectValue()))
	case v.IsArray():
		items := []resource.PropertyValue{}
		for _, item := range v.ArrayValue() {
			items = append(items, within(item, change))
		}
		return resource.NewArrayProperty(items)
	case v.IsSecret():
		return resource.MakeSecret(within(v.SecretValue().Element, change))
	}
	return v
}

func withoutBookkeeping(m resource.PropertyMap) resource.PropertyMap {
	out := m.Copy()
	delete(out, defaultsKey)
	return out
}

// readAll reads what the engine knows of a resource and what it wants of it.
func readAll(req interface {
	GetOlds() *structpb.Struct
	GetOldInputs() *structpb.Struct
	GetNews() *structpb.Struct
},
) (outputs, inputs, news resource.PropertyMap, err error) {
	outputs, err1 := read(req.GetOlds())
	inputs, err2 := read(req.GetOldInputs())
	news, err3 := read(req.GetNews())
	return outputs, inputs, news, errors.Join(err1, err2, err3)
}

func read(s *structpb.Struct) (resource.PropertyMap, error) {
	if s == nil {
		return resource.PropertyMap{}, nil
	}
	props, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
	if err != nil {
		return nil, err
	}
	return unnoted(props), nil
}

func unnoted(props resource.PropertyMap) resource.PropertyMap {
	for key, value := range props {
		props[key] = within(value, func(inner resource.PropertyMap) resource.PropertyMap {
			return withoutBookkeeping(unnoted(inner))
		})
	}
	return props
}

func write(m resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(m, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
}
