package workloads

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"time"

	"expense/internal/config"
	"expense/internal/pod"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	filesVolume    = "files"
	identityVolume = "aws-token"
	// identityDir is not where EKS's webhook mounts its own token. Once it knows the association it adds that mount to every container,
	// and two at one path are refused (https://github.com/aws/amazon-eks-pod-identity-webhook, pkg/handler/handler.go). It keeps
	// variables that are there. No app's folder of secrets has this name, which has a dot.
	identityDir = secretsDir + "/aws.identity"
	// identitySeconds are a day, as in EKS's own webhook. The kubelet renews the token long before.
	identitySeconds = 86400
	secretsDir      = "/var/run/secrets"
	secretVolume    = "secret"
	tmpDir          = "/tmp"
	tmpMiB          = 64

	// stopDelaySeconds is how long a container that serves still answers after its end has begun, see nginx.
	stopDelaySeconds = 5
	// logSeconds is what a sidecar has left for the last lines when the app has used up its grace: nginx's pods have as much.
	logSeconds = 55
)

// base is the pod without what only a server has: its ports, probes, command and logs.
func (args *AppArgs) base(name string, account, files, secret pulumi.StringPtrInput) pod.Spec {
	c := pod.Container{
		Name:          name,
		Image:         args.Image,
		LogsOnFailure: true,
		Resources:     pod.Resources{CPU: args.Resources.CPU, Memory: args.Resources.Memory, MemoryLimit: args.Resources.MemoryLimit},
	}
	spec := pod.Spec{Name: name, User: args.User, ServiceAccount: account}

	var fileKeys []string
	for _, key := range slices.Sorted(maps.Keys(args.Secrets)) {
		if args.Secrets[key] == config.SecretAsEnv {
			c.Env = append(c.Env, pod.Variable{Name: key, Secret: secret, Key: key})
		} else {
			fileKeys = append(fileKeys, key)
		}
	}
	if len(fileKeys) > 0 {
		spec.Volumes = append(spec.Volumes, pod.Volume{Name: secretVolume, Secret: secret, Keys: fileKeys})
		c.Mounts = append(c.Mounts, pod.Mount{Volume: secretVolume, Path: path.Join(secretsDir, name), ReadOnly: true})
	}
	if args.Role != nil {
		volume, mount, env := pod.Identity(identityVolume, identityDir, identitySeconds)
		spec.Volumes, c.Mounts = append(spec.Volumes, volume), append(c.Mounts, mount)
		c.Env = append(append(c.Env, env...), pod.Variable{Name: "AWS_REGION", Text: args.Role.region})
	}
	if _, port, ok := args.Checked(); ok {
		c.Env = append(c.Env, pod.Variable{Name: "PORT", Text: strconv.Itoa(port)})
	}
	// Kubernetes replaces only variables that are listed before.
	c.Env = append(c.Env, ordered(args.Env)...)

	for i, file := range slices.Sorted(maps.Keys(args.Files)) {
		c.Mounts = append(c.Mounts, pod.Mount{Volume: filesVolume, Path: file, SubPath: fileKey(i), ReadOnly: true})
	}
	if len(args.Files) > 0 {
		spec.Volumes = append(spec.Volumes, pod.Volume{Name: filesVolume, ConfigMap: files})
	}
	for i, folder := range args.writable() {
		volume := fmt.Sprintf("writable-%d", i)
		spec.Volumes = append(spec.Volumes, pod.Volume{Name: volume, Empty: &pod.Empty{LimitMiB: folder.SizeMiB}})
		c.Mounts = append(c.Mounts, pod.Mount{Volume: volume, Path: folder.Path})
		c.Resources.StorageMiB += folder.SizeMiB
	}
	spec.Containers = []pod.Container{c}
	return spec
}

// writable are the folders that the app may write to. /tmp is always one.
func (args *AppArgs) writable() []config.Writable {
	if slices.ContainsFunc(args.Writable, func(w config.Writable) bool { return w.Path == tmpDir }) {
		return args.Writable
	}
	return append([]config.Writable{{Path: tmpDir, SizeMiB: tmpMiB}}, args.Writable...)
}

// ordered are variables, each after those that it refers to.
func ordered(env map[string]string) (out []pod.Variable) {
	for _, name := range config.Ordered(env) {
		out = append(out, pod.Variable{Name: name, Expanded: env[name]})
	}
	return out
}

// serving is the Deployment's pod, and how long it may take to start.
func serving(base pod.Spec, args *AppArgs) (pod.Spec, time.Duration, error) {
	start, err := time.ParseDuration(args.Health.Start)
	if err != nil {
		return pod.Spec{}, 0, fmt.Errorf("health.start: %w", err)
	}
	spec := base
	spec.Spread, spec.GraceSeconds = true, args.GraceSeconds
	if spec.Name != WebName {
		// web has no release Job to be told from, and the selector of a Deployment cannot change
		// (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates).
		spec.Component = serverComponent
	}
	c := base.Containers[0]
	c.Command = args.Command
	for _, word := range args.Args {
		c.Args = append(c.Args, pulumi.String(word))
	}
	c.Ports = sortedPorts(args.Ports)
	if _, port, ok := args.Checked(); ok {
		probe := func(period, failures int) *pod.Probe {
			return &pod.Probe{
				Path: args.Health.Path, GRPC: args.Health.GRPC, Port: port, PeriodSeconds: period, Failures: failures, TimeoutSeconds: 2,
			}
		}
		c.Startup, c.Readiness = probe(2, int(start.Seconds()+1)/2), probe(5, 2)
		// That the port answers: what a path looks at may be a database, and its outage would restart every pod.
		c.Liveness = &pod.Probe{Port: port, PeriodSeconds: 10, Failures: 3, TimeoutSeconds: 2}
		c.StopDelaySeconds = stopDelaySeconds
		spec.GraceSeconds += stopDelaySeconds
	}
	spec.Containers = []pod.Container{c}
	if args.Logs.From == config.LogsNone {
		return spec, start, nil
	}
	// No less than the sidecar takes.
	spec.GraceSeconds = max(spec.GraceSeconds+logSeconds, graceSeconds)
	source := pod.LogSource{Container: c.Name, Dir: args.Logs.Dir, Files: args.Logs.Files, Fields: args.Logs.Fields}
	if args.Logs.From == config.LogsOutput {
		source.Output, source.Static = true, args.Logs.Capture == config.CaptureStatic
	}
	spec, err = args.Ship(spec, source)
	return spec, start, err
}

// sortedPorts are ports by name.
func sortedPorts(ports map[string]int) []pod.Port {
	var out []pod.Port
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		out = append(out, pod.Port{Name: name, Number: ports[name]})
	}
	return out
}
