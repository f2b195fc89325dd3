package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/internal/config"
	"expense/rehearsal/ops/verify"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	k8sresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
)

const ours, byHand = "project", "by-hand"

func init() {
	mutations = append(mutations,
		mutation{"nodes", "a node under pressure", func(t *testing.T, w *world) func() {
			return condition(t, w, corev1.NodeCondition{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue, Reason: "Low"})
		}},
		mutation{"nodes", "a node whose network EKS's agent finds ill", func(t *testing.T, w *world) func() {
			return condition(t, w, corev1.NodeCondition{Type: "NetworkingReady", Status: corev1.ConditionFalse, Reason: "IPAMDNotReady"})
		}},
		mutation{"nodes", "a node in a zone that the settings do not have", func(t *testing.T, w *world) func() {
			return labelled(t, w, "topology.k8s.aws/zone-id", "use1-az9")
		}},
		mutation{"nodes", "a node of another type", func(t *testing.T, w *world) func() {
			return labelled(t, w, corev1.LabelInstanceTypeStable, "m5.metal")
		}},
		mutation{"nodes", "a node that holds more pods than the settings say", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) {
				c.Cluster.NodeGroups = maps.Clone(c.Cluster.NodeGroups)
				for name, group := range c.Cluster.NodeGroups {
					group.MaxPods = 20
					c.Cluster.NodeGroups[name] = group
				}
			})
		}},
		mutation{"nodes", "a node that is not of the stack", func(t *testing.T, w *world) func() {
			return labelled(t, w, "eks.amazonaws.com/nodegroup", "another")
		}},
		mutation{"namespaces", "a label that the settings do not have", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) { c.Workloads.Environment = "another" })
		}},
		mutation{"namespaces", "a quota that is missing", func(t *testing.T, w *world) func() {
			return states(w, "kubernetes:core/v1:ResourceQuota", "a", map[string]any{
				"metadata": map[string]any{"name": "a", "namespace": ours}, "spec": map[string]any{"hard": map[string]any{"configmaps": "1000"}},
			})
		}},
		mutation{"policies", "a policy by hand that opens web to everybody", func(t *testing.T, w *world) func() {
			return policy(t, w, networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "web"}},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{}},
			})
		}},
		mutation{"policies", "a policy that is missing", func(t *testing.T, w *world) func() {
			return states(w, "kubernetes:networking.k8s.io/v1:NetworkPolicy", "a", map[string]any{
				"metadata": map[string]any{"name": "a", "namespace": ours}, "spec": map[string]any{"podSelector": map[string]any{}},
			})
		}},
		mutation{"privileged-refused", "a namespace without Pod Security", func(t *testing.T, w *world) func() {
			return states(w, "kubernetes:core/v1:Namespace", "default", map[string]any{"metadata": map[string]any{"name": "default"}})
		}},
		mutation{"pods", "an app without as many pods as the settings ask for", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) { c.Workloads.Web.MinReplicas = 99 })
		}},
		mutation{"pods", "an app that is not in the stack", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) {
				c.Workloads.Apps = maps.Clone(c.Workloads.Apps)
				c.Workloads.Apps["late"] = config.App{Image: "late:1", Replicas: config.Replicas{Min: 1}}
			})
		}},
		mutation{"pods", "a pod that is not Ready", func(t *testing.T, w *world) func() {
			return status(t, w, "nginx", func(p *corev1.Pod) {
				for i := range p.Status.Conditions {
					p.Status.Conditions[i].Status = corev1.ConditionFalse
				}
			})
		}},
		mutation{"system", "an add-on whose pods find no node", func(t *testing.T, w *world) func() {
			meta := metav1.ObjectMeta{Name: byHand, Namespace: "kube-system"}
			some := map[string]string{"app": byHand}
			d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: some},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: some}, Spec: nowhere()},
			}}
			client := w.Kubernetes.AppsV1().Deployments("kube-system")
			_, err := client.Create(t.Context(), d, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() {
				require.NoError(t, client.Delete(context.Background(), byHand, foreground))
				gone(t, func() error { _, err := client.Get(context.Background(), byHand, metav1.GetOptions{}); return err })
			}
		}},
		mutation{"restarts", "a container that ends again and again", func(t *testing.T, w *world) func() {
			return container(t, w, func(c *corev1.ContainerStatus) {
				c.RestartCount = 7
				c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}}
			})
		}},
		mutation{"restarts", "a container that was ended for want of memory, long ago", func(t *testing.T, w *world) func() {
			return container(t, w, ended("OOMKilled", 137, 24*time.Hour))
		}},
		mutation{"restarts", "a container that was restarted a minute ago", func(t *testing.T, w *world) func() {
			return container(t, w, func(c *corev1.ContainerStatus) {
				ended("Error", 1, time.Minute)(c)
				c.Ready = false
			})
		}},
		mutation{"pod-images", "a pod with the image of former settings", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) { c.Workloads.Images.Alma = "public.ecr.aws/docker/library/almalinux:10" })
		}},
		mutation{"jobs", "a Job that has failed", func(t *testing.T, w *world) func() {
			undo := job(t, w, batchv1.JobSpec{ActiveDeadlineSeconds: ptr.To(int64(1))})
			eventually(t, func() error {
				job, err := w.Kubernetes.BatchV1().Jobs(ours).Get(t.Context(), byHand, metav1.GetOptions{})
				if err == nil && !slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == batchv1.JobFailed }) {
					err = errors.New("the job has not failed yet")
				}
				return err
			})
			return undo
		}},
		mutation{"jobs", "a Job of the program that is not complete", func(t *testing.T, w *world) func() {
			unmake := job(t, w, batchv1.JobSpec{})
			undo := states(w, "kubernetes:batch/v1:Job", byHand, map[string]any{"metadata": map[string]any{"name": byHand, "namespace": ours}})
			return func() {
				undo()
				unmake()
			}
		}},
		mutation{"sidecars", "a pod without the label that the sidecar adds to lines", func(t *testing.T, w *world) func() {
			client := w.Kubernetes.CoreV1().Pods(ours)
			before, err := client.Get(t.Context(), "nginx", metav1.GetOptions{})
			require.NoError(t, err)
			patch := func(ctx context.Context, value string) {
				_, err := client.Patch(ctx, "nginx", types.MergePatchType,
					fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, corev1.LabelTopologyZone, value), metav1.PatchOptions{})
				require.NoError(t, err)
			}
			patch(t.Context(), "null")
			return func() { patch(context.Background(), fmt.Sprintf("%q", before.Labels[corev1.LabelTopologyZone])) }
		}},
		mutation{"setup-first", "an app that does not wait for the set-up", func(t *testing.T, w *world) func() {
			return changed(t, w, "kubernetes:apps/v1:Deployment", "web", func(r *apitype.ResourceV3) { r.Dependencies = nil })
		}},
		mutation{"tokens", "a pod by hand with a token for the API server", func(t *testing.T, w *world) func() {
			return pod(t, w, corev1.PodSpec{})
		}},
		mutation{"credentials", "a pod whose account has a role, and which finds no credentials", func(t *testing.T, w *world) func() {
			return pod(t, w, corev1.PodSpec{ServiceAccountName: "app-backend"})
		}},
		mutation{"credentials", "a container with a role that is not the stack's", func(t *testing.T, w *world) func() {
			return pod(t, w, corev1.PodSpec{ServiceAccountName: "fluentd", Containers: []corev1.Container{{
				Name: "main", Image: "example.com/main:1", Env: []corev1.EnvVar{{Name: "AWS_ROLE_ARN", Value: "arn:aws:iam::111122223333:role/other"}},
			}}})
		}},
		mutation{"autoscaler-rights", "a right too many", func(t *testing.T, w *world) func() {
			client := w.Kubernetes.RbacV1().ClusterRoleBindings()
			_, err := client.Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: byHand},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:controller:node-controller"},
				Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "cluster-autoscaler"}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() { require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{})) }
		}},
		mutation{"autoscaler-rights", "rights that the settings do not ask for", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) {
				c.Cluster.Autoscaler.Enabled = false
			})
		}},
		mutation{"endpoints", "a Service whose pods are not ready", func(t *testing.T, w *world) func() {
			spec := nowhere()
			spec.AutomountServiceAccountToken = ptr.To(false)
			undo := pod(t, w, spec)
			client := w.Kubernetes.CoreV1().Services(ours)
			_, err := client.Create(t.Context(), &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: byHand},
				Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": byHand}, Ports: []corev1.ServicePort{{Port: 80}}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() {
				require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{}))
				undo()
			}
		}},
		mutation{"selectors", "a disruption budget for nobody", func(t *testing.T, w *world) func() {
			client := w.Kubernetes.PolicyV1().PodDisruptionBudgets(ours)
			_, err := client.Create(t.Context(), &policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Name: byHand},
				Spec: policyv1.PodDisruptionBudgetSpec{
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "wbe"}}, MaxUnavailable: ptr.To(intstr.FromInt32(1)),
				},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() { require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{})) }
		}},
		mutation{"selectors", "a network policy for nobody", func(t *testing.T, w *world) func() {
			return policy(t, w, networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "wbe"}},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			})
		}},
		mutation{"scaling-metrics", "an autoscaler of nothing", func(t *testing.T, w *world) func() {
			client := w.Kubernetes.AutoscalingV2().HorizontalPodAutoscalers(ours)
			_, err := client.Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
				ObjectMeta: metav1.ObjectMeta{Name: byHand},
				Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
					ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "wbe"}, MaxReplicas: 2,
				},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() { require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{})) }
		}},
		mutation{"scaling-metrics", "no metrics-server", func(t *testing.T, w *world) func() {
			all, err := dynamic.NewForConfig(w.REST)
			require.NoError(t, err)
			client := all.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
			const name = "v1beta1.metrics.k8s.io"
			api, err := client.Get(t.Context(), name, metav1.GetOptions{})
			require.NoError(t, err)
			require.NoError(t, client.Delete(t.Context(), name, metav1.DeleteOptions{}))
			return func() {
				api.SetResourceVersion("")
				api.SetUID("")
				_, err := client.Create(context.Background(), api, metav1.CreateOptions{})
				require.NoError(t, err)
				eventually(t, func() error {
					report := verify.Run(context.Background(), w.Stack, verify.Checks(), verify.Options{Only: []string{"scaling-metrics"}})
					if report.Code() != 0 {
						return errors.New(report.Results[0].Seen)
					}
					return nil
				})
			}
		}},
		mutation{"quota-room", "a pod that takes what an update needs", func(t *testing.T, w *world) func() {
			quotas, err := w.Kubernetes.CoreV1().ResourceQuotas(ours).List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			require.Len(t, quotas.Items, 1)
			free := quotas.Items[0].Status.Hard[corev1.ResourceRequestsCPU]
			free.Sub(quotas.Items[0].Status.Used[corev1.ResourceRequestsCPU])
			free.Sub(k8sresource.MustParse("1m"))
			spec := nowhere()
			spec.AutomountServiceAccountToken = ptr.To(false)
			spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: free}
			undo := pod(t, w, spec)
			return func() {
				undo()
				eventually(t, func() error {
					quota, err := w.Kubernetes.CoreV1().ResourceQuotas(ours).Get(context.Background(), quotas.Items[0].Name, metav1.GetOptions{})
					used := quota.Status.Used[corev1.ResourceRequestsCPU]
					if err == nil && used.Cmp(quotas.Items[0].Status.Used[corev1.ResourceRequestsCPU]) > 0 {
						err = fmt.Errorf("the quota still counts %s", used.String())
					}
					return err
				})
			}
		}},
		mutation{"claims", "a volume that is smaller than the settings say", func(t *testing.T, w *world) func() {
			return settings(w, func(c *config.Config) { c.Workloads.VolumeSizeGiB = 2 })
		}},
		mutation{"storage-class", "a second default class", func(t *testing.T, w *world) func() {
			client := w.Kubernetes.StorageV1().StorageClasses()
			_, err := client.Create(t.Context(), &storagev1.StorageClass{
				ObjectMeta:  metav1.ObjectMeta{Name: byHand, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
				Provisioner: "example.com/none",
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			return func() { require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{})) }
		}},
		mutation{"applied-again", "a field that is another's", func(t *testing.T, w *world) func() {
			return changed(t, w, "kubernetes:policy/v1:PodDisruptionBudget", "web", func(r *apitype.ResourceV3) {
				r.Inputs["spec"].(map[string]any)["maxUnavailable"] = 2
			})
		}},
	)
}

