package kubeprovider_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	podToken        = "kubernetes:core/v1:Pod"
	configMapToken  = "kubernetes:core/v1:ConfigMap"
	deploymentToken = "kubernetes:apps/v1:Deployment"
	serviceToken    = "kubernetes:core/v1:Service"
	claimToken      = "kubernetes:core/v1:PersistentVolumeClaim"
	classToken      = "kubernetes:storage.k8s.io/v1:StorageClass"
)

// What the API server refuses fails with its own words, and is not in the state.
func TestWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	restrictedNamespace := namespace(t, clients, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	full := namespace(t, clients, nil)
	_, err := clients.CoreV1().ResourceQuotas(full).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "quota"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": quantity.MustParse("0")}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		quota, err := clients.CoreV1().ResourceQuotas(full).Get(t.Context(), "quota", metav1.GetOptions{})
		require.NoError(a, err)
		assert.NotEmpty(a, quota.Status.Hard)
	}, 2*time.Minute, 50*time.Millisecond)

	for name, test := range map[string]struct {
		token  string
		inputs values
		want   string
	}{
		"a pod that may become root": {podToken, func() values {
			v := pod(restrictedNamespace, "root")
			delete(v["spec"].(values), "securityContext")
			return v
		}(), `violates PodSecurity "restricted:latest": runAsNonRoot != true`},
		"a pod above the quota": {podToken, pod(full, "one"), "exceeded quota: quota"},
		"a bad label": {configMapToken, values{"metadata": values{"namespace": full, "name": "labelled", "labels": values{"app": "not valid"}}},
			`metadata.labels: Invalid value: "not valid"`},
		"a bad name": {configMapToken, values{"metadata": meta(full, "UpperCase")}, `metadata.name: Invalid value: "UpperCase"`},
		"a selector that does not select": {deploymentToken, func() values {
			v := deployment(full, "web")
			v["spec"].(values)["selector"] = values{"matchLabels": values{"app": "other"}}
			return v
		}(), "`selector` does not match template `labels`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := configured(t, server).create(test.token, "thing", test.inputs)
			assert.ErrorContains(t, err, test.want)
			assert.Nil(t, s)
		})
	}
}

// A preview asks the server and leaves nothing behind. It passes over what it cannot know yet.
func TestPreview(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	unsafe := pod(ns, "unsafe")
	delete(unsafe["spec"].(values), "securityContext")
	imageless := pod(ns, "imageless")
	delete(imageless["spec"].(values)["containers"].([]any)[0].(values), "image")
	unknown := pod(ns, "unknown")
	unknown["spec"].(values)["nodeName"] = resource.MakeComputed(resource.NewStringProperty(""))

	for name, test := range map[string]struct {
		inputs   values
		foreseen bool // by the server: the answer has what the server adds
		err      string
	}{
		"of what the server takes":         {inputs: pod(ns, "fine"), foreseen: true},
		"of what the server refuses":       {inputs: imageless, err: "spec.containers[0].image: Required value"},
		"of a namespace that is to come":   {inputs: pod("not-there-yet", "early")},
		"of what admission forbids":        {inputs: unsafe},
		"of a value that is not known yet": {inputs: unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := configured(t, server)
			checked, failures := e.check(podToken, "thing", test.inputs, nil)
			require.Empty(t, failures)
			response, err := e.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(podToken, "thing"), Properties: checked, Preview: true})
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			outputs := unmarshal(t, response.GetProperties())
			assert.Equal(t, test.foreseen, outputs["metadata"].ObjectValue().HasValue("uid"))
			assert.NotContains(t, outputs, resource.PropertyKey("status"))
			if !test.foreseen {
				assert.Equal(t, unmarshal(t, checked), outputs)
			}
		})
	}
	t.Cleanup(func() {
		pods, err := clients.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{})
		require.NoError(t, err)
		assert.Empty(t, pods.Items, "left behind by previews")
	})
}

