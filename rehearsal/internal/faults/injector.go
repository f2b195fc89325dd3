package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsprovider"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// Kind is what goes wrong at one operation.
type Kind string

// The kinds of faults.
const (
	// Refused: the service answers with an error and has done nothing.
	Refused Kind = "refused"
	// TimedOut: the service has done it, and the provider gives up waiting for that.
	TimedOut Kind = "timed-out"
	// CameUpFailed: the service has made it, and given it up.
	CameUpFailed Kind = "came-up-failed"
	// KilledBefore and KilledAfter: the engine ends as by a power failure, right before the operation reaches the service, and when the
	// service has done it but the state does not know.
	KilledBefore Kind = "killed-before"
	KilledAfter  Kind = "killed-after"
	// Interrupted: somebody presses Ctrl-C as the operation begins.
	Interrupted Kind = "interrupted"
)

// Kinds are all of them.
var Kinds = []Kind{Refused, TimedOut, CameUpFailed, KilledBefore, KilledAfter, Interrupted, Taken}

// gaveUp is what the provider says of a thing that AWS made and gave up on, by type: states that its wait for a creation does not know
// (internal/service/eks and ec2/wait.go of hashicorp/terraform-provider-aws).
var gaveUp = map[string]string{
	"aws:ec2/natGateway:NatGateway": "unexpected state 'failed', wanted target 'available'. last error: InternalError: Network interface " +
		"eni-0, created and used internally by this NAT gateway is in an invalid state. Please try again.",
	"aws:eks/addon:Addon":     "unexpected state 'CREATE_FAILED', wanted target 'ACTIVE'. last error: InternalFailure",
	"aws:eks/cluster:Cluster": "unexpected state 'FAILED', wanted target 'ACTIVE'",
	nodeGroup: "unexpected state 'CREATE_FAILED', wanted target 'ACTIVE'. last error: i-0: NodeCreationFailure: Instances failed to " +
		"join the kubernetes cluster",
}

const nodeGroup = "aws:eks/nodeGroup:NodeGroup"

// possible tells whether the operation can go wrong in this way.
func (o Operation) possible(kind Kind) bool {
	typ := string(resource.URN(o.URN).Type())
	switch kind {
	case CameUpFailed:
		return o.Verb == "create" && gaveUp[typ] != ""
	case Taken:
		return o.Verb == "create" && strings.HasPrefix(typ, "kubernetes:")
	}
	return true
}

// Operation is one operation of the engine on one resource.
type Operation struct {
	// Verb is create, update or delete.
	Verb string
	URN  string
}

// engine is what a fault does to the engine.
type engine interface {
	Kill() error
	Interrupt() error
}

// injector sits between the engine and the stand-ins. It notes every operation, and lets one go wrong, once.
type injector struct {
	mu     sync.Mutex
	engine engine
	model  *awsmodel.Model
	armed  *Operation
	kind   Kind
	err    error // of the injector itself
	seen   []Operation
	made   map[string]string // IDs of what was made, by URN
	wanted map[string]*pulumirpc.CreateRequest
	keep   bool // node groups that work, the last of them
	// under counts the operations that are under way, which wait for idle.
	under int
	idle  *sync.Cond
}

func newInjector() *injector {
	i := &injector{made: map[string]string{}, wanted: map[string]*pulumirpc.CreateRequest{}}
	i.idle = sync.NewCond(&i.mu)
	return i
}

// arm prepares a fault for the next such operation.
func (i *injector) arm(operation Operation, kind Kind) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed, i.kind, i.seen = &operation, kind, nil
}

// disarm takes the fault back, and tells whether its operation came. It waits for what a killed engine had begun.
func (i *injector) disarm() (came bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.under > 0 {
		i.idle.Wait()
	}
	came, i.armed = i.armed == nil, nil
	return came, i.err
}

// operations are those since the last fault was armed.
func (i *injector) operations() []Operation {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen
}

