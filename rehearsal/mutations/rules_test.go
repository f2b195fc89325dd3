package mutations

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"expense/internal/config"
	"expense/internal/iampolicy"
	"expense/internal/published"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/awsrules"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// document is a stack's settings, as the stack's file has them.
type document map[string]any

const (
	ownRegistryHost = "111122223333.dkr.ecr.us-east-1.amazonaws.com"
	someDigest      = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
)

// everyApp is two apps that have all words between them.
func everyApp() map[string]any {
	return map[string]any{
		"backend": map[string]any{
			"build": map[string]any{
				"dir": "images/backend", "dockerfile": "Dockerfile", "target": "final", "args": map[string]any{"VERSION": "1"},
			},
			"image": ownRegistryHost + "/expense/backend@" + someDigest, "command": []any{"/app/server"}, "args": []any{"-v"}, "port": 8080,
			"user": 1000, "env": map[string]any{"URL": "https://$(TOKEN)@example.com"},
			"files":    map[string]any{"/etc/app.yaml": map[string]any{"content": "a"}},
			"writable": []any{map[string]any{"path": "/var/cache/app", "sizeMiB": 64}},
			"secrets":  map[string]any{"TOKEN": "env", "tls.key": "file"}, "replicas": map[string]any{"min": 2, "max": 4, "cpu": 60},
			"resources": map[string]any{"cpu": "100m", "memory": "128Mi", "memoryLimit": "256Mi"},
			"health":    map[string]any{"path": "/healthz", "start": "2m"}, "graceSeconds": 30, "release": []any{"/app/server", "migrate"},
			"inbound": []any{"web", "mailer"}, "outbound": []any{map[string]any{"cidr": "10.9.0.0/16", "ports": []any{5432}}},
			"public": map[string]any{
				"certificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/0a", "from": []any{"203.0.113.0/24"},
			},
			"logs": map[string]any{"from": "output", "fields": map[string]any{"order_id": "keyword"}, "capture": "static"},
			"iam":  []any{map[string]any{"actions": []any{"s3:GetObject"}, "resources": []any{"arn:aws:s3:::bucket/*"}}},
		},
		"mailer": map[string]any{
			"image": ownRegistryHost + "/mailer@" + someDigest, "user": 1000, "ports": map[string]any{"http": 8080, "metrics": 9090},
			"health": map[string]any{"grpc": true}, "outbound": []any{map[string]any{"internet": true, "ports": []any{443}}},
			"public": map[string]any{"plain": true, "from": []any{"0.0.0.0/0"}},
			"logs":   map[string]any{"dir": "/var/log/app", "files": []any{"app.log"}},
		},
	}
}

