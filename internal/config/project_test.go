package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

const root = "../.."

// project reads Pulumi.yaml as the CLI does, which checks it against its schema.
func project(t *testing.T) *workspace.Project {
	p, err := workspace.LoadProject(filepath.Join(root, "Pulumi.yaml"))
	require.NoError(t, err)
	return p
}

// Only the user can choose who may reach the Kubernetes API, and what is secret.
func TestTheCommittedStacksLackOnlyWhoMayReachThem(t *testing.T) {
	const command = `pulumi config set --path 'expense:cluster.publicAccessCidrs[0]' "$(curl -s https://checkip.amazonaws.com)/32"`
	for stack, check := range map[string]func(*Config){
		"dev": func(c *Config) {
			assert.Equal(t, []string{"use1-az1", "use1-az2"}, c.Network.Zones)
			assert.Equal(t, NATSingle, c.Network.NAT)
			assert.Equal(t, "1.35", c.Cluster.Version)
			group := c.Cluster.NodeGroups["expense"]
			assert.Equal(t, Spot, group.CapacityType)
			assert.Equal(t, []string{"m5.large"}, group.InstanceTypes)
			assert.Equal(t, []int{3, 3, 5}, []int{group.MinSize, group.DesiredSize, group.MaxSize})
			assert.Equal(t, "project", c.Workloads.Namespace)
			assert.Equal(t, "dev", c.Workloads.Environment)
			assert.Equal(t, 10, c.Logging.VolumeSizeGiB(), "the smallest there is")
			assert.Equal(t, []int{3000, 125}, []int{c.Logging.VolumeIOPS(), c.Logging.VolumeThroughputMiB()}, "as every volume has")
			assert.False(t, c.Logging.Domain.Protect, "destroy asks nothing")
			require.Len(t, unusual(c, quiet), 1)
			assert.Contains(t, unusual(c, quiet)[0], "has one type")
		},
		"example": func(c *Config) {
			app := c.Workloads.Apps["backend"]
			assert.Equal(t, Build{Dir: "examples/backend", Dockerfile: "Dockerfile"}, app.Build)
			assert.Equal(t, map[string]int{"http": 8080}, app.Ports)
			assert.Equal(t, Replicas{Min: 2, Max: 4, CPU: 60}, app.Replicas)
			assert.Equal(t, CaptureStatic, app.Logs.Capture)
			assert.Equal(t, []string{"backend", "capture"}, c.Repositories())
			// It fits beside dev in one account.
			assert.Equal(t, []string{"expense-example", "expense-example"}, []string{c.Cluster.Name, c.Logging.Domain.Name})
			require.Len(t, unusual(c, quiet), 2)
			assert.Contains(t, unusual(c, quiet)[0], "has one type")
			assert.Contains(t, unusual(c, quiet)[1], "workloads.apps.backend is left out")
		},
		"prod": func(c *Config) {
			assert.Len(t, c.Network.Zones, 3)
			assert.Equal(t, NATPerZone, c.Network.NAT)
			assert.Equal(t, 3, c.Logging.Domain.ZoneCount)
			assert.Equal(t, 194, c.Logging.VolumeSizeGiB())
			assert.Equal(t, []int{3000, 250}, []int{c.Logging.VolumeIOPS(), c.Logging.VolumeThroughputMiB()}, "AWS refuses 125 MiB/s")
			assert.True(t, c.Logging.Domain.Protect)
			assert.True(t, c.Logging.Domain.AuditLogs)
			assert.NotEmpty(t, c.Logging.Domain.MasterInstanceType)
			assert.GreaterOrEqual(t, len(c.Cluster.NodeGroups["expense"].InstanceTypes), 6)
			assert.Equal(t, OnDemand, c.Cluster.NodeGroups["steady"].CapacityType)
			assert.Empty(t, unusual(c, quiet))
		},
	} {
		values, encrypted, err := File(root, stack)
		require.NoError(t, err)
		require.Empty(t, encrypted)
		got := problems(t, plain(values))
		if stack == "example" {
			require.Len(t, got, 2)
			const token = "set it with: pulumi config set --secret --path 'expense:secrets.backend.API_TOKEN' VALUE"
			assert.Contains(t, got[1], token)
			got = got[:1]
			values[keySecrets] = `{"backend": {"API_TOKEN": "x"}}`
		}
		require.Len(t, got, 1, stack)
		assert.Contains(t, got[0], "cluster.publicAccessCidrs: found nothing")
		assert.Contains(t, got[0], command)

		values["expense:cluster"] = strings.Replace(values["expense:cluster"], "{", `{"publicAccessCidrs": ["203.0.113.7/32"],`, 1)
		c, err := parse(plain(values).encrypted(keySecrets))
		require.NoError(t, err, stack)
		check(c)
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The settings that the pages show are taken as they are. Only the values of secrets are the user's.
func TestTheSettingsThatThePagesShowAreTaken(t *testing.T) {
	pages, err := filepath.Glob(root + "/docs/*.md")
	require.NoError(t, err)
	var shown []string
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(block[1], namespace+":") {
				continue
			}
			var sections map[string]map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(block[1]), &sections), page)
			var edits []edit
			for section, words := range sections {
				for word, value := range words {
					text, err := json.Marshal(value)
					require.NoError(t, err)
					edits = append(edits, edit{strings.TrimPrefix(section, namespace+":") + "/" + word, string(text)})
				}
			}
			for _, problem := range problems(t, settings(t, edits...)) {
				assert.Contains(t, problem, ": found no value for it;", "%s:\n%s", page, block[1])
			}
			shown = append(shown, filepath.Base(page))
		}
	}
	assert.Subset(t, shown, []string{"workloads.md", "images.md"})
}

