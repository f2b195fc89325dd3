package why

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func meta(name, uid string, owner types.UID) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: name, UID: types.UID(uid), Labels: map[string]string{nameLabel: "backend"},
		Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"}}
	if owner != "" {
		controller := true
		out.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: &controller}}
	}
	return out
}

// pod is a pod with one container, whose state is given.
func pod(uid string, owner types.UID, status corev1.ContainerStatus) corev1.Pod {
	status.Name = "backend"
	return corev1.Pod{
		ObjectMeta: meta("backend-"+uid, uid, owner),
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "backend", Image: "registry/backend@sha256:1",
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("256Mi")}}}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{status}},
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(reason string, code int32, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		RestartCount: 4,
		State:        waiting("CrashLoopBackOff", "back-off 40s restarting failed container=backend pod=backend-p_project(1)").State,
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: reason, ExitCode: code, Message: message,
		}},
	}
}

func runs() corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func event(uid, reason, message string) corev1.Event {
	return corev1.Event{Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{UID: types.UID(uid), FieldPath: "spec.containers{backend}"}}
}

// rollout is a Deployment of two pods whose present version has one ready at most, and the former version's.
func rollout(pods ...corev1.Pod) *sight {
	two := int32(2)
	former := meta("backend-1", "set-1", "deployment")
	former.Annotations = map[string]string{"deployment.kubernetes.io/revision": "1"}
	return &sight{
		deployments: []appsv1.Deployment{{ObjectMeta: meta("backend", "deployment", ""), Spec: appsv1.DeploymentSpec{Replicas: &two},
			Status: appsv1.DeploymentStatus{UpdatedReplicas: 2, Replicas: 4}}},
		sets: []appsv1.ReplicaSet{{ObjectMeta: meta("backend-2", "set-2", "deployment")}, {ObjectMeta: former}},
		pods: append([]corev1.Pod{pod("former", "set-1", ended("Error", 9, "the former version's"))}, pods...),
	}
}

func unscheduled() corev1.Pod {
	p := pod("p", "set-2", corev1.ContainerStatus{})
	p.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for " +
			"incoming pod.",
	}}}
	return p
}