// everything is a stack in which each setting is set.
func everything(t testing.TB) document {
	d := document{
		"aws:region":      "us-east-1",
		"expense:tags":    map[string]any{"team": "web"},
		"expense:iam":     map[string]any{"permissionsBoundary": "arn:aws:iam::111122223333:policy/boundary"},
		"expense:network": map[string]any{"cidr": "10.20.0.0/16", "zones": []any{"use1-az1", "use1-az2", "use1-az4"}, "nat": "perZone"},
		"expense:cluster": map[string]any{
			"name": "expense", "version": "1.35", "serviceCidr": "172.20.0.0/16", "publicAccess": true,
			"publicAccessCidrs": []any{"203.0.113.7/32"}, "admins": []any{"arn:aws:iam::444455556666:role/Admin"},
			"readers": []any{"arn:aws:iam::444455556666:user/Reader"}, "logRetentionDays": 7, "keyDeletionDays": 7,
			"identityProvider": map[string]any{
				"name": "oidc", "issuerUrl": "https://login.example.com", "clientId": "kubernetes", "usernameClaim": "email",
				"usernamePrefix": "oidc:", "groupsClaim": "groups", "groupsPrefix": "oidc:", "requiredClaims": map[string]any{"tenant": "a"},
				"admins": []any{"platform"}, "readers": []any{"developers"},
			},
			"addonVersions": map[string]any{"vpc-cni": "v1.20.4-eksbuild.1"},
			"autoscaler":    map[string]any{"enabled": true, "image": "registry.k8s.io/autoscaling/cluster-autoscaler:v1.35.0"},
			"registry": map[string]any{
				"repositories": []any{"worker"}, "keepImages": 20, "deleteImages": true, "cache": true,
				"dockerHubSecretArn": "arn:aws:secretsmanager:us-east-1:111122223333:secret:ecr-pullthroughcache/hub-0123ab",
			},
			"nodeGroups": map[string]any{"expense": map[string]any{
				"capacityType": "SPOT", "instanceTypes": []any{"m5.large"}, "amiType": "AL2023_x86_64_STANDARD",
				"minSize": 1, "desiredSize": 2, "maxSize": 3, "diskSizeGiB": 80, "maxPods": 25, "labels": map[string]any{"team": "web"},
				"taints":                   []any{map[string]any{"key": "dedicated", "value": "web", "effect": "PREFER_NO_SCHEDULE"}},
				"maxUnavailablePercentage": 33, "nodeRepair": true, "perZone": true,
			}},
		},
		"expense:workloads": map[string]any{
			"namespace": "project", "environment": "dev", "volumeSizeGiB": 1,
			"images": map[string]any{"nginx": "public.ecr.aws/docker/library/nginx:1.30.5", "alma": "public.ecr.aws/docker/library/almalinux:9.7"},
			"web": map[string]any{"minReplicas": 2, "maxReplicas": 6, "targetCpuPercent": 60, "public": true,
				"settings": map[string]any{"GREETING": "hello"}},
			"quota": map[string]any{"pods": 40, "cpu": 8, "memoryGiB": 24, "storageGiB": 20}, "apps": everyApp(),
		},
		"expense:logging": map[string]any{
			"gibPerDay": 2, "retentionDays": 3, "createServiceLinkedRole": true, "logRetentionDays": 7, "dataStream": "project-logs",
			"image":        "docker.io/fluent/fluentd-kubernetes-daemonset:v1.19.3-debian-opensearch-1.1",
			"captureImage": ownRegistryHost + "/expense/capture@" + someDigest,
			"fields":       map[string]any{"team": "web"}, "indexedFields": map[string]any{"user_id": "keyword"},
			"dropLevels": []any{"debug"}, "redact": []any{"[0-9]{16}"},
			"alarms":     map[string]any{"email": "ops@example.com"},
			"dashboards": map[string]any{"enabled": true, "image": "public.ecr.aws/aws-observability/aws-sigv4-proxy:1.11.1"},
			"domain": map[string]any{
				"name": "expense", "engineVersion": "OpenSearch_2.19", "instanceType": "m7g.large.search", "instanceCount": 3, "zoneCount": 3,
				"masterInstanceType": "m7g.medium.search", "iops": 3000, "throughputMiB": 125, "protect": true, "auditLogs": true,
			},
		},
		"expense:secrets": map[string]any{"backend": map[string]any{"TOKEN": "s", "tls.key": "s"}},
	}
	return d.clone()
}

// A setting that everything lacks would not be tried. Of the entries of a map or a list, one has it.
func TestEverythingHasEachSetting(t *testing.T) {
	visited := 0
	var look func(path string, typ reflect.Type, values []any)
	look = func(path string, typ reflect.Type, values []any) {
		var below []any
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				field := typ.Field(i)
				name := field.Tag.Get("json")
				if path == "expense:logging.alarms" && name == "topicArn" || name == "source" {
					continue // in place of an address, see shapes, and of a file's content
				}
				var set []any
				for _, value := range values {
					if entry, there := value.(map[string]any)[name]; there {
						set = append(set, entry)
					}
				}
				if assert.NotEmpty(t, set, "%s.%s is not set", path, name) {
					look(path+"."+name, field.Type, set)
				}
			}
		case reflect.Map:
			for _, value := range values {
				below = slices.AppendSeq(below, maps.Values(value.(map[string]any)))
			}
			look(path+".*", typ.Elem(), below)
		case reflect.Slice:
			for _, value := range values {
				below = append(below, value.([]any)...)
			}
			look(path, typ.Elem(), below)
		default:
			visited++
		}
	}
	d := everything(t)
	for section, typ := range map[string]reflect.Type{
		"iam": reflect.TypeFor[config.IAM](), "network": reflect.TypeFor[config.Network](), "cluster": reflect.TypeFor[config.Cluster](),
		"workloads": reflect.TypeFor[config.Workloads](), "logging": reflect.TypeFor[config.Logging](), "tags": reflect.TypeFor[config.Tags](),
	} {
		look("expense:"+section, typ, []any{d["expense:"+section]})
	}
	assert.Greater(t, visited, 100)
	assert.True(t, d.accepts())
}

func (d document) clone() document {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	var out document
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}

// settings are the document as the engine hands it to the program.
func (d document) settings() map[string]string {
	out := map[string]string{}
	for key, value := range d {
		if text, ok := value.(string); ok {
			out[key] = text
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		out[key] = string(text)
	}
	return out
}

// accepts says whether the loader takes the settings.
func (d document) accepts() bool {
	values := d.settings()
	return pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := config.Load(ctx)
		return err
	}, pulumi.WithMocks("expense", "dev", &cloud{}), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = values, []string{"expense:secrets"}
	}) == nil
}