// settings changes what the settings ask for.
func settings(w *world, change func(*config.Config)) (undo func()) {
	before := w.Settings
	other := *before
	change(&other)
	w.Settings = &other
	return func() { w.Settings = before }
}

// states adds an object to the state.
func states(w *world, typ, name string, inputs map[string]any) (undo func()) {
	before := w.State.Resources
	parts := strings.Split(typ, ":")
	inputs["apiVersion"], inputs["kind"] = strings.TrimPrefix(parts[1], "core/"), parts[2]
	w.State.Resources = append(slices.Clone(before), apitype.ResourceV3{
		URN: resource.NewURN("example", "expense", "", tokens.Type(typ), name), Type: tokens.Type(typ), Custom: true, Inputs: inputs,
	})
	return func() { w.State.Resources = before }
}

// changed changes one resource of the state.
func changed(t *testing.T, w *world, typ, name string, change func(*apitype.ResourceV3)) (undo func()) {
	before := w.State.Resources
	w.State.Resources = slices.Clone(before)
	i := slices.IndexFunc(before, func(r apitype.ResourceV3) bool { return string(r.Type) == typ && r.URN.Name() == name })
	require.GreaterOrEqual(t, i, 0, name)
	data, err := json.Marshal(before[i])
	require.NoError(t, err)
	w.State.Resources[i] = apitype.ResourceV3{}
	require.NoError(t, json.Unmarshal(data, &w.State.Resources[i]))
	change(&w.State.Resources[i])
	return func() { w.State.Resources = before }
}

