package workloads

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"expense/internal/pod"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// releaseSeconds is when a release Job gives up.
	releaseSeconds = 1800
	// releaseRetries are for what a first try can meet: a network policy or a role that has not reached its node yet.
	releaseRetries = 2
)

// release runs the release command as a Job and waits for its success. A change of image or command is a new Job. A change of what else
// the pod is given replaces it, and so does the next `up` after a failure.
func (a *App) release(
	ctx *pulumi.Context, name string, args *AppArgs, base pod.Spec, ready []pulumi.Resource,
) (*batchv1.Job, error) {
	job, err := batchv1.NewJob(ctx, name, &batchv1.JobArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name: pulumi.String(releaseName(name, args)), Namespace: args.Namespace, Labels: pod.Labels(name),
			// Without it a failed Job stays, and each `up` reads the same failure
			// (https://github.com/pulumi/pulumi-kubernetes/blob/master/provider/pkg/metadata/overrides.go, ReplaceUnready).
			Annotations: pulumi.StringMap{"pulumi.com/replaceUnready": pulumi.String("true")},
		},
		Spec: batchv1.JobSpecArgs{
			BackoffLimit:          pulumi.Int(releaseRetries),
			ActiveDeadlineSeconds: pulumi.Int(releaseSeconds),
			PodFailurePolicy:      pod.DisruptionsDoNotCount,
			Template:              releasing(base, args).Template(),
		},
	}, pulumi.Parent(a), pulumi.DependsOn(ready),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: fmt.Sprintf("%ds", releaseSeconds+60)}))
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return job, nil
}

// releaseName has eight digits of a hash, which distinguish the versions of one app.
func releaseName(name string, args *AppArgs) string {
	text, err := json.Marshal([]any{args.Image, args.Release})
	if err != nil {
		panic(err) // cannot happen: strings always have JSON
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%s-%s-%x", name, releaseComponent, sum[:4])
}

// releasing is the Job's pod: the app's, without what only a server has. Its last lines become its status, which Pulumi prints with
// the Job's error.
func releasing(base pod.Spec, args *AppArgs) pod.Spec {
	spec := base
	spec.Component, spec.RestartPolicy = releaseComponent, "Never"
	c := base.Containers[0]
	c.Command = args.Release
	spec.Containers = []pod.Container{c}
	return spec
}
