package pod

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NameLabel is the label with a workload's name.
const NameLabel = "app.kubernetes.io/name"

// Labels are on a workload's objects and its pods.
func Labels(workload string) pulumi.StringMap {
	return pulumi.StringMap{NameLabel: pulumi.String(workload)}
}

// componentLabel is the label with a pod's component (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
const componentLabel = "app.kubernetes.io/component"

// Selector selects a workload's pods, of every component.
func Selector(workload string) metav1.LabelSelectorArgs {
	return metav1.LabelSelectorArgs{MatchLabels: Labels(workload)}
}

// Meta is the metadata of an object with its workload's name.
func Meta(workload string, namespace pulumi.StringInput) metav1.ObjectMetaArgs {
	return metav1.ObjectMetaArgs{Name: pulumi.String(workload), Namespace: namespace, Labels: Labels(workload)}
}

// DisruptionsDoNotCount is a Job's policy by which a pod that is lost with its spot node does not count as failed
// (https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy).
var DisruptionsDoNotCount = batchv1.PodFailurePolicyArgs{
	Rules: batchv1.PodFailurePolicyRuleArray{batchv1.PodFailurePolicyRuleArgs{
		Action: pulumi.String("Ignore"),
		OnPodConditions: batchv1.PodFailurePolicyOnPodConditionsPatternArray{batchv1.PodFailurePolicyOnPodConditionsPatternArgs{
			Type: pulumi.String("DisruptionTarget"), Status: pulumi.String("True"),
		}},
	}},
}

// Template is the pod as a template, for Deployments and Jobs.
func (s Spec) Template() corev1.PodTemplateSpecArgs {
	return corev1.PodTemplateSpecArgs{Metadata: metav1.ObjectMetaArgs{Labels: s.Labels(), Annotations: s.annotations()}, Spec: s.Render()}
}

// annotations keep EKS's webhook from giving a role of the pod's to containers that do not mount its token. Otherwise it gives the role to
// all of them, once it knows of the association
// (https://github.com/aws/amazon-eks-pod-identity-webhook/blob/3bf80a34/pkg/handler/handler.go, getContainersToSkip).
func (s Spec) annotations() pulumi.StringMapInput {
	i := slices.IndexFunc(s.Volumes, func(v Volume) bool { return v.Token != nil && v.Token.Audience == identityAudience })
	if i < 0 {
		return nil
	}
	var skipped []string
	for _, c := range slices.Concat(s.InitContainers, s.Containers) {
		if !slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Volume == s.Volumes[i].Name }) {
			skipped = append(skipped, c.Name)
		}
	}
	if len(skipped) == 0 {
		return nil
	}
	return pulumi.StringMap{"eks.amazonaws.com/skip-containers": pulumi.String(strings.Join(skipped, ","))}
}

// Labels are on the pods of a template.
func (s Spec) Labels() pulumi.StringMap {
	labels := Labels(s.Name)
	if s.Component != "" {
		labels[componentLabel] = pulumi.String(s.Component)
	}
	return labels
}

// Selector selects the pods of a template, and no other component's.
func (s Spec) Selector() metav1.LabelSelectorArgs {
	return metav1.LabelSelectorArgs{MatchLabels: s.Labels()}
}

