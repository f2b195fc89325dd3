package tests

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateIAM = flag.Bool("update-iam", false, "write .github/iam anew from the permissions that the program needs")

const iamFolder = "../.github/iam"

// statement is one of an IAM policy document. Those of internal/iampolicy have one value for a condition, these have lists.
type statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []string  `json:",omitempty"`
	Condition condition `json:",omitempty"`
}

type document struct {
	Version   string
	Statement []statement
}

func allow(scopes ...scope) document {
	doc := document{Version: "2012-10-17"}
	for _, s := range scopes {
		doc.Statement = append(doc.Statement, statement{
			Sid: s.sid, Effect: "Allow", Action: strings.Fields(s.actions), Resource: s.resources, Condition: s.condition,
		})
	}
	return doc
}

// trust lets GitHub's workflows of one repository in, whose tokens have one of the subjects
// (https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws).
func trust(subjects ...string) document {
	const issuer = "token.actions.githubusercontent.com"
	for i := range subjects {
		subjects[i] = subject + ":" + subjects[i]
	}
	return document{Version: "2012-10-17", Statement: []statement{{
		Sid: "GitHub", Effect: "Allow", Principal: map[string]string{"Federated": arnOf("iam", "oidc-provider/"+issuer)},
		Action:    []string{"sts:AssumeRoleWithWebIdentity"},
		Condition: condition{"StringEquals": {issuer + ":aud": {"sts.amazonaws.com"}, issuer + ":sub": subjects}},
	}}}
}

// passed are the roles that the program makes by the service that assumes them, as patterns of their ARNs.
func passed(t *testing.T) map[string][]string {
	roles := map[string]string{componentRole: "eks.amazonaws.com"} // service by name, none for those that pods assume with a token
	for _, all := range everything(t) {
		for _, r := range of(all, "aws:iam/role:Role") {
			var doc struct {
				Statement []struct{ Principal struct{ Service string } }
			}
			require.NoError(t, json.Unmarshal([]byte(r.Inputs["assumeRolePolicy"].(string)), &doc), r)
			require.Len(t, doc.Statement, 1, r)
			roles[r.Name] = doc.Statement[0].Principal.Service
		}
	}
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if service := roles[name]; service != "" {
			out[service] = append(out[service], arnOf("iam", "role/"+name+"-*"))
		}
	}
	// Nodes are EC2's, but it is EKS that is given their role, in CreateNodegroup.
	out["eks.amazonaws.com"] = append(out["eks.amazonaws.com"], out["ec2.amazonaws.com"]...)
	return out
}

// attached are AWS's policies that the program attaches to roles.
func attached(t *testing.T) []string {
	policies := map[string]bool{componentPolicy: true}
	for _, all := range everything(t) {
		for _, r := range of(all, "aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
			policies[r.Inputs["policyArn"].(string)] = true
		}
	}
	return slices.Sorted(maps.Keys(policies))
}

// documents are the files for IAM, by name.
func documents(t *testing.T) map[string]document {
	identity := append(slices.Clone(identityScopes), scope{
		"Attach", "iam:AttachRolePolicy iam:DetachRolePolicy", roleARNs, condition{"ArnEquals": {"iam:PolicyARN": attached(t)}},
	})
	roles := passed(t)
	for _, service := range slices.Sorted(maps.Keys(roles)) {
		short, _, _ := strings.Cut(service, ".")
		identity = append(identity, scope{
			"PassTo" + strings.ToUpper(short[:1]) + short[1:], "iam:PassRole", roles[service],
			condition{"StringEquals": {"iam:PassedToService": {service}}},
		})
	}
	var environments []string
	for _, stack := range stacks {
		environments = append(environments, "environment:"+stack)
	}
	return map[string]document{
		"trust-preview": trust("pull_request", "ref:refs/heads/main"), "trust-deploy": trust(environments...),
		"preview": allow(readScopes...), "deploy-network": allow(networkScopes...),
		"deploy-identity": allow(identity...), "deploy-platform": allow(platformScopes...),
	}
}

// The files are what the table says. A user applies them as they are.
func TestTheIAMDocumentsAreWhatTheProgramNeeds(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	for name, doc := range docs {
		var data bytes.Buffer
		encoder := json.NewEncoder(&data)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		require.NoError(t, encoder.Encode(doc))
		file := filepath.Join(iamFolder, name+".json")
		if *updateIAM {
			require.NoError(t, os.WriteFile(file, data.Bytes(), 0o644))
		}
		committed, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, data.String(), string(committed), "%s: go test ./tests -run %s -update-iam", file, t.Name())
	}
	files, err := filepath.Glob(iamFolder + "/*")
	require.NoError(t, err)
	assert.Len(t, files, len(docs))
}

