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
	w, private := s.cfg.Workloads, s.network.PrivateCIDRs
	logs := logging.Opening(private, workloads.MultiContainerName, workloads.NginxName, workloads.WebName)
	if s.namespace, err = s.newNamespace(w.Namespace, w.Quota, append(workloads.WebOpenings(w.Web.Public), logs)); err != nil {
		return err
	}
	domain := logging.Opening(private, logging.DashboardsName, logging.SetupName)
	s.logNamespace, err = s.newNamespace(config.LoggingNamespace, logging.Quota, []namespace.Opening{domain, logging.SetupOpening})
	return err
}

func (s *stack) newNamespace(name string, quota config.Quota, openings []namespace.Opening) (*namespace.Namespace, error) {
	out, err := namespace.New(s.ctx, name, &namespace.Args{Environment: s.cfg.Workloads.Environment, Quota: quota, Openings: openings},
		s.inCluster())
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

func (s *stack) addWeb() error {
	_, err := workloads.NewWeb(s.ctx, workloads.WebName, &workloads.WebArgs{
		Web:       s.cfg.Workloads.Web,
		Namespace: s.namespace.Name,
		Image:     s.cfg.Workloads.Images.Nginx,
		Secret:    s.cfg.Secrets[workloads.WebName],
		Ship:      s.sidecar.Add,
		DependsOn: s.readyForPods(),
	}, s.inCluster())
	return err
}
