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
	// SetupName is the set-up's service account and the label of its pods, and starts the names of its Job and its config map.
	SetupName   = "log-setup"
	setupDir    = "/opt/setup"
	setupVolume = "setup"
	setupScript = "setup.rb"
	setupFile   = "setup.json"
	// setupDeadlineSeconds is when the Job gives up for good, after as many pods as it takes.
	setupDeadlineSeconds = 2 * setupWaitSeconds
	// nobody is the user of the set-up and of the proxy. No file in their images belongs to it.
	nobody = 65534
)

// Quota is that of the namespace of what belongs to the domain: the set-up's pod and the proxy, each beside its successor, and
// some room for pods that failed.
var Quota = config.Quota{Pods: 8, CPU: 1, MemoryGiB: 2}

//go:embed files/setup.rb
var setupRuby string

// MasterArgs describe the domain's master user.
type MasterArgs struct {
	ClusterName string
	// Namespace is where the set-up Job runs.
	Namespace string
}

// Master is the domain's master user, which may do everything with it: the role of the set-up Job, and nobody else.
//
// The role is handed out by EKS Pod Identity, unlike those of the sidecars and the proxy: its trust policy then needs no
// OIDC provider, so the domain, which takes a quarter of an hour or more, does not wait for the cluster.
type Master struct {
	pulumi.ResourceState

	RoleARN pulumi.StringOutput `pulumi:"roleArn"`

	role *iam.Role
}

// NewMaster makes the role. What it may call is added by NewSetup, once the domain is there.
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
	// Image has Ruby and AWS's signer: the sidecar's.
	Image       string
	ClusterName string
	// Namespace is the master's, as an output of what made it.
	Namespace pulumi.StringInput
	Master    *Master
	DomainARN pulumi.StringOutput
	// Settings are the set-up's input without what only AWS knows.
	Settings SetupInput
	Endpoint pulumi.StringOutput
	// WriterRoleARN and ReaderRoleARN are mapped to what they may do in the domain, the reader's only where Settings has
	// dashboards.
	WriterRoleARN pulumi.StringOutput
	ReaderRoleARN pulumi.StringOutput
	// DependsOn are the namespace's guards and the policies that admit the master.
	DependsOn []pulumi.Resource
}

// Setup is the domain's inside, which no AWS API reaches: who may do what, how indices are made, and when they are deleted.
type Setup struct {
	pulumi.ResourceState

	// Job has set the domain up; what logs before it is refused, or makes indices of the wrong shape.
	Job pulumi.Resource
}

// NewSetup runs the set-up as a Job and waits until it has succeeded. The Job's name carries a hash of all that it does: a
// change of it runs a new Job, and a stack that did not change runs none.
// The options need both providers, aws and kubernetes.
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

// identity lets the master's role call what the set-up calls, and gives it to the Job's service account.
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
		// The cluster's name is plain text: the cluster comes with the namespace's guards.
	}, pulumi.Parent(s), pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("pod identity: %w", err)
	}
	return []pulumi.Resource{policy, association}, nil
}

// setsUp are the calls of the set-up, read off its requests: the master may do everything inside the domain, but IAM lets
// it say nothing else.
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

// setupHashName is the name of the Job that sends the document: eight digits of a hash tell changes of one stack apart.
func setupHashName(document string) string {
	sum := sha256.Sum256([]byte(setupRuby + "\x00" + document))
	return fmt.Sprintf("%s-%x", SetupName, sum[:4])
}

// setupJob is one pod that ends. A pod that fails is looked at, not restarted: the next one starts with what EKS has made of
// the role's association meanwhile. A pod whose spot node goes does not count
// (https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy).
func setupJob(image string, files, account pulumi.StringPtrInput) batchv1.JobSpecArgs {
	return batchv1.JobSpecArgs{
		BackoffLimit:          pulumi.Int(3),
		ActiveDeadlineSeconds: pulumi.Int(setupDeadlineSeconds),
		PodFailurePolicy: batchv1.PodFailurePolicyArgs{Rules: batchv1.PodFailurePolicyRuleArray{batchv1.PodFailurePolicyRuleArgs{
			Action: pulumi.String("Ignore"),
			OnPodConditions: batchv1.PodFailurePolicyOnPodConditionsPatternArray{batchv1.PodFailurePolicyOnPodConditionsPatternArgs{
				Type: pulumi.String("DisruptionTarget"), Status: pulumi.String("True"),
			}},
		}}},
		Template: setupPod(image, files, account).Template(),
	}
}

func setupPod(image string, files, account pulumi.StringPtrInput) pod.Spec {
	token, tokenMount, env := podIdentity("aws-token", setupDeadlineSeconds)
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
			// They become the pod's status, which Pulumi prints with the error of the Job
			// (https://github.com/pulumi/cloud-ready-checks/blob/master/pkg/kubernetes/pod/check.go).
			LogsOnFailure: true,
			Resources:     pod.Resources{CPU: "50m", Memory: "64Mi", MemoryLimit: "256Mi"},
		}},
		Volumes: []pod.Volume{{Name: setupVolume, ConfigMap: files}, token},
	}
}
