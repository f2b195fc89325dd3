package verify

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"expense/internal/config"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumitokens "github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

// verdictOf runs one check of this file's subject.
func verdictOf(t *testing.T, s *Stack, name string) Result {
	report := Run(t.Context(), s, Checks(), Options{Only: []string{name}})
	require.Len(t, report.Results, 1)
	return report.Results[0]
}

// inState adds a resource to the state.
func inState(s *Stack, typ, name string, inputs, outputs map[string]any) {
	s.State.Resources = append(s.State.Resources, apitype.ResourceV3{
		URN: resource.NewURN("dev", "expense", "", pulumitokens.Type(typ), name), Type: pulumitokens.Type(typ), Custom: true,
		Inputs: inputs, Outputs: outputs,
	})
}

// tokenPod is a pod of an application and a sidecar, whose containers mount tokens by their audiences.
func tokenPod(mounts map[string]string, readOnly bool) corev1.PodSpec {
	var spec corev1.PodSpec
	for _, name := range []string{"fluentd", "nginx"} {
		container := corev1.Container{Name: name}
		if audience, mounted := mounts[name]; mounted {
			volume := "token-" + name
			container.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/var/run/token", ReadOnly: readOnly}}
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
				Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience}}},
				},
			}})
		}
		if name == "fluentd" {
			spec.InitContainers = append(spec.InitContainers, container)
		} else {
			spec.Containers = append(spec.Containers, container)
		}
	}
	return spec
}

func TestATokenInTheWrongContainerIsFound(t *testing.T) {
	holders := map[string]string{"fluentd": stsAudience}
	held, problems := heldTokens(tokenPod(map[string]string{"fluentd": stsAudience}, true), holders)
	assert.Empty(t, problems)
	assert.Equal(t, 1, held)
	for name, c := range map[string]struct {
		mounts   map[string]string
		readOnly bool
		want     string
	}{
		"the API server's in an application": {map[string]string{"fluentd": stsAudience, "nginx": ""}, true, `nginx mounts a token for ""`},
		"the API server's in the sidecar":    {map[string]string{"fluentd": ""}, true, `fluentd mounts a token for ""`},
		"the sidecar's in an application":    {map[string]string{"fluentd": stsAudience, "nginx": stsAudience}, true, "nginx mounts"},
		"another service's in the sidecar":   {map[string]string{"fluentd": podIdentityAudience}, true, "fluentd mounts"},
		"one that can be written":            {map[string]string{"fluentd": stsAudience}, false, "may write"},
		"none":                               {nil, true, "fluentd has no token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := heldTokens(tokenPod(c.mounts, c.readOnly), holders)
			require.NotEmpty(t, problems)
			assert.Contains(t, problems[0], c.want)
		})
	}
}

const (
	first  = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	second = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// running is a pod of one container, of an image and what its node says of it.
func running(name, image, id string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "project"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
		Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", ImageID: id}}},
	}
}

func TestADigestIsComparedWithWhatRuns(t *testing.T) {
	const repository = "111122223333.dkr.ecr.us-east-1.amazonaws.com/expense/backend"
	for name, c := range map[string]struct {
		pods []runtime.Object
		want Verdict
		text string
	}{
		"the digest of the settings": {
			[]runtime.Object{running("a", repository+"@"+first, repository+"@"+first)}, OK, "1 container with a digest",
		},
		"another digest": {
			[]runtime.Object{running("a", repository+"@"+first, repository+"@"+second)}, Failed, "Pod project/a: container main runs " + second,
		},
		"a tag that was moved between two pods": {
			[]runtime.Object{running("a", "web:1", "web@"+first), running("b", "web:1", "web@"+second)}, Failed, "the tag was moved",
		},
		"tags only": {
			[]runtime.Object{running("a", "web:1", "web@"+first), running("b", "web:1", "web@"+first)}, Unseen, "a tag can be moved",
		},
		"an image that no registry gave": {[]runtime.Object{running("a", repository+"@"+first, first)}, Unseen, "1 container without a digest"},
		"a digest and a tag": {
			[]runtime.Object{running("a", repository+"@"+first, repository+"@"+first), running("b", "web:1", "web@"+second)},
			OK, "by a tag only: web:1",
		},
		"nothing": {nil, Unseen, "no container runs"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := plain(c.pods...)
			got := verdictOf(t, s, "digests")
			assert.Equal(t, c.want, got.Verdict, got.Seen)
			assert.Contains(t, got.Seen, c.text)
		})
	}
}

