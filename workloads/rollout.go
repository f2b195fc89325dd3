package workloads

import (
	"fmt"
	"time"

	"expense/internal/config"
	"expense/internal/pod"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newNode is what a pod may wait for a node that is added for it and for the first pull of its images there, beside its start. It is
// Kubernetes' default of a Deployment's deadline, which knows of no start.
const newNode = 10 * time.Minute

// rollout is a Deployment that replaces its pods without a gap, with what scales it and bounds how many pods a drained node may stop.
type rollout struct {
	namespace pulumi.StringInput
	spec      pod.Spec
	// container is the one whose CPU use counts.
	container string
	replicas  config.Replicas
	// start is how long a pod may take to start.
	start     time.Duration
	dependsOn []pulumi.Resource
}

// make makes the objects. They have the given name.
func (r rollout) make(ctx *pulumi.Context, name string, parent pulumi.Resource) (*appsv1.Deployment, error) {
	meta := pod.Meta(name, r.namespace)
	spec := appsv1.DeploymentSpecArgs{
		Selector: r.spec.Selector(),
		Strategy: appsv1.DeploymentStrategyArgs{
			Type: pulumi.String("RollingUpdate"),
			RollingUpdate: appsv1.RollingUpdateDeploymentArgs{
				MaxUnavailable: pulumi.Int(0), MaxSurge: pulumi.Sprintf("%d%%", config.WebSurgePercent),
			},
		},
		// A pod that makes progress in its own time must not fail the rollout.
		ProgressDeadlineSeconds: pulumi.Int(int((newNode + r.start).Seconds())),
		Template:                r.spec.Template(),
	}
	if !r.scaled() {
		// With the autoscaler there is no number: every `up` would reset the one that it sets
		// (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/).
		spec.Replicas = pulumi.Int(r.replicas.Min)
	}
	patience := fmt.Sprintf("%ds", int(r.patience().Seconds()))
	deployment, err := appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{Metadata: meta, Spec: spec}, pulumi.Parent(parent),
		pulumi.DependsOn(r.dependsOn), pulumi.Timeouts(&pulumi.CustomTimeouts{Create: patience, Update: patience}))
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	if _, err := policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: meta,
		Spec: policyv1.PodDisruptionBudgetSpecArgs{
			Selector:       r.spec.Selector(),
			MaxUnavailable: pulumi.Int(1),
			// A broken pod must not block the draining of a node.
			UnhealthyPodEvictionPolicy: pulumi.String("AlwaysAllow"),
		},
	}, pulumi.Parent(parent)); err != nil {
		return nil, fmt.Errorf("pod disruption budget: %w", err)
	}
	if !r.scaled() {
		return deployment, nil
	}
	return deployment, r.autoscaler(ctx, name, meta, parent, deployment)
}

func (r rollout) scaled() bool { return r.replicas.Max > r.replicas.Min }

// patience is how long `pulumi up` waits for a rollout. Each round adds a share of the pods, and waits for their start.
func (r rollout) patience() time.Duration {
	most := r.replicas.Max
	share := (most*config.WebSurgePercent + 99) / 100
	rounds := (most + share - 1) / share
	return newNode + time.Duration(rounds)*r.start + time.Minute
}

func (r rollout) autoscaler(
	ctx *pulumi.Context, name string, meta metav1.ObjectMetaArgs, parent pulumi.Resource, deployment *appsv1.Deployment,
) error {
	if _, err := autoscalingv2.NewHorizontalPodAutoscaler(ctx, name, &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: meta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"), Kind: pulumi.String("Deployment"), Name: deployment.Metadata.Name().Elem(),
			},
			MinReplicas: pulumi.Int(r.replicas.Min),
			MaxReplicas: pulumi.Int(r.replicas.Max),
			Metrics: autoscalingv2.MetricSpecArray{autoscalingv2.MetricSpecArgs{
				// The container's use, not the pod's: a busy sidecar does not need another server.
				Type: pulumi.String("ContainerResource"),
				ContainerResource: autoscalingv2.ContainerResourceMetricSourceArgs{
					Container: pulumi.String(r.container),
					Name:      pulumi.String("cpu"),
					Target: autoscalingv2.MetricTargetArgs{
						Type: pulumi.String("Utilization"), AverageUtilization: pulumi.Int(r.replicas.CPU),
					},
				},
			}},
		},
	}, pulumi.Parent(parent)); err != nil {
		return fmt.Errorf("horizontal pod autoscaler: %w", err)
	}
	return nil
}
