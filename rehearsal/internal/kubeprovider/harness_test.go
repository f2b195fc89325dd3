package kubeprovider_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/controlplane"
	"expense/rehearsal/internal/kubeprovider"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// shared is the control plane of all tests of the package, started by the first that needs it.
var shared struct {
	once sync.Once
	*controlplane.ControlPlane
	dir string
	err error
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *program != "" && os.Getenv(compared) == "" {
		os.Exit(compare(os.Stdout))
	}
	bin, err := os.MkdirTemp("", "bin-")
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(bin, "aws"), []byte(awsCLI), 0o700),
			os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH")))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(bin)
	if shared.ControlPlane != nil {
		shared.Stop()
	}
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

// realServer gives a control plane with one node.
func realServer(t *testing.T) (*controlplane.ControlPlane, kubernetes.Interface) {
	t.Helper()
	binary := os.Getenv("KUBERNETES_BIN")
	if binary == "" {
		binary = "../../../.tools/bin/kubernetes"
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("needs a Kubernetes control plane, which `make tools` builds: %v", err)
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "kubeprovider-"); shared.err == nil {
			shared.ControlPlane, shared.err = controlplane.Start(context.Background(), controlplane.Options{Dir: shared.dir, Binary: binary})
		}
	})
	require.NoError(t, shared.err)
	clients, err := kubernetes.NewForConfig(shared.RESTConfig())
	require.NoError(t, err)
	resources := corev1.ResourceList{
		"cpu":               quantity.MustParse("8"),
		"memory":            quantity.MustParse("16Gi"),
		"pods":              quantity.MustParse("100"),
		"ephemeral-storage": quantity.MustParse("100Gi"),
	}
	_, _ = clients.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{"kubernetes.io/hostname": "node"}},
		Status:     corev1.NodeStatus{Capacity: resources, Allocatable: resources},
	}, metav1.CreateOptions{}) // by the first test; later ones find it
	return shared.ControlPlane, clients
}

// namespace makes a namespace, ready for pods, that goes away with the test.
func namespace(t *testing.T, clients kubernetes.Interface, labels map[string]string) string {
	t.Helper()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}
	ns, err := clients.CoreV1().Namespaces().Create(t.Context(), made, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = clients.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		_, err := clients.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		assert.NoError(a, err, "without it the server refuses pods")
	}, 2*time.Minute, 20*time.Millisecond)
	return ns.Name
}

// engine plays Pulumi's engine for one provider of a stack.
type engine struct {
	pulumirpc.ResourceProviderClient
	pulumirpc.UnimplementedEngineServer
	t       *testing.T
	timeout float64 // of a resource, in seconds; 0 is the provider's own

	mu    sync.Mutex
	shown []string
}

// Log keeps what the provider shows to the user.
func (e *engine) Log(_ context.Context, req *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = append(e.shown, req.GetMessage())
	return &emptypb.Empty{}, nil
}

// lines are what the provider has shown so far.
func (e *engine) lines() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.shown, "\n")
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	if *program == "" {
		ctx, cancel := context.WithCancel(context.Background())
		port, stop, err := kubeprovider.Serve(ctx, "aws")
		require.NoError(t, err)
		t.Cleanup(func() { stop(); cancel() })
		return dial(t, func(string) int { return port })
	}
	return dial(t, func(address string) int {
		command := exec.Command(*program, address)
		command.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=") // never somebody's cluster
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
		var port int
		_, err = fmt.Fscanln(out, &port)
		require.NoError(t, err, "a plugin prints its port")
		return port
	})
}

// dial connects to the provider whose port start gives, and tells it the engine's address.
func dial(t *testing.T, start func(address string) int) *engine {
	t.Helper()
	e, cancel := &engine{t: t}, make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: cancel, Init: func(s *grpc.Server) error {
		pulumirpc.RegisterEngineServer(s, e)
		return nil
	}})
	require.NoError(t, err)
	t.Cleanup(func() { close(cancel); <-handle.Done })
	address := fmt.Sprintf("127.0.0.1:%d", handle.Port)
	connection, err := grpc.NewClient("127.0.0.1:"+strconv.Itoa(start(address)), grpc.WithTransportCredentials(insecure.NewCredentials()),
		rpcutil.GrpcChannelOptions())
	require.NoError(t, err)
	t.Cleanup(func() { connection.Close() })
	e.ResourceProviderClient = pulumirpc.NewResourceProviderClient(connection)
	_, err = e.Handshake(t.Context(), &pulumirpc.ProviderHandshakeRequest{EngineAddress: address})
	if status.Code(err) != codes.Unimplemented {
		require.NoError(t, err)
	}
	_, err = e.Attach(t.Context(), &pulumirpc.PluginAttach{Address: address})
	require.NoError(t, err)
	return e
}

// configured is an engine whose provider talks to the control plane, with a kubeconfig like EKS's.
func configured(t *testing.T, c *controlplane.ControlPlane) *engine {
	t.Helper()
	e := newEngine(t)
	require.NoError(t, e.configure(kubeconfig(t, c.URL, c.CA, c.AdminToken)))
	return e
}

func (e *engine) configure(kubeconfig string) error {
	_, err := e.Configure(e.t.Context(), &pulumirpc.ConfigureRequest{
		Args: marshal(e.t, values{"kubeconfig": kubeconfig}), AcceptSecrets: true,
		//lint:ignore SA1019 the real plugin reads it there only
		Variables: map[string]string{"kubernetes:config:kubeconfig": kubeconfig},
	})
	return err
}

// awsCLI gives its last argument as a token.
const awsCLI = `#!/bin/sh
for token; do :; done
echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"'"$token"'"}}'
`