func TestPreviewOfAnUpdateChangesNothing(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate(configMapToken, "settings", values{"metadata": meta(ns, "settings"), "data": values{"KEY": "old"}})
	checked, _ := e.check(configMapToken, "settings", values{"metadata": meta(ns, "settings"), "data": values{"KEY": "new"}}, s.inputs)
	response, err := e.Update(t.Context(), &pulumirpc.UpdateRequest{Id: s.id, Urn: s.urn, Olds: s.outputs, News: checked, Preview: true})
	require.NoError(t, err)
	assert.Equal(t, "new", unmarshal(t, response.GetProperties())["data"].ObjectValue()["KEY"].StringValue())
	live, err := clients.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "old", live.Data["KEY"])
}

// An object that exists is an error and stays as it is. A preview passes over it, because it may be one that is to be replaced.
func TestWhatExistsIsNotTakenOver(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	other := pod(ns, "nginx")
	other["spec"].(values)["terminationGracePeriodSeconds"] = 17 // of which an update is forbidden
	same := func(inputs func() values) [2]values { return [2]values{inputs(), inputs()} }
	for token, inputs := range map[string][2]values{
		podToken: {pod(ns, "nginx"), other},
		configMapToken: {
			values{"metadata": meta(ns, "settings"), "immutable": true, "data": values{"KEY": "old"}},
			values{"metadata": meta(ns, "settings"), "data": values{"KEY": "new"}},
		},
		deploymentToken: same(func() values { return deployment(ns, "web") }),
		claimToken:      same(func() values { return claim(ns, ns) }),
	} {
		t.Run(token, func(t *testing.T) {
			if token == claimToken {
				e.mustCreate(classToken, "class",
					values{"metadata": meta("", ns), "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer"})
			}
			first := e.mustCreate(token, "thing", inputs[0])
			s, err := e.create(token, "again", inputs[1])
			assert.ErrorContains(t, err, `"`+inputs[1]["metadata"].(values)["name"].(string)+`" already exists`)
			assert.Nil(t, s, "what somebody else made is not in the state")
			found, err := e.refresh(first)
			require.NoError(t, err)
			assert.True(t, found)
			assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, e.diff(first, token, "thing", inputs[0]).GetChanges())

			checked, _ := e.check(token, "again", inputs[1], nil)
			response, err := e.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(token, "again"), Properties: checked, Preview: true})
			require.NoError(t, err)
			assert.Equal(t, unmarshal(t, checked), unmarshal(t, response.GetProperties()))
		})
	}
}

// A namespace that another resource makes at the same time is waited for.
func TestCreationWaitsForItsNamespace(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	e := configured(t, server)
	late := "late-" + string(types.UID(strings.ToLower(t.Name()))[:4])
	done := make(chan error, 1)
	go func() {
		_, err := e.create(configMapToken, "settings", values{"metadata": meta(late, "settings")})
		done <- err
	}()
	// The namespace or the first attempt may come first.
	_, err := clients.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: late}},
		metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = clients.CoreV1().Namespaces().Delete(context.Background(), late, metav1.DeleteOptions{}) })
	require.NoError(t, <-done)
}

// nowhere is a pod's spec that fits no node.
func nowhere(spec any) {
	spec.(values)["nodeSelector"] = values{"zone": "none"}
}

func service(ns string) values {
	return values{"metadata": meta(ns, "web"), "spec": values{"selector": labels(), "ports": []any{values{"port": 80}}}}
}

const noPods = "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' " +
	"may not match labels on any Pods"

