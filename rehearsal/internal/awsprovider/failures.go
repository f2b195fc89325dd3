package awsprovider

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
)

// What the provider does when AWS refuses something. Most types are of terraform-plugin-sdk. After a refused update their state is the
// old one with the change in it (helper/schema, ResourceData.State). The bridge answers it as a failed initialization
// (pkg/tfbridge/provider.go, Update), and the engine keeps it with the old inputs (pkg/engine/update.go, pulumi/pulumi#2011). So the
// next update finds nothing to do (pulumi/pulumi-aws#6062). Types of terraform-plugin-framework keep the old state.

// Refusal is what the provider answers to a request for which it got an error from AWS.
func Refusal(req any, err error) error {
	switch r := req.(type) {
	case *pulumirpc.CreateRequest:
		return framed("creating", r.GetUrn(), err)
	case *pulumirpc.DeleteRequest:
		return framed("deleting", r.GetUrn(), err)
	case *pulumirpc.UpdateRequest:
		err = framed("updating", r.GetUrn(), err)
		if habits[string(resource.URN(r.GetUrn()).Type())].framework {
			return err
		}
		outputs, inputs, news, rerr := readAll(r)
		props, werr := write(merged(outputs, inputs, news))
		if rerr != nil || werr != nil {
			return errors.Join(err, rerr, werr)
		}
		return partial(r.GetId(), props, r.GetNews(), err)
	}
	return err
}

// framed is an error as the bridge of terraform-plugin-sdk words it.
func framed(verb, urn string, err error) error {
	if habits[string(resource.URN(urn).Type())].framework {
		return err
	}
	//lint:ignore ST1005 the bridge ends its errors so
	return fmt.Errorf("%s %s: 1 error occurred:\n\t* %w\n\n", verb, urn, err)
}

// partial is the error that makes the engine keep a resource in the state although it did not come up, or its change in the
// outputs although it was not made.
func partial(id string, props, inputs *structpb.Struct, err error) error {
	return rpcerror.WithDetails(rpcerror.New(codes.Unknown, err.Error()),
		&pulumirpc.ErrorResourceInitFailed{Id: id, Properties: props, Inputs: inputs, Reasons: []string{err.Error()}})
}

// believed are the inputs that the provider takes for AWS's: the outputs of those names that are inputs before or after.
func believed(outputs, before, after resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for k, v := range outputs {
		if before.HasValue(k) || after.HasValue(k) {
			out[k] = asked(v, before[k], after[k])
		}
	}
	return out
}

func asked(output, before, after resource.PropertyValue) resource.PropertyValue {
	object := func(v resource.PropertyValue) resource.PropertyMap {
		if v.IsObject() {
			return v.ObjectValue()
		}
		return nil
	}
	if output.IsObject() && (before.IsObject() || after.IsObject()) {
		return resource.NewObjectProperty(believed(output.ObjectValue(), object(before), object(after)))
	}
	return output
}

// merged are the outputs with a change in them.
func merged(outputs, before, after resource.PropertyMap) resource.PropertyMap {
	before, after = withoutBookkeeping(before), withoutBookkeeping(after)
	out := outputs.Copy()
	for k := range before {
		if !after.HasValue(k) {
			delete(out, k)
		}
	}
	for k, v := range after {
		out[k] = foretold(out[k], before[k], v)
	}
	return out
}

// foretold is an output after an update: the new input, and in an object of them what AWS had added to the old one, such
// as the security group in a cluster's vpcConfig.
func foretold(output, before, after resource.PropertyValue) resource.PropertyValue {
	if !output.IsObject() || !after.IsObject() {
		return after
	}
	inputs := resource.PropertyMap{}
	if before.IsObject() {
		inputs = before.ObjectValue()
	}
	out := after.ObjectValue().Copy()
	for k, v := range output.ObjectValue() {
		if given, ok := out[k]; ok {
			out[k] = foretold(v, inputs[k], given)
		} else if !inputs.HasValue(k) {
			out[k] = v
		}
	}
	return resource.NewObjectProperty(out)
}