func TestAPodThatEKSGaveNoCredentialsIsFound(t *testing.T) {
	given := tokenPod(map[string]string{"nginx": podIdentityAudience}, true)
	given.Containers[0].Env = []corev1.EnvVar{
		{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: "http://169.254.170.23/v1/credentials"},
		{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Value: "/var/run/token/eks-pod-identity-token"},
	}
	elsewhere := *given.DeepCopy()
	elsewhere.Containers[0].Env[1].Value = "/var/run/other/token"
	for name, c := range map[string]struct {
		spec corev1.PodSpec
		want Verdict
		text string
	}{
		"with credentials":                   {given, OK, "1 pod"},
		"without":                            {corev1.PodSpec{Containers: given.Containers}, Failed, "Pod kube-system/controller"},
		"with a token elsewhere":             {elsewhere, Failed, "delete the pod"},
		"no pod of an account with the role": {corev1.PodSpec{ServiceAccountName: "other"}, Unseen, "2 accounts"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spec.ServiceAccountName == "" {
				c.spec.ServiceAccountName = "ebs-csi-controller-sa"
			}
			s, _ := plain(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "controller", Namespace: "kube-system"}, Spec: c.spec})
			inState(s, typeAddon, "ebs", map[string]any{"podIdentityAssociations": []any{
				map[string]any{"serviceAccount": "ebs-csi-controller-sa", "roleArn": "arn"},
			}}, nil)
			inState(s, typeAssociation, "autoscaler", map[string]any{"namespace": "kube-system", "serviceAccount": "cluster-autoscaler"}, nil)
			got := verdictOf(t, s, "credentials-injected")
			assert.Equal(t, c.want, got.Verdict, got.Seen)
			assert.Contains(t, got.Seen, c.text)
		})
	}
}

// The API server's own answers are in the tests beside: here are those that its settings do not give.
func TestAPodIsRefusedForItsPrivilegesOnly(t *testing.T) {
	because := func(why string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "verify-privileged", errors.New(why))
	}
	for name, c := range map[string]struct {
		answer error
		want   Verdict
	}{
		"admitted":                 {nil, Failed},
		"refused for its level":    {because(`violates PodSecurity "restricted:latest"`), OK},
		"refused for another rule": {because("exceeded quota"), Unseen},
		"the API server is ill":    {apierrors.NewInternalError(assert.AnError), Unseen},
	} {
		t.Run(name, func(t *testing.T) {
			s, client := plain()
			inState(s, typeNamespace, "project", map[string]any{"metadata": map[string]any{"name": "project"}}, nil)
			client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &corev1.Pod{}, c.answer
			})
			got := verdictOf(t, s, "privileged-refused")
			assert.Equal(t, c.want, got.Verdict, got.Seen)
		})
	}
}

// node is a node that is Ready, in a zone, and with what else is true of it.
func node(name, zone string, conditions ...corev1.NodeCondition) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}},
		Status: corev1.NodeStatus{Conditions: append(
			[]corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}, conditions...,
		)},
	}
}

func TestConditionsOfNodesMeanWhatTheirNamesSay(t *testing.T) {
	for name, c := range map[string]struct {
		condition corev1.NodeCondition
		bad       bool
	}{
		"enough memory":             {corev1.NodeCondition{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse}, false},
		"too little memory":         {corev1.NodeCondition{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue}, true},
		"too many processes":        {corev1.NodeCondition{Type: corev1.NodePIDPressure, Status: corev1.ConditionTrue}, true},
		"no network":                {corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}, true},
		"the agent finds it right":  {corev1.NodeCondition{Type: "KernelReady", Status: corev1.ConditionTrue}, false},
		"the agent finds it ill":    {corev1.NodeCondition{Type: "StorageReady", Status: corev1.ConditionFalse}, true},
		"the agent does not know":   {corev1.NodeCondition{Type: "StorageReady", Status: corev1.ConditionUnknown}, false},
		"something else altogether": {corev1.NodeCondition{Type: "Whatever", Status: corev1.ConditionTrue}, false},
	} {
		assert.Equal(t, c.bad, len(unhealthy(*node("a", "z", c.condition))) > 0, name)
	}
	lost := node("a", "z")
	lost.Status.Conditions[0].Status = corev1.ConditionUnknown
	assert.Len(t, unhealthy(*lost), 1)
	assert.Len(t, unhealthy(corev1.Node{}), 1, "a node that has never said anything")
}