// An object that does not become ready is in the state, with the real provider's error, which is silent about pods that could not be
// made or fit no node.
func TestWhatDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	stuck := func(ns string) values {
		v := pod(ns, "nowhere")
		nowhere(v["spec"])
		return v
	}
	template := func(ns string) (v, spec values) {
		v = deployment(ns, "web")
		return v, v["spec"].(values)["template"].(values)["spec"].(values)
	}
	unavailable := []string{
		"[MinimumReplicasUnavailable] Deployment does not have minimum availability.", "Minimum number of live Pods was not attained",
	}
	for name, test := range map[string]struct {
		token   string
		inputs  func(ns string) values
		reasons []string
	}{
		"a pod that fits no node": {podToken, stuck, nil},
		"a deployment whose pods are forbidden": {deploymentToken, func(ns string) values {
			v, spec := template(ns)
			spec["serviceAccountName"] = "missing"
			return v
		}, unavailable},
		"a deployment whose pods fit no node": {deploymentToken, func(ns string) values {
			v, spec := template(ns)
			nowhere(spec)
			return v
		}, unavailable},
		"a load balancer that nobody makes": {serviceToken, func(ns string) values {
			return values{"metadata": meta(ns, "web"), "spec": values{"type": "LoadBalancer", "ports": []any{values{"port": 80}}}}
		}, []string{noPods, "Service was not allocated an IP address; does your cloud provider support this?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, clients, nil)
			e := configured(t, server)
			e.timeout = 3
			s, err := e.create(test.token, "thing", test.inputs(ns))
			require.Error(t, err)
			require.NotNil(t, s, "the object exists, so the state must have it: %v", err)
			assert.ErrorContains(t, err, "but the Kubernetes API server reported that it failed to fully initialize or become live: '"+
				test.inputs(ns)["metadata"].(values)["name"].(string)+"' timed out waiting to be Ready")
			assert.Equal(t, append([]string{status.Convert(err).Message()}, test.reasons...), s.reasons)
			e.timeout = 0
			require.NoError(t, e.delete(s))
		})
	}
	t.Run("is found by a refresh too", func(t *testing.T) {
		t.Parallel()
		e := configured(t, server)
		e.timeout = 3
		s, err := e.create(podToken, "thing", stuck(namespace(t, clients, nil)))
		require.Error(t, err)
		_, err = e.refresh(s)
		assert.ErrorContains(t, err, "Resource 'nowhere' was created but failed to initialize")
	})
	t.Run("unless nobody shall wait", func(t *testing.T) {
		t.Parallel()
		v := stuck(namespace(t, clients, nil))
		v["metadata"].(values)["annotations"] = values{"pulumi.com/skipAwait": "true"}
		e := configured(t, server)
		s := e.mustCreate(podToken, "thing", v)
		_, err := e.refresh(s)
		require.NoError(t, err)
	})
}

// A rollout that cannot go on is shown at once, but waited for.
func TestARolloutThatCannotGoOnIsShown(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	e := configured(t, server)
	v := deployment(namespace(t, clients, nil), "web")
	v["spec"].(values)["progressDeadlineSeconds"] = 1
	nowhere(v["spec"].(values)["template"].(values)["spec"])
	created := make(chan error, 1)
	go func() {
		_, err := e.create(deploymentToken, "web", v)
		created <- err
	}()
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		assert.Regexp(a, `\[ProgressDeadlineExceeded\] ReplicaSet "web-\w+" has timed out progressing`, e.lines())
	}, 2*time.Minute, 50*time.Millisecond)
	select {
	case err := <-created:
		t.Fatalf("it was not waited for: %v", err)
	default:
	}
	_, err := e.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.ErrorContains(t, <-created, `Resource operation was cancelled for "web"`)
}

