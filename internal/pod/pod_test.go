package pod

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// first is the one container of a rendered pod.
func first(t *testing.T, spec Spec) corev1.ContainerArgs {
	all := spec.Render().Containers.(corev1.ContainerArray)
	require.Len(t, all, 1)
	return all[0].(corev1.ContainerArgs)
}

// An omitted field gets Kubernetes' default. An empty value would be another one, or refused.
func TestWhatIsNotSetIsLeftOut(t *testing.T) {
	spec := Spec{User: 1000, Containers: []Container{{Name: "app", Image: "example.com/app:1", Liveness: &Probe{Port: 80}}}}
	out := spec.Render()
	for name, value := range map[string]any{
		"priority": out.PriorityClassName, "restart policy": out.RestartPolicy, "grace": out.TerminationGracePeriodSeconds,
		"account": out.ServiceAccountName, "spread": out.TopologySpreadConstraints,
	} {
		assert.Nil(t, value, name)
	}
	assert.Empty(t, out.Volumes)
	assert.Empty(t, out.InitContainers)
	app := first(t, spec)
	for name, value := range map[string]any{
		"restart policy": app.RestartPolicy, "lifecycle": app.Lifecycle, "message": app.TerminationMessagePolicy,
		"startup": app.StartupProbe, "readiness": app.ReadinessProbe,
	} {
		assert.Nil(t, value, name)
	}
	assert.Empty(t, app.Command)
	assert.Equal(t, corev1.ProbeArgs{TcpSocket: corev1.TCPSocketActionArgs{Port: pulumi.Int(80)}}, app.LivenessProbe)
}

// No field of Spec asks for a privilege.
func TestEveryPodIsRestricted(t *testing.T) {
	out := Spec{User: 1000, Containers: []Container{{Name: "app"}}, CallsKubernetes: false}.Render()
	assert.Equal(t, pulumi.Bool(false), out.AutomountServiceAccountToken)
	security := out.SecurityContext.(corev1.PodSecurityContextArgs)
	assert.Equal(t, pulumi.Bool(true), security.RunAsNonRoot)
	for name, id := range map[string]any{"user": security.RunAsUser, "group": security.RunAsGroup, "files": security.FsGroup} {
		assert.Equal(t, pulumi.Int(1000), id, name)
	}
	container := out.Containers.(corev1.ContainerArray)[0].(corev1.ContainerArgs).SecurityContext.(corev1.SecurityContextArgs)
	assert.Equal(t, pulumi.Bool(false), container.AllowPrivilegeEscalation)
	assert.Equal(t, pulumi.Bool(true), container.ReadOnlyRootFilesystem)
	assert.Equal(t, pulumi.StringArray{pulumi.String("ALL")}, container.Capabilities.(corev1.CapabilitiesArgs).Drop)
}

func TestAVariableHasOneSource(t *testing.T) {
	env := first(t, Spec{Containers: []Container{{Env: []Variable{
		{Name: "PRICE", Text: "5$ or $(NAME)"}, {Name: "EMPTY"}, {Name: "ROLE", Output: pulumi.String("arn")},
		{Name: "NODE", Field: "spec.nodeName"}, {Name: "URL", Expanded: "http://$(NAME)"}, {Name: "KEY", Secret: pulumi.String("s"), Key: "k"},
	}}}}).Env.(corev1.EnvVarArray)
	variable := func(i int) corev1.EnvVarArgs { return env[i].(corev1.EnvVarArgs) }
	require.Len(t, env, 6)
	assert.Equal(t, pulumi.String("5$$ or $$(NAME)"), variable(0).Value, "Kubernetes makes the text of it again")
	assert.Equal(t, pulumi.String(""), variable(1).Value)
	assert.Equal(t, pulumi.String("arn"), variable(2).Value)
	assert.Nil(t, variable(3).Value)
	assert.Equal(t, corev1.EnvVarSourceArgs{
		FieldRef: corev1.ObjectFieldSelectorArgs{ApiVersion: pulumi.String("v1"), FieldPath: pulumi.String("spec.nodeName")},
	}, variable(3).ValueFrom)
	assert.Equal(t, pulumi.String("http://$(NAME)"), variable(4).Value, "for Kubernetes to replace")
	assert.Nil(t, variable(5).Value)
	assert.Equal(t, corev1.EnvVarSourceArgs{SecretKeyRef: corev1.SecretKeySelectorArgs{Name: pulumi.String("s"), Key: pulumi.String("k")}},
		variable(5).ValueFrom)
}

