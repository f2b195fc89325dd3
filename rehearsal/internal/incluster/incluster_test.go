package incluster_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/incluster"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/ptr"
)

var (
	_   incluster.AWS = (*awsmodel.Model)(nil)
	web               = map[string]string{"app": "web"}
)

func (c *cluster) deploy(replicas int32, template corev1.PodTemplateSpec) {
	c.t.Helper()
	_, err := c.AppsV1().Deployments(c.namespace).Create(c.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: web}, Template: template},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	c.running(int(replicas))
}

// running waits until so many web pods run, and gives the nodes that they run on.
func (c *cluster) running(want int) (nodes []string) {
	c.t.Helper()
	c.eventually(func(a *assert.CollectT) {
		pods, err := c.CoreV1().Pods(c.namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		require.NoError(a, err)
		nodes = nil
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
				nodes = append(nodes, pod.Spec.NodeName)
			}
		}
		assert.Len(a, nodes, want)
	})
	return nodes
}

func TestNodesJoinAsEKSRegistersThem(t *testing.T) {
	c := start(t)
	instance := awsmodel.Instance{
		ID:           "i-0abc",
		PrivateDNS:   "ip-192-168-1-2.ec2.internal",
		PrivateIP:    "192.168.1.2",
		Region:       "us-east-1",
		Zone:         "us-east-1b",
		ZoneID:       "use1-az1",
		InstanceType: "m5.large",
		CapacityType: "SPOT",
		Arch:         "amd64",
		Cluster:      "expense",
		NodeGroup:    "expense-1234",
		VCPU:         2,
		MemoryMiB:    8192,
		MaxPods:      29,
		DiskGiB:      80,
		Labels:       map[string]string{"purpose": "general"},
		Taints:       []awsmodel.Taint{{Key: "dedicated", Value: "batch", Effect: "NoSchedule"}},
	}
	require.NoError(t, c.AddNodes(t.Context(), []awsmodel.Instance{instance}))
	require.NoError(t, c.AddNodes(t.Context(), []awsmodel.Instance{instance}), "a node that is there already")

	node, err := c.CoreV1().Nodes().Get(t.Context(), instance.PrivateDNS, metav1.GetOptions{})
	require.NoError(t, err)
	for key, want := range map[string]string{
		"kubernetes.io/hostname": instance.PrivateDNS, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
		"node.kubernetes.io/instance-type": "m5.large", "topology.kubernetes.io/region": "us-east-1", "topology.kubernetes.io/zone": "us-east-1b",
		"topology.k8s.aws/zone-id": "use1-az1", "eks.amazonaws.com/capacityType": "SPOT", "eks.amazonaws.com/nodegroup": "expense-1234",
		"purpose": "general",
	} {
		assert.Equal(t, want, node.Labels[key], key)
	}
	assert.Equal(t, "aws:///us-east-1b/i-0abc", node.Spec.ProviderID)
	assert.Contains(t, node.Spec.Taints, corev1.Taint{Key: "dedicated", Value: "batch", Effect: "NoSchedule"})
	assert.Equal(t, "1930m", node.Status.Allocatable.Cpu().String(), "what an m5.large of EKS has for pods")
	assert.Equal(t, int64(29), node.Status.Allocatable.Pods().Value())
	assert.Equal(t, "80Gi", node.Status.Capacity.StorageEphemeral().String())
	assert.Less(t, node.Status.Allocatable.Memory().Value(), node.Status.Capacity.Memory().Value())
	ready := false
	for _, condition := range node.Status.Conditions {
		ready = ready || condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	}
	assert.True(t, ready, "AddNodes returned before the node was Ready")
}