// write gives a pod that runs, or has run, its status.
func write(t require.TestingT, clients kubernetes.Interface, pod *corev1.Pod, ready corev1.ConditionStatus) {
	pod.Status.Conditions = []corev1.PodCondition{
		{
			Type:   corev1.PodScheduled,
			Status: corev1.ConditionTrue,
		},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.PodReady, Status: ready},
	}
	_, err := clients.CoreV1().Pods(pod.Namespace).UpdateStatus(context.Background(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// A Job that fails ends the wait at once, and what its pod said last is shown and in the error. A Job that fails by a rule of
// its own is waited for until the time is up.
func TestAJobThatFailsSaysWhatItsPodSaid(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	for name, test := range map[string]struct {
		spec    values
		want    string
		failure []string
	}{
		"after its retries": {values{"backoffLimit": 0}, "Resource 'setup' was created but failed to initialize",
			[]string{"[BackoffLimitExceeded] Job has reached the specified backoff limit"}},
		"by a rule": {values{"backoffLimit": 3, "podFailurePolicy": values{"rules": []any{values{
			"action": "FailJob", "onExitCodes": values{"operator": "In", "values": []any{1}},
		}}}}, "'setup' timed out waiting to be Ready", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, clients, nil)
			e := configured(t, server)
			spec := podSpec()
			delete(spec, "initContainers")
			spec["restartPolicy"] = "Never"
			spec["schedulerName"] = "nobody" // so that the pod's end is the test's to write
			test.spec["template"] = values{"spec": spec}
			e.timeout = 10
			type result struct {
				state *state
				err   error
			}
			created := make(chan result, 1)
			go func() {
				s, err := e.create("kubernetes:batch/v1:Job", "setup", values{"metadata": meta(ns, "setup"), "spec": test.spec})
				created <- result{s, err}
			}()
			podName := ""
			require.EventuallyWithT(t, func(a *assert.CollectT) {
				pods, err := clients.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
				require.NoError(a, err)
				require.Len(a, pods.Items, 1)
				failed := pods.Items[0]
				podName = failed.Name
				failed.Status.Phase = corev1.PodFailed
				failed.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name: failed.Spec.Containers[0].Name,
					State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
						ExitCode: 1, Reason: "Error", Message: "setup: PUT /_index_template/project: 400 no",
					}},
				}}
				write(a, clients, &failed, corev1.ConditionFalse)
			}, 2*time.Minute, 20*time.Millisecond)
			got := <-created
			assert.ErrorContains(t, got.err, test.want)
			require.NotNil(t, got.state)
			said := "[Pod " + ns + "/" + podName + "]: [Error] setup: PUT /_index_template/project: 400 no"
			assert.Equal(t, append([]string{said}, test.failure...), got.state.reasons[1:])
			assert.Contains(t, e.lines(), said)

			// It stays failed, unless it is marked.
			inputs := values{"metadata": meta(ns, "setup"), "spec": test.spec}
			assert.Empty(t, e.diff(got.state, "kubernetes:batch/v1:Job", "setup", inputs).GetReplaces())
			marked := meta(ns, "setup")
			marked["annotations"] = values{"pulumi.com/replaceUnready": "true"}
			diff := e.diff(got.state, "kubernetes:batch/v1:Job", "setup", values{"metadata": marked, "spec": test.spec})
			assert.Equal(t, []string{`.metadata.annotations["pulumi.com/replaceUnready"]`}, diff.GetReplaces())
			assert.True(t, diff.GetDeleteBeforeReplace(), "its name is taken")
		})
	}
}

func claim(ns, class string) values {
	return values{"metadata": meta(ns, "data"), "spec": values{
		"accessModes": []any{"ReadWriteOnce"}, "storageClassName": class, "resources": values{"requests": values{"storage": "1024Mi"}},
	}}
}

// There is no wait for a claim whose class waits for a pod.
func TestAClaimThatWaitsForItsPod(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	class := e.mustCreate(classToken, "class", values{
		"metadata": meta("", ns), "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer",
	})
	s := e.mustCreate(claimToken, "data", claim(ns, ns))
	assert.Equal(t, "Pending", unmarshal(t, s.outputs)["status"].ObjectValue()["phase"].StringValue())
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, e.diff(s, claimToken, "data", claim(ns, ns)).GetChanges())
	require.NoError(t, e.delete(s))
	require.NoError(t, e.delete(class))
}

