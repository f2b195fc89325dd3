package incluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/controlplane"
	"expense/rehearsal/internal/incluster"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// shared is the control plane of all tests of the package, and the stand-ins on it. The tests do not run side by side:
// each has the cluster to itself.
var shared struct {
	once         sync.Once
	controlPlane *controlplane.ControlPlane
	controllers  *incluster.Controllers
	aws          account
	dir          string
	err          error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.controllers != nil {
		shared.controllers.Stop()
	}
	if shared.controlPlane != nil {
		shared.controlPlane.Stop()
	}
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

// cluster is a control plane with the stand-ins on it.
type cluster struct {
	kubernetes.Interface
	*incluster.Controllers
	t         *testing.T
	aws       *account
	namespace string
}

func start(t *testing.T, addons ...string) *cluster {
	t.Helper()
	binary := os.Getenv("KUBERNETES_BIN")
	if binary == "" {
		binary = "../../../.tools/bin/kubernetes"
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("needs a Kubernetes control plane, which `make tools` builds: %v", err)
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "incluster-"); shared.err != nil {
			return
		}
		shared.controlPlane, shared.err = controlplane.Start(context.Background(), controlplane.Options{Dir: shared.dir, Binary: binary})
		if shared.err == nil {
			shared.controllers, shared.err = incluster.Start(context.Background(), shared.controlPlane.RESTConfig(), &shared.aws)
		}
	})
	require.NoError(t, shared.err)
	clients, err := kubernetes.NewForConfig(shared.controlPlane.RESTConfig())
	require.NoError(t, err)
	shared.aws.reset(addons)
	shared.controllers.EvictionTimeout = 15 * time.Minute
	c := &cluster{Interface: clients, Controllers: shared.controllers, t: t, aws: &shared.aws}

	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	ns, err := clients.CoreV1().Namespaces().Create(t.Context(), made, metav1.CreateOptions{})
	require.NoError(t, err)
	c.namespace = ns.Name
	c.eventually(func(a *assert.CollectT) {
		_, err := clients.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		assert.NoError(a, err, "without it the server refuses pods")
	})
	t.Cleanup(func() {
		_ = clients.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
		assert.EventuallyWithT(t, func(a *assert.CollectT) {
			_, err := clients.CoreV1().Namespaces().Get(context.Background(), ns.Name, metav1.GetOptions{})
			assert.True(a, apierrors.IsNotFound(err), "namespace %s is still there", ns.Name)
		}, 2*time.Minute, 100*time.Millisecond)
		// Last, for a pod without its node ends only when the garbage collector finds it.
		_ = clients.CoreV1().Nodes().DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
	})
	return c
}

// eventually polls until what it is given asserts nothing wrong.
func (c *cluster) eventually(condition func(*assert.CollectT)) {
	c.t.Helper()
	require.EventuallyWithT(c.t, condition, 2*time.Minute, 50*time.Millisecond)
}

// nodes makes m5.large instances join, one for each zone letter.
func (c *cluster) nodes(zones ...string) []awsmodel.Instance {
	c.t.Helper()
	var instances []awsmodel.Instance
	for i, zone := range zones {
		instances = append(instances, awsmodel.Instance{
			ID:           fmt.Sprintf("i-%d%s", i, zone),
			PrivateDNS:   fmt.Sprintf("ip-192-168-%d-%s.ec2.internal", i, zone),
			PrivateIP:    fmt.Sprintf("192.168.0.%d", i+4),
			Region:       "us-east-1",
			Zone:         "us-east-1" + zone,
			ZoneID:       "use1-az-" + zone,
			InstanceType: "m5.large",
			CapacityType: "SPOT",
			Arch:         "amd64",
			Cluster:      "expense",
			NodeGroup:    "expense-1234",
			VCPU:         2,
			MemoryMiB:    8192,
			MaxPods:      29,
			DiskGiB:      20,
			Labels:       map[string]string{"purpose": "test"},
		})
	}
	require.NoError(c.t, c.AddNodes(c.t.Context(), instances))
	return instances
}

// pod is a small pod with a native sidecar.
func pod(labels map[string]string) corev1.PodTemplateSpec {
	always := corev1.ContainerRestartPolicyAlways
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "fluentd", Image: "example.com/fluentd:1", RestartPolicy: &always}},
			Containers:     []corev1.Container{{Name: "nginx", Image: "example.com/nginx:1"}},
		},
	}
}

// account is an AWS account that keeps what controllers make.
type account struct {
	mu        sync.Mutex
	addons    map[string]bool
	volumes   map[string]volume
	balancers map[string]balancer
	refuse    string // the error of CreateLoadBalancer
}

type volume struct {
	cluster, zone string
	sizeGiB       int
	encrypted     bool
	tags          map[string]string
}

type balancer struct {
	cluster, scheme string
	annotations     map[string]string
	ports           []int32
}

func (a *account) reset(addons []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addons, a.volumes, a.balancers, a.refuse = map[string]bool{}, map[string]volume{}, map[string]balancer{}, ""
	for _, addon := range addons {
		a.addons[addon] = true
	}
}

func (a *account) CreateVolume(cluster, zone string, sizeGiB int, encrypted bool, tags map[string]string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := fmt.Sprintf("vol-%d", len(a.volumes))
	a.volumes[id] = volume{cluster, zone, sizeGiB, encrypted, tags}
	return id, nil
}

func (a *account) DeleteVolume(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.volumes, id)
	return nil
}

func (a *account) CreateLoadBalancer(cluster, name, scheme string, annotations map[string]string, ports ...int32) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != "" {
		return "", errors.New(a.refuse)
	}
	a.balancers[name] = balancer{cluster, scheme, annotations, ports}
	return name + ".elb.us-east-1.amazonaws.com", nil
}

func (a *account) ReleaseLoadBalancer(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.balancers, name)
	return nil
}

func (a *account) AddonActive(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addons[name]
}

func (a *account) setAddon(name string, active bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addons[name] = active
}

func (a *account) refuseBalancers(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = reason
}

func (a *account) allVolumes() map[string]volume {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.volumes)
}

func (a *account) allBalancers() map[string]balancer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.balancers)
}