// leaf is one value in a document, or the key of a map whose keys the user chooses.
type leaf struct {
	path  []string
	isKey bool
}

func (l leaf) String() string {
	if l.isKey {
		return strings.Join(l.path, ".") + " (its name)"
	}
	return strings.Join(l.path, ".")
}

// named are the maps whose keys the user chooses freely.
var named = []string{"expense:tags", "nodeGroups", "labels", "settings", "fields", "indexedFields", "apps"}

func (d document) leaves() []leaf {
	var out []leaf
	var walk func(path []string, v any)
	walk = func(path []string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				at := append(slices.Clone(path), key)
				if slices.Contains(named, path[len(path)-1]) {
					out = append(out, leaf{at, true})
				}
				walk(at, v[key])
			}
		case []any:
			for i, item := range v {
				walk(append(slices.Clone(path), strconv.Itoa(i)), item)
			}
		default:
			out = append(out, leaf{path, false})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d)) {
		walk([]string{key}, d[key])
	}
	return out
}

func (d document) value(l leaf) any {
	if l.isKey {
		return l.path[len(l.path)-1]
	}
	var v any = map[string]any(d)
	for _, step := range l.path {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, _ := strconv.Atoi(step)
			v = at[i]
		}
	}
	return v
}

// with is the document with one leaf changed, and what is not above it shared. The change of a key comes last: it moves what is below it.
func (d document) with(l leaf, value any) document {
	return changed(map[string]any(d), l.path, l.isKey, value).(map[string]any)
}

func changed(v any, path []string, isKey bool, value any) any {
	if len(path) == 0 {
		return value
	}
	switch at := v.(type) {
	case map[string]any:
		at = maps.Clone(at)
		if isKey && len(path) == 1 {
			moved := at[path[0]]
			delete(at, path[0])
			at[value.(string)] = moved
		} else {
			at[path[0]] = changed(at[path[0]], path[1:], isKey, value)
		}
		return at
	case []any:
		at = slices.Clone(at)
		i, _ := strconv.Atoi(path[0])
		at[i] = changed(at[i], path[1:], isKey, value)
		return at
	}
	return v
}

// characters are what people and programs put into texts: each kind that some rule of the table may refuse.
var characters = func() []string {
	var out []string
	for c := rune(' '); c < 127; c++ {
		if !strings.ContainsRune("bcdefghijklmnopqrstuvwyzBCDEFGHIJKLMNOPQRSTUVWXYZ2345678", c) {
			out = append(out, string(c))
		}
	}
	return append(out, "\t", "\n", "\x00", "é", "ÿ", "’", "漢", "😀", "aws:", "alias/aws/", "sg-")
}()

