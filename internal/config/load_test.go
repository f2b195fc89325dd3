package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
)

// sentinel is a secret's value, which no error may show.
const sentinel = "5ECRET-pa55word"

func TestShortestStackGetsTheDefaults(t *testing.T) {
	c, err := parse(settings(t))
	require.NoError(t, err)
	assert.Equal(t, &Config{
		Region:  "us-east-1",
		Network: Network{CIDR: "192.168.0.0/16", Zones: []string{"use1-az1", "use1-az2", "use1-az4"}, NAT: NATSingle},
		Cluster: Cluster{
			Name: "expense", Version: "1.35", ServiceCIDR: "172.20.0.0/16", PublicAccess: true, PublicAccessCIDRs: []string{"203.0.113.7/32"},
			LogRetentionDays: 30, KeyDeletionDays: 30,
			NodeGroups: map[string]NodeGroup{"expense": {
				CapacityType: Spot, InstanceTypes: []string{"m5.large"}, AMIType: "AL2023_x86_64_STANDARD",
				PerZone: true, MinSize: 3, DesiredSize: 3, MaxSize: 5, DiskSizeGiB: 80, MaxUnavailablePercentage: 33, NodeRepair: true,
			}},
			Autoscaler: Autoscaler{Enabled: true, Image: "registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.0"},
			Registry:   Registry{KeepImages: 50},
		},
		Workloads: Workloads{
			Namespace: "project", Environment: "dev",
			Images:        Images{Nginx: "public.ecr.aws/docker/library/nginx:1.30.5", Alma: "public.ecr.aws/docker/library/almalinux:9.7"},
			Web:           Web{MinReplicas: 2, MaxReplicas: 6, TargetCPUPercent: 60},
			VolumeSizeGiB: 1, Quota: Quota{Pods: 40, CPU: 8, MemoryGiB: 24, StorageGiB: 20},
		},
		Logging: Logging{
			GiBPerDay: 1, RetentionDays: 3,
			Domain: Domain{
				Name: "expense", EngineVersion: "OpenSearch_2.19", InstanceType: "t3.small.search", InstanceCount: 1, ZoneCount: 1,
			},
			CreateServiceLinkedRole: true, Image: "docker.io/fluent/fluentd-kubernetes-daemonset:v1.19.3-debian-opensearch-1.1",
			DataStream: "project-logs", LogRetentionDays: 30,
			Dashboards: Dashboards{Image: "public.ecr.aws/aws-observability/aws-sigv4-proxy:1.11.1"},
		},
		Secrets: map[string]pulumi.StringMap{},
	}, c)
}

// The fields are plain, so a false that the stack sets must not be taken for one that it leaves out.
func TestSettingsOfTheStackWinOverDefaults(t *testing.T) {
	c, err := parse(settings(t,
		edit{"cluster/autoscaler", `{"enabled": false}`}, edit{"cluster/nodeGroups/expense/nodeRepair", "false"},
		edit{"cluster/nodeGroups/expense/perZone", "false"},
		edit{"cluster/nodeGroups/expense/minSize", "0"}, edit{"logging/createServiceLinkedRole", "false"},
		edit{"workloads/namespace", `"shop"`}, edit{"workloads/web/maxReplicas", "9"}, edit{"logging/domain/zoneCount", "1"},
		edit{"logging/fields", `{"team": "shop"}`}, edit{"logging/dropLevels", `["debug"]`}, edit{"logging/redact", `["token=[^ ]+"]`},
		edit{"logging/alarms", `{"email": "ops@example.com"}`}, edit{"logging/domain/protect", "true"}, edit{"logging/domain/auditLogs", "true"},
		edit{"cluster/nodeGroups/expense/labels", `{"a.b/c": "d"}`},
		edit{"cluster/nodeGroups/expense/taints", `[{"key": "k", "effect": "PREFER_NO_SCHEDULE"}]`}))
	require.NoError(t, err)
	assert.False(t, c.Cluster.Autoscaler.Enabled)
	group := c.Cluster.NodeGroups["expense"]
	assert.False(t, group.NodeRepair)
	assert.False(t, group.PerZone)
	assert.Zero(t, group.MinSize)
	assert.Equal(t, 80, group.DiskSizeGiB)
	assert.Equal(t, map[string]string{"a.b/c": "d"}, group.Labels)
	assert.Equal(t, []Taint{{Key: "k", Effect: "PREFER_NO_SCHEDULE"}}, group.Taints)
	assert.False(t, c.Logging.CreateServiceLinkedRole)
	assert.Equal(t, "shop-logs", c.Logging.DataStream, "the data stream is named after the namespace")
	assert.Equal(t, map[string]string{"team": "shop"}, c.Logging.Fields)
	assert.Equal(t, []string{"debug"}, c.Logging.DropLevels)
	assert.Equal(t, []string{"token=[^ ]+"}, c.Logging.Redact)
	assert.Equal(t, Alarms{Email: "ops@example.com"}, c.Logging.Alarms)
	assert.True(t, c.Logging.Domain.Protect)
	assert.True(t, c.Logging.Domain.AuditLogs)
	assert.Equal(t, Web{MinReplicas: 2, MaxReplicas: 9, TargetCPUPercent: 60}, c.Workloads.Web)
}

