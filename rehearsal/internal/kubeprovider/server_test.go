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
	"google.golang.org/protobuf/types/known/emptypb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	podToken        = "kubernetes:core/v1:Pod"
	configMapToken  = "kubernetes:core/v1:ConfigMap"
	deploymentToken = "kubernetes:apps/v1:Deployment"
	serviceToken    = "kubernetes:core/v1:Service"
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
	}, 30*time.Second, 50*time.Millisecond)

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
			s, err := configured(t, server, nil).create(test.token, "thing", test.inputs)
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
			e := configured(t, server, nil)
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
	e := configured(t, server, nil)
	s := e.mustCreate(configMapToken, "settings", values{"metadata": meta(ns, "settings"), "data": values{"KEY": "old"}})
	checked, _ := e.check(configMapToken, "settings", values{"metadata": meta(ns, "settings"), "data": values{"KEY": "new"}}, s.inputs)
	response, err := e.Update(t.Context(), &pulumirpc.UpdateRequest{Id: s.id, Urn: s.urn, Olds: s.outputs, News: checked, Preview: true})
	require.NoError(t, err)
	assert.Equal(t, "new", unmarshal(t, response.GetProperties())["data"].ObjectValue()["KEY"].StringValue())
	live, err := clients.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "old", live.Data["KEY"])
}

// An immutable field of an object that is to be replaced does not fail the preview.
func TestPreviewOfAReplacement(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	settings := func(value string) values {
		return values{"metadata": meta(ns, "settings"), "immutable": true, "data": values{"KEY": value}}
	}
	e.mustCreate(configMapToken, "settings", settings("old"))
	checked, _ := e.check(configMapToken, "settings", settings("new"), nil)
	response, err := e.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(configMapToken, "settings"), Properties: checked, Preview: true})
	require.NoError(t, err)
	assert.Equal(t, "settings", unmarshal(t, response.GetProperties())["metadata"].ObjectValue()["name"].StringValue())

	// Nearly everything of a pod is forbidden to be updated, in other words.
	e.mustCreate(podToken, "nginx", pod(ns, "nginx"))
	other := pod(ns, "nginx")
	other["spec"].(values)["terminationGracePeriodSeconds"] = 17
	checked, _ = e.check(podToken, "nginx", other, nil)
	response, err = e.Create(t.Context(), &pulumirpc.CreateRequest{Urn: urn(podToken, "nginx"), Properties: checked, Preview: true})
	require.NoError(t, err)
	assert.Equal(t, "nginx", unmarshal(t, response.GetProperties())["metadata"].ObjectValue()["name"].StringValue())
}

// A namespace that another resource makes at the same time is waited for.
func TestCreationWaitsForItsNamespace(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	e := configured(t, server, nil)
	late := "late-" + string(types.UID(strings.ToLower(t.Name()))[:4])
	done := make(chan error, 1)
	go func() {
		_, err := e.create(configMapToken, "settings", values{"metadata": meta(late, "settings")})
		done <- err
	}()
	// Whether the namespace or the first attempt comes first: both are right.
	_, err := clients.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: late}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = clients.CoreV1().Namespaces().Delete(context.Background(), late, metav1.DeleteOptions{}) })
	require.NoError(t, <-done)
}

// impatient makes a resource wait for one second only.
func impatient(v values) values {
	v["metadata"].(values)["annotations"] = values{"pulumi.com/timeoutSeconds": "1"}
	return v
}

