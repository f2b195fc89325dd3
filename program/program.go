// Package program puts the stack together: it reads the settings, makes cluster, logging and workloads, and exports the outputs.
// It decides the order of the parts and hands values from one to the next. Each part decides its own details.
package program

import (
	"fmt"
	"maps"
	"time"

	"expense/cluster"
	"expense/internal/config"
	"expense/internal/namespace"
	"expense/logging"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-eks/sdk/v3/go/eks"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// name is the prefix of all logical names. It is the project's, not the cluster's, so that renaming a cluster replaces only what
// it must.
const name = "expense"

// stack is the stack while it is declared. Each method adds a part and finds here what it needs from the parts before it.
type stack struct {
	ctx  *pulumi.Context
	cfg  *config.Config
	tags map[string]string

	aws *aws.Provider
	// eks is the component's own plugin.
	eks *eks.Provider
	// kubernetes waits for everything that pods need.
	kubernetes *kubernetes.Provider

	network      *cluster.Network
	controlPlane *cluster.ControlPlane
	// registry is nil in a stack without own images and caches.
	registry   *cluster.Registry
	nodeAddons *cluster.Addons
	// groups are the node groups by the start of their names. running are the same groups as dependencies.
	groups  map[string]*cluster.NodeGroup
	running []pulumi.Resource
	// eksReady are the cluster, people's access, the nodes and the add-ons.
	eksReady     []pulumi.Resource
	storageClass pulumi.StringOutput

	master  *logging.Master
	domain  *logging.Domain
	access  *logging.Access
	setup   *logging.Setup
	sidecar *logging.Sidecar

	apps map[string]config.App
	// namespace holds the workloads. logNamespace holds the domain's set-up and dashboards.
	namespace, logNamespace *namespace.Namespace
}

// Run declares the whole stack. It registers nothing if a setting is missing or wrong.
func Run(ctx *pulumi.Context) error {
	cfg, err := config.Load(ctx)
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings(time.Now()) {
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return err
		}
	}
	s := &stack{ctx: ctx, cfg: cfg, tags: Tags(ctx.Stack(), cfg.Tags), apps: apps(cfg)}
	for _, part := range []struct {
		name string
		add  func() error
	}{
		{"providers", s.addProviders},
		{"network", s.addNetwork},
		{"control plane", s.addControlPlane},
		{"registry", s.addRegistry},
		{"nodes", s.addNodes},
		{"kubernetes", s.addKubernetes},
		{"master", s.addMaster},
		{"domain", s.addDomain},
		{"alarms", s.addAlarms},
		{"log access", s.addAccess},
		// From here on each part waits: RegisterResourceOutputs waits for the component's URN, and that waits for the Kubernetes
		// provider (https://github.com/pulumi/pulumi/blob/master/sdk/go/pulumi/context.go). So parts that need only AWS come first.
		{"identity provider", s.addIdentityProvider},
		{"autoscaler", s.addAutoscaler},
		{"namespaces", s.addNamespaces},
		{"log set-up", s.addSetup},
		{"dashboards", s.addDashboards},
		{"sidecar", s.addSidecar},
		{"nginx", s.addNginx},
		{"multi-container", s.addMultiContainer},
		{"apps", s.addApps},
	} {
		if err := part.add(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	s.export()
	s.exportRegistry()
	return nil
}

// Tags are on every AWS resource of the stack, and on what EC2, the EBS CSI driver and the controller for load balancers make for it. One
// filter finds all of them. own are those of the settings, which have neither key.
func Tags(stack string, own map[string]string) map[string]string {
	all := map[string]string{"pulumi:project": name, "pulumi:stack": stack}
	maps.Copy(all, own)
	return all
}

func (s *stack) onAWS() pulumi.ResourceOption { return pulumi.Providers(s.aws) }

// inCluster is for components with resources in the cluster. They may have some on AWS too.
func (s *stack) inCluster() pulumi.ResourceOption { return pulumi.Providers(s.kubernetes, s.aws) }
