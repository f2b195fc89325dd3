package config

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// namespace is the project's name in Pulumi.yaml, which prefixes its configuration keys.
const namespace = "expense"

const (
	keyRegion    = "aws:region"
	keySecrets   = namespace + ":secrets"
	secretRemedy = "set each value with: pulumi config set --secret --path '" + keySecrets + ".APP.KEY'"
	// keyWebSecret is the former name of expense:secrets.web.
	keyWebSecret = namespace + ":webSecret"
)

// sections are the structured keys with the fields that take their settings.
func (c *Config) sections() map[string]any {
	return map[string]any{
		"tags": &c.Tags, "iam": &c.IAM, "network": &c.Network, "cluster": &c.Cluster, "workloads": &c.Workloads, "logging": &c.Logging,
	}
}

// Load reads the stack's settings, fills in the defaults and checks every rule that needs no AWS. Its error is a Problems with
// everything that is wrong.
//
// It finds unknown keys only if the Pulumi CLI started the program: the SDK has no list of keys, so they come from the CLI's variable.
func Load(ctx *pulumi.Context) (*Config, error) {
	// The CLI starts a program in the project's folder.
	return parse(source{get: ctx.GetConfig, secret: ctx.IsConfigSecret, keys: keys(os.Getenv(pulumi.EnvConfig)), project: "."})
}

// source is where settings come from.
type source struct {
	// get returns the text of a key: JSON for a structured one.
	get func(key string) (value string, ok bool)
	// secret says whether any part of a key's value is encrypted in the stack's file.
	secret func(key string) bool
	// keys are all keys that are set, in any order. They may be unknown.
	keys []string
	// project is the folder of the stack's file.
	project string
}

// Read is ReadIn for a project in the current folder.
func Read(values map[string]string, encrypted []string) (*Config, error) {
	return ReadIn(".", values, encrypted)
}

// ReadIn is Load for the file of a stack in a project's folder. values are the texts of all keys with their namespaces, JSON for
// structured ones. encrypted are the keys with an encrypted part.
func ReadIn(project string, values map[string]string, encrypted []string) (*Config, error) {
	src := file(values, encrypted)
	src.project = project
	return parse(src)
}

// file is the source of a stack's file.
func file(values map[string]string, encrypted []string) source {
	return source{
		get:    func(key string) (string, bool) { value, ok := values[key]; return value, ok },
		secret: func(key string) bool { return slices.Contains(encrypted, key) },
		keys:   slices.Collect(maps.Keys(values)), project: ".",
	}
}

// keys lists the keys of the JSON object that the CLI passes as PULUMI_CONFIG.
func keys(environment string) []string {
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(environment), &all) != nil {
		return nil
	}
	return slices.Collect(maps.Keys(all))
}

// parse turns settings into a Config, or into a Problems.
func parse(src source) (*Config, error) {
	c, r := Defaults(), &report{given: map[string]bool{}}

	sections := c.sections()
	known := slices.Sorted(maps.Keys(sections))
	for _, name := range known {
		text, ok := src.get(namespace + ":" + name)
		switch {
		case !ok:
		case src.secret(namespace + ":" + name):
			// Its values would appear in plain resource properties and in errors.
			r.add(name, "an encrypted value", "plain settings", "keep secrets in "+keySecrets+": "+secretRemedy)
		default:
			r.section(name, text, sections[name])
		}
	}
	known = append(known, strings.TrimPrefix(keySecrets, namespace+":"), strings.TrimPrefix(keyWebSecret, namespace+":"))
	for _, key := range src.keys {
		if name, ours := strings.CutPrefix(key, namespace+":"); ours && !slices.Contains(known, name) {
			r.unknown(key, name, known)
		}
	}

	c.Account = r.account(src)
	var hasRegion bool
	if c.Region, hasRegion = src.get(keyRegion); !hasRegion {
		r.add(keyRegion, "nothing", "a commercial or GovCloud region such as us-east-1", "set it with: pulumi config set aws:region us-east-1")
	}
	c.Secrets = r.secrets(src)
	c.former = r.given[strings.TrimPrefix(keyWebSecret, namespace+":")]
	c.derive()
	r.sources(c, src.project)
	r.validate(c)
	if err := r.sorted(); err != nil {
		return nil, err
	}
	c.Workloads.Quota = c.Workloads.Quota.atLeast(c.Workloads.need())
	return c, nil
}

// secrets reads expense:secrets, and expense:webSecret as its entry web. It never puts a value into a report.
func (r *report) secrets(src source) map[string]pulumi.StringMap {
	out := map[string]pulumi.StringMap{}
	path := strings.TrimPrefix(keySecrets, namespace+":")
	entries, ok := r.secretMap(src, keySecrets)
	for _, app := range slices.Sorted(maps.Keys(entries)) {
		if values, isMap := entries[app].(map[string]any); isMap {
			r.secretValues(out, app, child(path, app), values)
		} else {
			r.add(child(path, app), kindOf(entries[app]), "a map of keys to encrypted text", secretRemedy)
		}
	}
	entries, former := r.secretMap(src, keyWebSecret)
	path = strings.TrimPrefix(keyWebSecret, namespace+":")
	if _, twice := out[WebName]; ok && former && twice {
		r.add(path, "the former name of secrets."+WebName+", which is set too", "one of the two", removeWith(keyWebSecret))
	} else if former {
		r.given[path] = true
		r.secretValues(out, WebName, path, entries)
	}
	return out
}

