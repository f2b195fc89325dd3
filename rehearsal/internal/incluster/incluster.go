// Package incluster is what runs inside an EKS cluster and what a bare API server lacks: nodes that join and leave, the
// EBS CSI driver, the load balancer controller of the cloud, and metrics-server. Each works as long as what makes it
// work on AWS is there: the driver and metrics-server while their add-on is active, load balancers while nodes of the
// cluster are known. kwok plays the kubelets. NotModelled lists what is left out.
package incluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// NotModelled lists what runs in an EKS cluster and not here, for the reader of a rehearsal's result.
var NotModelled = []struct{ Area, What string }{
	{"pods", "containers: no image is pulled, no probe runs, nothing is logged; pods are Ready because kwok says so"},
	{"add-ons", "CPU and memory of their pods, their disruption budgets and priorities, and what they do: metrics-server and the EBS CSI driver are served without their pods"},
	{"network", "addresses of the VPC for pods, Services, DNS, NetworkPolicy, targets of load balancers: nothing can be reached and nothing is blocked"},
	{"nodes", "node repair, spot interruptions; of the Cluster Autoscaler all but its growing of groups: similar groups are not balanced, no node is removed"},
	{"nodes", "memory that firmware and kernel keep, about 3 %, and root volumes other than EKS's default of 20 GiB"},
	{"storage", "attachment of volumes to nodes and its limit per instance, volume types other than gp3, snapshots, growth of claims"},
	{"load balancers", "the end of the cloud's controller with its control plane: a load balancer is removed with its Service as long as the API server is there"},
	{"load balancers", "the AWS Load Balancer Controller and its annotations, aws-load-balancer-scheme among them, which EKS's own controller ignores"},
	{"metrics", "real usage: it is what SetCPU says"},
}

// AWS is the account that the cluster lives in.
type AWS interface {
	// CreateVolume makes an EBS volume in a zone, given by name.
	CreateVolume(cluster, zone string, sizeGiB int, encrypted bool, tags map[string]string) (id string, err error)
	// DeleteVolume removes a volume; that it is gone already is no error.
	DeleteVolume(id string) error
	// CreateLoadBalancer makes a load balancer with its groups, or finds it by its name. scheme is internet-facing or internal.
	CreateLoadBalancer(cluster, name, scheme string, annotations map[string]string, ports ...int32) (hostname string, err error)
	// ReleaseLoadBalancer removes a load balancer and its groups; that they are gone already is no error.
	ReleaseLoadBalancer(name string) error
	// AddonActive tells whether an EKS add-on is in service.
	AddonActive(name string) bool
}

// Controllers are the stand-ins at work. AddNodes and RemoveNodes make them the nodes' side of an awsmodel.Cluster.
type Controllers struct {
	// EvictionTimeout is how long a node that leaves waits for disruption budgets before its pods are lost with it. The
	// default is EKS's 15 minutes (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html);
	// set it before the first node leaves.
	EvictionTimeout time.Duration

	aws     AWS
	config  *rest.Config
	clients kubernetes.Interface
	dynamic dynamic.Interface
	metrics *metricsServer

	cancel  context.CancelFunc
	running sync.WaitGroup
	factory informers.SharedInformerFactory

	mu      sync.Mutex
	cluster string // the EKS name of the cluster, known from its nodes
}

// Start starts the stand-ins on a cluster whose administrator config is. They end with ctx or with Stop. A process starts
// them once, before other clients are at work: the external provisioner registers types that all clients share.
func Start(ctx context.Context, config *rest.Config, aws AWS) (*Controllers, error) {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Controllers{EvictionTimeout: 15 * time.Minute, aws: aws, config: config, clients: clients, dynamic: dynamicClient, cancel: cancel,
		factory: informers.NewSharedInformerFactory(clients, 0)}
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"EBS CSI driver", c.startVolumes},
		{"load balancer controller", c.startLoadBalancers},
		{"metrics-server", c.startMetrics},
	} {
		if err := part.start(ctx); err != nil {
			c.Stop()
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	c.factory.Start(ctx.Done())
	c.factory.WaitForCacheSync(ctx.Done())
	return c, ctx.Err()
}

// Stop ends the stand-ins and returns when they have ended. What they made stays, except for the registration of the
// metrics API. Stop before the control plane does.
func (c *Controllers) Stop() {
	c.cancel()
	c.running.Wait()
	c.factory.Shutdown()
}

// clusterName is the cluster of the nodes that joined, "" before the first did.
func (c *Controllers) clusterName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cluster
}
