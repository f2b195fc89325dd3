package verify

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

//go:embed files
var probeFiles embed.FS

const (
	probeDir = "/opt/verify"
	// DataDir is where a probe has its volume.
	DataDir = "/data"
	// nobody is no user of any image.
	nobody = 65534
	// probeTime is when a probe ends in any case, longer than any check waits for one.
	probeTime = 30 * time.Minute
	// probeKept is how long a probe that has ended stays if nobody takes it away.
	probeKept = 10 * time.Minute
)

// probe is a pod of the run with a shell script of the folder files. Its image is nginx's, which the stack pulls already. It has a shell
// and curl, Debian's and Alpine's (https://github.com/nginx/docker-nginx/tree/0d7f4380/stable: debian/Dockerfile, alpine/Dockerfile).
//
// It asks for less than the one pod that the namespace's quota has to spare, see Workloads.need in internal/config. So a check has one
// probe at a time.
type probe struct {
	// name is the script's without its ending, and env are its variables.
	name string
	env  map[string]string
	// as is the workload whose network policies it gets. "" is a neighbour that is none of the workloads. No Service may select it.
	as string
	// claim is the volume in DataDir.
	claim string
	// off is a node on which it must not run, and rather is one on which it rather should not.
	off, rather string
}

// probeAccess is what a probe needs.
var probeAccess = []string{
	"create configmaps", "delete configmaps", "create jobs", "delete jobs", "list pods", "get pods/log",
}

// started is a probe that was started.
type started struct {
	stack    *Stack
	name     string
	selector string
}

// start starts a probe. It goes when the check ends.
func (w *Work) start(ctx context.Context, p probe) (*started, error) {
	script, err := probeFiles.ReadFile("files/" + p.name + ".sh")
	if err != nil {
		return nil, err
	}
	w.probes++
	meta := w.meta(fmt.Sprintf("%s-%d", p.name, w.probes))
	k, namespace := w.stack.Kubernetes, meta.Namespace
	r := &started{w.stack, meta.Name, RunLabel + "=" + w.ID + "," + probeLabel + "=" + meta.Name}
	w.later("probe "+meta.Name, r.end)
	labels := map[string]string{RunLabel: w.ID, probeLabel: meta.Name}
	if p.as != "" {
		labels["app.kubernetes.io/name"] = p.as
	}
	spec := p.spec(w.stack, meta.Name)
	job, err := k.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{
		BackoffLimit: ptr.To(int32(0)), TTLSecondsAfterFinished: ptr.To(int32(probeKept.Seconds())),
		ActiveDeadlineSeconds: spec.ActiveDeadlineSeconds,
		Template:              corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", meta.Name, err)
	}
	w.later("config map "+meta.Name, func(ctx context.Context) error {
		return k.CoreV1().ConfigMaps(namespace).Delete(ctx, meta.Name, metav1.DeleteOptions{})
	})
	// The pod waits for its script. What owns it takes it along when it goes by itself.
	config := &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"run.sh": string(script)}}
	config.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID}}
	if _, err := k.CoreV1().ConfigMaps(namespace).Create(ctx, config, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("probe %s: %w", meta.Name, err)
	}
	return r, nil
}

// probeLabel is on the pods of a probe.
const probeLabel = "expense-verify/probe"

// spec meets Pod Security's level "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
func (p probe) spec(s *Stack, config string) corev1.PodSpec {
	container := corev1.Container{
		Name: "probe", Image: s.Settings.Workloads.Images.Nginx, Command: []string{"sh", probeDir + "/run.sh"},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "script", MountPath: probeDir, ReadOnly: true}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: strings.ReplaceAll(p.env[name], "$", "$$")})
	}
	volumes := []corev1.Volume{{Name: "script", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: config}},
	}}}
	if p.claim != "" {
		container.Env = append(container.Env, corev1.EnvVar{Name: "DATA_DIR", Value: DataDir})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: DataDir})
		volumes = append(volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.claim},
		}})
	}
	return corev1.PodSpec{
		Containers: []corev1.Container{container}, Volumes: volumes, RestartPolicy: corev1.RestartPolicyNever,
		ActiveDeadlineSeconds: ptr.To(int64(probeTime.Seconds())), TerminationGracePeriodSeconds: ptr.To(int64(1)),
		AutomountServiceAccountToken: ptr.To(false), EnableServiceLinks: ptr.To(false), Affinity: p.affinity(),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To(int64(nobody)), RunAsGroup: ptr.To(int64(nobody)), FSGroup: ptr.To(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

func (p probe) affinity() *corev1.Affinity {
	not := func(node string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpNotIn, Values: []string{node}},
		}}
	}
	affinity := &corev1.NodeAffinity{}
	if p.off != "" {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{not(p.off)}}
	}
	if p.rather != "" {
		affinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.PreferredSchedulingTerm{{Weight: 100, Preference: not(p.rather)}}
	}
	return &corev1.Affinity{NodeAffinity: affinity}
}

