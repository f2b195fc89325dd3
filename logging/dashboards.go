package logging

import (
	"fmt"

	"expense/internal/pod"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// DashboardsName is the name of the proxy's Deployment and of its service account, whose role NewAccess makes.
	DashboardsName = "dashboards"
	// DashboardsPort is the proxy's port in its pod.
	DashboardsPort = 8080
)

// DashboardsArgs describe the proxy.
type DashboardsArgs struct {
	Image     string
	Region    string
	Namespace pulumi.StringInput
	// Endpoint is the domain's, without https://.
	Endpoint pulumi.StringOutput
	RoleARN  pulumi.StringInput
	// DependsOn are the namespace's guards and the policies that admit the proxy.
	DependsOn []pulumi.Resource
}

// Dashboards is the way of people to OpenSearch Dashboards. The domain is inside the VPC and takes only signed requests, which no browser
// makes. The proxy signs them as its own role. It has no Service and the namespace admits nobody, so a person needs
// `kubectl port-forward` there.
type Dashboards struct {
	pulumi.ResourceState
}

// NewDashboards runs AWS's SigV4 proxy (https://github.com/awslabs/aws-sigv4-proxy) in front of the domain.
func NewDashboards(ctx *pulumi.Context, name string, args *DashboardsArgs, opts ...pulumi.ResourceOption) (*Dashboards, error) {
	if args == nil {
		return nil, fmt.Errorf("dashboards %q: no arguments", name)
	}
	d := &Dashboards{}
	if err := ctx.RegisterComponentResource(typeDashboards, name, d, opts...); err != nil {
		return nil, err
	}
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata:                     metav1.ObjectMetaArgs{Name: pulumi.String(name), Namespace: args.Namespace},
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(d))
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	_, err = appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: pod.Meta(name, args.Namespace),
		Spec: appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(1),
			Selector: pod.Selector(name),
			Template: proxyPod(name, args, account.Metadata.Name()).Template(),
		},
	}, pulumi.Parent(d), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{})
}

func proxyPod(name string, args *DashboardsArgs, account pulumi.StringPtrInput) pod.Spec {
	volume, token, env := identity("aws-token", args.Region, args.RoleARN)
	// The probes only check that it listens. It signs and forwards every request, even for /health
	// (https://github.com/awslabs/aws-sigv4-proxy/pull/201, open), and the domain's answer is no reason to restart it.
	listens := func(seconds int) *pod.Probe { return &pod.Probe{Port: DashboardsPort, PeriodSeconds: seconds} }
	return pod.Spec{
		Name:           name,
		User:           nobody,
		ServiceAccount: account,
		Containers: []pod.Container{{
			Name:      "proxy",
			Image:     args.Image,
			Args:      proxyFlags(args.Region, args.Endpoint),
			Env:       env,
			Ports:     []pod.Port{{Name: "http", Number: DashboardsPort}},
			Mounts:    []pod.Mount{token},
			Liveness:  listens(30),
			Readiness: listens(10),
			// The proxy holds each answer in memory, and a browser asks for several at once.
			Resources: pod.Resources{CPU: "20m", Memory: "32Mi", MemoryLimit: "256Mi"},
		}},
		Volumes: []pod.Volume{volume},
	}
}

// proxyFlags are the proxy's flags (https://github.com/awslabs/aws-sigv4-proxy/blob/main/cmd/aws-sigv4-proxy/main.go). It signs for the
// service "es" as the role of the pod's token, and forwards over HTTPS. The browser's other headers pass. No flag strips the cookie, in
// which Dashboards keeps the chosen tenant, or osd-xsrf, without which it refuses changes. The signature replaces an Authorization
// header of the browser.
func proxyFlags(region string, endpoint pulumi.StringInput) pulumi.StringArray {
	return pulumi.StringArray{
		pulumi.String("--name"), pulumi.String("es"),
		pulumi.String("--region"), pulumi.String(region),
		pulumi.String("--host"), endpoint,
		pulumi.String("--port"), pulumi.String(fmt.Sprintf(":%d", DashboardsPort)),
	}
}