// limits are all numbers of the table, and those beside them.
func limits() []float64 {
	set := map[float64]bool{-1: true, 0: true, 1: true, math.MaxInt32: true}
	for _, rows := range awsrules.All.Arguments {
		for _, row := range rows {
			for _, rule := range row.Rules() {
				for _, bound := range []*float64{rule.Min, rule.Max} {
					if bound != nil {
						set[*bound-1], set[*bound], set[*bound+1] = true, true, true
					}
				}
				for _, e := range rule.Enum {
					if n, ok := e.(int); ok {
						set[float64(n-1)], set[float64(n)], set[float64(n+1)] = true, true, true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// words are all enumerated texts of the table.
func words() []string {
	set := map[string]bool{}
	for _, rows := range awsrules.All.Arguments {
		for _, row := range rows {
			for _, rule := range row.Rules() {
				for _, e := range rule.Enum {
					set[fmt.Sprint(e)] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// choices are what the loader takes in place of a leaf's value, of what the table gives to try: texts with each character at
// the start, in the middle and at the end, the longest and the shortest, each word, the numbers at each limit.
func (d document) choices(l leaf) iter.Seq[any] {
	ok := func(value any) bool { return d.with(l, value).accepts() }
	return func(yield func(any) bool) {
		switch value := d.value(l).(type) {
		case bool:
			if ok(!value) {
				yield(!value)
			}
		case float64:
			var taken []float64
			for _, n := range limits() {
				if ok(n) {
					taken = append(taken, n)
				}
			}
			if few := 25; len(taken) > few {
				taken = []float64{taken[0], taken[len(taken)-1]} // a range, and no enumeration
			}
			for _, n := range taken {
				if !yield(n) {
					return
				}
			}
		case string:
			for text := range texts(value, ok) {
				if !yield(text) {
					return
				}
			}
		}
	}
}

func texts(value string, ok func(any) bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		more := true
		add := func(text string) bool {
			taken := more && ok(text)
			if taken {
				more = yield(text)
			}
			return taken
		}
		half := len(value) / 2
		middle := ""
		for _, c := range characters {
			add(c + value)
			add(value + c)
			if more && ok(value[:half]+middle+c+value[half:]) {
				middle += c
			} else {
				add(value[:half] + c + value[half:])
			}
		}
		add(value[:half] + middle + value[half:])
		sizes := limits()
		slices.Reverse(sizes)
		for _, at := range []int{0, half, len(value)} {
			for _, n := range sizes { // the longest
				if longer := int(n) - len(value); longer > 0 && n < 5000 && add(value[:at]+strings.Repeat("a", longer)+value[at:]) {
					break
				}
			}
		}
		for n := range half { // the shortest
			if add(value[:n]) {
				break
			}
		}
		for _, w := range words() {
			add(w)
		}
	}
}

// passes runs the program with the settings.
func (d document) passes(stack string) (*cloud, error) {
	return runWith(mutation{}, stack, d.settings())
}

// digest is what a run sent, to compare.
func (c *cloud) digest() string {
	slices.SortFunc(c.sent, func(a, b sent) int { return strings.Compare(a.typ+a.name, b.typ+b.name) })
	var b strings.Builder
	for _, s := range c.sent {
		fmt.Fprintln(&b, s.typ, s.name, s.inputs)
	}
	return regexp.MustCompile(`(?i)[0-9a-f]{8,}|-[0-9a-f]{4}\b`).ReplaceAllString(b.String(), "")
}

// leftToAWS are settings of which AWS alone knows all values, with its answer to others: what it offers changes from month to
// month. `make doctor` asks it.
var leftToAWS = map[string]string{
	"domain.instanceType":     "Member must satisfy enum value set",
	"masterInstanceType":      "Member must satisfy enum value set",
	"engineVersion":           "Invalid engine version",
	"zones":                   "Subnets can currently only be created in",
	"createServiceLinkedRole": "you must enable a service-linked role",
	"version":                 "unsupported Kubernetes version",
	"alarms":                  "Invalid arn syntax or topic does not exist",
}

func (l leaf) leftToAWS() (answer string, left bool) {
	for setting, answer := range leftToAWS {
		if strings.Contains(l.String(), "."+setting) {
			return answer, true
		}
	}
	return "", false
}

// Whatever the loader takes, AWS takes: each setting that reaches AWS is set to everything that the table gives to try and
// the loader lets through, all settings at a time, and what is sent keeps the table.
func TestTheTableTakesWhatTheLoaderTakes(t *testing.T) {
	d := everything(t)
	base, err := d.passes("dev")
	require.NoError(t, err)
	before := base.digest()

	choices := map[string][]any{}
	var leaves []leaf
	taken, rounds := 0, 0
	for _, l := range d.leaves() {
		var values []any
		reaches := false
		for value := range d.choices(l) {
			values = append(values, value)
			if !reaches {
				changed, err := d.with(l, value).passes("dev")
				reaches = err != nil || changed.digest() != before
			}
			// One that changes what is sent is enough: the setting reaches AWS. None of three: it does not.
			if !reaches && len(values) == 3 {
				break
			}
		}
		if reaches {
			leaves, choices[l.String()] = append(leaves, l), values
			taken += len(values)
			rounds = max(rounds, len(values))
		}
	}
	// Keys last: with their maps' values under another name, the paths of those would be wrong.
	slices.SortStableFunc(leaves, func(a, b leaf) int {
		if a.isKey == b.isKey {
			return len(b.path) - len(a.path)
		}
		if a.isKey {
			return 1
		}
		return -1
	})
	alone := map[string]bool{}
	single := func(l leaf, value any) {
		_, err := d.with(l, value).passes("dev")
		if answer, left := l.leftToAWS(); err == nil || left && strings.Contains(err.Error(), answer) {
			return
		}
		if first := l.String() + err.Error(); !alone[first] {
			alone[first] = true
			assert.NoError(t, err, "%s: %.200q", l, fmt.Sprint(value))
		}
	}
	for round := range rounds {
		together := d.clone()
		var part []leaf
		for _, l := range leaves {
			if round >= len(choices[l.String()]) {
				continue
			}
			if _, left := l.leftToAWS(); left {
				single(l, choices[l.String()][round])
			} else if next := together.with(l, choices[l.String()][round]); next.accepts() {
				together, part = next, append(part, l)
			} else {
				single(l, choices[l.String()][round])
			}
		}
		if _, err := together.passes("dev"); err != nil {
			for _, l := range part {
				single(l, choices[l.String()][round])
			}
		}
	}
	t.Logf("%d settings, of which %d reach AWS; %d values taken and sent in %d rounds", len(d.leaves()), len(leaves), taken, rounds)
	assert.GreaterOrEqual(t, len(leaves), 40, "settings that reached AWS do not any more")
	assert.Greater(t, taken, 1200)
}

// forms are values of the settings that have a form of their own, which a changed character breaks at once.
var forms = map[string][]any{
	"expense:network.nat":                                {"none", "single", "perZone"},
	"expense:cluster.publicAccess":                       {true, false},
	"expense:logging.createServiceLinkedRole":            {true, false},
	"expense:cluster.nodeGroups.expense.taints.0.effect": {"NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE", "NoSchedule", "NoExecute"},
	"expense:cluster.publicAccessCidrs.0": {
		"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "203.0.113.0/24", "203.0.113.7/24", "203.0.113.7", "::/0",
		"2001:db8::/32", "224.0.0.0/4", "127.0.0.1/32", "169.254.0.0/16",
	},
	"expense:network.zones": {[]any{"use1-az1"}, []any{"use1-az1", "use1-az2"}, []any{"use1-az2", "use1-az1"},
		[]any{"use1-az1", "use1-az2", "use1-az4", "use1-az5"}, []any{"use1-az1", "use1-az3", "use1-az6"}, []any{"us-east-1a", "us-east-1b"},
		[]any{"use1-az1", "use1-az1"}, []any{"use1-az1", "use1-bos1-az1"}, []any{"use1-wl1-bos-wlz1", "use1-az1"}, []any{"euw1-az1", "euw1-az2"}},
	"expense:logging.alarms": {
		map[string]any{"topicArn": userTopic}, map[string]any{"topicArn": userTopic + ".fifo"},
		map[string]any{"topicArn": "arn:aws:sns:us-east-1:111122223333:" + strings.Repeat("a", 256)},
		map[string]any{"topicArn": "arn:aws:sns:us-east-1:111122223333:" + strings.Repeat("a", 257)},
		map[string]any{"topicArn": "arn:aws:sns:us-east-1:111122223333:"}, map[string]any{"topicArn": "arn:aws:sns:us-east-1:111122223333:a b"},
		map[string]any{"topicArn": "arn:aws:sns:us-east-1:444455556666:theirs"},
		map[string]any{"topicArn": "arn:aws:sns:eu-west-1:111122223333:users"},
		map[string]any{"topicArn": "arn:aws-us-gov:sns:us-east-1:111122223333:users"},
		map[string]any{"topicArn": "arn:aws:sqs:us-east-1:111122223333:users"},
		map[string]any{"topicArn": userTopic + ":0f0e0d0c"}, map[string]any{"topicArn": userTopic + "é"},
	},
}

func init() {
	for _, first := range []string{
		"10.20.0.0", "10.0.0.0", "172.16.0.0", "172.31.0.0", "172.17.0.0", "192.168.0.0", "100.64.0.0", "198.18.0.0", "198.19.0.0",
		"192.0.2.0", "169.254.0.0", "127.0.0.0", "224.0.0.0", "0.0.0.0", "8.8.0.0", "10.20.3.4",
	} {
		for _, bits := range []int{8, 12, 15, 16, 17, 21, 22, 23, 24, 25, 28, 29} {
			for _, setting := range []string{"expense:network.cidr", "expense:cluster.serviceCidr"} {
				forms[setting] = append(forms[setting], fmt.Sprintf("%s/%d", first, bits))
			}
		}
	}
	for minor := range 45 {
		forms["expense:cluster.version"] = append(forms["expense:cluster.version"], fmt.Sprintf("1.%d", minor), fmt.Sprintf("1.%d.0", minor))
	}
	for _, engine := range []string{"OpenSearch", "Elasticsearch", "opensearch"} {
		for major := range 10 {
			for _, minor := range []int{0, 3, 19} {
				const setting = "expense:logging.domain.engineVersion"
				forms[setting] = append(forms[setting], fmt.Sprintf("%s_%d.%d", engine, major, minor))
			}
		}
	}
	for _, partition := range []string{"aws", "aws-us-gov", "aws-cn", ""} {
		for _, account := range []string{"444455556666", "1234", "aws"} {
			for _, rest := range []string{
				"role/a", "user/a", "root", "group/a", "role/path/of/a", "user/a/b", "role/", "role//a", "role/a b", "role/a+=,.@_-", "role/é",
				"role/" + strings.Repeat("a", 64), "role/" + strings.Repeat("a", 65), "user/" + strings.Repeat("a", 65), "federated-user/a",
				"role/" + strings.Repeat("p", 500) + "/a", "user/" + strings.Repeat("p", 510) + "/" + strings.Repeat("a", 64),
				"role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef", "role/aws-service-role/eks.amazonaws.com/a",
			} {
				for _, list := range []string{"admins", "readers"} {
					arn := fmt.Sprintf("arn:%s:iam::%s:%s", partition, account, rest)
					forms["expense:cluster."+list+".0"] = append(forms["expense:cluster."+list+".0"], arn, strings.Replace(arn, ":iam:", ":sts:", 1))
				}
			}
		}
	}
}

// The same for the settings that have a form of their own, one at a time.
func TestTheTableTakesEachFormThatTheLoaderTakes(t *testing.T) {
	tried, taken := 0, map[string]int{}
	try := func(setting string, d document, value any) {
		tried++
		if !d.accepts() {
			return
		}
		taken[setting]++
		_, err := d.passes("dev")
		if answer, left := (leaf{path: []string{"", setting}}).leftToAWS(); err == nil || left && strings.Contains(err.Error(), answer) {
			return
		}
		assert.NoError(t, err, "%s: %v", setting, value)
	}
	for setting, values := range forms {
		for _, value := range values {
			d := everything(t).with(leaf{path: strings.Split(setting, ".")}, value)
			switch value {
			case "none":
				d = noInternet(d)
			case false:
				delete(d["expense:cluster"].(map[string]any), "publicAccessCidrs")
			}
			if setting == "expense:network.zones" { // the domain's zones follow
				domain := d["expense:logging"].(map[string]any)["domain"].(map[string]any)
				delete(domain, "zoneCount")
				domain["instanceCount"] = 6
			}
			try(setting, d, value)
		}
	}
	for _, region := range published.Regions() {
		prefix := cmp.Or(region[2], "abc1")
		try("aws:region", in(everything(t), region[0], prefix+"-az1", prefix+"-az2", prefix+"-az3"), region[0])
	}
	for setting := range forms {
		assert.NotZero(t, taken[setting], "%s: the loader takes none of its forms", setting)
	}
	t.Logf("%d values tried; taken and sent: %v", tried, taken)
	assert.Greater(t, taken["aws:region"], 30)
}

// noInternet is the document without a way to the internet.
func noInternet(d document) document {
	const registry = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
	d = d.clone()
	section := func(key string) map[string]any { return d["expense:"+key].(map[string]any) }
	section("network")["nat"] = "none"
	section("cluster")["publicAccess"] = false
	delete(section("cluster"), "publicAccessCidrs")
	section("cluster")["autoscaler"] = map[string]any{"image": registry + "autoscaler:v1.35.0"}
	section("workloads")["images"] = map[string]any{"nginx": registry + "nginx:1", "alma": registry + "alma:9"}
	section("logging")["image"] = registry + "fluentd:1"
	mailer := section("workloads")["apps"].(map[string]any)["mailer"].(map[string]any)
	mailer["outbound"] = []any{map[string]any{"cidr": "10.9.0.0/16", "ports": []any{443}}}
	section("logging")["dashboards"] = map[string]any{"enabled": true, "image": registry + "proxy:1"}
	return d
}

// in is the document in another region.
func in(d document, region string, zones ...any) document {
	d = d.clone()
	d["aws:region"] = region
	d["expense:network"].(map[string]any)["zones"] = zones
	d["expense:iam"] = map[string]any{"permissionsBoundary": "arn:" + iampolicy.Partition(region) + ":iam::111122223333:policy/boundary"}
	d["expense:cluster"].(map[string]any)["registry"].(map[string]any)["dockerHubSecretArn"] = "arn:" + iampolicy.Partition(region) +
		":secretsmanager:" + region + ":111122223333:secret:ecr-pullthroughcache/hub-0123ab"
	for _, list := range []string{"admins", "readers"} {
		d["expense:cluster"].(map[string]any)[list] = []any{"arn:" + iampolicy.Partition(region) + ":iam::444455556666:role/" + list}
	}
	backend := d["expense:workloads"].(map[string]any)["apps"].(map[string]any)["backend"].(map[string]any)
	backend["public"].(map[string]any)["certificateArn"] = "arn:" + iampolicy.Partition(region) + ":acm:" + region +
		":111122223333:certificate/0a"
	backend["iam"].([]any)[0].(map[string]any)["resources"] = []any{"arn:" + iampolicy.Partition(region) + ":s3:::bucket/*"}
	return d
}

// shapes are the settings that make the program send everything that it can send.
func shapes(t *testing.T) map[string]document {
	out := map[string]document{"everything": everything(t)}
	for _, stack := range []string{"dev", "prod"} {
		d := document{}
		for key, text := range settings(t, stack) {
			if !strings.HasPrefix(key, "expense:") {
				d[key] = text
				continue
			}
			var section any
			require.NoError(t, json.Unmarshal([]byte(text), &section))
			d[key] = section
		}
		out[stack] = d
	}
	out["no way to the internet"] = noInternet(out["everything"])
	alarms := leaf{path: []string{"expense:logging", "alarms"}}
	out["alarms to a topic of the user's"] = out["everything"].with(alarms, map[string]any{"topicArn": userTopic})
	long := out["everything"].clone()
	delete(long["expense:cluster"].(map[string]any), "registry") // its names are below the cluster's, and shorter
	for path, length := range map[string]int{
		"cluster.name": 100, "logging.domain.name": 28, "logging.dataStream": 100, "workloads.namespace": 63,
	} {
		l := leaf{path: strings.Split("expense:"+path, ".")}
		for ; !long.with(l, strings.Repeat("a", length)).accepts(); length-- {
			require.Positive(t, length, path)
		}
		long = long.with(l, strings.Repeat("a", length))
	}
	out["the longest names"] = long
	out["eu-central-1"] = in(out["everything"], "eu-central-1", "euc1-az1", "euc1-az2", "euc1-az3")
	out["us-gov-west-1"] = in(out["everything"], "us-gov-west-1", "usgw1-az1", "usgw1-az2", "usgw1-az3")
	return out
}

// sentBy is what all shapes send.
func sentBy(t *testing.T) []sent {
	var all []sent
	for name, d := range shapes(t) {
		// The longest name that Pulumi gives a stack is in the tags.
		c, err := d.passes(strings.Repeat("s", 100))
		require.NoError(t, err, name)
		all = append(all, c.sent...)
	}
	return all
}

// No argument goes to AWS without a row, no row is without an argument, and no value breaks its row.
func TestEveryArgumentHasARow(t *testing.T) {
	used := map[string]bool{}
	sources := map[string]int{}
	for _, s := range sentBy(t) {
		for _, v := range awsrules.Values(s.typ, s.inputs) {
			if assert.Contains(t, awsrules.All.Arguments[s.typ], v.Path, "%s %s: an argument without a row in rules.yaml", s.typ, s.name) {
				used[s.typ+" "+v.Path] = true
			}
		}
		assert.Empty(t, awsrules.Check(s.typ, s.inputs), "%s %s", s.typ, s.name)
	}
	rows := 0
	for typ, arguments := range awsrules.All.Arguments {
		for path, row := range arguments {
			rows++
			assert.True(t, used[typ+" "+path], "%s %s: a row that nothing uses", typ, path)
			for _, rule := range row.Rules() {
				if rule.Source == row.Source {
					rule.Source = "documented"
				}
				sources[rule.Source]++
			}
			switch {
			case row.Free != "":
				sources["free"]++
				assert.Empty(t, row.Rules(), "%s %s is free", typ, path)
			case len(row.Rules()) == 0:
				sources["type only"]++
				assert.NotEmpty(t, row.Type, "%s %s: no rule, and no reason why there is none", typ, path)
			}
			assert.Equal(t, row.Documented != nil, row.Source != "", "%s %s: a documented rule has its page", typ, path)
		}
	}
	t.Logf("%d arguments, %d rows; rules by source: %v", len(used), rows, sources)
	assert.Greater(t, rows, 220)
}

// Each rule of the table refuses what breaks it, where the program sends it.
func TestEveryRuleRefuses(t *testing.T) {
	samples := map[string]sent{}
	for _, s := range sentBy(t) {
		for _, v := range awsrules.Values(s.typ, s.inputs) {
			if key := s.typ + " " + v.Path; samples[key].typ == "" {
				samples[key] = s
			}
		}
	}
	caught, rows := 0, 0
	for typ, arguments := range awsrules.All.Arguments {
		for path, row := range arguments {
			if row.Free != "" && row.Type == "" {
				continue
			}
			rows++
			s, found := samples[typ+" "+path]
			if !assert.True(t, found, "%s %s is not sent", typ, path) {
				continue
			}
			wrong := bad(row, fmt.Sprint(value(s, path).Value.V))
			assert.Len(t, wrong, parts(row), "%s %s: a part that nothing breaks", typ, path)
			for what, v := range wrong {
				inputs, at := replaced(s, path, v)
				failed := slices.ContainsFunc(newModel().Check(typ, inputs), func(f awsmodel.CheckFailure) bool {
					return f.Property == at && strings.Contains(f.Reason, what)
				})
				if assert.True(t, failed, "%s %s: %s: %.100q is taken", typ, path, what, fmt.Sprint(v)) {
					caught++
				}
			}
		}
	}
	t.Logf("%d rows, %d values that break them, all caught", rows, caught)
	assert.Greater(t, caught, 350)
}

// bad gives, for each part of an argument's rules, a value that breaks it, and nothing else if there is one: a good value,
// changed. The keys are what Check then says.
func bad(a *awsrules.Argument, good string) map[string]resource.PropertyValue {
	out := map[string]resource.PropertyValue{}
	half := len(good) / 2
	candidates := []string{
		"", good + "\n", good + "'", good + "é", good + "漢", "-" + good, "aws:" + good, "sg-" + good, "alias/aws/" + good, "aws/" + good,
		good + "?", good[:half] + " " + good[half:], "?", "7",
	}
	for _, rule := range a.Rules() {
		for _, bound := range []*float64{rule.Min, rule.Max} {
			if bound == nil {
				continue
			}
			for _, beside := range []float64{*bound - 1, *bound + 1} {
				if a.Type == "integer" || a.Type == "double" {
					candidates = append(candidates, strconv.FormatFloat(beside, 'f', -1, 64))
				} else if more := int(beside) - utf8.RuneCountInString(good); more > 0 {
					candidates = append(candidates, good[:half]+strings.Repeat("a", more)+good[half:])
				} else if beside >= 0 {
					candidates = append(candidates, string([]rune(good)[:int(beside)]))
				}
			}
		}
	}
	for _, candidate := range candidates {
		problems := a.Problems(candidate)
		for _, problem := range problems {
			part, _, _ := strings.Cut(problem, ", found")
			if _, known := out[part]; !known || len(problems) == 1 {
				out[part] = resource.NewStringProperty(candidate)
			}
		}
	}
	return out
}

// parts are how many values bad must find: one for each part of the rules, and one for a type.
func parts(a *awsrules.Argument) int {
	n := 0
	if a.Type != "" {
		n++
	}
	for _, r := range a.Rules() {
		for _, part := range []bool{
			r.Min != nil && (*r.Min > 0 || a.Type != ""), r.Max != nil, r.Enum != nil, r.Pattern != "" && r.Pattern != ".*", r.Not != "",
			r.Format != "",
		} {
			if part {
				n++
			}
		}
	}
	return n
}

func newModel() *awsmodel.Model { return awsmodel.New(awsmodel.Options{}) }

// value is the first value of an argument.
func value(s sent, path string) awsrules.Value {
	for _, v := range awsrules.Values(s.typ, s.inputs) {
		if v.Path == path {
			return v
		}
	}
	return awsrules.Value{}
}

// replaced are the inputs with the first value of an argument replaced, and where that is.
func replaced(s sent, path string, v resource.PropertyValue) (resource.PropertyMap, string) {
	at := value(s, path).At
	root := resource.NewObjectProperty(resource.NewPropertyMapFromMap(s.inputs.Mappable()))
	parsed, err := resource.ParsePropertyPath(at)
	if err != nil {
		panic(err)
	}
	if strings.HasSuffix(path, ".~") {
		old, _ := parsed.Get(root)
		parsed.Delete(root)
		parsed[len(parsed)-1] = v.StringValue()
		at = fmt.Sprintf("%s[%q]", at[:strings.LastIndex(at, "[\"")], v.StringValue())
		v = old
	}
	if !parsed.Set(root, v) {
		panic("no such input: " + at)
	}
	return root.ObjectValue(), at
}

// The rules between arguments are shown by a mistake that the model answers, or are an account's to tell.
func TestEveryRuleBetweenArgumentsIsShown(t *testing.T) {
	for _, b := range awsrules.All.Between {
		assert.NotEqual(t, b.Doctor, b.Mutation != "", "%s %s%v", b.Type, b.Rule, b.Order)
		shown := slices.ContainsFunc(mutations, func(m mutation) bool { return m.name == b.Mutation })
		assert.True(t, b.Doctor || shown, "no mistake %q", b.Mutation)
		assert.NotEmpty(t, b.Source, b.Mutation)
	}
	assert.Greater(t, len(awsrules.All.Between), 10)
}