// Render is the pod in Pulumi's types.
func (s Spec) Render() corev1.PodSpecArgs {
	out := corev1.PodSpecArgs{
		AutomountServiceAccountToken:  pulumi.Bool(s.CallsKubernetes),
		ServiceAccountName:            s.ServiceAccount,
		PriorityClassName:             text(s.PriorityClass),
		RestartPolicy:                 text(s.RestartPolicy),
		TerminationGracePeriodSeconds: number(s.GraceSeconds),
		SecurityContext: corev1.PodSecurityContextArgs{
			RunAsNonRoot:   pulumi.Bool(true),
			RunAsUser:      pulumi.Int(s.User),
			RunAsGroup:     pulumi.Int(s.User),
			FsGroup:        pulumi.Int(s.User),
			SeccompProfile: corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		InitContainers: corev1.ContainerArray(each(s.InitContainers, Container.render)),
		Containers:     corev1.ContainerArray(each(s.Containers, Container.render)),
		Volumes:        corev1.VolumeArray(each(s.Volumes, Volume.render)),
	}
	if !s.CallsKubernetes {
		// They are variables for each Service of the namespace, which nobody reads. A pod that calls Kubernetes keeps Kubernetes' default.
		out.EnableServiceLinks = pulumi.Bool(false)
	}
	if s.Spread {
		out.TopologySpreadConstraints = corev1.TopologySpreadConstraintArray{
			s.spread("topology.kubernetes.io/zone"), s.spread("kubernetes.io/hostname"),
		}
	}
	return out
}

func (s Spec) spread(topology string) corev1.TopologySpreadConstraintArgs {
	return corev1.TopologySpreadConstraintArgs{
		TopologyKey: pulumi.String(topology),
		MaxSkew:     pulumi.Int(1),
		// If a zone has no spot capacity, a second pod in another zone is better than a pod that waits.
		WhenUnsatisfiable: pulumi.String("ScheduleAnyway"),
		LabelSelector:     s.Selector(),
		// It counts the pods of one revision, so that a rollout is spread too.
		MatchLabelKeys: pulumi.StringArray{pulumi.String("pod-template-hash")},
	}
}

func (c Container) render() corev1.ContainerInput {
	out := corev1.ContainerArgs{
		Name:           pulumi.String(c.Name),
		Image:          text(c.Image),
		Command:        words(c.Command),
		Args:           pulumi.StringArray(c.Args),
		Env:            corev1.EnvVarArray(each(c.Env, Variable.render)),
		Ports:          corev1.ContainerPortArray(each(c.Ports, Port.render)),
		VolumeMounts:   corev1.VolumeMountArray(each(c.Mounts, Mount.render)),
		StartupProbe:   c.Startup.render(),
		LivenessProbe:  c.Liveness.render(),
		ReadinessProbe: c.Readiness.render(),
		Resources:      c.Resources.render(),
		SecurityContext: corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false),
			ReadOnlyRootFilesystem:   pulumi.Bool(true),
			Capabilities:             corev1.CapabilitiesArgs{Drop: pulumi.StringArray{pulumi.String("ALL")}},
		},
	}
	if c.Sidecar {
		out.RestartPolicy = pulumi.String("Always")
	}
	if c.StopDelaySeconds > 0 {
		delay := corev1.SleepActionArgs{Seconds: pulumi.Int(c.StopDelaySeconds)}
		out.Lifecycle = corev1.LifecycleArgs{PreStop: corev1.LifecycleHandlerArgs{Sleep: delay}}
	}
	if c.LogsOnFailure {
		out.TerminationMessagePolicy = pulumi.String("FallbackToLogsOnError")
	}
	return out
}

func (v Variable) render() corev1.EnvVarInput {
	out := corev1.EnvVarArgs{Name: pulumi.String(v.Name)}
	switch {
	case v.Field != "":
		// The API server would fill in this version. It compares a fieldRef as a whole
		// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy, structType atomic). Without the version, an
		// `up` after a killed one would end in a field conflict over the pod that it left.
		out.ValueFrom = corev1.EnvVarSourceArgs{
			FieldRef: corev1.ObjectFieldSelectorArgs{ApiVersion: pulumi.String("v1"), FieldPath: pulumi.String(v.Field)},
		}
	case v.Secret != nil:
		out.ValueFrom = corev1.EnvVarSourceArgs{SecretKeyRef: corev1.SecretKeySelectorArgs{Name: v.Secret, Key: pulumi.String(v.Key)}}
	case v.Output != nil:
		out.Value = v.Output
	case v.Expanded != "":
		out.Value = pulumi.String(v.Expanded)
	default:
		// Kubernetes replaces "$$" by "$", and "$(NAME)" by another variable's value
		// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/third_party/forked/golang/expansion/expand.go, Expand).
		out.Value = pulumi.String(strings.ReplaceAll(v.Text, "$", "$$"))
	}
	return out
}

func (p Port) render() corev1.ContainerPortInput {
	return corev1.ContainerPortArgs{Name: pulumi.String(p.Name), ContainerPort: pulumi.Int(p.Number)}
}