func TestPodsOfALeavingNodeMove(t *testing.T) {
	c := start(t)
	nodes := c.nodes("a", "b")
	c.deploy(4, pod(web))
	require.NoError(t, c.RemoveNodes(t.Context(), nodes[:1]))
	for _, node := range c.running(4) {
		assert.Equal(t, nodes[1].PrivateDNS, node)
	}
	_, err := c.CoreV1().Nodes().Get(t.Context(), nodes[0].PrivateDNS, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	require.NoError(t, c.RemoveNodes(t.Context(), nodes[:1]), "a node that is gone already")
}

// A budget that can be met is met; one that cannot holds a node until the time is up.
func TestDrainingRespectsBudgets(t *testing.T) {
	budget := func(c *cluster, unavailable int) {
		_, err := c.PolicyV1().PodDisruptionBudgets(c.namespace).Create(t.Context(), &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: ptr.To(intstr.FromInt(unavailable)),
				Selector:       &metav1.LabelSelector{MatchLabels: web},
			},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		c.eventually(func(a *assert.CollectT) {
			budget, err := c.PolicyV1().PodDisruptionBudgets(c.namespace).Get(t.Context(), "web", metav1.GetOptions{})
			require.NoError(a, err)
			assert.Equal(a, int32(2), budget.Status.CurrentHealthy)
		})
	}
	t.Run("that can be met", func(t *testing.T) {
		c := start(t)
		nodes := c.nodes("a")
		c.deploy(2, pod(web))
		budget(c, 1)
		c.nodes("b", "c")
		require.NoError(t, c.RemoveNodes(t.Context(), nodes))
		assert.NotContains(t, c.running(2), nodes[0].PrivateDNS)
	})
	t.Run("that cannot", func(t *testing.T) {
		c := start(t)
		nodes := c.nodes("a")
		c.deploy(2, pod(web))
		budget(c, 0)
		c.EvictionTimeout = time.Second
		began := time.Now()
		require.NoError(t, c.RemoveNodes(t.Context(), nodes))
		assert.GreaterOrEqual(t, time.Since(began), time.Second)
		pods, err := c.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + nodes[0].PrivateDNS})
		require.NoError(t, err)
		assert.Empty(t, pods.Items, "pods of a node that is gone")
	})
}

