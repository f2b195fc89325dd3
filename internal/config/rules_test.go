package config

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/problems.txt anew from what parse says")

// Each rule has a case in testdata/problems.txt: what is changed in a right stack, and below it every line that the user
// then reads, so that a rule that says nothing, says too much or says it badly is seen in review.
func TestEachRuleNamesWhatIsWrongAndNothingElse(t *testing.T) {
	const file = "testdata/problems.txt"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	cases := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	require.Greater(t, len(cases), 100)

	var all []string
	for _, c := range cases {
		change, want, _ := strings.Cut(c, "\n")
		var edits []edit
		for _, part := range strings.Split(change, " ;; ") {
			path, value, _ := strings.Cut(part, "=")
			edits = append(edits, edit{path, value})
		}
		var got []string
		for _, p := range problems(t, settings(t, edits...).encrypted(keySecrets)) {
			got = append(got, "  "+p)
		}
		assert.NotEmpty(t, got, "%s: no problem found", change)
		if !*update {
			assert.Equal(t, want, strings.Join(got, "\n"), change)
		}
		all = append(all, change+"\n"+strings.Join(got, "\n"))
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(all, "\n\n")+"\n"), 0o600))
	}
}

// Values at the limits are allowed: a rule must not be stricter than AWS.
func TestSettingsAtTheLimitsAreAllowed(t *testing.T) {
	group := func(name, rest string) edit {
		return edit{"cluster/nodeGroups/" + name,
			`{"capacityType": "ON_DEMAND", "instanceTypes": ["m5.large"], "minSize": 0, "desiredSize": 0, "maxSize": 3` + rest + `}`}
	}
	for name, edits := range map[string][]edit{
		"as it is":  nil,
		"most tags": {{"tags", manyTags(39)}},
		"tags": {{"tags", `{"` + strings.Repeat("ü", 127) + `": "` + strings.Repeat("ü", 255) + `", "karpenter.sh/discovery": "a",` +
			` "Names": "a", "awsx": "b", "alpha.eksctl.io/cluster-name": "a", "cost center": "日本 1.2:3/4+5-6@7_8", "kubernetes": "a"}`}},
		"largest VPC":  {{"network/cidr", `"10.0.0.0/16"`}},
		"smallest VPC": {{"network/cidr", `"100.64.4.0/22"`}},
		"six zones": {{"network/zones", `["use1-az1", "use1-az2", "use1-az4", "use1-az5", "use1-az6", "use1-az7"]`},
			{"cluster/nodeGroups/expense/maxSize", "6"}},
		"fewer nodes than zones": {{"cluster/nodeGroups/expense/perZone", "false"}, {"cluster/nodeGroups/expense/minSize", "0"},
			{"cluster/nodeGroups/expense/desiredSize", "1"}, {"cluster/nodeGroups/expense/maxSize", "1"}},
		"region of another kind": {{"aws:region", "us-gov-west-1"}, {"network/zones", `["usgw1-az1", "usgw1-az2"]`}},
		"region in Asia":         {{"aws:region", "ap-southeast-2"}, {"network/zones", `["apse2-az1", "apse2-az2"]`}},
		"newer Kubernetes":       {{"cluster/version", `"1.41"`}},
		"oldest Kubernetes":      {{"cluster/version", `"1.33"`}},
		"services":               {{"cluster/serviceCidr", `"10.96.0.0/12"`}},
		"few services":           {{"cluster/serviceCidr", `"172.31.255.0/24"`}},
		"private endpoint":       {{"cluster/publicAccess", ""}, {"cluster/publicAccessCidrs", ""}},
		"everyone":               {{"cluster/publicAccessCidrs", `["0.0.0.0/0"]`}},
		"long cluster name":      {{"cluster/name", `"` + strings.Repeat("x", 100) + `"`}},
		"a role of GovCloud": {
			{"aws:region", "us-gov-west-1"}, {"network/zones", `["usgw1-az1", "usgw1-az2"]`},
			{"aws:assumeRole", `{"roleArn": "arn:aws-us-gov:iam::123456789012:role/` + strings.Repeat("p", 510) + "/" +
				strings.Repeat("n", 64) + `"}`},
		},
		"principals of GovCloud": {
			{"aws:region", "us-gov-east-1"}, {"network/zones", `["usge1-az1", "usge1-az2"]`},
			{"cluster/admins",
				`["arn:aws-us-gov:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Admin_1", ` +
					`"arn:aws-us-gov:iam::123456789012:user/me@example.com"]`},
		},
		"principals with paths": {
			{"cluster/admins", `["arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Admin_1", "arn:aws:iam::123456789012:user/` +
				strings.Repeat("p", 510) + `/` + strings.Repeat("n", 64) + `"]`},
		},
		"least of an identity provider": {{"cluster/identityProvider", `{"issuerUrl": "https://example.com/", "clientId": "a"}`}},
		"most of an identity provider": {{"cluster/identityProvider",
			`{"name": "` + strings.Repeat("n", 100) + `", "issuerUrl": "https://203.0.113.7:8443/realms/a", "clientId": "api://a?b#c", ` +
				`"usernameClaim": "https://example.com/name", "usernamePrefix": "-", "groupsClaim": "groups", "groupsPrefix": "x:system/", ` +
				`"requiredClaims": {"` + strings.Repeat("k", 63) + `": "` + strings.Repeat("v", 253) + `"}, ` +
				`"admins": ["Team A", "/realm/Équipe"], "readers": ["system:masters"]}`}},
		"add-ons": {{"cluster/addonVersions",
			`{"vpc-cni": "v1.20.4-eksbuild.1", "aws-ebs-csi-driver": "v1.4.0-eksbuild.preview", "kube-proxy": "v1.35.0-minimal-eksbuild.2"}`}},
		"no autoscaler, no image":     {{"cluster/autoscaler", `{"enabled": false, "image": "whatever"}`}},
		"long group name":             {group(strings.Repeat("x", 25), "")},
		"longer group over all zones": {group(strings.Repeat("x", 36), `, "perZone": false`)},
		"ARM group": {group("arm",
			`, "amiType": "AL2023_ARM_64_STANDARD", "instanceTypes": ["m7g.large", "c6gn.metal", "im4gn.large", "x2gd.medium", "hpc7g.4xlarge", `+
				`"p6e-gb200.36xlarge"]`)},
		"x86 group with g": {group("gpu",
			`, "amiType": "AL2023_x86_64_NVIDIA", "instanceTypes": ["g4dn.xlarge", "g5.xlarge", "m7i-flex.large", "u7i-12tb.224xlarge", `+
				`"c7i.metal-24xl", "p4de.24xlarge", "u-12tb1.112xlarge", "u-24tb1.metal"]`)},
		"eksctl's spot list": {{"cluster/nodeGroups/expense/instanceTypes",
			`["c3.large", "c4.large", "c5.large", "c5d.large", "c5n.large", "c5a.large"]`}},
		"just room enough": {{"cluster/nodeGroups/expense/instanceTypes", `["m7a.medium", "t3a.small"]`}},
		"just room without the autoscaler": {{"cluster/nodeGroups/expense/instanceTypes", `["m7a.medium"]`},
			{"cluster/nodeGroups/expense/minSize", "2"}, {"cluster/nodeGroups/expense/desiredSize", "2"},
			{"cluster/autoscaler/enabled", "false"}},
		"as many pods as EKS allows":             {group("pods", `, "maxPods": 29`)},
		"few pods":                               {group("pods", `, "maxPods": 6`)},
		"pods of a type that is not in the list": {group("pods", `, "instanceTypes": ["m99i.large"], "maxPods": 40`)},
		"room in another group": {{"cluster/nodeGroups/expense/instanceTypes", `["m7a.medium"]`}, {"cluster/nodeGroups/expense/minSize", "1"},
			{"cluster/nodeGroups/expense/desiredSize", "1"},
			{"cluster/nodeGroups/more",
				`{"capacityType": "ON_DEMAND", "instanceTypes": ["t3.small"], "perZone": false, "minSize": 1, "desiredSize": 1, "maxSize": 1}`}},
		"a type that is not in the list": {{"cluster/nodeGroups/expense/instanceTypes", `["m99i.medium"]`},
			{"cluster/nodeGroups/expense/minSize", "1"}, {"cluster/nodeGroups/expense/desiredSize", "1"}},
		"labels and taints": {group("special", `, "labels": {"example.com/team": "a_b.c", "node.kubernetes.io/role": "x", `+
			`"`+strings.Repeat("x", 63)+`": "`+strings.Repeat("y", 63)+`"},
			"taints": [{"key": "example.com/team", "value": "", "effect": "NO_EXECUTE"}, {"key": "example.com/team", "effect": "NO_SCHEDULE"}]`)},
		"volumes":              {group("big", `, "diskSizeGiB": 65536`), {"workloads/volumeSizeGiB", "20"}},
		"image with a digest":  {{"workloads/images/nginx", `"localhost:5000/a/b_c@sha256:` + strings.Repeat("0a", 32) + `"`}},
		"latest with a digest": {{"workloads/images/nginx", `"nginx:latest@sha256:` + strings.Repeat("0a", 32) + `"`}},
		"no internet": {
			{"network/nat", `"none"`}, {"cluster/autoscaler/image", `"123456789012.dkr.ecr.us-east-1.amazonaws.com/autoscaler:v1.35.0"`},
			{"workloads/images/nginx", `"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/nginx:1.30.5"`},
			{"workloads/images/alma", `"123456789012.dkr.ecr.us-east-1.amazonaws.com/alma:9.7"`},
			{"logging/image", `"123456789012.dkr.ecr.us-east-1.amazonaws.com/fluentd:1"`},
		},
		"tight quota":        {{"workloads/quota", `{"pods": 17, "cpu": 3, "memoryGiB": 9, "storageGiB": 1}`}},
		"many replicas":      {{"workloads/web", `{"minReplicas": 100, "maxReplicas": 100}`}, {"workloads/quota/pods", "228"}},
		"a quota that grows": {{"workloads/web", `{"maxReplicas": 100}`}, {"workloads/volumeSizeGiB", "21"}},
		"settings":           {{"workloads/web/settings", `{"_A1": "", "b": "x"}`}},
		"empty is default":   {{"logging/dataStream", `""`}, {"logging/domain/masterInstanceType", `""`}},
		"twenty types": {{"cluster/nodeGroups/expense/instanceTypes", `["` + strings.Join([]string{
			"m1.large", "m2.large", "m3.large", "m4.large", "m5.large", "m5a.large", "m5d.large", "m5n.large", "m6a.large", "m6i.large",
			"m7a.large", "m7i.large", "m8a.large", "m8i.large", "m9i.large", "t2.large", "t3.large", "t3a.large", "m5ad.large", "m5dn.large",
		}, `", "`) + `"]`}},
		"never a new role":  {{"logging/createServiceLinkedRole", "false"}},
		"short domain name": {{"logging/domain/name", `"abc"`}},
		"long domain name":  {{"logging/domain/name", `"` + strings.Repeat("a", 28) + `"`}},
		"fast small volume": {{"logging/retentionDays", "6"}, {"logging/domain/iops", "8000"}, {"logging/domain/throughputMiB", "260"}},
		"fast volume": {{"logging/gibPerDay", "10"}, {"logging/domain/instanceType", `"m7g.large.search"`},
			{"logging/domain/iops", "40000"}, {"logging/domain/throughputMiB", "1250"}},
		"throughput alone": {{"logging/retentionDays", "6"}, {"logging/domain/instanceType", `"r8g.16xlarge.search"`},
			{"logging/domain/throughputMiB", "2000"}},
		"volume of a type unknown": {{"logging/retentionDays", "30"}, {"logging/domain/instanceType", `"m9g.large.search"`},
			{"logging/domain/iops", "33500"}, {"logging/domain/throughputMiB", "2000"}},
		"own ARM families": {{"logging/domain/instanceType", `"or1.large.search"`},
			{"logging/domain/masterInstanceType", `"m7g.large.search"`}},
		"oldest version of a family": {{"logging/domain/instanceType", `"or1.medium.search"`},
			{"logging/domain/engineVersion", `"OpenSearch_2.11"`}},
		"newer major version": {{"logging/domain/instanceType", `"om2.large.search"`},
			{"logging/domain/engineVersion", `"OpenSearch_3.1"`}},
		"ten nodes without masters": {{"logging/domain/instanceCount", "10"}},
		"most nodes that subnets of the smallest VPC have addresses for": {
			{"network/cidr", `"10.0.0.0/22"`}, {"logging/domain/instanceType", `"m7g.large.search"`},
			{"logging/domain/masterInstanceType", `"m7g.large.search"`},
			{"logging/domain/instanceCount", "41"},
		},
		"most logs": {
			{"logging/gibPerDay", "40"}, {"logging/retentionDays", "365"}, {"logging/domain/instanceType", `"r6g.12xlarge.search"`},
			{"logging/domain/masterInstanceType", `"m6g.large.search"`}, {"logging/domain/instanceCount", "6"}, {"logging/domain/zoneCount", "3"},
		},
		"fullest small volume": {{"logging/gibPerDay", "6"}, {"logging/retentionDays", "6"}},
		"indexed fields": {{"logging/fields", `{"team": "web"}`}, {"logging/indexedFields",
			`{"a": "keyword", "` + strings.Repeat("x", 64) +
				`": "text", "b_1": "boolean", "c": "long", "d": "float", "e": "double", "f": "date", "g": "ip"}`}},
		"fields": {{"logging/fields",
			`{"a_": "", "` + strings.Repeat("x", 63) + `": "` + strings.Repeat("ü", 256) + `", "Team_1": "a b \"c\" ${d}"}`}},
		"levels": {{"logging/dropLevels",
			`["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg", "trace", "warning", "fatal"]`}},
		"expressions": {{"logging/redact",
			`["(?i)(?:token|secret)=([^& ]+)", "\\(?[0-9]{3}\\)?-[0-9]{4,}", "\\p{Han}+\\x41\\z", "[[:alnum:]&._-]+@[&]*x+?", ` +
				`"[-\\w][\\w-][a-z0-9]\\x7f\\p{Lu}", "[0-9a-f]{40,250}", "` + strings.Repeat("x", 256) + `"]`}},
		"alarms by mail":    {{"logging/alarms/email", `"a.b+c@mail.example.com"`}},
		"alarms to a topic": {{"logging/alarms/topicArn", `"arn:aws:sns:us-east-1:123456789012:ops_1"`}},
	} {
		assert.Empty(t, problems(t, settings(t, edits...)), name)
	}
}