func TestAKeyThatNothingReadsIsAProblem(t *testing.T) {
	assert.Equal(t, []string{
		"expense:cluter: found an unknown key; allowed: cluster, iam, logging, network, tags, workloads, secrets, webSecret; did you mean " +
			"cluster? remove it with: pulumi config rm expense:cluter",
		"expense:verbose: found an unknown key; allowed: cluster, iam, logging, network, tags, workloads, secrets, webSecret; remove it with: " +
			"pulumi config rm expense:verbose",
	}, problems(t, settings(t, edit{"expense:cluter", "{}"}, edit{"expense:verbose", sentinel}, edit{"other:thing", "1"},
		edit{"pulumi:autonaming", "{}"})))
}

// Both names of web's secret have the same rules.
func TestASecretIsRefusedWithoutShowingIt(t *testing.T) {
	const (
		command = "set each value with: pulumi config set --secret --path 'expense:secrets.APP.KEY'"
		name    = "found this key; allowed: a key of 1 to 253 letters, digits, '-', '_' and '.' that does not start with '..'"
		noMap   = "found something else than a map; allowed: a map of keys to encrypted text; remove it with: pulumi config rm "
	)
	long := strings.Repeat("k", 254)
	for _, c := range []struct{ key, path, open, shut string }{
		{"expense:secrets", "secrets.web", `{"web": `, `}`}, {"expense:webSecret", "webSecret", "", ""},
	} {
		top := strings.TrimPrefix(c.key, "expense:")
		for text, want := range map[string][]string{
			c.open + `{"TOKEN": "` + sentinel + `", "tls.crt": ""}` + c.shut: nil,
			`{}`:                   nil,
			sentinel:               {top + ": " + noMap + c.key + "; then " + command},
			`"` + sentinel + `"`:   {top + ": " + noMap + c.key + "; then " + command},
			`["` + sentinel + `"]`: {top + ": " + noMap + c.key + "; then " + command},
			c.open + `{"A": {"B": "` + sentinel + `"}, "C": ["` + sentinel + `"], "D": 5, "E": null}` + c.shut: {
				c.path + ".A: found a map; allowed: encrypted text; " + command,
				c.path + ".C: found a list; allowed: encrypted text; " + command,
				c.path + ".D: found a number; allowed: encrypted text; " + command,
				c.path + ".E: found no value; allowed: encrypted text; " + command,
			},
			c.open + `{"my key": "` + sentinel + `", "..data": "x", ".": "x", "": "x", "` + long + `": "x"}` + c.shut: {
				c.path + `.` + long + `: ` + name, c.path + `[""]: ` + name, c.path + `["."]: ` + name, c.path + `["..data"]: ` + name,
				c.path + `["my key"]: ` + name,
			},
		} {
			got := problems(t, settings(t, edit{c.key, text}).encrypted(c.key))
			assert.Equal(t, want, got, text)
			assert.NotContains(t, strings.Join(got, ""), sentinel)
		}
		assert.Equal(t, []string{
			top + ": found a value in plain text; allowed: encrypted values; remove it with: pulumi config rm " + c.key + "; then " + command,
		}, problems(t, settings(t, edit{c.key, `{"TOKEN": "` + sentinel + `"}`})))
	}

	assert.Equal(t, []string{"secrets.web: found text; allowed: a map of keys to encrypted text; " + command},
		problems(t, settings(t, edit{keySecrets, `{"web": "` + sentinel + `"}`}).encrypted(keySecrets)))
	assert.Equal(t, []string{
		"webSecret: found the former name of secrets.web, which is set too; allowed: one of the two; remove it with: pulumi config rm " +
			"expense:webSecret",
	}, problems(t, settings(t, edit{keySecrets, `{"web": {"A": "b"}}`}, edit{keyWebSecret, `{"A": "b"}`}).
		encrypted(keySecrets, keyWebSecret)))
}

func TestATextInPlaceOfASectionIsAProblem(t *testing.T) {
	src := plain(map[string]string{"aws:region": "us-east-1", "expense:workloads": "namespace=shop", "expense:logging": ""})
	got := strings.Join(problems(t, src), "\n")
	assert.Contains(t, got, `workloads: found "namespace=shop"; allowed: a map of settings`)
	assert.Contains(t, got, `logging: found ""; allowed: a map of settings`)
	assert.NotContains(t, got, "logging.")
}

// An encrypted value of another key would end up in plain resource properties.
func TestASecretInAnotherSectionIsRefusedWithoutShowingIt(t *testing.T) {
	const want = "found an encrypted value; allowed: plain settings; keep secrets in expense:secrets: " +
		"set each value with: pulumi config set --secret --path 'expense:secrets.APP.KEY'"
	got := problems(t, settings(t, edit{"workloads/web/settings", `{"TOKEN": "` + sentinel + `", "N": 1}`}).encrypted("expense:workloads"))
	assert.Equal(t, []string{"workloads: " + want}, got)

	inPlain := problems(t, settings(t, edit{"workloads/webSecret", `{"TOKEN": "` + sentinel + `"}`},
		edit{"cluster/token", `"` + sentinel + `"`}))
	assert.Len(t, inPlain, 2)
	assert.NotContains(t, strings.Join(inPlain, ""), sentinel)
}

