package logging

import (
	"fmt"

	"expense/internal/podsecurity"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// DashboardsName is the name of the proxy's Deployment and service account.
	DashboardsName = "dashboards"
	// DashboardsPort is where the proxy listens in its pod.
	DashboardsPort = 8080
	proxyUser      = 65534
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

// Dashboards is the way of a person into OpenSearch Dashboards: the domain is inside the VPC and takes signed requests only,
// which no browser makes. The proxy signs them. It has no Service and the namespace lets nobody in, so it is reached by who
// may use `kubectl port-forward` there, and acts as its own role whoever that is.
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
		Metadata:                     metav1.ObjectMetaArgs{Name: pulumi.String(DashboardsName), Namespace: args.Namespace},
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(d))
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	volume, token, env := identity("aws-token", args.Region, args.RoleARN)
	labels := pulumi.StringMap{"app.kubernetes.io/name": pulumi.String(DashboardsName)}
	probe := func(seconds int) corev1.ProbeArgs {
		return corev1.ProbeArgs{
			// Whether it listens. It has no path of its own: it signs and forwards every request, one for /health too
			// (https://github.com/awslabs/aws-sigv4-proxy/pull/201, open), and what the domain answers is no reason to restart it.
			TcpSocket:     corev1.TCPSocketActionArgs{Port: pulumi.Int(DashboardsPort)},
			PeriodSeconds: pulumi.Int(seconds),
		}
	}
	_, err = appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: metav1.ObjectMetaArgs{Name: pulumi.String(DashboardsName), Namespace: args.Namespace, Labels: labels},
		Spec: appsv1.DeploymentSpecArgs{
			Replicas: pulumi.Int(1),
			Selector: metav1.LabelSelectorArgs{MatchLabels: labels},
			Template: corev1.PodTemplateSpecArgs{
				Metadata: metav1.ObjectMetaArgs{Labels: labels},
				Spec: corev1.PodSpecArgs{
					ServiceAccountName:           account.Metadata.Name().Elem(),
					AutomountServiceAccountToken: pulumi.Bool(false),
					EnableServiceLinks:           pulumi.Bool(false),
					SecurityContext:              podsecurity.Pod(proxyUser),
					Containers: corev1.ContainerArray{corev1.ContainerArgs{
						Name:           pulumi.String("proxy"),
						Image:          pulumi.String(args.Image),
						Args:           proxyFlags(args.Region, args.Endpoint),
						Env:            env,
						Ports:          corev1.ContainerPortArray{corev1.ContainerPortArgs{Name: pulumi.String("http"), ContainerPort: pulumi.Int(DashboardsPort)}},
						VolumeMounts:   corev1.VolumeMountArray{token},
						LivenessProbe:  probe(30),
						ReadinessProbe: probe(10),
						Resources: corev1.ResourceRequirementsArgs{
							Requests: pulumi.StringMap{"cpu": pulumi.String("20m"), "memory": pulumi.String("32Mi")},
							// It holds each answer whole before it passes it on, and a browser asks for several at once.
							Limits: pulumi.StringMap{"memory": pulumi.String("256Mi")},
						},
						SecurityContext: podsecurity.Container(),
					}},
					Volumes: corev1.VolumeArray{volume},
				},
			},
		},
	}, pulumi.Parent(d), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{})
}

// proxyFlags are the proxy's (https://github.com/awslabs/aws-sigv4-proxy/blob/main/cmd/aws-sigv4-proxy/main.go). It signs
// as the role of the pod's token, which AWS's SDK finds by the environment, for the service "es", whatever host the browser
// named, and forwards over HTTPS, which is its default. The browser's other headers pass through after the signing: no
// flag strips the cookie, in which Dashboards keeps the tenant that was chosen, nor osd-xsrf, without which it refuses
// every change; an Authorization header of the browser's never passes, because the signature takes its place.
func proxyFlags(region string, endpoint pulumi.StringInput) pulumi.StringArray {
	return pulumi.StringArray{
		pulumi.String("--name"), pulumi.String("es"),
		pulumi.String("--region"), pulumi.String(region),
		pulumi.String("--host"), endpoint,
		pulumi.String("--port"), pulumi.String(fmt.Sprintf(":%d", DashboardsPort)),
	}
}