func TestAVolumeHasOneSource(t *testing.T) {
	volumes := Spec{Volumes: []Volume{
		{Name: "files", ConfigMap: pulumi.String("config")}, {Name: "keys", Secret: pulumi.String("secret"), Keys: []string{"a"}},
		{Name: "data", Claim: pulumi.String("claim")},
		{Name: "tmp", Empty: &Empty{LimitMiB: 16, Memory: true}}, {Name: "token", Token: &Token{Audience: "aws", Seconds: 600, File: "token"}},
	}}.Render().Volumes.(corev1.VolumeArray)
	assert.Equal(t, corev1.VolumeArray{
		corev1.VolumeArgs{Name: pulumi.String("files"), ConfigMap: corev1.ConfigMapVolumeSourceArgs{Name: pulumi.String("config")}},
		corev1.VolumeArgs{Name: pulumi.String("keys"), Secret: corev1.SecretVolumeSourceArgs{
			SecretName: pulumi.String("secret"),
			Items:      corev1.KeyToPathArray{corev1.KeyToPathArgs{Key: pulumi.String("a"), Path: pulumi.String("a")}},
		}},
		corev1.VolumeArgs{Name: pulumi.String("data"),
			PersistentVolumeClaim: corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: pulumi.String("claim")}},
		corev1.VolumeArgs{Name: pulumi.String("tmp"),
			EmptyDir: corev1.EmptyDirVolumeSourceArgs{SizeLimit: pulumi.String("16Mi"), Medium: pulumi.String("Memory")}},
		corev1.VolumeArgs{Name: pulumi.String("token"), Projected: corev1.ProjectedVolumeSourceArgs{Sources: corev1.VolumeProjectionArray{
			corev1.VolumeProjectionArgs{ServiceAccountToken: corev1.ServiceAccountTokenProjectionArgs{
				Audience: pulumi.String("aws"), ExpirationSeconds: pulumi.Int(600), Path: pulumi.String("token"),
			}},
		}}},
	}, volumes)
}

// Without the template's labels a selector would find no pods.
func TestTheSelectorFindsThePods(t *testing.T) {
	spec := Spec{Name: "web", Spread: true}
	assert.Equal(t, Selector("web").MatchLabels, spec.Template().Metadata.(metav1.ObjectMetaArgs).Labels)
	spread := spec.Render().TopologySpreadConstraints.(corev1.TopologySpreadConstraintArray)
	require.Len(t, spread, 2)
	for _, constraint := range spread {
		assert.Equal(t, Selector("web"), constraint.(corev1.TopologySpreadConstraintArgs).LabelSelector)
	}
}

// fill sets every text, number and input in a value to one of its own, and notes it as it is rendered.
func fill(value reflect.Value, noted *[]string) {
	own := func(prefix string) string {
		*noted = append(*noted, fmt.Sprintf("%s%d", prefix, 10000+len(*noted)))
		return (*noted)[len(*noted)-1]
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(own("text-"))
	case reflect.Int:
		number, _ := strconv.Atoi(own(""))
		value.SetInt(int64(number))
	case reflect.Interface:
		value.Set(reflect.ValueOf(pulumi.String(own("input-"))))
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), noted)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(value.Index(0), noted)
	case reflect.Struct:
		for i := range value.NumField() {
			fill(value.Field(i), noted)
		}
	}
}