// condition sets a condition of a node.
func condition(t *testing.T, w *world, c corev1.NodeCondition) (undo func()) {
	client := w.Kubernetes.CoreV1().Nodes()
	set := func(ctx context.Context, change func(*corev1.Node)) {
		require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error { // with what plays the kubelet
			list, err := client.List(ctx, metav1.ListOptions{})
			require.NoError(t, err)
			require.NotEmpty(t, list.Items)
			change(&list.Items[0])
			_, err = client.UpdateStatus(ctx, &list.Items[0], metav1.UpdateOptions{})
			return err
		}))
	}
	other := func(other corev1.NodeCondition) bool { return other.Type == c.Type }
	var before []corev1.NodeCondition
	set(t.Context(), func(n *corev1.Node) {
		before = slices.Clone(n.Status.Conditions)
		n.Status.Conditions = append(slices.DeleteFunc(n.Status.Conditions, other), c)
	})
	return func() { set(context.Background(), func(n *corev1.Node) { n.Status.Conditions = before }) }
}

// labelled sets a label of a node.
func labelled(t *testing.T, w *world, key, value string) (undo func()) {
	client := w.Kubernetes.CoreV1().Nodes()
	list, err := client.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, list.Items)
	set := func(value string) {
		_, err := client.Patch(context.Background(), list.Items[0].Name, types.MergePatchType,
			fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, key, value), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	set(value)
	return func() { set(list.Items[0].Labels[key]) }
}

