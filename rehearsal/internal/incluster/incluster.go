// Package incluster has what runs inside an EKS cluster and a bare API server lacks: nodes that join and leave, the EBS CSI driver,
// the cloud's load balancer controller, and metrics-server. The driver and metrics-server work while their add-on is active, load
// balancers while nodes of the cluster are known. kwok plays the kubelets. docs/rehearsal.md lists what is left out.
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

// AWS is the account that the cluster lives in.
type AWS interface {
	// CreateVolume makes an EBS volume in a zone, given by name.
	CreateVolume(cluster, zone string, sizeGiB int, encrypted bool, tags map[string]string) (id string, err error)
	// DeleteVolume removes a volume. It may be gone already.
	DeleteVolume(id string) error
	// CreateLoadBalancer makes a load balancer with its groups, or finds it by its name. scheme is internet-facing or internal.
	CreateLoadBalancer(cluster, name, scheme string, annotations map[string]string, ports ...int32) (hostname string, err error)
	// ReleaseLoadBalancer removes a load balancer and its groups. They may be gone already.
	ReleaseLoadBalancer(name string) error
	// AddonActive tells whether an EKS add-on is in service.
	AddonActive(name string) bool
}

// Controllers are the running stand-ins.
type Controllers struct {
	// EvictionTimeout is how long a leaving node waits for disruption budgets; then its remaining pods are lost. Set it before the
	// first node leaves. The default is EKS's 15 minutes
	// (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html).
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

// Start starts the stand-ins on a cluster; config is its administrator's. They end with ctx or with Stop. Start them once in a process,
// before other clients work: the external provisioner registers types that all clients share.
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
	c := &Controllers{
		EvictionTimeout: 15 * time.Minute, aws: aws, config: config, clients: clients, dynamic: dynamicClient, cancel: cancel,
		factory: informers.NewSharedInformerFactory(clients, 0),
	}
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

// Stop ends the stand-ins and waits for them. Of what they made, only the registration of the metrics API goes. Call it before the
// control plane stops.
func (c *Controllers) Stop() {
	c.cancel()
	c.running.Wait()
	c.factory.Shutdown()
}

// clusterName is the cluster of the nodes, "" before the first one joined.
func (c *Controllers) clusterName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cluster
}