// Load reads the environment, in which the CLI passes the configuration.
func TestLoadReadsWhatTheCLIHandsOver(t *testing.T) {
	src := settings(t, edit{keySecrets, `{"web": {"TOKEN": "` + sentinel + `"}}`})
	load := func() (c *Config, err error) {
		values := map[string]string{}
		for _, key := range src.keys {
			values[key], _ = src.get(key)
		}
		text, err := json.Marshal(values)
		require.NoError(t, err)
		t.Setenv(pulumi.EnvConfig, string(text))
		t.Setenv(pulumi.EnvConfigSecretKeys, `["expense:secrets", "expense:webSecret"]`)
		loadErr := pulumi.RunErr(func(ctx *pulumi.Context) error {
			c, err = Load(ctx)
			if err != nil || c.Secrets[WebName] == nil {
				return err
			}
			assert.Len(t, c.Secrets[WebName], 1)
			secret, awaitErr := internals.UnsafeAwaitOutput(ctx.Context(), c.Secrets[WebName]["TOKEN"].ToStringOutput())
			require.NoError(t, awaitErr)
			assert.True(t, secret.Secret)
			assert.Equal(t, sentinel, secret.Value)
			return nil
		}, pulumi.WithMocks("expense", "test", noResources{}))
		assert.Equal(t, err != nil, loadErr != nil)
		return c, err
	}
	c, err := load()
	require.NoError(t, err)
	require.NotNil(t, c.Secrets[WebName])

	src = settings(t, edit{keyWebSecret, `{"TOKEN": "` + sentinel + `"}`})
	c, err = load()
	require.NoError(t, err)
	require.NotNil(t, c.Secrets[WebName], "by its former name")

	src = settings(t, edit{"expense:colour", "red"}, edit{keySecrets, "{}"})
	_, err = load()
	require.ErrorContains(t, err, "expense:colour: found an unknown key")

	src = settings(t)
	c, err = load()
	require.NoError(t, err)
	assert.Nil(t, c.Secrets[WebName])
}

// A program that the CLI did not start, as in a test, has no list of keys to check.
func TestWithoutTheCLITheKeysAreUnknown(t *testing.T) {
	assert.Empty(t, keys(""))
	assert.Empty(t, keys("not JSON"))
	assert.ElementsMatch(t, []string{"a:b", "c:d"}, keys(`{"a:b": "1", "c:d": "2"}`))
}

// noResources are mocks of an engine that registers only the stack.
type noResources struct{}

func (noResources) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return args.Name, args.Inputs, nil
}

func (noResources) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

// Whatever is in a stack's file, the answer is settings or problems: never a panic, never both, never an empty line.
func FuzzParse(f *testing.F) {
	var sections map[string]json.RawMessage
	require.NoError(f, json.Unmarshal([]byte(stack), &sections))
	f.Add("us-east-1", string(sections["network"]), string(sections["cluster"]), string(sections["workloads"]), string(sections["logging"]),
		`{"web": {"A": "b"}}`)
	f.Add("", "null", "[]", "1", `"x"`, "")
	f.Add("us-gov-west-1", `{"zones": [null, "a", "use1-az1"]}`,
		`{"nodeGroups": {"": {"taints": [{}], "labels": {"/": "/"}, "instanceTypes": [""]}}, "admins": [""], "addonVersions": {"": ""}}`,
		`{"web": {"settings": {"": ""}}, "quota": {}}`,
		`{"gibPerDay": 0, "retentionDays": -1, "redact": ["", "("], "fields": {"": ""}, "domain": {"zoneCount": 0, "instanceCount": 1, `+
			`"masterInstanceType": ".search"}}`, "{")
	f.Add("cn-north-1", `{"cidr": "0.0.0.0/0"}`, `{"publicAccess": true, "publicAccessCidrs": ["/", "::/0", "1.2.3.4"]}`, "{}",
		`{"gibPerDay": 40, "retentionDays": 365, "alarms": {"topicArn": "arn:"}, `+
			`"domain": {"instanceType": "or1.x.search", "instanceCount": 0}}`, "[]")
	f.Fuzz(func(t *testing.T, region, network, cluster, workloads, logging, secret string) {
		c, err := parse(plain(map[string]string{
			keyRegion: region, "expense:network": network, "expense:cluster": cluster, "expense:workloads": workloads, "expense:logging": logging,
			keySecrets: secret,
		}).encrypted(keySecrets))
		if err == nil {
			assert.NotNil(t, c)
			c.Warnings(quiet)
			return
		}
		assert.Nil(t, c)
		var found Problems
		require.ErrorAs(t, err, &found)
		for _, p := range found {
			assert.NotEmpty(t, p.Path)
			assert.NotEmpty(t, p.Found)
			assert.NotEmpty(t, p.Allowed)
		}
	})
}