// A type that is new needs permissions, and one that is gone takes its own away.
func TestEveryTypeInUseHasItsPermissions(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, typ := range componentTypes {
		used[typ] = true
	}
	for _, all := range everything(t) {
		for _, r := range all {
			if onAWS(r) {
				used[r.Type] = true
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(needs)))
	for typ, n := range needs {
		assert.Regexp(t, `^[a-z0-9]+/[a-z0-9_]+\.go$`, n.source, typ)
		for kind, list := range map[string]string{"read": n.read, "create": n.create} {
			assert.NotEmpty(t, strings.Fields(list), "%s: %s", typ, kind)
		}
	}
	assert.Greater(t, len(used), 30)
}

// beyond are the actions that no resource of the program needs: for handing out its roles, and for Pulumi's state.
var (
	readBeyond   = []string{"kms:Decrypt", "s3:GetObject", "s3:ListBucket"}
	deployBeyond = []string{"iam:PassRole", "kms:Encrypt", "s3:DeleteObject", "s3:PutObject"}
)

func TestNoPermissionIsMissingAndNoneIsUnused(t *testing.T) {
	t.Parallel()
	read, write := map[string]bool{}, map[string]bool{}
	add := func(to map[string]bool, lists ...string) {
		for _, action := range strings.Fields(strings.Join(lists, " ")) {
			to[action] = true
		}
	}
	for _, n := range needs {
		add(read, n.read)
		add(write, n.create, n.update, n.delete)
	}
	add(read, readBeyond...)
	add(write, deployBeyond...)
	for action := range read { // the role that deploys has both
		delete(write, action)
	}
	docs := documents(t)
	assert.Equal(t, slices.Sorted(maps.Keys(read)), actions(docs["preview"]))
	assert.Equal(t, slices.Sorted(maps.Keys(write)), actions(docs["deploy-network"], docs["deploy-identity"], docs["deploy-platform"]))
	assert.Greater(t, len(read)+len(write), 150)
}

func actions(docs ...document) []string {
	out := map[string]bool{}
	for _, doc := range docs {
		for _, s := range doc.Statement {
			for _, action := range s.Action {
				out[action] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// A pull request's code runs with it.
func TestTheRoleOfPreviewsChangesNothing(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, action := range actions(documents(t)["preview"]) {
		assert.Regexp(t, `^([a-z0-9]+:(Describe|Get|List)[A-Za-z]+|kms:Decrypt)$`, action)
		checked++
	}
	assert.Greater(t, checked, 40)
}

// matchesARN says whether an IAM pattern, in which * is any text, covers an ARN.
func matchesARN(pattern, arn string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(arn)
}

// admits says whether IAM lets a call through by this statement: each key of its condition is there and has one of the values
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html).
func (s statement) admits(c call) bool {
	for _, keys := range s.Condition {
		for key, values := range keys {
			value, there := c.context[key]
			if key == "aws:RequestedRegion" {
				value, there = regionName, true
			}
			if !there || !slices.Contains(values, value) {
				return false
			}
		}
	}
	return slices.Contains(s.Action, c.action) &&
		slices.ContainsFunc(s.Resource, func(pattern string) bool { return matchesARN(pattern, c.resource) })
}

// A condition on a key that AWS does not set refuses everything, and so does an ARN that a thing has only later.
func TestTheRoleThatDeploysMayMakeTheCallsThatAWSComparesAndNoOthers(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	used := map[string]bool{}
	conditions := 0
	for _, c := range calls {
		allowed := false
		for _, name := range []string{"preview", "deploy-network", "deploy-identity", "deploy-platform"} {
			for _, s := range docs[name].Statement {
				for operator := range s.Condition {
					require.Contains(t, []string{"StringEquals", "ArnEquals"}, operator, "admits knows no other")
				}
				if s.admits(c) {
					allowed, used[name+": "+s.Sid] = true, true
				}
			}
		}
		assert.Equal(t, c.allowed, allowed, "%s on %s with %v", c.action, c.resource, c.context)
	}
	for name, doc := range docs {
		for _, s := range doc.Statement {
			if s.Condition != nil && !strings.HasPrefix(name, "trust-") {
				assert.True(t, used[name+": "+s.Sid], "%s: %s: no call is known that has the keys of its condition", name, s.Sid)
				conditions++
			}
		}
	}
	assert.Greater(t, conditions, 15)
}

// onAnyKey is what the roles may do to keys of others. None of it lets anybody use a key, or takes its use away.
var onAnyKey = []string{
	"kms:CreateAlias", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags",
}

// No action is a pattern, and where the resource is, something else narrows the statement.
func TestPermissionsAreExact(t *testing.T) {
	t.Parallel()
	statements := 0
	for name, doc := range documents(t) {
		sids := map[string]bool{}
		for _, s := range doc.Statement {
			where := name + ": " + s.Sid
			assert.False(t, sids[s.Sid], where)
			sids[s.Sid] = true
			assert.True(t, slices.IsSorted(s.Action), where)
			for _, action := range s.Action {
				assert.NotContains(t, action, "*", where)
			}
			if slices.Contains(s.Resource, "*") && s.Sid != "EndpointNames" {
				assert.Equal(t, []string{regionName}, s.Condition["StringEquals"]["aws:RequestedRegion"], where)
			}
			if slices.Contains(s.Resource, arnOf("ec2", "*")) {
				assert.NotEmpty(t, s.Condition, where)
			}
			if slices.Contains(s.Resource, arnOf("kms", "key/*")) && s.Condition == nil {
				assert.Subset(t, onAnyKey, s.Action, where)
			}
			if slices.Contains(s.Action, "iam:PassRole") {
				assert.Len(t, s.Condition["StringEquals"]["iam:PassedToService"], 1, where)
				assert.NotContains(t, s.Resource, arnOf("iam", "role/expense-*"), where)
			}
			statements++
		}
	}
	assert.Greater(t, statements, 40)
}

// AWS's limits of a managed policy and of a trust policy, in characters that are no white space
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html), with the longest that a user can fill in.
func TestThePoliciesFit(t *testing.T) {
	t.Parallel()
	fill := strings.NewReplacer(
		accountID, "111122223333", regionName, "ap-southeast-1", bucket, strings.Repeat("b", 63),
		stateKey, "arn:aws:kms:ap-southeast-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef",
		subject, "repo:"+strings.Repeat("o", 39)+"@123456789/"+strings.Repeat("r", 100)+"@1234567890",
	)
	for name, doc := range documents(t) {
		data, err := json.Marshal(doc)
		require.NoError(t, err)
		limit := 6144
		if strings.HasPrefix(name, "trust-") {
			limit = 2048
		}
		size := len(fill.Replace(string(data)))
		assert.LessOrEqual(t, size, limit, name)
		t.Logf("%s has %d of %d characters", name, size, limit)
	}
}

// What the program names is within the patterns; Pulumi adds a hyphen and seven characters where it makes up a name.
func TestTheNamesAreThoseOfThePolicies(t *testing.T) {
	t.Parallel()
	name := func(service, prefix, key string) func(r registered) string {
		return func(r registered) string {
			if given, ok := r.Inputs[key].(string); ok {
				return arnOf(service, prefix+given)
			}
			return arnOf(service, prefix+r.Name+"-0123abc")
		}
	}
	inCluster := func(kind, suffix string) func(r registered) string {
		return func(r registered) string { return arnOf("eks", kind+"/"+r.Inputs["clusterName"].(string)+"/"+suffix) }
	}
	arns := map[string]struct {
		arn      func(r registered) string
		patterns []string
	}{
		"eks:index:Cluster":                                     {name("eks", "cluster/", "name"), eksARNs},
		"aws:eks/nodeGroup:NodeGroup":                           {inCluster("nodegroup", "expense-2026/0c"), eksARNs},
		"aws:eks/addon:Addon":                                   {inCluster("addon", "coredns/0c"), eksARNs},
		"aws:eks/accessEntry:AccessEntry":                       {inCluster("access-entry", "role/111122223333/Admin/0c"), eksARNs},
		"aws:eks/podIdentityAssociation:PodIdentityAssociation": {inCluster("podidentityassociation", "a-0c"), eksARNs},
		"aws:iam/role:Role":                                     {name("iam", "role/", "name"), roleARNs},
		"aws:cloudwatch/logGroup:LogGroup":                      {name("logs", "log-group:", "name"), logARNs},
		"aws:cloudwatch/metricAlarm:MetricAlarm":                {name("cloudwatch", "alarm:", "name"), alarmARNs},
		"aws:sns/topic:Topic":                                   {name("sns", "", "name"), topicARNs},
		"aws:opensearch/domain:Domain":                          {name("es", "domain/", "domainName"), domainARNs},
		"aws:kms/alias:Alias":                                   {name("kms", "", "name"), aliasARNs},
	}
	visited := map[string]bool{}
	for _, all := range everything(t) {
		for _, r := range all {
			c, narrowed := arns[r.Type]
			if !narrowed {
				continue
			}
			fits := slices.ContainsFunc(c.patterns, func(pattern string) bool { return matchesARN(pattern, c.arn(r)) })
			assert.True(t, fits, "%s: %s is not in %v", r, c.arn(r), c.patterns)
			visited[r.Type] = true
		}
	}
	assert.Len(t, visited, len(arns))
}
