package logging

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/pod"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/eks"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumix"
)

const (
	// SetupName is the name of the set-up's service account and pods. It starts the names of its Job and its ConfigMap.
	SetupName   = "log-setup"
	setupDir    = "/opt/setup"
	setupVolume = "setup"
	setupScript = "setup.rb"
	setupFile   = "setup.json"
	// setupDeadlineSeconds is when the Job gives up for good.
	setupDeadlineSeconds = 2 * setupWaitSeconds
	// nobody is the user of the set-up and of the proxy. No file in their images belongs to it.
	nobody = 65534
)

// Quota is the quota of the set-up's and the proxy's namespace. It holds both pods, each beside its successor, and some failed pods.
var Quota = config.Quota{Pods: 8, CPU: 1, MemoryGiB: 2}

//go:embed files/setup.rb
var setupRuby string

// MasterArgs describe the domain's master user.
type MasterArgs struct {
	ClusterName string
	// Namespace is the namespace of the set-up Job.
	Namespace string
}

// Master is the domain's master user: the role of the set-up Job. It may do everything with the domain.
//
// Unlike the roles of the sidecars and the proxy, it comes from EKS Pod Identity. So its trust policy needs no OIDC provider, and the
// domain, which takes a quarter of an hour or more, does not wait for the cluster.
type Master struct {
	pulumi.ResourceState

	RoleARN pulumi.StringOutput `pulumi:"roleArn"`

	role *iam.Role
}

// NewMaster makes the role. NewSetup adds its permissions after the domain is made.
func NewMaster(ctx *pulumi.Context, name string, args *MasterArgs, opts ...pulumi.ResourceOption) (*Master, error) {
	if args == nil {
		return nil, fmt.Errorf("master %q: no arguments", name)
	}
	m := &Master{}
	if err := ctx.RegisterComponentResource(typeMaster, name, m, opts...); err != nil {
		return nil, err
	}
	trust, err := iampolicy.PodIdentityTrust(args.ClusterName, args.Namespace, SetupName)
	if err != nil {
		return nil, err
	}
	m.role, err = iam.NewRole(ctx, name, &iam.RoleArgs{
		AssumeRolePolicy: pulumi.String(trust), Tags: tags.Name(name),
	}, pulumi.Parent(m))
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	m.RoleARN = m.role.Arn
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{"roleArn": m.RoleARN})
}

// SetupArgs describe the set-up of a domain.
type SetupArgs struct {
	// Image is the sidecar's image. It has Ruby and AWS's signer.
	Image       string
	ClusterName string
	// Namespace is the name of the master's namespace.
	Namespace pulumi.StringInput
	Master    *Master
	DomainARN pulumi.StringOutput
	// Settings are the set-up's input without AWS's outputs.
	Settings SetupInput
	Endpoint pulumi.StringOutput
	// WriterRoleARN and ReaderRoleARN get roles inside the domain, the reader only with Settings.Dashboards.
	WriterRoleARN pulumi.StringOutput
	ReaderRoleARN pulumi.StringOutput
	// DependsOn are the namespace's guards and the policies that admit the master.
	DependsOn []pulumi.Resource
}

// Setup configures the inside of the domain, which no AWS API reaches: roles, the data stream and its retention.
type Setup struct {
	pulumi.ResourceState

	// Job has set the domain up. Before it, log lines would be refused.
	Job pulumi.Resource
}

// NewSetup runs the set-up as a Job and waits for its success. The Job's name has a hash of its script and document, so a change runs a
// new Job. The options need both providers, aws and kubernetes.
func NewSetup(ctx *pulumi.Context, name string, args *SetupArgs, opts ...pulumi.ResourceOption) (*Setup, error) {
	if args == nil {
		return nil, fmt.Errorf("setup %q: no arguments", name)
	}
	s := &Setup{}
	if err := ctx.RegisterComponentResource(typeSetup, name, s, opts...); err != nil {
		return nil, err
	}
	identity, err := s.identity(ctx, name, args)
	if err != nil {
		return nil, err
	}
	document := pulumix.Cast[pulumi.StringOutput](pulumix.Apply3Err(args.Endpoint, args.WriterRoleARN, args.ReaderRoleARN,
		func(endpoint, writer, reader string) (string, error) {
			in := args.Settings
			in.Endpoint, in.WriterRoleARN = endpoint, writer
			if in.Dashboards {
				in.ReaderRoleARN = reader
			}
			data, err := SetupDocument(in)
			return string(data), err
		}))
	meta := metav1.ObjectMetaArgs{
		Name:      document.ApplyT(setupHashName).(pulumi.StringOutput),
		Namespace: args.Namespace,
		Labels:    pod.Labels(SetupName),
	}
	files, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata:  meta,
		Data:      pulumi.StringMap{setupScript: pulumi.String(setupRuby), setupFile: document},
		Immutable: pulumi.Bool(true),
	}, pulumi.Parent(s))
	if err != nil {
		return nil, fmt.Errorf("config map: %w", err)
	}
	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata:                     metav1.ObjectMetaArgs{Name: pulumi.String(SetupName), Namespace: args.Namespace},
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(s))
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	s.Job, err = batchv1.NewJob(ctx, name, &batchv1.JobArgs{
		Metadata: meta,
		Spec:     setupJob(args.Image, files.Metadata.Name(), account.Metadata.Name()),
	}, pulumi.Parent(s), pulumi.DependsOn(slices.Concat(identity, args.DependsOn)),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: fmt.Sprintf("%ds", setupDeadlineSeconds+60)}))
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{})
}

