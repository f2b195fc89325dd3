package program

import (
	"fmt"
	"slices"

	"expense/internal/config"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// addNamespaces makes the namespace of the workloads and that of what belongs to the domain.
func (s *stack) addNamespaces() (err error) {
	w := s.cfg.Workloads
	if s.namespace, err = s.newNamespace(w.Namespace, &workloads.NamespaceArgs{Quota: w.Quota, Web: &w.Web}); err != nil {
		return err
	}
	s.logNamespace, err = s.newNamespace(config.LoggingNamespace, &workloads.NamespaceArgs{Quota: logging.Quota, PodIdentity: true})
	return err
}

func (s *stack) newNamespace(namespace string, args *workloads.NamespaceArgs) (*workloads.Namespace, error) {
	args.Name, args.Environment, args.VPCCIDR = namespace, s.cfg.Workloads.Environment, s.cfg.Network.CIDR
	out, err := workloads.NewNamespace(s.ctx, namespace, args, s.inCluster())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", namespace, err)
	}
	return out, nil
}

// readyForPods is in place before the first workload, and until the last is gone.
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
		Secret:    s.cfg.WebSecret,
		Ship:      s.sidecar.Add,
		DependsOn: s.readyForPods(),
	}, s.inCluster())
	return err
}
