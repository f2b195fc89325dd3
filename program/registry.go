package program

import (
	"expense/cluster"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// addRegistry makes the stack's part of the account's registry. A stack without own images and caches has none.
func (s *stack) addRegistry() (err error) {
	images := s.cfg.Repositories()
	if len(images)+len(s.cfg.Cluster.Caches()) == 0 {
		return nil
	}
	s.registry, err = cluster.NewRegistry(s.ctx, name+"-registry", &cluster.RegistryArgs{
		Region: s.cfg.Region, Cluster: s.cfg.Cluster, Images: images,
	}, s.onAWS())
	return err
}

// exportRegistry adds the outputs of a stack that has a registry.
func (s *stack) exportRegistry() {
	repositories, caches := pulumi.StringMapInput(pulumi.StringMap{}), pulumi.StringMapInput(pulumi.StringMap{})
	if s.registry != nil {
		repositories, caches = s.registry.Repositories, s.registry.Caches
	}
	s.ctx.Export(OutputRepositories, repositories)
	s.ctx.Export(OutputCaches, caches)
}