// status changes what a pod's kubelet says of it.
func status(t *testing.T, w *world, name string, change func(*corev1.Pod)) (undo func()) {
	client := w.Kubernetes.CoreV1().Pods(ours)
	var before corev1.PodStatus
	set := func(change func(*corev1.Pod)) {
		require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			pod, err := client.Get(context.Background(), name, metav1.GetOptions{})
			require.NoError(t, err)
			before = *pod.Status.DeepCopy()
			change(pod)
			_, err = client.UpdateStatus(context.Background(), pod, metav1.UpdateOptions{})
			return err
		}))
	}
	set(change)
	former := before
	return func() { set(func(p *corev1.Pod) { p.Status = former }) }
}

// container changes what a kubelet says of nginx's container.
func container(t *testing.T, w *world, change func(*corev1.ContainerStatus)) (undo func()) {
	return status(t, w, "nginx", func(p *corev1.Pod) { change(&p.Status.ContainerStatuses[0]) })
}

// ended is a container that runs again after it ended.
func ended(reason string, code int32, ago time.Duration) func(*corev1.ContainerStatus) {
	return func(c *corev1.ContainerStatus) {
		c.RestartCount = 1
		c.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, FinishedAt: metav1.NewTime(time.Now().Add(-ago)),
		}
	}
}