func TestTheEndOfANodeIsNotTheEndOfAnApp(t *testing.T) {
	ill := node("b", "y", corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue})
	for name, c := range map[string]struct {
		on    [2]string
		nodes []runtime.Object
		// since tells that a pod was made after the rollout.
		since bool
		want  Verdict
	}{
		"on two nodes":                     {[2]string{"a", "b"}, []runtime.Object{node("a", "x"), node("b", "y")}, false, OK},
		"on one of two nodes":              {[2]string{"a", "a"}, []runtime.Object{node("a", "x"), node("b", "y")}, false, Failed},
		"on one after another was lost":    {[2]string{"a", "a"}, []runtime.Object{node("a", "x"), node("b", "y")}, true, OK},
		"on the only node":                 {[2]string{"a", "a"}, []runtime.Object{node("a", "x")}, false, OK},
		"on the only node that is not ill": {[2]string{"a", "a"}, []runtime.Object{node("a", "x"), ill}, false, OK},
	} {
		t.Run(name, func(t *testing.T) {
			web := map[string]string{nameLabel: "web"}
			deployment := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "project"},
				Spec:       appsv1.DeploymentSpec{Replicas: ptr.To(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: web}},
				Status: appsv1.DeploymentStatus{
					Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2,
					Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, LastUpdateTime: metav1.Unix(1000, 0)}},
				},
			}
			made := metav1.Unix(900, 0)
			if c.since {
				made = metav1.Unix(1100, 0)
			}
			objects := append([]runtime.Object{deployment}, c.nodes...)
			for i, on := range c.on {
				objects = append(objects, &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%d", i), Namespace: "project", Labels: web, CreationTimestamp: made},
					Spec:       corev1.PodSpec{NodeName: on},
					Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
						{Type: corev1.PodReady, Status: corev1.ConditionTrue},
					}},
				})
			}
			s, _ := plain(objects...)
			s.Patience = 20 * time.Millisecond
			s.Settings.Workloads.Web.MinReplicas = 2
			inState(s, typeDeployment, "web", map[string]any{"metadata": map[string]any{"name": "web", "namespace": "project"}}, nil)
			got := verdictOf(t, s, "pods")
			assert.Equal(t, c.want, got.Verdict, got.Seen)
			if c.want == Failed {
				assert.Contains(t, got.Seen, "kubectl rollout restart deployment/web -n project")
			}
		})
	}
}

func TestAnAddOnThatDoesNotRunEverywhereIsFound(t *testing.T) {
	set := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "aws-node", Namespace: "kube-system"},
		Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, NumberAvailable: 3},
	}
	s, _ := plain(set)
	assert.Equal(t, OK, verdictOf(t, s, "system").Verdict)
	less := set.DeepCopy()
	less.Status.NumberAvailable = 2
	s, _ = plain(less)
	s.Patience = 20 * time.Millisecond
	got := verdictOf(t, s, "system")
	assert.Equal(t, Failed, got.Verdict)
	assert.Contains(t, got.Seen, "DaemonSet kube-system/aws-node: 2 of 3 pods are available")
}

func TestAVolumeIsWhereItsPodIs(t *testing.T) {
	for name, c := range map[string]struct {
		key, zone string
		want      Verdict
	}{
		"in its zone":                 {corev1.LabelTopologyZone, "us-east-1a", OK},
		"by the driver's former name": {"topology.ebs.csi.aws.com/zone", "us-east-1a", OK},
		"in another zone":             {corev1.LabelTopologyZone, "us-east-1b", Failed},
		"nowhere":                     {"example.com/rack", "us-east-1a", Failed},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := plain(
				node("a", "us-east-1a"),
				&corev1.PersistentVolumeClaim{
					ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "project"},
					Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv"},
					Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
				},
				&corev1.PersistentVolume{
					ObjectMeta: metav1.ObjectMeta{Name: "pv"},
					Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
						NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
							{Key: c.key, Operator: corev1.NodeSelectorOpIn, Values: []string{c.zone}},
						}}},
					}}},
				},
				&corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: "multi-container", Namespace: "project"},
					Spec: corev1.PodSpec{NodeName: "a", Volumes: []corev1.Volume{{Name: "page", VolumeSource: corev1.VolumeSource{
						PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
					}}}},
				},
			)
			inState(s, typeClaim, "data", map[string]any{"metadata": map[string]any{"name": "data", "namespace": "project"}}, nil)
			got := verdictOf(t, s, "claims")
			assert.Equal(t, c.want, got.Verdict, got.Seen)
		})
	}
}