// filled has every field set but those that are left out.
func filled[T any](noted *[]string, leaveOut ...string) (out T) {
	value := reflect.ValueOf(&out).Elem()
	for i := range value.NumField() {
		if !slices.Contains(leaveOut, value.Type().Field(i).Name) {
			fill(value.Field(i), noted)
		}
	}
	return out
}

// of has of the alternatives only the given ones.
func of[T any](noted *[]string, alternatives []string, given ...string) T {
	return filled[T](noted, slices.DeleteFunc(slices.Clone(alternatives), func(name string) bool { return slices.Contains(given, name) })...)
}

// A field that is not rendered is a wish that nobody hears.
func TestWhatIsSetIsRendered(t *testing.T) {
	var noted []string
	spec := filled[Spec](&noted, "InitContainers", "Containers", "Volumes")
	sources := []string{"Text", "Expanded", "Output", "Secret", "Key", "Field"}
	container := func() Container {
		c := filled[Container](&noted, "Env", "Startup", "Liveness", "Readiness")
		c.Env = []Variable{
			of[Variable](&noted, sources, "Text"), of[Variable](&noted, sources, "Expanded"), of[Variable](&noted, sources, "Output"),
			of[Variable](&noted, sources, "Secret", "Key"), of[Variable](&noted, sources, "Field"),
		}
		command, path, port := filled[Probe](&noted, "Path", "Port"), filled[Probe](&noted, "Command"), filled[Probe](&noted, "Command", "Path")
		c.Startup, c.Liveness, c.Readiness = &command, &path, &port
		return c
	}
	spec.InitContainers, spec.Containers = []Container{container()}, []Container{container(), container()}
	kinds := []string{"ConfigMap", "Secret", "Keys", "Claim", "Empty", "Token"}
	for _, kind := range [][]string{{"ConfigMap"}, {"Secret", "Keys"}, {"Claim"}, {"Empty"}, {"Token"}} {
		spec.Volumes = append(spec.Volumes, of[Volume](&noted, kinds, kind...))
	}
	rendered := fmt.Sprintf("%v", spec.Template())
	assert.Greater(t, len(noted), 100)
	for _, value := range noted {
		assert.Contains(t, rendered, value)
	}
}

// What serves must not be mistaken for what a Job runs.
func TestAComponentHasPodsOfItsOwn(t *testing.T) {
	server, job := Spec{Name: "web", Component: "server", Spread: true}, Spec{Name: "web", Component: "release"}
	assert.NotEqual(t, server.Labels(), job.Labels())
	assert.Equal(t, server.Labels(), server.Selector().MatchLabels)
	assert.Equal(t, server.Labels(), server.Template().Metadata.(metav1.ObjectMetaArgs).Labels)
	for _, constraint := range server.Render().TopologySpreadConstraints.(corev1.TopologySpreadConstraintArray) {
		assert.Equal(t, server.Selector(), constraint.(corev1.TopologySpreadConstraintArgs).LabelSelector)
	}
	assert.Equal(t, pulumi.String("web"), server.Labels()[NameLabel], "network policies are for both")
	assert.Equal(t, Labels("web"), Spec{Name: "web"}.Labels())
}

func TestAProbeAsksTheHealthService(t *testing.T) {
	probe := (&Probe{GRPC: true, Port: 9090}).render().(corev1.ProbeArgs)
	assert.Equal(t, corev1.GRPCActionArgs{Port: pulumi.Int(9090)}, probe.Grpc)
	assert.Nil(t, probe.TcpSocket)
	assert.Nil(t, probe.HttpGet)
}

func TestDiskIsAskedForOnlyWhereItIsSet(t *testing.T) {
	requests := func(r Resources) pulumi.StringMap { return r.render().Requests.(pulumi.StringMap) }
	assert.NotContains(t, requests(Resources{CPU: "1m", Memory: "1Mi"}), "ephemeral-storage")
	assert.Equal(t, pulumi.String("1Mi"), requests(Resources{StorageMiB: 1})["ephemeral-storage"])
}
