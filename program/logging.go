package program

import (
	"maps"
	"slices"

	"expense/internal/config"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func (s *stack) addMaster() (err error) {
	s.master, err = logging.NewMaster(s.ctx, name+"-log-master", &logging.MasterArgs{
		ClusterName: s.cfg.Cluster.Name, Namespace: config.LoggingNamespace,
	}, s.onAWS())
	return err
}

func (s *stack) addDomain() (err error) {
	s.domain, err = logging.NewDomain(s.ctx, name, &logging.DomainArgs{
		Logging:               s.cfg.Logging,
		Region:                s.cfg.Region,
		VpcID:                 s.network.VpcID,
		SubnetIDs:             s.network.PrivateSubnetIDs,
		ClientSecurityGroupID: s.controlPlane.SecurityGroupID,
		MasterRoleARN:         s.master.RoleARN,
		SlowResources:         s.network.Egress,
	}, s.onAWS())
	return err
}

func (s *stack) addAlarms() error {
	alarms := s.cfg.Logging.Alarms
	if !alarms.Wanted() {
		return nil
	}
	_, err := logging.NewAlarms(s.ctx, name+"-alarms", &logging.AlarmsArgs{
		DomainName:       s.domain.Name,
		DomainARN:        s.domain.ARN,
		VolumeSizeGiB:    s.cfg.Logging.VolumeSizeGiB(),
		Replicas:         s.cfg.Logging.Domain.Replicas(),
		DedicatedMasters: s.cfg.Logging.Domain.HasMasters(),
		Email:            alarms.Email,
		TopicARN:         alarms.TopicARN,
	}, s.onAWS())
	return err
}

func (s *stack) addAccess() (err error) {
	s.access, err = logging.NewAccess(s.ctx, name+"-log", &logging.AccessArgs{
		DomainName:          s.domain.Name,
		DomainARN:           s.domain.ARN,
		OIDCProviderARN:     s.controlPlane.OIDCProviderARN,
		OIDCIssuer:          s.controlPlane.OIDCIssuer,
		Namespace:           s.cfg.Workloads.Namespace,
		Accounts:            workloads.AppAccounts,
		DashboardsNamespace: config.LoggingNamespace,
		MasterRoleARN:       s.master.RoleARN,
		DataStream:          s.cfg.Logging.DataStream,
		AuditLogs:           s.cfg.Logging.Domain.AuditLogs,
		Dashboards:          s.cfg.Logging.Dashboards.Enabled,
		SlowResources:       s.running,
	}, s.onAWS())
	return err
}

func (s *stack) addSetup() (err error) {
	l := s.cfg.Logging
	s.setup, err = logging.NewSetup(s.ctx, name+"-log-setup", &logging.SetupArgs{
		Image:       l.Image,
		ClusterName: s.cfg.Cluster.Name,
		Namespace:   s.logNamespace.Name,
		Master:      s.master,
		DomainARN:   s.domain.ARN,
		Settings: logging.SetupInput{
			Region:        s.cfg.Region,
			DataStream:    l.DataStream,
			Fields:        slices.Sorted(maps.Keys(l.Fields)),
			IndexedFields: s.cfg.IndexedFields(),
			RetentionDays: l.RetentionDays,
			RolloverMiB:   l.RolloverMiB(),
			Replicas:      l.Domain.Replicas(),
			AuditLogs:     l.Domain.AuditLogs,
			Dashboards:    l.Dashboards.Enabled,
		},
		Endpoint:      s.domain.Endpoint,
		WriterRoleARN: s.access.WriterRoleARN,
		ReaderRoleARN: s.access.ReaderRoleARN,
		DependsOn:     slices.Concat(s.logNamespace.Guards, s.access.Policies),
	}, s.inCluster())
	return err
}

// readyForLogs must exist before anything writes or reads logs.
func (s *stack) readyForLogs() []pulumi.Resource {
	return slices.Concat(s.access.Policies, []pulumi.Resource{s.setup.Job})
}

func (s *stack) addDashboards() error {
	if !s.cfg.Logging.Dashboards.Enabled {
		return nil
	}
	_, err := logging.NewDashboards(s.ctx, logging.DashboardsName, &logging.DashboardsArgs{
		Image:     s.cfg.Logging.Dashboards.Image,
		Region:    s.cfg.Region,
		Namespace: s.logNamespace.Name,
		Endpoint:  s.domain.Endpoint,
		RoleARN:   s.access.ReaderRoleARN,
		DependsOn: slices.Concat(s.logNamespace.Guards, s.readyForLogs()),
	}, s.inCluster())
	return err
}

func (s *stack) addSidecar() (err error) {
	s.sidecar, err = logging.NewSidecar(s.ctx, "fluentd", &logging.SidecarArgs{
		Image:         s.cfg.Logging.Image,
		CaptureImage:  s.cfg.Logging.CaptureImage,
		Region:        s.cfg.Region,
		ClusterName:   s.cfg.Cluster.Name,
		DataStream:    s.cfg.Logging.DataStream,
		IndexedFields: s.cfg.Logging.IndexedFields,
		Fields:        s.cfg.Logging.Fields,
		DropLevels:    s.cfg.Logging.DropLevels,
		Redact:        s.cfg.Logging.Redact,
		BytesPerDay:   s.cfg.Logging.GiBPerDay << 30,
		Namespace:     s.namespace.Name,
		Endpoint:      s.domain.Endpoint,
		RoleARN:       s.access.WriterRoleARN,
	}, s.inCluster())
	return err
}