// idOf is the ID of what was made for a URN, "" for nothing.
func (i *injector) idOf(urn string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.made[urn]
}

// forget is for a new life: nothing is made.
func (i *injector) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made = map[string]string{}
}

// note notes an operation, and takes the fault that is armed for it.
func (i *injector) note(operation Operation) (Kind, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen = append(i.seen, operation)
	if i.armed == nil || *i.armed != operation {
		return "", false
	}
	i.armed = nil
	return i.kind, true
}

func (i *injector) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	operation, ok := operationOf(req)
	if !ok {
		return handle(ctx, req)
	}
	i.want(req)
	i.failed(i.guard(req))
	kind, now := i.note(operation)
	if !now {
		return i.do(ctx, operation, req, handle)
	}
	switch kind {
	case Refused:
		if onAWS(operation.URN) {
			return nil, awsprovider.Refusal(req, refusal(operation))
		}
		return nil, refusal(operation)
	case CameUpFailed:
		urn := resource.URN(operation.URN)
		i.model.Spoil(string(urn.Type()), urn.Name(), gaveUp[string(urn.Type())])
		defer i.model.Spoil(string(urn.Type()), urn.Name(), "")
		return i.do(ctx, operation, req, handle)
	case TimedOut:
		answer, err := i.do(ctx, operation, req, handle)
		if err != nil {
			return nil, err
		}
		return nil, timeout(req, answer)
	case KilledBefore:
		i.failed(i.engine.Kill())
		<-ctx.Done() // until the engine's end of the connection is gone
		return nil, ctx.Err()
	case KilledAfter:
		answer, err := i.do(ctx, operation, req, handle)
		i.failed(i.engine.Kill())
		<-ctx.Done()
		return answer, errors.Join(err, ctx.Err())
	case Taken:
		return i.twice(ctx, operation, req, handle)
	}
	i.failed(i.engine.Interrupt())
	return i.do(ctx, operation, req, handle)
}

func (i *injector) failed(err error) {
	if err != nil {
		i.mu.Lock()
		i.err = err
		i.mu.Unlock()
	}
}

// do does the operation and notes what it made. As on AWS, the operation ends also if the engine is gone.
func (i *injector) do(ctx context.Context, operation Operation, req any, handle grpc.UnaryHandler) (any, error) {
	i.mu.Lock()
	i.under++
	i.mu.Unlock()
	answer, err := handle(context.WithoutCancel(ctx), req)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.under--
	i.idle.Broadcast()
	if created, ok := answer.(*pulumirpc.CreateResponse); ok && err == nil {
		i.made[operation.URN] = created.GetId()
	}
	if operation.Verb == "delete" && err == nil {
		delete(i.made, operation.URN)
	}
	return answer, err
}

// operationOf is the operation that a request asks for, if it is one.
func operationOf(req any) (Operation, bool) {
	switch r := req.(type) {
	case *pulumirpc.CreateRequest:
		return Operation{"create", r.GetUrn()}, !r.GetPreview()
	case *pulumirpc.UpdateRequest:
		return Operation{"update", r.GetUrn()}, !r.GetPreview()
	case *pulumirpc.DeleteRequest:
		return Operation{"delete", r.GetUrn()}, true
	}
	return Operation{}, false
}

// onAWS tells whether a resource is of the AWS provider, which words errors in its own way.
func onAWS(urn string) bool { return strings.HasPrefix(string(resource.URN(urn).Type()), "aws:") }

// guard refuses the deletion of the last node group that works, while the stack lives on.
func (i *injector) guard(req any) error {
	r, ok := req.(*pulumirpc.DeleteRequest)
	i.mu.Lock()
	keep := i.keep
	i.mu.Unlock()
	if !ok || !keep || resource.URN(r.GetUrn()).Type() != nodeGroup {
		return nil
	}
	goes, stays := false, false
	for _, item := range i.model.Inventory() {
		if item.Type == nodeGroup && item.Status == "ACTIVE" {
			goes, stays = goes || item.ID == r.GetId(), stays || item.ID != r.GetId()
		}
	}
	if goes && !stays {
		return fmt.Errorf("the last node group that works, %s, was deleted", r.GetId())
	}
	return nil
}