// One run shows all mistakes.
func TestProblemsOfAllSectionsComeTogether(t *testing.T) {
	_, err := parse(settings(t,
		edit{"aws:region", ""}, edit{"network/nat", "1"}, edit{"cluster/nodeGroups/expense/minSize", `"3"`}, edit{"cluster/keyDeletionDays", "1"},
		edit{"workloads/names", "{}"}, edit{"logging/domain/instanceCount", "null"}))
	require.Error(t, err)
	var paths []string
	for _, line := range strings.Split(err.Error(), "\n")[1:] {
		path, _, _ := strings.Cut(strings.TrimSpace(line), ": ")
		paths = append(paths, path)
	}
	assert.Equal(t, []string{
		"aws:region", "cluster.keyDeletionDays", "cluster.nodeGroups.expense.minSize", "logging.domain.instanceCount", "network.nat",
		"workloads.names",
	}, paths)
	assert.Contains(t, err.Error(), "6 to correct")
}

// A setting must not reach what starts nginx.
func TestTheVariablesOfTheStartAreNoSettings(t *testing.T) {
	script, err := os.ReadFile("../../workloads/files/rotate-logs.sh")
	require.NoError(t, err)
	read := regexp.MustCompile(`\$\{?([A-Z][A-Z_]+)`).FindAllStringSubmatch(string(script), -1)
	assert.Greater(t, len(read), 4)
	for _, variable := range read {
		assert.Contains(t, startVariables, variable[1])
	}
}

// manyTags are n tags as JSON.
func manyTags(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"key%d": "value"`, i))
	}
	return "{" + strings.Join(all, ", ") + "}"
}