// The wait for a claim ignores the resource's timeout; here it ends with Ctrl-C.
func TestAClaimWithoutAClassIsWaitedFor(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	e.timeout = 3
	claimed := make(chan error, 1)
	go func() {
		_, err := e.create(claimToken, "data", claim(ns, "missing"))
		claimed <- err
	}()
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		_, err := clients.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "data", metav1.GetOptions{})
		assert.NoError(a, err)
	}, 2*time.Minute, 20*time.Millisecond)
	v := pod(ns, "nowhere")
	nowhere(v["spec"])
	_, err := e.create(podToken, "clock", v)
	require.ErrorContains(t, err, "timed out")
	select {
	case err := <-claimed:
		t.Fatalf("it was waited for no longer than the pod, which began later: %v", err)
	default:
	}
	_, err = e.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.ErrorContains(t, <-claimed, "Resource operation was cancelled for 'data'")
}

// A Service without pods is ready; one with a pod that is not ready is not.
func TestAServiceWaitsForThePodsThatItHas(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate(serviceToken, "web", service(ns))

	v := pod(ns, "web")
	v["metadata"].(values)["labels"] = labels()
	e.mustCreate(podToken, "web", v)
	ready := func(is corev1.ConditionStatus) {
		require.EventuallyWithT(t, func(a *assert.CollectT) {
			pod, err := clients.CoreV1().Pods(ns).Get(t.Context(), "web", metav1.GetOptions{})
			require.NoError(a, err)
			write(a, clients, pod, is)
		}, 2*time.Minute, 20*time.Millisecond)
		require.EventuallyWithT(t, func(a *assert.CollectT) {
			slices, err := clients.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{})
			require.NoError(a, err)
			require.Len(a, slices.Items, 1)
			require.Len(a, slices.Items[0].Endpoints, 1)
			assert.Equal(a, is == corev1.ConditionTrue, *slices.Items[0].Endpoints[0].Conditions.Ready)
		}, 2*time.Minute, 20*time.Millisecond)
	}
	ready(corev1.ConditionFalse)
	e.timeout = 3
	assert.ErrorContains(t, e.update(s, serviceToken, "web", service(ns)), "'web' timed out waiting to be Ready")
	e.timeout = 0
	assert.Equal(t, []string{noPods}, s.reasons[1:])
	ready(corev1.ConditionTrue)
	require.NoError(t, e.update(s, serviceToken, "web", service(ns)))
}

// The pods of a deleted Deployment are gone when its deletion returns.
func TestDeletionTakesWhatAnObjectOwns(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate(deploymentToken, "web", deployment(ns, "web"))
	require.NoError(t, e.delete(s))
	sets, err := clients.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	pods, err := clients.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, sets.Items)
	assert.Empty(t, pods.Items)
}

// The error of a deletion that hangs says nothing of the reason; a line beside it does.
func TestADeletionThatHangs(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate(configMapToken, "held", values{"metadata": meta(ns, "held")})
	hold := func(ctx context.Context, finalizers string) {
		_, err := clients.CoreV1().
			ConfigMaps(ns).
			Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	hold(t.Context(), `["example.com/hold"]`)
	e.timeout = 3
	kept, err := e.failed(s, e.delete(s))
	e.timeout = 0
	assert.NotNil(t, kept)
	assert.Equal(t, "timed out waiting for the condition", status.Convert(err).Message())
	assert.Regexp(t, `finalizers might be preventing deletion \(.*example\.com/hold.*\)`, e.lines())
	hold(t.Context(), "null")
	require.NoError(t, e.delete(s))
}

// Cancel ends a wait at once, and the state keeps what was made.
func TestCancel(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	other := configured(t, server) // goes on
	v := pod(ns, "nowhere")
	v["spec"].(values)["nodeSelector"] = values{"zone": "none"}
	type result struct {
		state *state
		err   error
	}
	done := make(chan result, 1)
	go func() {
		s, err := e.create(podToken, "thing", v)
		done <- result{s, err}
	}()
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		pod, err := clients.CoreV1().Pods(ns).Get(t.Context(), "nowhere", metav1.GetOptions{})
		require.NoError(a, err)
		assert.NotEmpty(a, pod.Status.Conditions, "which come after the answer to its creation")
	}, 2*time.Minute, 20*time.Millisecond)
	_, err := e.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	got := <-done
	assert.ErrorContains(t, got.err, "cancelled")
	require.NotNil(t, got.state)
	require.NoError(t, other.delete(got.state))
}

