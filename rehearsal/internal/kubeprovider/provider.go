package kubeprovider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumiprovider "github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/types/known/emptypb"
)

// provider serves all kubernetes providers of all stacks. Each has a session with its configuration.
type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	aws string // what runs for a kubeconfig's `aws`
}

// session is one provider of a stack. The engine opens a connection for each; of the real ones it starts a process for each.
type session struct {
	ctx     context.Context // ends with Cancel and with the connection
	cancel  context.CancelFunc
	cluster atomic.Pointer[cluster]
	engine  atomic.Pointer[pulumiprovider.HostClient] // shows lines to the user
}

type sessionKey struct{}

// connections gives every connection a session. All sessions end with serving.
type connections struct{ serving context.Context }

func (c connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	s := &session{}
	s.ctx, s.cancel = context.WithCancel(c.serving)
	return context.WithValue(ctx, sessionKey{}, s)
}

func (connections) HandleConn(ctx context.Context, event stats.ConnStats) {
	if _, ok := event.(*stats.ConnEnd); ok {
		s := sessionOf(ctx)
		s.cancel()
		if engine := s.engine.Load(); engine != nil {
			_ = engine.Close()
		}
	}
}

func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (connections) HandleRPC(context.Context, stats.RPCStats) {}

func sessionOf(ctx context.Context) *session { return ctx.Value(sessionKey{}).(*session) }

// configured is the cluster of the request's provider.
func configured(ctx context.Context) (*cluster, error) {
	if c := sessionOf(ctx).cluster.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("the kubernetes provider is not configured")
}

// reachable is configured, and an error if the server does not answer, except in a preview.
func reachable(ctx context.Context, preview bool) (*cluster, error) {
	c, err := configured(ctx)
	if err == nil && c.unreachable != nil && !preview {
		err = fmt.Errorf("configured Kubernetes cluster is unreachable: %w", c.unreachable)
	}
	return c, err
}

// operation is a context that ends with the request, with Cancel and with the connection.
func operation(ctx context.Context) (context.Context, context.CancelFunc) {
	operation, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(sessionOf(ctx).ctx, cancel)
	return operation, func() { release(); cancel() }
}

// Serve listens on a free port of 127.0.0.1 until ctx ends or stop is called. stop ends the waits of requests under way and waits
// for their answers. aws is what runs for the `aws` of a kubeconfig: a path, or a name on PATH.
func Serve(ctx context.Context, aws string, options ...grpc.ServerOption) (port int, stop func(), err error) {
	serving, end := context.WithCancel(context.Background())
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel:  cancel,
		Options: append(options, grpc.StatsHandler(connections{serving})),
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(s, provider{aws: aws})
			return nil
		},
	})
	if err != nil {
		end()
		return 0, nil, fmt.Errorf("kubernetes stand-in: %w", err)
	}
	stop = sync.OnceFunc(func() {
		end()
		close(cancel)
		<-handle.Done
	})
	context.AfterFunc(ctx, stop)
	return handle.Port, stop, nil
}

// warn shows a line to the user: for good, or beside the resource while an operation runs.
func warn(ctx context.Context, urn, text string, forGood bool) {
	engine := sessionOf(ctx).engine.Load()
	if engine == nil {
		return
	}
	log := engine.LogStatus
	if forGood {
		log = engine.Log
	}
	_ = log(context.WithoutCancel(ctx), diag.Warning, resource.URN(urn), text) // fails when the engine is gone
}

// Handshake is the engine's first call.
func (provider) Handshake(context.Context, *pulumirpc.ProviderHandshakeRequest) (*pulumirpc.ProviderHandshakeResponse, error) {
	return &pulumirpc.ProviderHandshakeResponse{AcceptSecrets: true}, nil
}

// Attach is the next call of an engine that has not started the provider, and tells the engine's address.
func (provider) Attach(ctx context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	engine, err := pulumiprovider.NewHostClient(req.GetAddress())
	if err != nil {
		return nil, fmt.Errorf("connecting to the engine at %s: %w", req.GetAddress(), err)
	}
	sessionOf(ctx).engine.Store(engine)
	return &emptypb.Empty{}, nil
}

// GetPluginInfo reports Version.
func (provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// CheckConfig refuses arguments that are not modelled.
func (provider) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news, err := read(req.GetNews(), false)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: checkConfig(news)}, nil
}

// DiffConfig tells whether a change of arguments replaces the provider.
func (provider) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := read(req.GetOlds(), false)
	if err != nil {
		return nil, err
	}
	news, err := read(req.GetNews(), false)
	if err != nil {
		return nil, err
	}
	return diffConfig(olds, news)
}

// Configure connects to the cluster. The engine does not call it while the kubeconfig is unknown, and then answers for
// the provider itself.
func (p provider) Configure(ctx context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args, err := read(req.GetArgs(), false)
	if err != nil {
		return nil, err
	}
	c, err := connect(args, p.aws)
	if err != nil {
		return nil, err
	}
	sessionOf(ctx).cluster.Store(c)
	return &pulumirpc.ConfigureResponse{AcceptSecrets: true, SupportsPreview: true}, nil
}

// Invoke refuses: the program calls no function of the provider.
func (provider) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return nil, fmt.Errorf("function %s is not modelled by the kubernetes stand-in", req.GetTok())
}

// Cancel ends the waits of the provider's operations: they answer with the object as it is.
func (provider) Cancel(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	sessionOf(ctx).cancel()
	return &emptypb.Empty{}, nil
}
