package incluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/cert"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	metricsName       = "metrics-server" // of the add-on and of its Service
	metricsAPIService = "v1beta1.metrics.k8s.io"
)

var (
	apiServices  = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	metricsGroup = metricsv1beta1.SchemeGroupVersion
)

// What a container uses unless SetCPU says otherwise: next to nothing.
const (
	idleMillicores = 1
	usedMemory     = 16 << 20
)

// window is the time over which usage was measured. The autoscaler ignores what was measured before a pod was Ready. The real
// window, about 15 seconds, is a wait that shows nothing.
const window = time.Second

// metricsServer answers metrics.k8s.io/v1beta1 with invented usage of real pods.
type metricsServer struct {
	pods listers.PodLister

	mu    sync.Mutex
	loads []load // the last that matches counts
}

type load struct {
	namespace  string
	selector   labels.Selector
	millicores int64
}

// SetCPU sets the CPU that each container, sidecar or not, uses in the namespace's pods that match the label selector. Without a
// setting that is 1 millicore.
func (c *Controllers) SetCPU(namespace, selector string, millicores int64) error {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return fmt.Errorf("label selector %q: %w", selector, err)
	}
	c.metrics.mu.Lock()
	defer c.metrics.mu.Unlock()
	c.metrics.loads = append(c.metrics.loads, load{namespace, parsed, millicores})
	return nil
}

// startMetrics serves on loopback, and makes the API server use it while the add-on is active.
func (c *Controllers) startMetrics(ctx context.Context) error {
	c.metrics = &metricsServer{pods: c.factory.Core().V1().Pods().Lister()}
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("free port: %w", err)
	}
	server := &http.Server{
		Handler:           c.metrics.handler(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}},
		ReadHeaderTimeout: 10 * time.Second,
	}
	c.running.Go(func() { _ = server.ServeTLS(listener, "", "") }) // ends with Close
	context.AfterFunc(ctx, func() { _ = server.Close() })

	port := int64(listener.Addr().(*net.TCPAddr).Port)
	registered := false
	c.running.Go(func() {
		// The add-on comes and goes without notice. The next look tries again what failed.
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			active := c.aws.AddonActive(metricsName)
			if active && !registered && c.registerMetrics(ctx, port) == nil || !active && registered && c.unregisterMetrics(ctx) == nil {
				registered = active
			}
		}, time.Second)
		// A registered API that nobody serves keeps namespaces from being deleted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.unregisterMetrics(ctx) // fails when the API server has gone
	})
	return nil
}

// registerMetrics leads the API server to this process: a Service of type ExternalName stands for localhost.
func (c *Controllers) registerMetrics(ctx context.Context, port int64) error {
	_, err := c.clients.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: metricsName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = c.dynamic.Resource(apiServices).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": metricsAPIService},
		"spec": map[string]any{
			"group": metricsGroup.Group, "version": metricsGroup.Version, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true, // as the add-on's own
			"service":               map[string]any{"namespace": metav1.NamespaceSystem, "name": metricsName, "port": port},
		},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (c *Controllers) unregisterMetrics(ctx context.Context) error {
	err := c.dynamic.Resource(apiServices).Delete(ctx, metricsAPIService, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	err = c.clients.CoreV1().Services(metav1.NamespaceSystem).Delete(ctx, metricsName, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// handler answers what the API server and the autoscaler ask.
func (m *metricsServer) handler() http.Handler {
	mux, root := http.NewServeMux(), "GET /apis/"+metricsGroup.String()
	mux.HandleFunc(root, answer(func(*http.Request) (any, error) {
		return metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: metricsGroup.String(),
			APIResources: []metav1.APIResource{{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: metav1.Verbs{"list"}}},
		}, nil
	}))
	mux.HandleFunc(root+"/namespaces/{namespace}/pods", answer(func(r *http.Request) (any, error) {
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		all, err := m.pods.Pods(r.PathValue("namespace")).List(selector)
		list := metricsv1beta1.PodMetricsList{TypeMeta: typeOf("PodMetricsList")}
		for _, pod := range all {
			if pod.Status.Phase == corev1.PodRunning {
				list.Items = append(list.Items, m.ofPod(pod))
			}
		}
		return list, err
	}))
	return mux
}

// answer writes an object, or an error as the API server's Status object.
func answer(get func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := get(r)
		code := http.StatusOK
		if err != nil {
			status := apierrors.NewInternalError(err).Status()
			if known := apierrors.APIStatus(nil); errors.As(err, &known) {
				status = known.Status()
			}
			status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
			body, code = status, int(status.Code)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body) // fails when the client has gone
	}
}

func typeOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: metricsGroup.String()}
}

// ofPod lists the containers that keep running: the ordinary ones and the native sidecars.
func (m *metricsServer) ofPod(pod *corev1.Pod) metricsv1beta1.PodMetrics {
	m.mu.Lock()
	millicores := int64(idleMillicores)
	for _, load := range m.loads {
		if load.namespace == pod.Namespace && load.selector.Matches(labels.Set(pod.Labels)) {
			millicores = load.millicores
		}
	}
	m.mu.Unlock()
	out := metricsv1beta1.PodMetrics{
		TypeMeta:   typeOf("PodMetrics"),
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels},
		Timestamp:  metav1.Now(), Window: metav1.Duration{Duration: window},
	}
	add := func(name string) {
		out.Containers = append(out.Containers, metricsv1beta1.ContainerMetrics{Name: name, Usage: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(millicores, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(usedMemory, resource.BinarySI),
		}})
	}
	for _, container := range pod.Spec.InitContainers {
		if container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(container.Name)
		}
	}
	for _, container := range pod.Spec.Containers {
		add(container.Name)
	}
	return out
}