func (m Mount) render() corev1.VolumeMountInput {
	out := corev1.VolumeMountArgs{Name: pulumi.String(m.Volume), MountPath: pulumi.String(m.Path), SubPath: text(m.SubPath)}
	if m.ReadOnly {
		out.ReadOnly = pulumi.Bool(true)
	}
	return out
}

func (v Volume) render() corev1.VolumeInput {
	out := corev1.VolumeArgs{Name: pulumi.String(v.Name)}
	switch {
	case v.ConfigMap != nil:
		out.ConfigMap = corev1.ConfigMapVolumeSourceArgs{Name: v.ConfigMap}
	case v.Secret != nil:
		out.Secret = corev1.SecretVolumeSourceArgs{SecretName: v.Secret, Items: corev1.KeyToPathArray(each(v.Keys, keyFile))}
	case v.Claim != nil:
		out.PersistentVolumeClaim = corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: v.Claim}
	case v.Empty != nil:
		source := corev1.EmptyDirVolumeSourceArgs{SizeLimit: mib(v.Empty.LimitMiB)}
		if v.Empty.Memory {
			source.Medium = pulumi.String("Memory")
		}
		out.EmptyDir = source
	case v.Token != nil:
		out.Projected = corev1.ProjectedVolumeSourceArgs{Sources: corev1.VolumeProjectionArray{corev1.VolumeProjectionArgs{
			ServiceAccountToken: corev1.ServiceAccountTokenProjectionArgs{
				Audience:          pulumi.String(v.Token.Audience),
				ExpirationSeconds: pulumi.Int(v.Token.Seconds),
				Path:              pulumi.String(v.Token.File),
			},
		}}}
	}
	return out
}

func keyFile(key string) corev1.KeyToPathInput {
	return corev1.KeyToPathArgs{Key: pulumi.String(key), Path: pulumi.String(key)}
}

func (p *Probe) render() corev1.ProbePtrInput {
	if p == nil {
		return nil
	}
	out := corev1.ProbeArgs{
		InitialDelaySeconds: number(p.DelaySeconds),
		PeriodSeconds:       number(p.PeriodSeconds),
		TimeoutSeconds:      number(p.TimeoutSeconds),
		FailureThreshold:    number(p.Failures),
	}
	switch {
	case len(p.Command) > 0:
		out.Exec = corev1.ExecActionArgs{Command: words(p.Command)}
	case p.GRPC:
		out.Grpc = corev1.GRPCActionArgs{Port: pulumi.Int(p.Port)}
	case p.Path != "":
		out.HttpGet = corev1.HTTPGetActionArgs{Path: pulumi.String(p.Path), Port: pulumi.Int(p.Port)}
	default:
		out.TcpSocket = corev1.TCPSocketActionArgs{Port: pulumi.Int(p.Port)}
	}
	return out
}

func (r Resources) render() corev1.ResourceRequirementsArgs {
	requests := pulumi.StringMap{"cpu": pulumi.String(r.CPU), "memory": pulumi.String(r.Memory)}
	if r.StorageMiB > 0 {
		requests["ephemeral-storage"] = mib(r.StorageMiB)
	}
	return corev1.ResourceRequirementsArgs{Requests: requests, Limits: pulumi.StringMap{"memory": pulumi.String(r.MemoryLimit)}}
}

// each renders the items. Without items it returns nil, which Pulumi omits.
func each[T, I any](items []T, render func(T) I) []I {
	var out []I
	for _, item := range items {
		out = append(out, render(item))
	}
	return out
}

func words(command []string) pulumi.StringArray {
	return pulumi.StringArray(each(command, func(word string) pulumi.StringInput { return pulumi.String(word) }))
}

// text and number omit what is not set.
func text(value string) pulumi.StringPtrInput {
	if value == "" {
		return nil
	}
	return pulumi.String(value)
}

func number(value int) pulumi.IntPtrInput {
	if value == 0 {
		return nil
	}
	return pulumi.Int(value)
}

func mib(size int) pulumi.String { return pulumi.String(fmt.Sprintf("%dMi", size)) }