// The texts are those of Kubernetes 1.35.4, with containerd's and the kernel's in them; why.go and pod.go have their places.
func TestEachReasonHasItsLine(t *testing.T) {
	const pull = `failed to pull and unpack image "registry/backend@sha256:1": `
	const refused = `Get "http://10.0.1.5:8080/healthz": dial tcp 10.0.1.5:8080: connect: connection refused`
	for name, c := range map[string]struct {
		sight    *sight
		expected string
	}{
		"the image is not there": {rollout(pod("p", "set-2", waiting("ErrImagePull", pull+"registry/backend@sha256:1: not found"))),
			"0 of 2 new pods are ready: cannot pull registry/backend@sha256:1: " + pull + "registry/backend@sha256:1: not found; push it, as with " +
				"`make image`, or go back to a digest that the registry has"},
		"the image is of another architecture": {rollout(pod("p", "set-2", waiting("ImagePullBackOff", `Back-off pulling image "x": `+
			"ErrImagePull: "+pull+"no match for platform in manifest sha256:1: not found"))),
			"the image is for another architecture than the nodes'"},
		"a registry's rate": {rollout(pod("p", "set-2", waiting("ErrImagePull", pull+"429 Too Many Requests"))), "cluster.registry"},
		"no such key of a secret": {rollout(pod("p", "set-2", waiting("CreateContainerConfigError", `couldn't find key X in Secret project/s`))),
			"cannot start: CreateContainerConfigError: couldn't find key X in Secret project/s"},
		"crashed": {rollout(pod("p", "set-2", ended("Error", 1, "panic: no database\n\n\x1b[31mgoroutine 1\n"))),
			"crashed with exit code 1 after 4 restarts: panic: no database | [31mgoroutine 1"},
		"out of memory": {rollout(pod("p", "set-2", ended("OOMKilled", 137, ""))),
			"the kernel ended it at its memory limit, 256Mi, after 4 restarts; raise its memoryLimit"},
		"not the nodes' machine code": {rollout(pod("p", "set-2", ended("StartError", 128, "exec /backend: exec format error"))),
			"its image is for another architecture than the nodes'"},
		"nobody listens": {func() *sight {
			s := rollout(pod("p", "set-2", ended("Error", 2, "terminated")))
			s.events = []corev1.Event{event("p", "Unhealthy", "Startup probe failed: "+refused),
				event("p", "Killing", "Container backend failed startup probe, will be restarted")}
			return s
		}(), "nobody listens on its port 8080: Startup probe failed: " + refused + "; it has to listen on all addresses, not on 127.0.0.1, " +
			"and on the port that the variable PORT has"},
		"not ready": {func() *sight {
			s := rollout(pod("p", "set-2", runs()))
			s.events = []corev1.Event{event("p", "Unhealthy", "Readiness probe failed: first"),
				event("p", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
				event("other", "Unhealthy", "Readiness probe failed: another's")}
			return s
		}(), "it runs and does not pass its check: Readiness probe failed: HTTP probe failed with statuscode: 503"},
		"no room": {rollout(unscheduled()), "no node has room: 0/3 nodes are available: 3 Insufficient cpu. preemption: "},
		"quota": {func() *sight {
			s := rollout()
			s.sets[0].Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
				Reason: "FailedCreate", Message: `pods "backend-2-x" is forbidden: exceeded quota: project, requested: limits.memory=256Mi, ` +
					`used: limits.memory=24Gi, limited: limits.memory=24Gi`}}
			return s
		}(), "the quota has no room: project, requested: limits.memory=256Mi, used: limits.memory=24Gi, limited: limits.memory=24Gi; raise " +
			"workloads.quota, or lower what the workloads request"},
		"refused": {func() *sight {
			s := rollout()
			s.sets[0].Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
				Message: `pods "x" is forbidden: violates PodSecurity "restricted:v1.35"`}}
			return s
		}(), `its pods are refused: pods "x" is forbidden: violates PodSecurity "restricted:v1.35"`},
		"a volume": {func() *sight {
			s := rollout(pod("p", "set-2", waiting("ContainerCreating", "")))
			s.events = []corev1.Event{event("p", "FailedMount", `MountVolume.SetUp failed for volume "secret" : secret "s" not found`)}
			return s
		}(), `waits for what its node has to prepare: MountVolume.SetUp failed for volume "secret" : secret "s" not found`},
		"new":                      {rollout(pod("p", "set-2", waiting("ContainerCreating", ""))), "still starting; look again in a minute"},
		"what ran tells more":      {rollout(unscheduled(), pod("q", "set-2", ended("Error", 3, "why"))), "exit code 3"},
		"what ran tells more, too": {rollout(pod("q", "set-2", ended("Error", 3, "why")), unscheduled()), "exit code 3"},
		"what is ready is no cause": {rollout(ready(pod("q", "set-2", ended("Error", 3, "earlier"))), unscheduled()),
			"1 of 2 new pods are ready: no node"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := c.sight.lines()
			require.Len(t, lines, 1)
			assert.True(t, strings.HasPrefix(lines[0], "backend: "), lines[0])
			assert.Contains(t, lines[0], c.expected)
			assert.NotContains(t, lines[0], "\n")
			assert.NotContains(t, lines[0], "former")
		})
	}
}

func ready(p corev1.Pod) corev1.Pod {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	p.Status.ContainerStatuses[0].Ready = true
	return p
}

func TestWhatIsUpHasNoLine(t *testing.T) {
	s := rollout(ready(pod("p", "set-2", runs())), ready(pod("q", "set-2", runs())))
	s.deployments[0].Status = appsv1.DeploymentStatus{UpdatedReplicas: 2, Replicas: 2, AvailableReplicas: 2}
	complete := batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}
	s.jobs = []batchv1.Job{{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{complete}}}}
	bare := ready(pod("bare", "", runs()))
	s.pods = append(s.pods, bare)
	assert.Empty(t, s.lines())
	// A pod of the former version is still there.
	s.deployments[0].Status.Replicas = 3
	assert.Len(t, s.lines(), 1)
	s.deployments[0].Status.Replicas = 2
	// The API server has a newer version than the controller has seen.
	s.deployments[0].Generation = 3
	assert.Len(t, s.lines(), 1)
}

