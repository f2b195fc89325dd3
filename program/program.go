// Package program puts the stack together: settings in, cluster, logging and workloads in between, outputs out.
// It decides what waits for what and who is told what; each part's details are the part's own.
package program

import (
	"fmt"
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

// name is the prefix of all logical names. It is the project's, not the cluster's: renaming a cluster replaces what must
// be replaced and nothing else.
const name = "expense"

// stack is the stack while it is declared: each method adds a part, and finds here what it needs of the parts before it.
type stack struct {
	ctx  *pulumi.Context
	cfg  *config.Config
	tags map[string]string

	aws *aws.Provider
	// eks is the component's own plugin.
	eks *eks.Provider
	// kubernetes waits for all that pods need.
	kubernetes *kubernetes.Provider

	network      *cluster.Network
	controlPlane *cluster.ControlPlane
	nodeAddons   *cluster.Addons
	// groups are the node groups by what their names start with, and running are the groups that run.
	groups       map[string]*cluster.NodeGroup
	running      []pulumi.Resource
	storageClass pulumi.StringOutput

	master  *logging.Master
	domain  *logging.Domain
	access  *logging.Access
	setup   *logging.Setup
	sidecar *logging.Sidecar

	// namespace is the workloads', logNamespace that of what belongs to the domain.
	namespace, logNamespace *namespace.Namespace
}

// Run declares the whole stack. A setting that is missing or wrong is an error before the first resource.
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
	s := &stack{ctx: ctx, cfg: cfg, tags: Tags(ctx.Stack())}
	for _, part := range []struct {
		name string
		add  func() error
	}{
		{"providers", s.addProviders},
		{"network", s.addNetwork},
		{"control plane", s.addControlPlane},
		{"nodes", s.addNodes},
		{"kubernetes", s.addKubernetes},
		{"master", s.addMaster},
		{"domain", s.addDomain},
		{"alarms", s.addAlarms},
		{"log access", s.addAccess},
		// From here on the program waits: a component's end waits for its URN, which comes when its Kubernetes provider does
		// (RegisterResourceOutputs of https://github.com/pulumi/pulumi/blob/master/sdk/go/pulumi/context.go). So all that needs
		// AWS only is declared before, but for what the set-up and the autoscaler have of their own.
		{"autoscaler", s.addAutoscaler},
		{"namespaces", s.addNamespaces},
		{"log set-up", s.addSetup},
		{"dashboards", s.addDashboards},
		{"sidecar", s.addSidecar},
		{"nginx", s.addNginx},
		{"multi-container", s.addMultiContainer},
		{"web", s.addWeb},
	} {
		if err := part.add(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	s.export()
	return nil
}

// Tags are on every AWS resource of the stack, and on what EC2 and the EBS CSI driver make for it: one filter finds all.
func Tags(stack string) map[string]string {
	return map[string]string{"pulumi:project": name, "pulumi:stack": stack}
}

func (s *stack) onAWS() pulumi.ResourceOption { return pulumi.Providers(s.aws) }

// inCluster is for components that have resources in the cluster, and may have some on AWS.
func (s *stack) inCluster() pulumi.ResourceOption { return pulumi.Providers(s.kubernetes, s.aws) }
