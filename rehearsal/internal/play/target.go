package play

import (
	"context"
	"time"

	"expense/internal/config"
	"expense/internal/published"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/ops/verify"

	"k8s.io/client-go/kubernetes"
)

// Target is the stack on a stage, for the checks that look at stacks in accounts too. What it lacks, only an account can show.
func Target(ctx context.Context, s *stage.Stage) (*verify.Stack, error) {
	client, err := kubernetes.NewForConfig(s.ControlPlane.RESTConfig())
	if err != nil {
		return nil, err
	}
	settings, err := s.Settings()
	if err != nil {
		return nil, err
	}
	state, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	api := &awsapi.API{Model: s.Model, Region: awsapi.Region{Kubernetes: published.KubernetesVersions()}}
	return &verify.Stack{
		Name: s.Name(), Target: "the rehearsal", Settings: settings, State: state, AWS: api.Config(),
		Kubernetes: client, REST: s.ControlPlane.RESTConfig(), Pulumi: s.Output,
		Lacks: map[verify.Ability]string{
			verify.Containers: "its nodes run no containers", verify.Insights: "the model has none",
			verify.Webhooks:   "nothing changes pods as EKS does",
			verify.Monitoring: "nothing is measured", verify.Images: "nobody has pushed any",
		},
		Load: func(context.Context) (func(context.Context) error, error) {
			use := func(millicores int64) error {
				return s.Controllers.SetCPU(settings.Workloads.Namespace, "app.kubernetes.io/name="+config.WebName, millicores)
			}
			return func(context.Context) error { return use(1) }, use(500)
		},
		Patience: patience, Pause: 200 * time.Millisecond, Out: s.Out,
	}, nil
}