// An object that does not become ready is in the state, with an error that says why.
func TestWhatDoesNotBecomeReady(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	nowhere := func(ns string) values {
		v := impatient(pod(ns, "nowhere"))
		v["spec"].(values)["nodeSelector"] = values{"zone": "none"}
		return v
	}
	for name, test := range map[string]struct {
		token  string
		inputs func(ns string) values
		want   []string
	}{
		"a pod that fits no node": {podToken, nowhere, []string{"timed out waiting to be Ready", "phase is Pending", "[PodScheduled] Unschedulable", "FailedScheduling"}},
		"a deployment whose pods are forbidden": {deploymentToken, func(ns string) values {
			v := impatient(deployment(ns, "web"))
			v["spec"].(values)["template"].(values)["spec"].(values)["serviceAccountName"] = "missing"
			return v
		}, []string{"timed out waiting to be Ready", `serviceaccount "missing" not found`}},
		"a deployment whose pods fit no node": {deploymentToken, func(ns string) values {
			v := impatient(deployment(ns, "web"))
			v["spec"].(values)["template"].(values)["spec"].(values)["nodeSelector"] = values{"zone": "none"}
			return v
		}, []string{"timed out waiting to be Ready", "pod web-", "didn't match Pod's node affinity/selector"}},
		"a service without pods": {serviceToken, func(ns string) values {
			return impatient(values{"metadata": meta(ns, "web"), "spec": values{"selector": labels(), "ports": []any{values{"port": 80}}}})
		}, []string{"Service does not target any Pods"}},
		"a load balancer that nobody makes": {serviceToken, func(ns string) values {
			return impatient(values{"metadata": meta(ns, "web"), "spec": values{"type": "LoadBalancer", "ports": []any{values{"port": 80}}}})
		}, []string{"Service was not allocated an IP address"}},
		"a claim without a class": {"kubernetes:core/v1:PersistentVolumeClaim", func(ns string) values {
			return impatient(claim(ns, "missing"))
		}, []string{`storageclass.storage.k8s.io "missing" not found`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, clients, nil)
			e := configured(t, server, nil)
			s, err := e.create(test.token, "thing", test.inputs(ns))
			require.Error(t, err)
			require.NotNil(t, s, "the object exists, so the state must have it: %v", err)
			reasons := strings.Join(s.reasons, "\n")
			for _, want := range test.want {
				assert.Contains(t, reasons, want)
				assert.ErrorContains(t, err, want)
			}
			require.NoError(t, e.delete(s))
		})
	}
	t.Run("is found by a refresh too", func(t *testing.T) {
		t.Parallel()
		e := configured(t, server, nil)
		s, err := e.create(podToken, "thing", nowhere(namespace(t, clients, nil)))
		require.Error(t, err)
		_, err = e.refresh(s)
		assert.ErrorContains(t, err, "is not ready")
	})
	t.Run("unless nobody shall wait", func(t *testing.T) {
		t.Parallel()
		v := nowhere(namespace(t, clients, nil))
		v["metadata"].(values)["annotations"] = values{"pulumi.com/skipAwait": "true"}
		e := configured(t, server, nil)
		s := e.mustCreate(podToken, "thing", v)
		_, err := e.refresh(s)
		require.NoError(t, err)
	})
}

// A Job that fails ends the wait at once, and what its pod said last is in the error, as in the real provider
// (https://github.com/pulumi/cloud-ready-checks/blob/master/pkg/kubernetes/pod/check.go). A Job that fails by a rule of its
// own is waited for until the time is up.
func TestAJobThatFailsSaysWhatItsPodSaid(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	for name, test := range map[string]struct {
		spec values
		want []string
	}{
		"after its retries": {values{"backoffLimit": 0}, []string{"job failed: BackoffLimitExceeded"}},
		"by a rule": {values{"backoffLimit": 3, "podFailurePolicy": values{"rules": []any{values{
			"action": "FailJob", "onExitCodes": values{"operator": "In", "values": []any{1}},
		}}}}, []string{"timed out waiting to be Ready", "job failed: PodFailurePolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, clients, nil)
			e := configured(t, server, nil)
			spec := pod(ns, "unused")["spec"].(values)
			delete(spec, "initContainers")
			// Nobody runs it, so that its end is the test's to write.
			spec["restartPolicy"], spec["nodeSelector"] = "Never", values{"zone": "none"}
			test.spec["template"] = values{"spec": spec}
			metadata := meta(ns, "setup")
			metadata["annotations"] = values{"pulumi.com/timeoutSeconds": "10"}
			created := make(chan error, 1)
			go func() {
				_, err := e.create("kubernetes:batch/v1:Job", "setup", values{"metadata": metadata, "spec": test.spec})
				created <- err
			}()
			require.EventuallyWithT(t, func(a *assert.CollectT) {
				pods, err := clients.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
				if !assert.NoError(a, err) || !assert.Len(a, pods.Items, 1) {
					return
				}
				failed := pods.Items[0]
				failed.Status.Phase = corev1.PodFailed
				failed.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name: failed.Spec.Containers[0].Name,
					State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
						ExitCode: 1, Reason: "Error", Message: "set-up of the domain: index template: PUT /_index_template/project: 400 no",
					}},
				}}
				_, err = clients.CoreV1().Pods(ns).UpdateStatus(t.Context(), &failed, metav1.UpdateOptions{})
				assert.NoError(a, err)
			}, 10*time.Second, 20*time.Millisecond)
			err := <-created
			require.Error(t, err)
			for _, want := range append(test.want, "exit code 1", "PUT /_index_template/project: 400 no") {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func claim(ns, class string) values {
	return values{"metadata": meta(ns, "data"), "spec": values{
		"accessModes": []any{"ReadWriteOnce"}, "storageClassName": class, "resources": values{"requests": values{"storage": "1024Mi"}},
	}}
}

// A claim whose class waits for a pod is not waited for.
func TestAClaimThatWaitsForItsPod(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	class := e.mustCreate("kubernetes:storage.k8s.io/v1:StorageClass", "class", values{
		"metadata": meta("", ns), "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "WaitForFirstConsumer",
	})
	s := e.mustCreate("kubernetes:core/v1:PersistentVolumeClaim", "data", claim(ns, ns))
	assert.Equal(t, "Pending", unmarshal(t, s.outputs)["status"].ObjectValue()["phase"].StringValue())
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_NONE, e.diff(s, "kubernetes:core/v1:PersistentVolumeClaim", "data", claim(ns, ns)).GetChanges())
	require.NoError(t, e.delete(s))
	require.NoError(t, e.delete(class))
}

