package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	// Names that every program can read as environment variables:
	// https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretKey    = regexp.MustCompile(`^[-._a-zA-Z0-9]+$`)
)

// startVariables are read by workloads/files/rotate-logs.sh, which starts nginx, and by nginx and its libraries. NGINX would give it
// sockets (https://nginx.org/en/docs/ngx_core_module.html#env). PORT is the port of an app.
var startVariables = []string{"LOG_CHECK_SECONDS", "LOG_DIR", "LOG_GENERATIONS", "LOG_MAX_BYTES", "NGINX", "NGINX_PID_FILE",
	"OPENSSL_CONF", "PATH", "PORT"}

func (r *report) workloads(c *Config) {
	w := c.Workloads
	r.match("workloads.namespace", w.Namespace, dnsLabel, 63,
		"1 to 63 lower-case letters, digits and '-', starting and ending with a letter or digit")
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
	if w.Namespace == "default" || strings.HasPrefix(w.Namespace, "kube-") || w.Namespace == LoggingNamespace {
		r.add("workloads.namespace", quote(w.Namespace), "a namespace of your own, not default, kube-... or "+LoggingNamespace, "")
	}
	r.match("workloads.environment", w.Environment, labelValue, 63,
		"1 to 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit")
	r.image(c, "workloads.images.nginx", w.Images.Nginx)
	r.image(c, "workloads.images.alma", w.Images.Alma)

	r.between("workloads.web.minReplicas", w.Web.MinReplicas, 1, 100, "")
	r.between("workloads.web.maxReplicas", w.Web.MaxReplicas, 1, 100, "")
	if r.ok("workloads.web.minReplicas", "workloads.web.maxReplicas") && w.Web.MinReplicas > w.Web.MaxReplicas {
		r.add("workloads.web.minReplicas", fmt.Sprint(w.Web.MinReplicas), fmt.Sprintf("1 to maxReplicas, %d", w.Web.MaxReplicas), "")
	}
	r.between("workloads.web.targetCpuPercent", w.Web.TargetCPUPercent, 1, 100, "")
	for _, name := range slices.Sorted(maps.Keys(w.Web.Settings)) {
		if slices.Contains(startVariables, name) || strings.HasPrefix(name, "LD_") {
			r.add(child("workloads.web.settings", name), "a variable that the program sets, or that decides how nginx starts or rotates its logs",
				"other names than "+strings.Join(startVariables, ", ")+" and LD_...", "")
		}
		if !variableName.MatchString(name) || len(name) > 253 {
			r.add(child("workloads.web.settings", name), "this name",
				variableNames, "")
		}
	}

	r.between("workloads.volumeSizeGiB", w.VolumeSizeGiB, 1, 65536, " GiB")
	r.quota(w)
}

var (
	// https://github.com/distribution/reference/blob/main/reference.go: registry, path, tag and digest.
	imageReference = regexp.MustCompile(`^(?:([A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?)/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` +
		`(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@sha256:[a-f0-9]{64})?$`)
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
	privateRegistry = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$`)
)

// image checks that an image can be pulled and has a fixed tag or a digest. Even a fixed tag can be pushed anew, so Warnings names
// images without a digest.
func (r *report) image(c *Config, path, ref string) {
	m := imageReference.FindStringSubmatch(ref)
	if m == nil {
		r.add(path, quote(ref), "an image reference such as public.ecr.aws/docker/library/nginx:1.30.5", "")
		return
	}
	registry, tag, digest := m[1], m[2], m[3]
	if digest == "" && (tag == "" || tag == "latest") {
		r.add(path, quote(ref), "an image with a tag other than latest, or with a digest", "")
	}
	if c.Network.NAT != NATNone || !r.ok("network.nat", keyRegion) {
		return
	}
	if m := privateRegistry.FindStringSubmatch(registry); m == nil || m[1] != c.Region {
		r.add(path, quote(ref),
			"with network.nat none, an image in a private ECR repository of the region: ACCOUNT.dkr.ecr."+c.Region+".amazonaws.com/NAME:TAG",
			"copy it there, or let nodes reach the internet with network.nat single")
	}
}