// nowhere is a pod that no node takes.
func nowhere() corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector: map[string]string{"example.com/there": "no"},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(65534)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{Name: "main", Image: "example.com/main:1", SecurityContext: restricted()}},
	}
}

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

// pod makes a pod that no node takes, with what else the specification says.
func pod(t *testing.T, w *world, spec corev1.PodSpec) (undo func()) {
	whole := nowhere()
	whole.ServiceAccountName, whole.AutomountServiceAccountToken = spec.ServiceAccountName, spec.AutomountServiceAccountToken
	for _, c := range spec.Containers {
		c.SecurityContext = restricted()
		whole.Containers = []corev1.Container{c}
	}
	client := w.Kubernetes.CoreV1().Pods(ours)
	_, err := client.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: byHand, Labels: map[string]string{"app": byHand}}, Spec: whole,
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return func() {
		require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}))
		gone(t, func() error { _, err := client.Get(context.Background(), byHand, metav1.GetOptions{}); return err })
	}
}

func policy(t *testing.T, w *world, spec networkingv1.NetworkPolicySpec) (undo func()) {
	client := w.Kubernetes.NetworkingV1().NetworkPolicies(ours)
	made := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: byHand}, Spec: spec}
	_, err := client.Create(t.Context(), made, metav1.CreateOptions{})
	require.NoError(t, err)
	return func() { require.NoError(t, client.Delete(context.Background(), byHand, metav1.DeleteOptions{})) }
}

// job makes a Job whose pod no node takes.
func job(t *testing.T, w *world, spec batchv1.JobSpec) (undo func()) {
	spec.Template.Spec = nowhere()
	spec.Template.Spec.RestartPolicy, spec.Template.Spec.AutomountServiceAccountToken = corev1.RestartPolicyNever, ptr.To(false)
	client := w.Kubernetes.BatchV1().Jobs(ours)
	_, err := client.Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: byHand}, Spec: spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	return func() {
		require.NoError(t, client.Delete(context.Background(), byHand, foreground))
		gone(t, func() error { _, err := client.Get(context.Background(), byHand, metav1.GetOptions{}); return err })
	}
}

var foreground = metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}

// eventually waits for what the cluster does by itself.
func eventually(t *testing.T, happened func() error) {
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = happened()
		return last == nil, nil
	})
	require.NoError(t, err, "%v", last)
}

func gone(t *testing.T, get func() error) {
	eventually(t, func() error {
		err := get()
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %w", err)
	})
}