func TestTheDefaultClassEncrypts(t *testing.T) {
	for name, change := range map[string]func(*storagev1.StorageClass){
		"":                                   func(*storagev1.StorageClass) {},
		"parameter encrypted":                func(c *storagev1.StorageClass) { delete(c.Parameters, "encrypted") },
		"parameter type":                     func(c *storagev1.StorageClass) { c.Parameters["type"] = "gp2" },
		"volumeBindingMode":                  func(c *storagev1.StorageClass) { c.VolumeBindingMode = ptr.To(storagev1.VolumeBindingImmediate) },
		"provisioner":                        func(c *storagev1.StorageClass) { c.Provisioner = "kubernetes.io/aws-ebs" },
		"annotation storageclass.kubernetes": func(c *storagev1.StorageClass) { c.Annotations = nil },
	} {
		t.Run(name, func(t *testing.T) {
			class := &storagev1.StorageClass{
				ObjectMeta:  metav1.ObjectMeta{Name: "gp3", Annotations: map[string]string{defaultClass: "true"}},
				Provisioner: "ebs.csi.aws.com", Parameters: map[string]string{"type": "gp3", "encrypted": "true"},
				VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
			}
			change(class)
			s, _ := plain(class)
			inState(s, typeClass, "gp3", map[string]any{"metadata": map[string]any{"name": "gp3"}}, nil)
			got := verdictOf(t, s, "storage-class")
			if name == "" {
				assert.Equal(t, OK, got.Verdict, got.Seen)
				return
			}
			assert.Equal(t, Failed, got.Verdict)
			assert.Contains(t, got.Seen, "its "+name)
		})
	}
}

// What a check finds is worth more than what it may not see.
func TestAFindingWinsOverAMissingRight(t *testing.T) {
	s, client := plain(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "project"},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv"},
		Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	})
	for _, name := range []string{"a", "b"} {
		inState(s, typeClaim, name, map[string]any{"metadata": map[string]any{"name": name, "namespace": "project"}}, nil)
	}
	client.PrependReactor("get", "persistentvolumes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, forbidden()
	})
	got := verdictOf(t, s, "claims")
	assert.Equal(t, Failed, got.Verdict)
	assert.Contains(t, got.Seen, "PersistentVolumeClaim project/a: it is not there")
}

// Where there is nothing to look at, no check says that it is right.
func TestAnEmptyClusterPassesNoCheck(t *testing.T) {
	s, _ := plain()
	s.Patience = 20 * time.Millisecond
	s.Settings.Cluster.Autoscaler.Enabled = true
	s.Settings.Cluster.NodeGroups = map[string]config.NodeGroup{"expense": {MinSize: 1, DesiredSize: 1, MaxSize: 1}}
	for _, c := range clusterChecks {
		if c.Name == "scaling-metrics" || c.Name == "applied-again" {
			continue // they speak to the API server beside the client
		}
		_, err := c.Run(context.Background(), s, nil)
		assert.Error(t, err, c.Name)
	}
}

// An app whose image is not built yet has no pods, and the policies for it select what will be there.
func TestAnAppThatIsLeftOutIsNotMissed(t *testing.T) {
	s, _ := plain()
	s.Settings.Workloads.Apps = map[string]config.App{"late": {}, "built": {Image: "built:1", Replicas: config.Replicas{Min: 2}}}
	s.Settings.Workloads.Web.MinReplicas = 3
	assert.Equal(t, map[string]int{"web": 3, "built": 2}, s.replicas())
	made, err := s.templates()
	require.NoError(t, err)
	require.Len(t, made, 1)
	assert.Equal(t, "late", made[0].labels[nameLabel])
}