// kubeconfig gets its token from a program, as EKS's gets it from the aws CLI.
func kubeconfig(t *testing.T, url string, ca []byte, token string) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "aws",
		"clusters": []any{map[string]any{"name": "kubernetes", "cluster": map[string]any{"server": url, "certificate-authority-data": ca}}},
		"contexts": []any{map[string]any{"name": "aws", "context": map[string]any{"cluster": "kubernetes", "user": "aws"}}},
		"users": []any{map[string]any{"name": "aws", "user": map[string]any{"exec": map[string]any{
			"apiVersion":      "client.authentication.k8s.io/v1beta1",
			"command":         "aws",
			"args":            []string{"eks", "get-token", token},
			"interactiveMode": "Never",
		}}}},
	})
	require.NoError(t, err)
	return string(data)
}

// state is what the engine keeps of a resource.
type state struct {
	urn, id         string
	inputs, outputs *structpb.Struct
	reasons         []string // why it is not ready
}

type values = map[string]any

func urn(token, name string) string {
	return string(resource.NewURN("test", "expense", "", tokens.Type(token), name))
}

func marshal(t *testing.T, v values) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(v),
		plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
	require.NoError(t, err)
	return s
}

func unmarshal(t *testing.T, s *structpb.Struct) resource.PropertyMap {
	t.Helper()
	m, err := plugin.UnmarshalProperties(s, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, SkipNulls: true})
	require.NoError(t, err)
	return m
}

// whole is inputs with their kind, as SDKs send them.
func whole(token string, inputs values) values {
	_, kind, _ := strings.Cut(token, ":")
	version, kind, _ := strings.Cut(kind, ":")
	all := values{"apiVersion": strings.TrimPrefix(version, "core/"), "kind": kind}
	maps.Copy(all, inputs)
	return all
}

// check gives the checked inputs and what Check refused.
func (e *engine) check(token, name string, inputs values, old *structpb.Struct) (*structpb.Struct, []string) {
	e.t.Helper()
	response, err := e.Check(e.t.Context(),
		&pulumirpc.CheckRequest{Urn: urn(token, name), News: marshal(e.t, whole(token, inputs)), Olds: old, RandomSeed: []byte(name)})
	require.NoError(e.t, err)
	var failures []string
	for _, failure := range response.GetFailures() {
		failures = append(failures, failure.GetReason())
	}
	return response.GetInputs(), failures
}

// create makes a resource. It returns both a state and an error for an object that is not ready.
func (e *engine) create(token, name string, inputs values) (*state, error) {
	e.t.Helper()
	checked, failures := e.check(token, name, inputs, nil)
	require.Empty(e.t, failures)
	response, err := e.Create(e.t.Context(), &pulumirpc.CreateRequest{Urn: urn(token, name), Properties: checked, Timeout: e.timeout})
	if err != nil {
		return e.failed(&state{urn: urn(token, name), inputs: checked}, err)
	}
	return &state{urn: urn(token, name), id: response.GetId(), inputs: checked, outputs: response.GetProperties()}, nil
}

func (e *engine) mustCreate(token, name string, inputs values) *state {
	e.t.Helper()
	s, err := e.create(token, name, inputs)
	require.NoError(e.t, err)
	return s
}

// failed is the state that an error carries, nil if it carries none.
func (e *engine) failed(s *state, err error) (*state, error) {
	e.t.Helper()
	rpcErr, ok := rpcerror.FromError(err)
	require.True(e.t, ok, "%v", err)
	for _, detail := range rpcErr.Details() {
		if init, ok := detail.(*pulumirpc.ErrorResourceInitFailed); ok {
			s.id, s.outputs, s.reasons = init.GetId(), init.GetProperties(), init.GetReasons()
			return s, err
		}
	}
	return nil, err
}

func (e *engine) diff(s *state, token, name string, inputs values) *pulumirpc.DiffResponse {
	e.t.Helper()
	checked, failures := e.check(token, name, inputs, s.inputs)
	require.Empty(e.t, failures)
	response, err := e.Diff(e.t.Context(), &pulumirpc.DiffRequest{Id: s.id, Urn: s.urn, Olds: s.outputs, OldInputs: s.inputs, News: checked})
	require.NoError(e.t, err)
	return response
}

func (e *engine) update(s *state, token, name string, inputs values) error {
	e.t.Helper()
	checked, failures := e.check(token, name, inputs, s.inputs)
	require.Empty(e.t, failures)
	response, err := e.Update(e.t.Context(),
		&pulumirpc.UpdateRequest{Id: s.id, Urn: s.urn, Olds: s.outputs, OldInputs: s.inputs, News: checked, Timeout: e.timeout})
	s.inputs = checked
	if err != nil {
		_, err = e.failed(s, err)
		return err
	}
	s.outputs = response.GetProperties()
	return nil
}

func (e *engine) refresh(s *state) (found bool, err error) {
	e.t.Helper()
	response, err := e.Read(e.t.Context(), &pulumirpc.ReadRequest{Id: s.id, Urn: s.urn, Inputs: s.inputs, Properties: s.outputs})
	if err != nil || response.GetId() == "" {
		return false, err
	}
	s.inputs, s.outputs = response.GetInputs(), response.GetProperties()
	return true, nil
}

func (e *engine) delete(s *state) error {
	_, err := e.Delete(e.t.Context(),
		&pulumirpc.DeleteRequest{Id: s.id, Urn: s.urn, Properties: s.outputs, OldInputs: s.inputs, Timeout: e.timeout})
	return err
}