// secretMap reads a key whose value is a map with encrypted text in it.
func (r *report) secretMap(src source, key string) (map[string]any, bool) {
	text, ok := src.get(key)
	if !ok {
		return nil, false
	}
	path := strings.TrimPrefix(key, namespace+":")
	value, _ := parseJSON(text)
	entries, isMap := value.(map[string]any)
	switch {
	case isMap && len(entries) == 0:
		return nil, false
	case !src.secret(key):
		r.add(path, "a value in plain text", "encrypted values", removeWith(key)+"; then "+secretRemedy)
		return nil, false
	case !isMap:
		r.add(path, "something else than a map", "a map of keys to encrypted text", removeWith(key)+"; then "+secretRemedy)
		return nil, false
	}
	return entries, true
}

// secretValues adds the values of an app.
func (r *report) secretValues(out map[string]pulumi.StringMap, app, path string, entries map[string]any) {
	values, sizes := pulumi.StringMap{}, map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		at := child(path, key)
		// https://kubernetes.io/docs/concepts/configuration/secret/#restriction-names-data; each key is also a file's name.
		if !secretKey.MatchString(key) || len(key) > 253 || strings.HasPrefix(key, "..") || key == "." {
			r.add(at, "this key", "a key of 1 to 253 letters, digits, '-', '_' and '.' that does not start with '..'", "")
		}
		if text, isText := entries[key].(string); isText {
			values[key], sizes[key] = pulumi.ToSecret(pulumi.String(text)).(pulumi.StringOutput), len(text)
		} else {
			r.add(at, kindOf(entries[key]), "encrypted text", secretRemedy)
		}
	}
	if r.secretSizes == nil {
		r.secretSizes = map[string]map[string]int{}
	}
	r.secretSizes[app] = sizes
	out[app] = values
}

// Defaults are the settings of a stack that sets nothing, without those that derive adds.
func Defaults() *Config {
	c := &Config{}
	for _, section := range c.sections() {
		section.(defaulter).setDefaults()
	}
	return c
}

// The defaults. A setting that widens access, needs a decision or belongs to an account has none.

func (t *Tags) setDefaults() { *t = nil }

func (i *IAM) setDefaults() { *i = IAM{} }

func (n *Network) setDefaults() { *n = Network{CIDR: "192.168.0.0/16", NAT: NATSingle} }

func (c *Cluster) setDefaults() {
	*c = Cluster{
		Name: "expense", ServiceCIDR: "172.20.0.0/16", LogRetentionDays: 30, KeyDeletionDays: 30,
		Autoscaler: Autoscaler{Enabled: true}, Registry: Registry{KeepImages: 50},
	}
}

func (p *IdentityProvider) setDefaults() { *p = IdentityProvider{Name: "oidc", GroupsPrefix: "oidc:"} }

func (g *NodeGroup) setDefaults() {
	*g = NodeGroup{AMIType: "AL2023_x86_64_STANDARD", PerZone: true, DiskSizeGiB: 80, MaxUnavailablePercentage: 33, NodeRepair: true}
}

func (w *Workloads) setDefaults() {
	*w = Workloads{
		Namespace: "project", Environment: "dev",
		// The public gallery's copies of Docker's official images. A cluster does not reach the gallery's rate limits
		// (https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html).
		Images: Images{
			Nginx: "public.ecr.aws/docker/library/nginx:1.30.5",
			Alma:  "public.ecr.aws/docker/library/almalinux:9.7",
		},
		Web:           Web{MinReplicas: 2, MaxReplicas: 6, TargetCPUPercent: 60},
		VolumeSizeGiB: 1,
		Quota:         Quota{Pods: 40, CPU: 8, MemoryGiB: 24, StorageGiB: 20},
	}
}

func (l *Logging) setDefaults() {
	*l = Logging{
		Domain: Domain{Name: "expense", EngineVersion: "OpenSearch_2.19", ZoneCount: 1},
		// fluentd's own image with fluent-plugin-opensearch (https://github.com/fluent/fluentd-kubernetes-daemonset).
		Image:            "docker.io/fluent/fluentd-kubernetes-daemonset:v1.19.3-debian-opensearch-1.1",
		LogRetentionDays: 30,
		Dashboards:       Dashboards{Image: "public.ecr.aws/aws-observability/aws-sigv4-proxy:1.11.1"},
	}
}

// derive sets the defaults that follow from other settings.
func (c *Config) derive() {
	if c.Cluster.Autoscaler.Image == "" {
		c.Cluster.Autoscaler.Image = "registry.k8s.io/autoscaling/cluster-autoscaler:v" + c.Cluster.Version + ".0"
	}
	if c.Logging.DataStream == "" {
		c.Logging.DataStream = c.Workloads.Namespace + "-logs"
	}
	for name, app := range c.Workloads.Apps {
		app.derive()
		c.Workloads.Apps[name] = app
	}
}
