package program

import (
	"fmt"
	"slices"

	"expense/internal/config"
	"expense/internal/namespace"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// addNamespaces makes the namespaces of the workloads and of the domain's set-up and dashboards.
func (s *stack) addNamespaces() (err error) {
	s.namespace, err = s.newNamespace(s.cfg.Workloads.Namespace, namespace.Args{
		Quota: s.cfg.Workloads.Quota, Openings: s.openings(), LoadBalancers: s.loadBalancers(),
	})
	if err != nil {
		return err
	}
	domain := logging.Opening(s.network.PrivateCIDRs, logging.DashboardsName, logging.SetupName)
	s.logNamespace, err = s.newNamespace(config.LoggingNamespace, namespace.Args{
		Quota: logging.Quota, Openings: []namespace.Opening{domain, logging.SetupOpening},
	})
	return err
}

func (s *stack) newNamespace(name string, args namespace.Args) (*namespace.Namespace, error) {
	args.Environment = s.cfg.Workloads.Environment
	out, err := namespace.New(s.ctx, name, &args, s.inCluster())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// readyForPods must exist before the first workload and until the last is gone.
func (s *stack) readyForPods() []pulumi.Resource {
	return slices.Concat(s.namespace.Guards, s.readyForLogs())
}

func (s *stack) addNginx() error {
	_, err := workloads.NewNginx(s.ctx, workloads.NginxName, &workloads.NginxArgs{
		Namespace: s.namespace.Name,
		Image:     s.cfg.Workloads.Images.Nginx,
		Ship:      s.sidecar.Add,
		DependsOn: s.readyForPods(),
	}, s.inCluster())
	return err
}

func (s *stack) addMultiContainer() error {
	_, err := workloads.NewMultiContainer(s.ctx, workloads.MultiContainerName, &workloads.MultiContainerArgs{
		Namespace:     s.namespace.Name,
		NginxImage:    s.cfg.Workloads.Images.Nginx,
		AlmaImage:     s.cfg.Workloads.Images.Alma,
		VolumeSizeGiB: s.cfg.Workloads.VolumeSizeGiB,
		StorageClass:  s.storageClass,
		Ship:          s.sidecar.Add,
		DependsOn:     s.readyForPods(),
	}, s.inCluster())
	return err
}