// end takes the probe away and waits until it is gone: the quota has room for one, and a volume for one node.
func (r *started) end(ctx context.Context) error {
	k, namespace := r.stack.Kubernetes, r.stack.Settings.Workloads.Namespace
	with := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	if err := k.BatchV1().Jobs(namespace).Delete(ctx, r.name, with); err != nil {
		return err
	}
	return r.stack.until(ctx, func(ctx context.Context) error {
		pods, err := r.pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("pod %s is there still", pods[0].Name)
		}
		return err
	})
}

func (r *started) pods(ctx context.Context) ([]corev1.Pod, error) {
	pods := r.stack.Kubernetes.CoreV1().Pods(r.stack.Settings.Workloads.Namespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: r.selector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// tells waits for a line of the probe. A probe that does not run has seen nothing.
func (r *started) tells(ctx context.Context, into any) (pod corev1.Pod, err error) {
	err = r.stack.until(ctx, func(ctx context.Context) error {
		pod, err = r.said(ctx, into)
		return err
	})
	if err != nil && !unseen(err) {
		err = notSeen("probe %s tells nothing: %v", r.name, err)
	}
	return pod, err
}

// said reads the last line of the probe that is JSON.
func (r *started) said(ctx context.Context, into any) (corev1.Pod, error) {
	pods, err := r.pods(ctx)
	if err != nil {
		return corev1.Pod{}, err
	}
	if len(pods) == 0 {
		return corev1.Pod{}, fmt.Errorf("it has no pod; kubectl describe job %s -n %s says why", r.name, r.stack.Settings.Workloads.Namespace)
	}
	pod := pods[0]
	if pod.Status.Phase == corev1.PodPending {
		return pod, fmt.Errorf("pod %s is Pending: %s", pod.Name, waits(pod))
	}
	text, err := r.stack.log(ctx, &pod, &corev1.PodLogOptions{TailLines: ptr.To(int64(5)), LimitBytes: ptr.To(int64(16 << 10))})
	if err != nil {
		return pod, fmt.Errorf("log of pod %s: %w", pod.Name, err)
	}
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		if err := json.Unmarshal([]byte(line), into); err == nil {
			return pod, nil
		}
	}
	return pod, fmt.Errorf("pod %s is %s, and its last lines are %q", pod.Name, pod.Status.Phase, text)
}

// log reads a pod's log.
func (s *Stack) log(ctx context.Context, pod *corev1.Pod, options *corev1.PodLogOptions) ([]byte, error) {
	if s.Log != nil {
		return s.Log(ctx, pod, options)
	}
	return s.Kubernetes.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
}

// waits is why a pod does not run yet.
func waits(pod corev1.Pod) string {
	var why []string
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			why = append(why, c.Message)
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			why = append(why, strings.TrimSpace(c.State.Waiting.Reason+" "+c.State.Waiting.Message))
		}
	}
	return cmp.Or(strings.Join(why, "; "), "nothing says why")
}

// asked runs a probe to its end and reads its one line.
func (w *Work) asked(ctx context.Context, p probe, into any) (corev1.Pod, error) {
	r, err := w.start(ctx, p)
	if err != nil {
		return corev1.Pod{}, err
	}
	pod, err := r.tells(ctx, into)
	if gone := r.end(ctx); !apierrors.IsNotFound(gone) {
		err = errors.Join(err, gone)
	}
	return pod, err
}