func TestAServiceIsReadyWhenItsPodsAre(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	service := make(chan error, 1)
	go func() {
		_, err := e.create(serviceToken, "web", values{"metadata": meta(ns, "web"), "spec": values{"selector": labels(), "ports": []any{values{"port": 80}}}})
		service <- err
	}()
	require.EventuallyWithT(t, func(a *assert.CollectT) {
		_, err := clients.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{})
		assert.NoError(a, err)
	}, 30*time.Second, 20*time.Millisecond)
	select {
	case err := <-service:
		t.Fatalf("ready before there were pods: %v", err)
	default:
	}
	e.mustCreate(deploymentToken, "web", deployment(ns, "web"))
	require.NoError(t, <-service)
}

// The pods of a deleted Deployment are gone when its deletion returns.
func TestDeletionTakesWhatAnObjectOwns(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	s := e.mustCreate(deploymentToken, "web", deployment(ns, "web"))
	require.NoError(t, e.delete(s))
	sets, err := clients.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	pods, err := clients.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, sets.Items)
	assert.Empty(t, pods.Items)
}

func TestADeletionThatHangsSaysWhy(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	v := impatient(values{"metadata": meta(ns, "held")})
	s := e.mustCreate(configMapToken, "held", v)
	hold := func(ctx context.Context, finalizers string) {
		_, err := clients.CoreV1().ConfigMaps(ns).Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	hold(t.Context(), `["example.com/hold"]`)
	_, err := e.failed(s, e.delete(s))
	assert.ErrorContains(t, err, "timed out waiting for deletion of ConfigMap "+ns+"/held")
	assert.ErrorContains(t, err, "example.com/hold")
	hold(t.Context(), "null")
	require.NoError(t, e.delete(s))
}

// Cancel ends a wait at once, and the state keeps what was made.
func TestCancel(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	other := configured(t, server, nil) // goes on
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
		_, err := clients.CoreV1().Pods(ns).Get(t.Context(), "nowhere", metav1.GetOptions{})
		assert.NoError(a, err)
	}, 30*time.Second, 20*time.Millisecond)
	_, err := e.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	got := <-done
	assert.ErrorContains(t, got.err, "cancelled")
	require.NotNil(t, got.state)
	require.NoError(t, other.delete(got.state))
}

// A field that somebody else changed shows as drift; taking it back needs force.
func TestDriftAndConflict(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
	settings := func(annotations values) values {
		m := meta(ns, "settings")
		m["labels"] = values{"app": "web"}
		m["annotations"] = annotations
		return values{"metadata": m}
	}
	s := e.mustCreate(configMapToken, "settings", settings(nil))
	_, err := clients.CoreV1().ConfigMaps(ns).Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"stolen"}}}`), metav1.PatchOptions{FieldManager: "thief"})
	require.NoError(t, err)
	found, err := e.refresh(s)
	require.NoError(t, err)
	require.True(t, found)
	d := e.diff(s, configMapToken, "settings", settings(nil))
	assert.Contains(t, d.GetDetailedDiff(), "metadata.labels.app")
	assert.ErrorContains(t, e.update(s, configMapToken, "settings", settings(nil)), "field conflict")
	require.NoError(t, e.update(s, configMapToken, "settings", settings(values{"pulumi.com/patchForce": "true"})))
	live, err := clients.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "web", live.Labels["app"])
}

func TestWhatSomebodyDeletedIsGoneFromTheState(t *testing.T) {
	t.Parallel()
	server, clients := realServer(t)
	ns := namespace(t, clients, nil)
	e := configured(t, server, nil)
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
	e := configured(t, server, nil)
	s := e.mustCreate("kubernetes:core/v1:Secret", "secret", values{"metadata": meta(ns, "secret"), "stringData": values{"API_TOKEN": "swordfish"}})
	live, err := clients.CoreV1().Secrets(ns).Get(t.Context(), "secret", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "swordfish", string(live.Data["API_TOKEN"]))
	_, err = e.refresh(s)
	require.NoError(t, err)
	for _, kept := range []resource.PropertyMap{unmarshal(t, s.inputs), unmarshal(t, s.outputs), unmarshal(t, s.outputs)["__inputs"].ObjectValue()} {
		assert.True(t, kept["data"].IsSecret(), "%v", kept)
	}

	secret := values{"metadata": meta(ns, "settings"), "data": values{"open": "1", "closed": resource.MakeSecret(resource.NewStringProperty("swordfish"))}}
	settings := e.mustCreate(configMapToken, "settings", secret)
	data := unmarshal(t, settings.outputs)["data"].ObjectValue()
	assert.True(t, data["closed"].IsSecret())
	assert.False(t, data["open"].IsSecret())
}
