package incluster

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/controllers/service"
	"k8s.io/component-base/metrics/prometheus/controllers"
)

// The annotations that EKS's controller reads (https://github.com/kubernetes/cloud-provider-aws, docs/service_controller.md).
const (
	typeAnnotation     = "service.beta.kubernetes.io/aws-load-balancer-type"
	internalAnnotation = "service.beta.kubernetes.io/aws-load-balancer-internal"
)

// startLoadBalancers runs Kubernetes' own controller for Services of type LoadBalancer before the account, as EKS does in its control
// plane.
func (c *Controllers) startLoadBalancers(ctx context.Context) error {
	core := c.factory.Core().V1()
	loadBalancers, err := service.New(cloud{c: c}, c.clients, core.Services(), core.Nodes(), "", nil)
	if err != nil {
		return err
	}
	c.running.Go(func() {
		loadBalancers.Run(ctx, 2, controllers.NewControllerManagerMetrics("rehearsal"))
	})
	return nil
}

// cloud is the part of a cloud that the controller asks for.
type cloud struct {
	cloudprovider.Interface
	c *Controllers
}

func (cl cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return cl, true }

func (cl cloud) ProviderName() string { return "aws" }

func (cl cloud) HasClusterID() bool { return true }

func (cloud) GetLoadBalancerName(_ context.Context, _ string, s *corev1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(s)
}

func (cloud) GetLoadBalancer(_ context.Context, _ string, s *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	return &s.Status.LoadBalancer, true, nil
}

func (cl cloud) EnsureLoadBalancer(ctx context.Context, _ string, s *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	if kind := s.Annotations[typeAnnotation]; kind == "external" || kind == "nlb-ip" {
		return nil, cloudprovider.ImplementedElsewhere // by the AWS Load Balancer Controller
	}
	cluster := cl.c.clusterName()
	if cluster == "" {
		return nil, errors.New("no node of the cluster is known yet")
	}
	scheme := "internet-facing"
	if internal := s.Annotations[internalAnnotation]; internal != "" && internal != "false" {
		scheme = "internal"
	}
	var ports []int32
	for _, port := range s.Spec.Ports {
		ports = append(ports, port.Port)
	}
	hostname, err := cl.c.aws.CreateLoadBalancer(cluster, cl.GetLoadBalancerName(ctx, "", s), scheme, s.Annotations, ports...)
	if err != nil {
		return nil, err
	}
	return &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: hostname}}}, nil
}

func (cloud) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	return nil // targets are not modelled
}

func (cl cloud) EnsureLoadBalancerDeleted(ctx context.Context, _ string, s *corev1.Service) error {
	return cl.c.aws.ReleaseLoadBalancer(cl.GetLoadBalancerName(ctx, "", s))
}