// problem is what went wrong in the injector, or what guard refused. keep says whether guard looks at what follows.
func (i *injector) problem(keep bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keep = keep
	return i.err
}

// refusals are what services answer when they do nothing, by the type of the resource: a service's own errors, and throttling for the
// rest. The first prefix that fits counts.
var refusals = []struct{ prefix, verb, text string }{
	// A role that was made just now is not yet everywhere
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html#troubleshoot_general_eventual-consistency).
	{"aws:eks/cluster:", "create", "operation error EKS: CreateCluster, " + refused400 + "InvalidParameterException: The role with name " +
		"expense-eksRole-role cannot be assumed"},
	{"aws:opensearch/domain:", "create", "operation error OpenSearch: CreateDomain, " + refused400 + "ValidationException: Before you can " +
		"proceed, you must enable a service-linked role to give Amazon OpenSearch Service permissions to access your VPC."},
	// Spot capacity (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html).
	{"aws:eks/nodeGroup:", "create", "operation error EKS: CreateNodegroup, " + refused400 + "InvalidRequestException: " +
		"UnfulfillableCapacity: Could not launch Spot Instances. InsufficientInstanceCapacity"},
	// Limits of the account (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
	{"aws:ec2/vpc:", "create", "operation error EC2: CreateVpc, " + refused400 + "api error VpcLimitExceeded: The maximum number of VPCs " +
		"has been reached."},
	{"aws:ec2/eip:", "create", "operation error EC2: AllocateAddress, " + refused400 + "api error AddressLimitExceeded: The maximum " +
		"number of addresses has been reached."},
	{"aws:ec2/", "", "https response error StatusCode: 503, api error RequestLimitExceeded: Request limit exceeded."},
	{"aws:iam/", "", refused400 + "Throttling: Rate exceeded"},
	{"kubernetes:", "", "etcdserver: request timed out"},
	{"", "", refused400 + "ThrottlingException: Rate exceeded"},
}

const refused400 = "https response error StatusCode: 400, "

func refusal(operation Operation) error {
	typ := string(resource.URN(operation.URN).Type())
	for _, r := range refusals {
		if strings.HasPrefix(typ, r.prefix) && (r.verb == "" || r.verb == operation.Verb) {
			return errors.New(r.text)
		}
	}
	panic("faults: no refusal for " + typ)
}

// timeout is the answer of a provider that has waited too long. It has the ID of what was made, so that the engine keeps it, as the bridge
// of the Terraform providers does
// (https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/provider.go, initializationError).
func timeout(req, answer any) error {
	const text = "timeout while waiting for state to become 'ACTIVE' (last state: 'CREATING', timeout: 20m0s)"
	switch r := req.(type) {
	case *pulumirpc.CreateRequest:
		created := answer.(*pulumirpc.CreateResponse)
		return rpcerror.WithDetails(rpcerror.New(codes.Unknown, text), &pulumirpc.ErrorResourceInitFailed{
			Id: created.GetId(), Properties: created.GetProperties(), Inputs: r.GetProperties(), Reasons: []string{text},
		})
	case *pulumirpc.UpdateRequest:
		if onAWS(r.GetUrn()) {
			return awsprovider.Refusal(req, errors.New(text))
		}
		return rpcerror.WithDetails(rpcerror.New(codes.Unknown, text), &pulumirpc.ErrorResourceInitFailed{
			Id: r.GetId(), Properties: answer.(*pulumirpc.UpdateResponse).GetProperties(), Inputs: r.GetNews(), Reasons: []string{text},
		})
	}
	return errors.New(text)
}

func (o Operation) String() string {
	urn := resource.URN(o.URN)
	return fmt.Sprintf("%s %s %s", o.Verb, urn.Type(), urn.Name())
}