// An undeclared key has no description, and an unread key only seems to have an effect.
func TestPulumiYAMLDeclaresTheKeysThatAreRead(t *testing.T) {
	p := project(t)
	assert.Equal(t, namespace, p.Name.String())
	assert.Equal(t, []any{"*"}, p.Config["pulumi:disable-default-providers"].Value)
	delete(p.Config, "pulumi:disable-default-providers")

	secret := []string{strings.TrimPrefix(keySecrets, namespace+":"), strings.TrimPrefix(keyWebSecret, namespace+":")}
	read := append(slices.Collect(maps.Keys((&Config{}).sections())), secret...)
	assert.ElementsMatch(t, read, slices.Collect(maps.Keys(p.Config)))
	for key, declared := range p.Config {
		assert.NotEmpty(t, declared.Description, key)
		// Pulumi checks a type only where it is declared, and a default's encryption with it: the optional secrets have none.
		assert.Equal(t, slices.Contains(secret, key), declared.Type == nil, key)
		assert.Equal(t, slices.Contains(secret, key), declared.Secret, key)
	}
}

// described is a line of a section's description: the indented key, its type, and what it is if the stack says nothing.
var described = regexp.MustCompile(`^( +)([A-Za-z]+)  *(text|integer|boolean|(?:list|map) of (?:text|integers|maps)|map)` +
	`(?:, (required|default [^:;,]+))?[,:]?`)

// The descriptions are the reference of the settings: each key, type and default agrees with the code.
func TestPulumiYAMLDescribesEachNestedKey(t *testing.T) {
	p := project(t)
	var c Config
	var required []string
	checked := 0
	for _, section := range slices.Sorted(maps.Keys(c.sections())) {
		lines := strings.Split(p.Config[section].Description, "\n")
		target := c.sections()[section].(defaulter)
		target.setDefaults()
		want := map[string]reflect.Value{}
		if settings := reflect.ValueOf(target).Elem(); settings.Kind() == reflect.Struct { // tags have no keys of their own
			leaves(section, settings, want)
		}

		path := []string{section}
		for _, line := range lines[1:] {
			m := described.FindStringSubmatch(line)
			if m == nil {
				assert.Empty(t, strings.TrimSpace(line), "%s: not the description of a key", section)
				continue
			}
			path = append(path[:len(m[1])/2], m[2])
			key := strings.Join(path, ".")
			field, known := want[key]
			if !assert.True(t, known, "%s is described, but nothing reads it", key) {
				continue
			}
			delete(want, key)
			checked++
			assert.Equal(t, typeName(field), m[3], key)
			switch text, isDefault := strings.CutPrefix(m[4], "default "); {
			case m[4] == "required":
				required = append(required, key)
			case (text == "none" || text == "empty") && field.Type() == reflect.TypeFor[IdentityProvider]():
				assert.False(t, (&Config{}).Cluster.IdentityProvider.Wanted())
			case text == "none" || text == "empty":
				assert.True(t, field.IsZero(), "%s: %v", key, field)
			case isDefault && !strings.Contains(text, " "):
				assert.Equal(t, text, fmt.Sprint(field), key)
			}
		}
		assert.Empty(t, slices.Sorted(maps.Keys(want)), "keys that are read, but not described")
	}
	assert.Greater(t, checked, 55)

	// A stack without settings misses exactly the keys that are described as required.
	var missing []string
	for _, p := range problems(t, plain(map[string]string{
		"aws:region": "us-east-1", "expense:cluster": `{"identityProvider": {}, "nodeGroups": {"NAME": {"taints": [{}]}}}`,
		"expense:workloads": `{"apps": {"name": {"image": "a:1", "build": {}, "port": 8080, "writable": [{}], ` +
			`"outbound": [{"internet": true}], "public": {"plain": true}, "logs": "none", "iam": [{}]}}}`,
	})) {
		require.Contains(t, p, ": found nothing;")
		key, _, _ := strings.Cut(p, ":")
		missing = append(missing, strings.NewReplacer(".NAME", "", "apps.name", "apps", "[0]", "").Replace(key))
	}
	assert.ElementsMatch(t, missing, required)
}

// leaves collects the fields below v by path; elements of maps and lists have the path of the whole.
func leaves(path string, v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		field, at := v.Field(i), path+"."+v.Type().Field(i).Tag.Get("json")
		into[at] = field
		switch kind := field.Kind(); {
		case kind == reflect.Struct:
			if d, ok := field.Addr().Interface().(defaulter); ok {
				d.setDefaults()
			}
			leaves(at, field, into)
		case (kind == reflect.Map || kind == reflect.Slice) && field.Type().Elem().Kind() == reflect.Struct:
			element := reflect.New(field.Type().Elem())
			if d, ok := element.Interface().(defaulter); ok {
				d.setDefaults()
			}
			leaves(at, element.Elem(), into)
		}
	}
}

// typeName is the type's name in the descriptions.
func typeName(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Int:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		return "map"
	case reflect.Map, reflect.Slice:
		name := map[reflect.Kind]string{reflect.Map: "map of ", reflect.Slice: "list of "}[v.Kind()]
		return name + map[reflect.Kind]string{reflect.Struct: "maps", reflect.Int: "integers", reflect.String: "text"}[v.Type().Elem().Kind()]
	default:
		return "text"
	}
}