// claimed makes a class, a claim of it and a pod in zone b that uses the claim.
func (c *cluster) claimed() {
	c.t.Helper()
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: c.namespace}, Provisioner: "ebs.csi.aws.com",
		Parameters:        map[string]string{"type": "gp3", "encrypted": "true"},
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	_, err := c.StorageV1().StorageClasses().Create(c.t.Context(), class, metav1.CreateOptions{})
	require.NoError(c.t, err)
	_, err = c.CoreV1().PersistentVolumeClaims(c.namespace).Create(c.t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class.Name,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("5.5Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	template := pod(web)
	template.Spec.NodeSelector = map[string]string{"topology.kubernetes.io/zone": "us-east-1b"}
	template.Spec.Volumes = []corev1.Volume{
		{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
	}
	user := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "user", Labels: web}, Spec: template.Spec}
	_, err = c.CoreV1().Pods(c.namespace).Create(c.t.Context(), user, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

// volume waits until the claim is bound and gives its volume.
func (c *cluster) volume() *corev1.PersistentVolume {
	c.t.Helper()
	var volume *corev1.PersistentVolume
	c.eventually(func(a *assert.CollectT) {
		claim, err := c.CoreV1().PersistentVolumeClaims(c.namespace).Get(c.t.Context(), "data", metav1.GetOptions{})
		require.NoError(a, err)
		require.Equal(a, corev1.ClaimBound, claim.Status.Phase)
		volume, err = c.CoreV1().PersistentVolumes().Get(c.t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
		require.NoError(a, err)
	})
	return volume
}

func (c *cluster) unclaim() {
	c.t.Helper()
	require.NoError(c.t, c.CoreV1().Pods(c.namespace).Delete(c.t.Context(), "user", metav1.DeleteOptions{}))
	require.NoError(c.t, c.CoreV1().PersistentVolumeClaims(c.namespace).Delete(c.t.Context(), "data", metav1.DeleteOptions{}))
}

func TestAClaimGetsAVolumeInItsPodsZone(t *testing.T) {
	c := start(t, "aws-ebs-csi-driver")
	c.nodes("a", "b")
	c.claimed()
	c.running(1)
	bound := c.volume()
	made := c.aws.allVolumes()[bound.Spec.CSI.VolumeHandle]
	assert.Equal(t, "data", made.tags["kubernetes.io/created-for/pvc/name"])
	made.tags = nil
	assert.Equal(t, volume{cluster: "expense", zone: "us-east-1b", sizeGiB: 6, encrypted: true}, made)
	assert.Equal(t, []string{"us-east-1b"}, bound.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values)

	c.unclaim()
	c.eventually(func(a *assert.CollectT) {
		assert.Empty(a, c.aws.allVolumes())
		_, err := c.CoreV1().PersistentVolumes().Get(t.Context(), bound.Name, metav1.GetOptions{})
		assert.True(a, apierrors.IsNotFound(err), "%v", err)
	})
}

// Without the driver's add-on claims wait, and volumes outlive their claims.
func TestStorageNeedsTheDriver(t *testing.T) {
	c := start(t)
	c.nodes("b")
	c.claimed()
	assert.Never(t, func() bool { return len(c.aws.allVolumes()) > 0 }, 2*time.Second, 100*time.Millisecond)
	c.aws.setAddon("aws-ebs-csi-driver", true)
	bound := c.volume()

	c.aws.setAddon("aws-ebs-csi-driver", false)
	c.unclaim()
	c.eventually(func(a *assert.CollectT) {
		volume, err := c.CoreV1().PersistentVolumes().Get(t.Context(), bound.Name, metav1.GetOptions{})
		require.NoError(a, err)
		assert.Equal(a, corev1.VolumeReleased, volume.Status.Phase)
	})
	assert.Never(t, func() bool { return len(c.aws.allVolumes()) == 0 }, 2*time.Second, 100*time.Millisecond)
	c.aws.setAddon("aws-ebs-csi-driver", true) // it finds the volume when it is back
	c.eventually(func(a *assert.CollectT) { assert.Empty(a, c.aws.allVolumes()) })
}

func (c *cluster) service(name string, annotations map[string]string) *corev1.Service {
	c.t.Helper()
	service, err := c.CoreV1().Services(c.namespace).Create(c.t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: web, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	return service
}

func (c *cluster) hostname(name string) (host string) {
	c.t.Helper()
	c.eventually(func(a *assert.CollectT) {
		service, err := c.CoreV1().Services(c.namespace).Get(c.t.Context(), name, metav1.GetOptions{})
		require.NoError(a, err)
		require.Len(a, service.Status.LoadBalancer.Ingress, 1)
		host = service.Status.LoadBalancer.Ingress[0].Hostname
	})
	return host
}

func TestAServiceGetsItsLoadBalancer(t *testing.T) {
	const kind = "service.beta.kubernetes.io/aws-load-balancer-type"
	c := start(t)
	c.nodes("a")
	c.service("elsewhere", map[string]string{kind: "external"})
	c.service("internal", map[string]string{kind: "nlb", "service.beta.kubernetes.io/aws-load-balancer-internal": "true"})
	public := c.service("public", map[string]string{kind: "nlb"})
	name := "a" + strings.ReplaceAll(string(public.UID), "-", "")
	name = name[:32]
	assert.Equal(t, name+".elb.us-east-1.amazonaws.com", c.hostname("public"))
	c.hostname("internal")

	assert.Equal(t, balancer{"expense", "internet-facing", map[string]string{kind: "nlb"}, []int32{80}}, c.aws.allBalancers()[name])
	schemes := map[string]int{}
	for _, made := range c.aws.allBalancers() {
		schemes[made.scheme]++
	}
	assert.Equal(t, map[string]int{"internet-facing": 1, "internal": 1}, schemes, "and none for the other controller's Service")
	public, err := c.CoreV1().Services(c.namespace).Get(t.Context(), "public", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, public.Finalizers, "service.kubernetes.io/load-balancer-cleanup")

	require.NoError(t, c.CoreV1().Services(c.namespace).Delete(t.Context(), "public", metav1.DeleteOptions{}))
	internal, err := c.CoreV1().Services(c.namespace).Get(t.Context(), "internal", metav1.GetOptions{})
	require.NoError(t, err)
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	_, err = c.CoreV1().Services(c.namespace).Update(t.Context(), internal, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.eventually(func(a *assert.CollectT) {
		assert.Empty(a, c.aws.allBalancers())
		_, err := c.CoreV1().Services(c.namespace).Get(t.Context(), "public", metav1.GetOptions{})
		assert.True(a, apierrors.IsNotFound(err), "%v", err)
	})
}

func TestALoadBalancerThatAWSRefusesIsAnEvent(t *testing.T) {
	c := start(t)
	c.nodes("a")
	const refusal = "could not find any suitable subnets for creating the ELB"
	c.aws.refuseBalancers(refusal)
	c.service("public", nil)
	c.eventually(func(a *assert.CollectT) {
		events, err := c.CoreV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=SyncLoadBalancerFailed"})
		require.NoError(a, err)
		require.NotEmpty(a, events.Items)
		assert.Contains(a, events.Items[0].Message, refusal)
	})
}

func (c *cluster) podMetrics() (list metricsv1beta1.PodMetricsList) {
	c.t.Helper()
	c.eventually(func(a *assert.CollectT) {
		list = metricsv1beta1.PodMetricsList{}
		path := "/apis/metrics.k8s.io/v1beta1/namespaces/" + c.namespace + "/pods"
		data, err := c.CoreV1().RESTClient().Get().AbsPath(path).Param("labelSelector", "app=web").Do(c.t.Context()).Raw()
		require.NoError(a, err)
		require.NoError(a, json.Unmarshal(data, &list))
		assert.NotEmpty(a, list.Items)
	})
	return list
}

// The autoscaler has a value as soon as there are metrics, follows the load up to its maximum, and comes back.
func TestLoadScalesADeployment(t *testing.T) {
	c := start(t, "metrics-server")
	c.nodes("a", "b")
	template := pod(web)
	template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("100m")}
	c.deploy(2, template)
	_, err := c.AutoscalingV2().HorizontalPodAutoscalers(c.namespace).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    ptr.To(int32(2)),
			MaxReplicas:    5,
			Metrics: []autoscalingv2.MetricSpec{
				{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
					Container: "nginx",
					Name:      "cpu",
					Target:    autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To(int32(70))},
				}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.eventually(func(a *assert.CollectT) {
		hpa, err := c.AutoscalingV2().HorizontalPodAutoscalers(c.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		require.NoError(a, err)
		require.NotEmpty(a, hpa.Status.CurrentMetrics)
		require.NotNil(a, hpa.Status.CurrentMetrics[0].ContainerResource)
		assert.Equal(a, int32(1), *hpa.Status.CurrentMetrics[0].ContainerResource.Current.AverageUtilization)
	})

	require.NoError(t, c.SetCPU(c.namespace, "app=web", 500))
	c.running(5)
	list := c.podMetrics()
	names := map[string]string{}
	for _, container := range list.Items[0].Containers {
		names[container.Name] = container.Usage.Cpu().String()
	}
	assert.Equal(t, map[string]string{"fluentd": "500m", "nginx": "500m"}, names)

	require.NoError(t, c.SetCPU(c.namespace, "app=web", 1))
	c.running(2)
}

func TestMetricsComeAndGoWithTheirAddon(t *testing.T) {
	c := start(t)
	missing := func(a *assert.CollectT) {
		_, err := c.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1").Do(t.Context()).Raw()
		assert.True(a, apierrors.IsNotFound(err), "%v", err)
	}
	c.eventually(missing) // another test may have had it
	c.nodes("a")
	c.deploy(1, pod(web))
	c.aws.setAddon("metrics-server", true)
	c.podMetrics()
	c.aws.setAddon("metrics-server", false)
	c.eventually(missing)
}

func TestABadSelectorIsRefused(t *testing.T) {
	c := start(t)
	assert.ErrorContains(t, c.SetCPU(c.namespace, "app in (", 1), `label selector "app in ("`)
}

// The set-up of the domain is such a Job; the sidecars add the zone to each line.
func TestAJobsPodEndsAndHasItsNodesZone(t *testing.T) {
	c := start(t)
	c.nodes("a", "b")
	template := pod(web)
	template.Spec.InitContainers = nil
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	template.Spec.NodeSelector = map[string]string{"topology.kubernetes.io/zone": "us-east-1b"}
	_, err := c.BatchV1().Jobs(c.namespace).Create(c.t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "set-up"}, Spec: batchv1.JobSpec{Template: template},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.eventually(func(a *assert.CollectT) {
		job, err := c.BatchV1().Jobs(c.namespace).Get(t.Context(), "set-up", metav1.GetOptions{})
		require.NoError(a, err)
		assert.NotNil(a, job.Status.CompletionTime)
		assert.EqualValues(a, 1, job.Status.Succeeded)
	})
	pods, err := c.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
	assert.Equal(t, corev1.PodSucceeded, pods.Items[0].Status.Phase)
	// Kubernetes copies it at binding, by default since 1.35 (https://www.kubernetes.dev/resources/keps/4742/).
	assert.Equal(t, "us-east-1b", pods.Items[0].Labels[corev1.LabelTopologyZone])
}

// What add-ons run takes room: DaemonSets on every node, Deployments where no taint is, and what finds no room waits.
func TestAddonsTakeTheirRoom(t *testing.T) {
	c := start(t)
	node := func(name string, taints ...awsmodel.Taint) awsmodel.Instance {
		return awsmodel.Instance{
			ID:           "i-" + name,
			PrivateDNS:   name + ".ec2.internal",
			PrivateIP:    "192.168.0.4",
			Region:       "us-east-1",
			Zone:         "us-east-1a",
			ZoneID:       "use1-az1",
			InstanceType: "m7a.medium",
			CapacityType: "SPOT",
			Arch:         "amd64",
			Cluster:      "expense",
			NodeGroup:    "expense-1",
			VCPU:         1,
			MemoryMiB:    4096,
			MaxPods:      8,
			DiskGiB:      20,
			Taints:       taints,
		}
	}
	closed := node("closed", awsmodel.Taint{Key: "dedicated", Effect: "NoSchedule"})
	require.NoError(t, c.AddNodes(t.Context(), []awsmodel.Instance{node("open"), closed}))
	for range 2 { // what is there stays
		for name, runs := range published.Addons() {
			require.NoError(t, c.RunAddon(t.Context(), name, runs))
		}
	}
	on := func(a *assert.CollectT) map[string]int {
		pods, err := c.CoreV1().Pods(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{})
		require.NoError(a, err)
		count := map[string]int{}
		for _, pod := range pods.Items {
			count[pod.Spec.NodeName]++
			assert.Equal(a, pod.Spec.NodeName != "", pod.Status.Phase == corev1.PodRunning, pod.Name)
		}
		return count
	}
	c.eventually(func(a *assert.CollectT) {
		assert.Equal(a, map[string]int{"open.ec2.internal": 8, "closed.ec2.internal": 5, "": 3}, on(a))
	})
	for name := range published.Addons() {
		require.NoError(t, c.StopAddon(t.Context(), name))
	}
	c.eventually(func(a *assert.CollectT) { assert.Empty(a, on(a)) })
}