// A field that a program changed shows as drift, and is not taken back. One that a person changed with kubectl is, but once the
// object was updated the preview refuses that.
func TestDriftAndConflict(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	settings := func() values {
		m := meta(ns, "settings")
		m["labels"] = values{"app": "web"}
		return values{"metadata": m}
	}
	s := e.mustCreate(configMapToken, "settings", settings())
	drift := func(manager string, patch types.PatchType) {
		options := metav1.PatchOptions{FieldManager: manager}
		if patch == types.ApplyPatchType {
			force := true
			options.Force = &force
		}
		_, err := clients.CoreV1().ConfigMaps(ns).Patch(t.Context(), "settings", patch,
			[]byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","labels":{"app":"stolen"}}}`), options)
		require.NoError(t, err)
		found, err := e.refresh(s)
		require.NoError(t, err)
		require.True(t, found)
		assert.Contains(t, e.diff(s, configMapToken, "settings", settings()).GetDetailedDiff(), "metadata.labels.app")
	}
	preview := func() error {
		checked, _ := e.check(configMapToken, "settings", settings(), s.inputs)
		_, err := e.Update(t.Context(),
			&pulumirpc.UpdateRequest{Id: s.id, Urn: s.urn, Olds: s.outputs, OldInputs: s.inputs, News: checked, Preview: true})
		return err
	}
	isBack := func() {
		live, err := clients.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "web", live.Labels["app"])
	}
	drift("kubectl-label", types.MergePatchType)
	require.NoError(t, preview())
	require.NoError(t, e.update(s, configMapToken, "settings", settings()))
	isBack()
	drift("kubectl-edit", types.MergePatchType)
	assert.ErrorContains(t, preview(), "server-side apply field conflict")
	require.NoError(t, e.update(s, configMapToken, "settings", settings()))
	isBack()
	drift("kubectl", types.ApplyPatchType)
	require.NoError(t, e.update(s, configMapToken, "settings", settings()))
	isBack()

	drift("thief", types.MergePatchType)
	assert.ErrorContains(t, e.update(s, configMapToken, "settings", settings()), "server-side apply field conflict")
}

func TestWhatSomebodyDeletedIsGoneFromTheState(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate(configMapToken, "settings", values{"metadata": meta(ns, "settings")})
	require.NoError(t, clients.CoreV1().ConfigMaps(ns).Delete(t.Context(), "settings", metav1.DeleteOptions{}))
	found, err := e.refresh(s)
	require.NoError(t, err)
	assert.False(t, found)
	require.NoError(t, e.delete(s))
	_, err = clients.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err))
}

// Secrets are secret in what the state keeps, and arrive at the server.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server)
	s := e.mustCreate("kubernetes:core/v1:Secret", "secret",
		values{"metadata": meta(ns, "secret"), "stringData": values{"API_TOKEN": "swordfish"}})
	live, err := clients.CoreV1().Secrets(ns).Get(t.Context(), "secret", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "swordfish", string(live.Data["API_TOKEN"]))
	_, err = e.refresh(s)
	require.NoError(t, err)
	outputs := unmarshal(t, s.outputs)
	for _, kept := range []resource.PropertyMap{unmarshal(t, s.inputs), outputs, outputs["__inputs"].ObjectValue()} {
		assert.True(t, kept["data"].IsSecret(), "%v", kept)
	}

	secret := values{
		"metadata": meta(ns, "settings"),
		"data":     values{"open": "1", "closed": resource.MakeSecret(resource.NewStringProperty("swordfish"))},
	}
	settings := e.mustCreate(configMapToken, "settings", secret)
	data := unmarshal(t, settings.outputs)["data"].ObjectValue()
	assert.True(t, data["closed"].IsSecret())
	assert.False(t, data["open"].IsSecret())
}
