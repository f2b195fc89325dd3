package config

import (
	"maps"
	"slices"
)

// CaptureName is the image of logging.captureImage in the stack's own registry.
const CaptureName = "capture"

// Repositories are the images that the stack has an ECR repository for, sorted: those of cluster.registry, of the apps with build, and,
// if there are any of these, CaptureName.
func (c *Config) Repositories() []string {
	out := slices.Clone(c.Cluster.Registry.Repositories)
	built := false
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		if c.Workloads.Apps[name].Build.Wanted() {
			out, built = append(out, name), true
		}
	}
	if built {
		out = append(out, CaptureName)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Repository is the name in ECR of an image's repository. An account has one cluster of a name in a region, so two stacks share none.
func (c *Cluster) Repository(image string) string { return c.Name + "/" + image }

// Cache is a rule by which ECR pulls an image of another registry when it is first asked for, and keeps it.
type Cache struct {
	// Name tells the rules of a stack apart.
	Name string
	// Prefix begins the names of the repositories that ECR makes for the images.
	Prefix string
	// Registry is the other registry's host, as images name it. Upstream is how ECR calls it.
	Registry, Upstream string
	// SecretARN is the registry's credentials, if it asks for any.
	SecretARN string
}

// Caches are the pull-through cache rules. A rule belongs to the registry of the account and region, so its prefix has the cluster's
// name (https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-creating-rule.html).
func (c *Cluster) Caches() []Cache {
	var out []Cache
	if c.Registry.Cache {
		out = append(out, Cache{Name: "ecr-public", Registry: "public.ecr.aws", Upstream: "public.ecr.aws"},
			Cache{Name: "kubernetes", Registry: "registry.k8s.io", Upstream: "registry.k8s.io"})
	}
	if arn := c.Registry.DockerHubSecretARN; arn != "" {
		out = append(out, Cache{Name: "docker-hub", Registry: "docker.io", Upstream: "registry-1.docker.io", SecretARN: arn})
	}
	for i := range out {
		out[i].Prefix = c.Repository(out[i].Name)
	}
	return out
}