// identity gives the master's role its permissions, and the role to the Job's service account.
func (s *Setup) identity(ctx *pulumi.Context, name string, args *SetupArgs) ([]pulumi.Resource, error) {
	policy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Role: args.Master.role.Name,
		Policy: args.DomainARN.ApplyT(func(domain string) (string, error) {
			statements, err := setsUp(iampolicy.Principal{}, domain, args.Settings)
			if err != nil {
				return "", err
			}
			return iampolicy.Document(statements...)
		}).(pulumi.StringOutput),
	}, pulumi.Parent(s))
	if err != nil {
		return nil, fmt.Errorf("role policy: %w", err)
	}
	association, err := eks.NewPodIdentityAssociation(ctx, name, &eks.PodIdentityAssociationArgs{
		ClusterName:    pulumi.String(args.ClusterName),
		Namespace:      args.Namespace,
		ServiceAccount: pulumi.String(SetupName),
		RoleArn:        args.Master.RoleARN,
		Tags:           tags.Name(name),
		// The cluster's name is plain text. The dependency on the cluster is in the namespace's guards.
	}, pulumi.Parent(s), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("pod identity: %w", err)
	}
	return []pulumi.Resource{policy, association}, nil
}

// setsUp allows exactly the calls of the set-up's requests. Inside the domain the master may do everything.
func setsUp(principal iampolicy.Principal, domain string, in SetupInput) ([]iampolicy.Statement, error) {
	requests, err := setupRequests(in)
	if err != nil {
		return nil, err
	}
	resources := map[string][]string{}
	add := func(method, resource string) {
		if !slices.Contains(resources[method], resource) {
			resources[method] = append(resources[method], resource)
		}
	}
	for _, r := range requests {
		file, _, _ := strings.Cut(r.Path, "?")
		if r.EachIndex {
			add("GET", domain+file)
			file = "/.ds-" + in.DataStream + "-*/_settings"
		}
		add(r.Method, domain+file)
		if r.Versioned {
			add("GET", domain+file)
		}
		if r.Unless != nil {
			add("GET", domain+r.Unless.Path)
		}
	}
	var out []iampolicy.Statement
	for _, method := range slices.Sorted(maps.Keys(resources)) {
		word := method[:1] + strings.ToLower(method[1:])
		out = append(out, iampolicy.Statement{
			Sid: "Setup" + word, Principal: principal, Actions: []string{"es:ESHttp" + word}, Resources: resources[method],
		})
	}
	return out, nil
}

// setupHashName is the name of the Job that sends the document. Eight digits of a hash distinguish the changes of one stack.
func setupHashName(document string) string {
	sum := sha256.Sum256([]byte(setupRuby + "\x00" + document))
	return fmt.Sprintf("%s-%x", SetupName, sum[:4])
}

// setupJob runs one pod that ends. A failed pod is kept, not restarted: a new one may get the role that its predecessor was too early
// for.
func setupJob(image string, files, account pulumi.StringPtrInput) batchv1.JobSpecArgs {
	return batchv1.JobSpecArgs{
		BackoffLimit:          pulumi.Int(3),
		ActiveDeadlineSeconds: pulumi.Int(setupDeadlineSeconds),
		PodFailurePolicy:      pod.DisruptionsDoNotCount,
		Template:              setupPod(image, files, account).Template(),
	}
}

func setupPod(image string, files, account pulumi.StringPtrInput) pod.Spec {
	token, tokenMount, env := pod.Identity("aws-token", tokenDir, setupDeadlineSeconds)
	return pod.Spec{
		Name:           SetupName,
		User:           nobody,
		ServiceAccount: account,
		RestartPolicy:  "Never",
		Containers: []pod.Container{{
			Name:    "setup",
			Image:   image,
			Command: []string{"ruby", path.Join(setupDir, setupScript), path.Join(setupDir, setupFile)},
			Env:     env,
			Mounts:  []pod.Mount{{Volume: setupVolume, Path: setupDir, ReadOnly: true}, tokenMount},
			// The last lines become the pod's status, which Pulumi prints with the Job's error
			// (https://github.com/pulumi/cloud-ready-checks/blob/master/pkg/kubernetes/pod/check.go).
			LogsOnFailure: true,
			Resources:     pod.Resources{CPU: "50m", Memory: "64Mi", MemoryLimit: "256Mi"},
		}},
		Volumes: []pod.Volume{{Name: setupVolume, ConfigMap: files}, token},
	}
}