func TestJobsAndBarePods(t *testing.T) {
	job := batchv1.Job{ObjectMeta: meta("backend-release-1234abcd", "job", ""), Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{
		Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Message: "Job has reached the specified backoff limit",
	}}}}
	s := &sight{jobs: []batchv1.Job{job}}
	assert.Equal(t, []string{"backend, its Job backend-release-1234abcd: failed: Job has reached the specified backoff limit"}, s.lines())
	s.pods = []corev1.Pod{pod("p", "job", corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", Message: "no table users",
	}}})}
	assert.Equal(t, []string{"backend, its Job backend-release-1234abcd: failed: crashed with exit code 1 after 0 restarts: no table users"},
		s.lines())
	s = &sight{jobs: []batchv1.Job{{ObjectMeta: job.ObjectMeta}},
		events: []corev1.Event{event("job", "FailedCreate", `Error creating: pods "x" is forbidden: exceeded quota: project, requested: pods=1`)}}
	assert.Contains(t, s.lines()[0], "the quota has no room: project, requested: pods=1")

	bare := pod("p", "", waiting("ErrImagePull", "not found"))
	bare.Name = "nginx"
	assert.Contains(t, (&sight{pods: []corev1.Pod{bare}}).lines()[0], "nginx: cannot pull")
}

// A text of an application's is cut and has no line of its own, whatever is in it: a runner takes some lines for commands.
func TestWordsOfOthersStayInTheLine(t *testing.T) {
	got := words("first\r\n::error::x\n" + strings.Repeat("ä", 600) + "\nend")
	assert.True(t, strings.HasPrefix(got, "… ä"))
	assert.True(t, strings.HasSuffix(got, " | end"))
	assert.Len(t, []rune(got), 502)
	assert.Equal(t, "a | ::error::b c", words("a\n\n::error::b\x00c\n"))
}

// export is a state in which the stack has a cluster at an address.
func export(url string, more string) []byte {
	kubeconfig := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c"}}],` +
		`"clusters":[{"name":"c","cluster":{"server":"` + url + `"}}]}`
	text, _ := json.Marshal(kubeconfig)
	return []byte(`{"deployment":{"resources":[
		{"urn":"urn:pulumi:dev::expense::eks:index:Cluster::a","type":"eks:index:Cluster","outputs":{"kubeconfigJson":"{}"}},
		{"urn":"urn:pulumi:dev::expense::expense:cluster:ControlPlane::a","type":"expense:cluster:ControlPlane","outputs":{"kubeconfigJson":` +
		string(text) + `}}` + more + `]}}`)
}

const namespaces = `,{"type":"kubernetes:core/v1:Namespace","outputs":{"metadata":{"name":"project"}}},
	{"type":"kubernetes:core/v1:Namespace","outputs":{"metadata":{"name":"logging"}}}`

func TestItAsksTheStacksCluster(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1/namespaces/project/pods" {
			_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"},
				Items: []corev1.Pod{pod("p", "", ended("Error", 7, "said"))}})
			return
		}
		kind := map[string]string{"deployments": "DeploymentList", "replicasets": "ReplicaSetList", "jobs": "JobList", "pods": "PodList",
			"events": "EventList"}[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
		group := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path[:strings.Index(r.URL.Path, "/namespaces")], "/apis/"), "/api/")
		_ = json.NewEncoder(w).Encode(metav1.TypeMeta{Kind: kind, APIVersion: group})
	}))
	defer server.Close()
	client, found, err := Cluster(export(server.URL, namespaces))
	require.NoError(t, err)
	assert.Equal(t, []string{"logging", "project"}, found)
	lines, err := Explain(t.Context(), client, found)
	require.NoError(t, err)
	assert.Equal(t, []string{"backend-p: crashed with exit code 7 after 4 restarts: said"}, lines)
	assert.Len(t, asked, 10)
	for _, request := range asked {
		assert.True(t, strings.HasPrefix(request, "GET "), request)
	}

	server.Close()
	_, err = Explain(t.Context(), client, found)
	assert.ErrorContains(t, err, "namespace logging: ")
}

func TestAStackWithoutAClusterHasNoWorkloads(t *testing.T) {
	for _, state := range []string{`{"deployment":{}}`, string(export("http://127.0.0.1:1", ""))} {
		_, _, err := Cluster([]byte(state))
		assert.ErrorContains(t, err, "`pulumi up` has not come to the workloads")
	}
	_, _, err := Cluster([]byte("{"))
	assert.ErrorContains(t, err, "stack export")
}
