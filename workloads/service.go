package workloads

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/internal/pod"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// balancerAnnotation starts the annotations that EKS's own controller reads
// (https://github.com/kubernetes/cloud-provider-aws/blob/master/docs/service_controller.md).
const balancerAnnotation = "service.beta.kubernetes.io/aws-load-balancer-"

// balancer asks EKS's own controller for a network load balancer. By default it is internet-facing and in the public subnets, by
// their tag (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html). The controller tags it and its target groups
// when it makes them, and never again (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_loadbalancer.go,
// ensureLoadBalancerv2).
func balancer(tags map[string]string) pulumi.StringMap {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		pairs = append(pairs, key+"="+tags[key])
	}
	return pulumi.StringMap{
		balancerAnnotation + "type":                              pulumi.String("nlb"),
		balancerAnnotation + "cross-zone-load-balancing-enabled": pulumi.String("true"),
		balancerAnnotation + "additional-resource-tags":          pulumi.String(strings.Join(pairs, ",")),
	}
}

// services are the app's Service in the namespace, and the one with a load balancer, both with the Deployment's pods behind them.
func (a *App) services(ctx *pulumi.Context, name string, args *AppArgs, spec pod.Spec, deployment *appsv1.Deployment) error {
	if len(args.Ports) == 0 {
		return nil
	}
	options := []pulumi.ResourceOption{pulumi.Parent(a), pulumi.DependsOn([]pulumi.Resource{deployment})}
	// It has the containers' ports, see servicePorts.
	var ports corev1.ServicePortArray
	for _, port := range sortedPorts(args.Ports) {
		ports = append(ports, corev1.ServicePortArgs{
			Name: pulumi.String(port.Name), Port: pulumi.Int(port.Number), TargetPort: pulumi.String(port.Name),
		})
	}
	service, err := corev1.NewService(ctx, name, &corev1.ServiceArgs{
		Metadata: pod.Meta(name, args.Namespace),
		Spec:     corev1.ServiceSpecArgs{Type: pulumi.String("ClusterIP"), Selector: spec.Labels(), Ports: ports},
	}, options...)
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	a.ServiceName = service.Metadata.Name().Elem()
	target, _, _ := args.Checked()
	if !args.Public.Wanted() {
		return nil
	}
	public := BalancerName(name, args.Public)
	meta := pod.Meta(public, args.Namespace)
	meta.Labels = pod.Labels(name)
	annotations := balancer(args.Tags)
	port := corev1.ServicePortArgs{Name: pulumi.String("tcp"), Port: pulumi.Int(80), TargetPort: pulumi.String(target)}
	if arn := args.Public.CertificateARN; arn != "" {
		port.Name, port.Port = pulumi.String("tls"), pulumi.Int(443)
		annotations[balancerAnnotation+"ssl-cert"] = pulumi.String(arn)
		annotations[balancerAnnotation+"ssl-ports"] = pulumi.String("443")
		annotations[balancerAnnotation+"backend-protocol"] = pulumi.String("tcp")
		// TLS 1.2 and 1.3. The API's default is of 2016
		// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html).
		annotations[balancerAnnotation+"ssl-negotiation-policy"] = pulumi.String("ELBSecurityPolicy-TLS13-1-2-2021-06")
	}
	meta.Annotations = annotations
	if _, err := corev1.NewService(ctx, public, &corev1.ServiceArgs{
		Metadata: meta,
		Spec: corev1.ServiceSpecArgs{
			Type: pulumi.String("LoadBalancer"), Selector: spec.Labels(), Ports: corev1.ServicePortArray{port},
			LoadBalancerSourceRanges: pulumi.ToStringArray(args.Public.From),
		},
	}, options...); err != nil {
		return fmt.Errorf("load balancer: %w", err)
	}
	return nil
}

// BalancerName is the name of the Service with an app's load balancer. Plain and with TLS it is another Service: the controller adds
// the new listener of a port before it removes the old one, and AWS refuses two on one port
// (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_loadbalancer.go, ensureLoadBalancerv2).
func BalancerName(app string, public config.Public) string {
	if public.CertificateARN != "" {
		return app + "-public-tls"
	}
	return app + "-public-plain"
}
