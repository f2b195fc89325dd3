package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const iamFolder = "../.github/iam"

// componentRole is the role that pulumi-eks makes. Mocks do not see it, because the component is another process: ServiceRole in
// https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/servicerole.ts. EKS assumes it.
const (
	componentRole   = "expense-eksRole-role"
	componentPolicy = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
)

// componentTypes are what pulumi-eks makes below eks:index:Cluster.
var componentTypes = []string{"aws:eks/cluster:Cluster", "aws:iam/role:Role", "aws:iam/rolePolicyAttachment:RolePolicyAttachment"}

// roleDocuments are the policies of each role. The role that deploys reads with the other's.
var roleDocuments = map[string][]string{
	"preview":  {"preview"},
	"deploy":   {"preview", "deploy-network", "deploy-identity", "deploy-platform", "deploy-registry"},
	"boundary": {"boundary"},
	"e2e":      {"preview", "deploy-network", "deploy-identity", "deploy-platform", "deploy-registry", "verify", "e2e"},
}

// fillingOfE2E is what docs/ci.md has filled in for the stacks of e2e.yml, all of them.
func fillingOfE2E(t *testing.T) map[string]string {
	fill := filling(t, "dev")
	fill["STACK_NAME"], fill["CLUSTER_NAME"], fill["DOMAIN_NAME"] = "e2e-*", "e2e-*", "e2e-*"
	return fill
}

// ofE2E are the documents as docs/ci.md changes them for e2e.yml.
func ofE2E(t *testing.T, fill map[string]string) map[string]json.RawMessage {
	texts, _ := documents(t, fill)
	change := strings.NewReplacer(`"StringEquals`, `"StringLike`, `"StringNotEquals`, `"StringNotLike`, "boundary-e2e-*", "boundary-e2e",
		"k8s.io/cluster-autoscaler/e2e-*", "eks:cluster-name", `"owned"`, `"e2e-*"`)
	out := map[string]json.RawMessage{}
	for _, name := range append([]string{"boundary"}, roleDocuments["e2e"]...) {
		out[name] = json.RawMessage(change.Replace(string(texts[name])))
	}
	return out
}

// filling is what docs/ci.md has filled in for each of the places of the documents, here for one stack.
func filling(t *testing.T, stack string) map[string]string {
	cfg, err := config.Read(stackFile(t, stack), []string{"expense:secrets"})
	require.NoError(t, err)
	return map[string]string{
		"ACCOUNT_ID": account, "REGION_NAME": "us-east-1", "STACK_NAME": stack,
		"CLUSTER_NAME": cfg.Cluster.Name, "DOMAIN_NAME": cfg.Logging.Domain.Name,
		"STATE_BUCKET": "states", "STATE_KEY_ARN": "arn:aws:kms:us-east-1:" + account + ":key/mrk-0123456789abcdef0123456789abcdef",
		"GITHUB_SUBJECT": "repo:o@1/n@2", "GITHUB_REPOSITORY": "o/n",
	}
}

// document is a file of .github/iam as it is read here.
type document struct {
	Statement []struct {
		Sid, Effect      string
		Action, Resource []string
		Condition        map[string]map[string][]string
	}
}

// documents are the files of .github/iam by name, as they are or filled in.
func documents(t *testing.T, fill map[string]string) (texts map[string]json.RawMessage, docs map[string]document) {
	t.Helper()
	files, err := filepath.Glob(iamFolder + "/*.json")
	require.NoError(t, err)
	texts, docs = map[string]json.RawMessage{}, map[string]document{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for place, value := range fill {
			data = bytes.ReplaceAll(data, []byte(place), []byte(value))
		}
		var doc document
		require.NoError(t, json.Unmarshal(data, &doc), file)
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		texts[name], docs[name] = data, doc
	}
	require.Len(t, docs, 11)
	return texts, docs
}

// calls are rows of testdata/iam.yaml: by action the resources and words.
type calls map[string]string

type table struct {
	Kinds map[string]string
	Types map[string]struct {
		Source                       string
		Read, Create, Update, Delete calls
	}
	State, Images   struct{ Read, Write calls }
	Refused, Beyond []struct {
		Role, Sentence string
		Calls          calls
	}
	Within []struct {
		Source string
		Calls  calls
	}
	Tokens []map[string]string
}

func rows(t *testing.T) table {
	t.Helper()
	data, err := os.ReadFile("testdata/iam.yaml")
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	var out table
	require.NoError(t, decoder.Decode(&out))
	return out
}

// question is one request that AWS compares with documents, as tools/iam/evaluate.mjs takes it.
type question struct {
	about     string
	Documents []string          `json:"documents"`
	Action    string            `json:"action"`
	Resource  string            `json:"resource"`
	Context   map[string]string `json:"context"`
	Unchecked bool              `json:"unchecked,omitempty"`
}

func (q question) String() string {
	return fmt.Sprintf("%s: %s on %s with %v", q.about, q.Action, q.Resource, q.Context)
}

type answer struct {
	Result, Error, Type string
	// By are the statements that allow, each as DOCUMENT: SID.
	By []string
}

func (a answer) allowed() bool { return a.Result == "Allowed" }

// evaluate asks the evaluator that `make tools` brings. Beside the answers it has the resource types of each action, and whether the
// reference requires them; an action that it does not know has none and is an error.
func evaluate(
	t *testing.T, documents map[string]json.RawMessage, questions []question,
) (answers []answer, types map[string]map[string]bool) {
	t.Helper()
	const script = "../.tools/iam/evaluate.mjs"
	_, missing := os.Stat(script)
	if _, err := exec.LookPath("node"); err != nil || missing != nil {
		t.Skip("the evaluator of IAM documents is missing: make tools, with node and npm on PATH")
	}
	actions := map[string]bool{}
	for _, q := range questions {
		actions[q.Action] = true
	}
	in, err := json.Marshal(map[string]any{"account": account, "documents": documents, "questions": questions,
		"actions": slices.Sorted(maps.Keys(actions))})
	require.NoError(t, err)
	command := exec.Command("node", script)
	command.Stdin, command.Stderr = bytes.NewReader(in), os.Stderr
	data, err := command.Output()
	require.NoError(t, err)
	var out struct {
		Answers []answer
		Types   map[string][]struct {
			Name     string
			Required bool
		}
	}
	require.NoError(t, json.Unmarshal(data, &out))
	require.Len(t, out.Answers, len(questions))
	types = map[string]map[string]bool{}
	for action, list := range out.Types {
		require.NotNil(t, list, "%s: no such action", action)
		types[action] = map[string]bool{}
		for _, typ := range list {
			types[action][typ.Name] = typ.Required
		}
	}
	for i, a := range out.Answers {
		assert.Empty(t, a.Error, questions[i])
	}
	return out.Answers, types
}

const (
	resourceTag = "aws:ResourceTag/pulumi:"
	requestTag  = "aws:RequestTag/pulumi:"
	boundary    = "iam:PermissionsBoundary"
)

func boundaryOf(stack string) string {
	return "arn:aws:iam::" + account + ":policy/github-expense-boundary-" + stack
}

// ask makes the questions that rows are, to one role of dev.
func (rows table) ask(t *testing.T, about, role string, list calls) (out []question) {
	t.Helper()
	for _, action := range slices.Sorted(maps.Keys(list)) {
		for _, row := range strings.Split(list[action], ",") {
			words := strings.Fields(row)
			require.NotEmpty(t, words, "%s: %s", about, action)
			q := question{about: about, Documents: roleDocuments[role], Action: action, Resource: rows.Kinds[words[0]]}
			switch {
			case words[0] == "any":
				q.Resource = "*"
			case q.Resource == "":
				require.True(t, strings.HasPrefix(action, "ec2:"), "%s: %s: no kind %s", about, action, words[0])
				q.Resource = "arn:aws:ec2:us-east-1:" + account + ":" + words[0] + "/" + words[0] + "-0"
			}
			q.Context = map[string]string{
				"aws:RequestedRegion": "us-east-1", resourceTag + "project": "expense", resourceTag + "stack": "dev",
			}
			for _, word := range words[1:] {
				key, value, _ := strings.Cut(word, "=")
				switch {
				case strings.Contains(key, ":"):
					q.Context[key] = value
				case key == "new" || key == "bare" || key == "made":
					delete(q.Context, resourceTag+"project")
					delete(q.Context, resourceTag+"stack")
					if key == "made" {
						q.Context["ec2:CreateAction"] = value
					}
				case key == "prods":
					q.Context[resourceTag+"stack"] = "prod"
				case key == "others":
					q.Context[resourceTag+"project"] = "others"
					delete(q.Context, resourceTag+"stack")
				case key == "bounded":
					q.Context[boundary] = boundaryOf("dev")
				case key == "bounded-prod":
					q.Context[boundary] = boundaryOf("prod")
				case key == "gone":
					q.Unchecked = true
				default:
					require.Equal(t, "asking", key, "%s: %s: %s", about, action, row)
				}
				if key == "new" || key == "asking" || key == "made" {
					q.Context[requestTag+"project"], q.Context[requestTag+"stack"] = "expense", "dev"
				}
			}
			out = append(out, q)
		}
	}
	return out
}

// needed are the rows of all that the program does, with whether the role of previews does it.
func (rows table) needed() (read, write map[string]calls) {
	read = map[string]calls{"state": rows.State.Read, "images": rows.Images.Read}
	write = map[string]calls{"state": rows.State.Write, "images": rows.Images.Write}
	for typ, n := range rows.Types {
		read[typ+", read"] = n.Read
		for operation, list := range map[string]calls{"create": n.Create, "update": n.Update, "delete": n.Delete} {
			write[typ+", "+operation] = list
		}
	}
	return read, write
}

// A condition on a key that AWS does not set refuses everything, and so does an ARN that a thing has only later.
func TestTheRolesMayMakeEveryCall(t *testing.T) {
	t.Parallel()
	rows := rows(t)
	read, write := rows.needed()
	var questions []question
	for _, about := range slices.Sorted(maps.Keys(read)) {
		questions = append(questions, rows.ask(t, about, "preview", read[about])...)
	}
	for _, about := range slices.Sorted(maps.Keys(write)) {
		questions = append(questions, rows.ask(t, about, "deploy", write[about])...)
	}
	questions = append(questions, fromTheProgram(t)...)
	texts, docs := documents(t, filling(t, "dev"))
	answers, types := evaluate(t, texts, questions)

	used, touched := map[string]bool{}, map[string]map[string]bool{}
	for i, a := range answers {
		assert.True(t, a.allowed(), "%s: %s", questions[i], a.Result)
		for _, by := range a.By {
			used[by] = true
		}
		if touched[questions[i].Action] == nil {
			touched[questions[i].Action] = map[string]bool{}
		}
		touched[questions[i].Action][a.Type] = true
	}
	for _, name := range roleDocuments["deploy"] {
		for _, s := range docs[name].Statement {
			assert.True(t, s.Effect == "Deny" || used[name+": "+s.Sid], "%s: %s lets no known call through", name, s.Sid)
		}
	}
	for action, list := range types {
		for typ, required := range list {
			if required && !slices.Contains(alternatives[action], typ) {
				assert.True(t, touched[action][typ] || touched[action][""], "%s touches %s too", action, typ)
			}
		}
	}
	t.Logf("%d types, %d actions, %d questions", len(rows.Types), len(types), len(questions))
}

// alternatives are resource types that the reference requires of an action, and means one of.
var alternatives = map[string][]string{
	"es:AddTags": {"application", "datasource"}, "es:ListTags": {"application", "datasource"}, "es:RemoveTags": {"application", "datasource"},
}

// fromTheProgram are the calls that are read off the program's own resources: who is handed which role, which of AWS's policies
// are attached, and that the ARNs of what it names are those of the documents.
func fromTheProgram(t *testing.T) (out []question) {
	deploy := func(about, action, resource string, context map[string]string) {
		context["aws:RequestedRegion"], context[resourceTag+"project"], context[resourceTag+"stack"] = "us-east-1", "expense", "dev"
		out = append(out, question{about: about, Documents: roleDocuments["deploy"], Action: action, Resource: resource, Context: context})
	}
	roles, policies := handedOut(t)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		arn := "arn:aws:iam::" + account + ":role/" + name + "-0123abc"
		for _, service := range roles[name] {
			deploy("the role "+name, "iam:PassRole", arn, map[string]string{"iam:PassedToService": service})
		}
		deploy("the role "+name, "iam:CreateRole", arn, map[string]string{
			requestTag + "project": "expense", requestTag + "stack": "dev", boundary: boundaryOf("dev"),
		})
		for _, policy := range policies {
			deploy("the role "+name, "iam:AttachRolePolicy", arn, map[string]string{"iam:PolicyARN": policy, boundary: boundaryOf("dev")})
		}
	}
	return out
}

// handedOut are the roles that the program makes, each with the services that it is handed to, and AWS's policies that it attaches.
func handedOut(t *testing.T) (roles map[string][]string, policies []string) {
	roles = map[string][]string{componentRole: {"eks.amazonaws.com"}}
	attached := map[string]bool{componentPolicy: true}
	for _, all := range everything(t) {
		for _, r := range of(all, "aws:iam/role:Role") {
			var doc struct {
				Statement []struct{ Principal struct{ Service string } }
			}
			require.NoError(t, json.Unmarshal([]byte(r.Inputs["assumeRolePolicy"].(string)), &doc), r)
			require.NotEmpty(t, doc.Statement, r)
			for _, s := range doc.Statement[1:] {
				require.Equal(t, doc.Statement[0], s, r)
			}
			switch service := doc.Statement[0].Principal.Service; service {
			case "":
				roles[r.Name] = nil // pods assume it with a token
			case "ec2.amazonaws.com":
				// Nodes are EC2's, but it is EKS that is given their role, in CreateNodegroup.
				roles[r.Name] = []string{service, "eks.amazonaws.com"}
			default:
				roles[r.Name] = []string{service}
			}
		}
		for _, r := range of(all, "aws:iam/rolePolicyAttachment:RolePolicyAttachment") {
			attached[r.Inputs["policyArn"].(string)] = true
		}
	}
	return roles, slices.Sorted(maps.Keys(attached))
}

// stackOf is the stack whose settings gave the resources, as they are or with edits.
func stackOf(t *testing.T, all []registered) string {
	for _, stack := range stacks {
		if of(all, "eks:index:Cluster")[0].Inputs["name"] == filling(t, stack)["CLUSTER_NAME"] {
			return stack
		}
	}
	require.Fail(t, "no stack has this cluster's name")
	return ""
}

// The documents of a stack take the names that its settings have.
func TestTheNamesAreThoseOfTheDocuments(t *testing.T) {
	t.Parallel()
	name := func(service, prefix, key string) func(r registered) string {
		return func(r registered) string {
			given, ok := r.Inputs[key].(string)
			if !ok {
				given = r.Name + "-0123abc" // Pulumi adds a hyphen and seven characters where it makes up a name
			}
			return "arn:aws:" + service + ":us-east-1:" + account + ":" + prefix + given
		}
	}
	inCluster := func(kind, suffix string) func(r registered) string {
		return func(r registered) string {
			return "arn:aws:eks:us-east-1:" + account + ":" + kind + "/" + r.Inputs["clusterName"].(string) + "/" + suffix
		}
	}
	ways := map[string]struct {
		action string
		arn    func(r registered) string
	}{
		"eks:index:Cluster":           {"eks:DeleteCluster", name("eks", "cluster/", "name")},
		"aws:eks/nodeGroup:NodeGroup": {"eks:DeleteNodegroup", inCluster("nodegroup", "expense-2026/0c")},
		"aws:eks/addon:Addon":         {"eks:DeleteAddon", inCluster("addon", "coredns/0c")},
		"aws:eks/accessEntry:AccessEntry": {"eks:DeleteAccessEntry",
			inCluster("access-entry", "role/111122223333/Admin/0c")},
		"aws:eks/podIdentityAssociation:PodIdentityAssociation": {"eks:DeletePodIdentityAssociation",
			inCluster("podidentityassociation", "a-0c")},
		"aws:eks/identityProviderConfig:IdentityProviderConfig": {"eks:DisassociateIdentityProviderConfig",
			inCluster("identityproviderconfig", "oidc/oidc/0c")},
		"aws:cloudwatch/logGroup:LogGroup":       {"logs:DeleteLogGroup", name("logs", "log-group:", "name")},
		"aws:cloudwatch/metricAlarm:MetricAlarm": {"cloudwatch:DeleteAlarms", name("cloudwatch", "alarm:", "name")},
		"aws:sns/topic:Topic":                    {"sns:DeleteTopic", name("sns", "", "name")},
		"aws:ecr/repository:Repository":          {"ecr:DeleteRepository", name("ecr", "repository/", "name")},
		"aws:opensearch/domain:Domain":           {"es:DeleteDomain", name("es", "domain/", "domainName")},
		"aws:kms/alias:Alias":                    {"kms:DeleteAlias", name("kms", "", "name")},
	}
	texts := map[string]json.RawMessage{}
	for _, stack := range stacks {
		filled, _ := documents(t, filling(t, stack))
		for _, name := range roleDocuments["deploy"] {
			texts[stack+"/"+name] = filled[name]
		}
	}
	var questions []question
	visited := map[string]bool{}
	for shape, all := range everything(t) {
		stack := stackOf(t, all)
		for _, r := range all {
			way, named := ways[r.Type]
			if !named {
				continue
			}
			visited[r.Type] = true
			q := question{about: shape + ": " + r.String(), Action: way.action, Resource: way.arn(r), Context: map[string]string{}}
			for _, name := range roleDocuments["deploy"] {
				q.Documents = append(q.Documents, stack+"/"+name)
			}
			questions = append(questions, q)
		}
	}
	assert.Len(t, visited, len(ways))
	answers, _ := evaluate(t, texts, questions)
	for i, a := range answers {
		assert.True(t, a.allowed(), questions[i])
	}
}

// Each sentence of docs/ci.md about what a role cannot do is rows that are refused, and each about what it can do all the same is
// rows that are allowed.
func TestWhatTheDocsSayOfTheRolesIsSo(t *testing.T) {
	t.Parallel()
	rows := rows(t)
	page, err := os.ReadFile("../docs/ci.md")
	require.NoError(t, err)
	said := func(heading string) (out []string) {
		_, text, found := strings.Cut(string(page), "\n"+heading+"\n")
		require.True(t, found, heading)
		text, _, _ = strings.Cut(text, "\n#")
		for _, item := range regexp.MustCompile(`(?m)^- (.*(?:\n  .*)*)`).FindAllStringSubmatch(text, -1) {
			out = append(out, strings.Join(strings.Fields(item[1]), " "))
		}
		return out
	}
	var questions []question
	var refused, beyond []string
	for _, r := range rows.Refused {
		refused = append(refused, r.Sentence)
		questions = append(questions, rows.ask(t, r.Sentence, r.Role, r.Calls)...)
	}
	first := len(questions)
	for _, r := range rows.Beyond {
		beyond = append(beyond, r.Sentence)
		questions = append(questions, rows.ask(t, r.Sentence, r.Role, r.Calls)...)
	}
	assert.Equal(t, refused, said("### What the roles cannot do"))
	assert.Equal(t, beyond, said("### What they can do beyond that"))

	texts, _ := documents(t, filling(t, "dev"))
	answers, _ := evaluate(t, texts, questions)
	for i, a := range answers {
		assert.Equal(t, i >= first, a.allowed(), "%s: %s by %v", questions[i], a.Result, a.By)
	}
	t.Logf("%d sentences: %d refused, %d allowed", len(refused)+len(beyond), first, len(questions)-first)
}

// Each call of a deployment is refused of a thing of another name without the stack's tags, but for those of which the docs say so.
func TestWhatIsNotTheStacksIsRefused(t *testing.T) {
	t.Parallel()
	rows := rows(t)
	known := map[string]bool{
		// AWS's own roles, which are the account's, and the one key of the state.
		"iam:CreateServiceLinkedRole": true, "iam:TagRole": true, "iam:UntagRole": true, "iam:UpdateRole": true, "kms:Encrypt": true,
	}
	for _, r := range rows.Beyond {
		for action := range r.Calls {
			known[action] = true
		}
	}
	_, write := rows.needed()
	var questions []question
	for _, about := range slices.Sorted(maps.Keys(write)) {
		for _, q := range rows.ask(t, about, "deploy", write[about]) {
			renamed := strings.ReplaceAll(q.Resource, "expense", "others")
			if q.Resource == "*" || known[q.Action] && renamed == q.Resource {
				continue
			}
			q.Resource, q.Context = renamed, map[string]string{"aws:RequestedRegion": "us-east-1"}
			questions = append(questions, q)
		}
	}
	texts, _ := documents(t, filling(t, "dev"))
	answers, _ := evaluate(t, texts, questions)
	for i, a := range answers {
		assert.False(t, a.allowed(), "%s by %v", questions[i], a.By)
	}
	assert.Greater(t, len(questions), 200)
}

// The role of e2e.yml makes every call of a deployment for a stack of a run, and none that changes what is dev's, but for those of which
// the docs say that a deployment's role reaches further.
func TestE2ETouchesItsOwnStacksOnly(t *testing.T) {
	t.Parallel()
	rows := rows(t)
	reads := regexp.MustCompile(`:(Describe|Get|List|BatchGet)`)
	names := regexp.MustCompile(
		`((?:cluster|nodegroup|addon|access-entry|podidentityassociation|identityproviderconfig|domains?|alias/eks|aws/eks|` +
			`repository)/)expense\b`)
	known := map[string]bool{
		// AWS's own roles, which are the account's, and the key of the state.
		"iam:CreateServiceLinkedRole": true, "iam:TagRole": true, "iam:UntagRole": true, "iam:UpdateRole": true, "kms:Encrypt": true,
	}
	for _, r := range rows.Beyond {
		for action := range r.Calls {
			known[action] = true
		}
	}
	read, write := rows.needed()
	var questions []question
	refused := map[int]bool{}
	for kind, needed := range map[string]map[string]calls{"read": read, "write": write} {
		for _, about := range slices.Sorted(maps.Keys(needed)) {
			for _, q := range rows.ask(t, about, "e2e", needed[about]) {
				own := q
				own.Resource = names.ReplaceAllString(q.Resource, "${1}e2e-7")
				own.Resource = strings.NewReplacer("/expense/dev/", "/expense/e2e-7/", "/expense/dev.", "/expense/e2e-7.").Replace(own.Resource)
				own.Context = map[string]string{}
				for key, value := range q.Context {
					own.Context[key] = strings.Replace(value, "boundary-dev", "boundary-e2e", 1)
					if strings.HasSuffix(key, "pulumi:stack") && value == "dev" {
						own.Context[key] = "e2e-7"
					}
				}
				questions = append(questions, own)
				// Topics and alarms are of the program by their names alone, see docs/ci.md; a tag that comes with a new thing is not told
				// from another's.
				alike := strings.HasPrefix(q.Action, "cloudwatch:") || strings.HasPrefix(q.Action, "sns:") || q.Context["ec2:CreateAction"] != ""
				if kind == "write" && q.Resource != "*" && !known[q.Action] && !alike && !reads.MatchString(q.Action) {
					refused[len(questions)] = true
					questions = append(questions, q)
				}
			}
		}
	}
	answers, _ := evaluate(t, ofE2E(t, fillingOfE2E(t)), questions)
	for i, a := range answers {
		assert.Equal(t, !refused[i], a.allowed(), "%s by %v", questions[i], a.By)
	}
	assert.Greater(t, len(refused), 150)
	t.Logf("%d questions, %d refused", len(questions), len(refused))
}

// What e2e.yml removes by hand is a stack's or a cluster's of a run.
func TestE2ERemovesWhatItsRunsLeft(t *testing.T) {
	t.Parallel()
	arn := func(service, thing string) string {
		return "arn:aws:" + service + ":us-east-1:" + account + ":" + thing
	}
	const ofCluster, ofInterface = "aws:ResourceTag/eks:cluster-name", "aws:ResourceTag/cluster.k8s.amazonaws.com/name"
	var questions []question
	for _, c := range []struct{ action, resource, tag string }{
		{"ec2:DeleteVolume", arn("ec2", "volume/vol-0"), resourceTag + "stack"},
		{"ec2:DeleteSnapshot", "arn:aws:ec2:us-east-1::snapshot/snap-0", resourceTag + "stack"},
		{"ec2:TerminateInstances", arn("ec2", "instance/i-0"), ofCluster},
		{"autoscaling:DeleteAutoScalingGroup", arn("autoscaling", "autoScalingGroup:0c:autoScalingGroupName/eks-0"), ofCluster},
		{"ec2:DeleteNetworkInterface", arn("ec2", "network-interface/eni-0"), ofInterface},
	} {
		for _, of := range []string{"e2e-7", "dev", "expense", ""} {
			q := question{about: of, Documents: roleDocuments["e2e"], Action: c.action, Resource: c.resource, Context: map[string]string{
				"aws:RequestedRegion": "us-east-1",
			}}
			if of != "" {
				q.Context[c.tag] = of
			}
			if c.tag == resourceTag+"stack" && of != "" {
				q.Context[resourceTag+"project"] = "expense"
			}
			questions = append(questions, q)
		}
	}
	answers, _ := evaluate(t, ofE2E(t, fillingOfE2E(t)), questions)
	for i, a := range answers {
		assert.Equal(t, questions[i].about == "e2e-7", a.allowed(), "%s by %v", questions[i], a.By)
	}
}

// What e2e.yml runs besides is what the page says of doctor and leftovers, and the boundary that its stacks name.
func TestE2EReadsWhatDoctorAndLeftoversDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/leftovers.md")
	require.NoError(t, err)
	want := map[string]bool{"iam:GetPolicy": true}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		var doc struct{ Statement []struct{ Action []string } }
		require.NoError(t, json.Unmarshal(block[1], &doc))
		for _, s := range doc.Statement {
			for _, action := range s.Action {
				want[action] = true
			}
		}
	}
	_, docs := documents(t, nil)
	look := docs["e2e"].Statement[0]
	assert.Equal(t, "Look", look.Sid)
	assert.Equal(t, slices.Sorted(maps.Keys(want)), look.Action)
	assert.Greater(t, len(want), 60)
}

// The boundary of the program's roles allows all calls that their policies allow, AWS's and the program's own.
func TestTheBoundaryLetsTheProgramsRolesWork(t *testing.T) {
	t.Parallel()
	rows := rows(t)
	var questions []question
	for _, r := range rows.Within {
		questions = append(questions, rows.ask(t, r.Source, "boundary", r.Calls)...)
	}
	own := 0
	for shape, all := range everything(t) {
		if stackOf(t, all) != "dev" {
			continue
		}
		for _, r := range of(all, "aws:iam/rolePolicy:RolePolicy") {
			if strings.HasPrefix(r.Name, "expense-app-") {
				continue // what an app's role may do is its owner's, who adds it to the boundary
			}
			var doc struct {
				Statement []struct {
					Action, Resource []string
					Condition        map[string]map[string]string
				}
			}
			require.NoError(t, json.Unmarshal([]byte(r.Inputs["policy"].(string)), &doc), r)
			for _, s := range doc.Statement {
				context := map[string]string{"aws:RequestedRegion": "us-east-1"}
				for _, keys := range s.Condition {
					maps.Copy(context, keys)
				}
				for _, action := range s.Action {
					for _, resource := range s.Resource {
						if resource != "*" {
							resource = strings.ReplaceAll(strings.ReplaceAll(resource, ":*:", ":"+account+":"), "*", "a")
						}
						questions = append(questions, question{
							about: shape + ": " + r.String(), Documents: roleDocuments["boundary"], Action: action, Resource: resource, Context: context,
							Unchecked: true,
						})
						own++
					}
				}
			}
		}
	}
	assert.Greater(t, own, 20)
	texts, _ := documents(t, filling(t, "dev"))
	answers, _ := evaluate(t, texts, questions)
	for i, a := range answers {
		assert.True(t, a.allowed(), "%s: %s", questions[i], a.Result)
	}
	t.Logf("%d questions, %d of the program's own policies", len(questions), own)
}

func TestTheTrustOfTheRolesIsInMainAndItsWorkflows(t *testing.T) {
	t.Parallel()
	const issuer = "token.actions.githubusercontent.com"
	rows := rows(t)
	var questions []question
	for _, token := range rows.Tokens {
		context := map[string]string{issuer + ":aud": "sts.amazonaws.com"}
		for _, claim := range []string{"aud", "sub", "ref", "job_workflow_ref"} {
			if value, given := token[claim]; given {
				context[issuer+":"+claim] = value
			}
		}
		questions = append(questions, question{
			about: token["for"], Documents: []string{token["for"]}, Action: "sts:AssumeRoleWithWebIdentity",
			Resource: "arn:aws:iam::" + account + ":role/asked",
			Context:  context, Unchecked: true,
		})
	}
	texts, _ := documents(t, filling(t, "dev"))
	answers, _ := evaluate(t, texts, questions)
	_, docs := documents(t, nil)
	workflows := docs["trust-deploy"].Statement[0].Condition["StringEquals"][issuer+":job_workflow_ref"]
	require.Contains(t, workflows, "GITHUB_REPOSITORY/.github/workflows/deploy.yml@refs/heads/main")
	for i, a := range answers {
		// Where a deployment waits for nobody, docs/ci.md has the workflow that destroys taken out.
		taken := !slices.ContainsFunc(workflows, func(ref string) bool {
			return strings.HasSuffix(rows.Tokens[i]["job_workflow_ref"], strings.TrimPrefix(ref, "GITHUB_REPOSITORY"))
		})
		assert.Equal(t, rows.Tokens[i]["admitted"] == "true" && (rows.Tokens[i]["for"] != "trust-deploy" || !taken), a.allowed(), questions[i])
	}
	for _, ref := range workflows {
		file, at, _ := strings.Cut(strings.TrimPrefix(ref, "GITHUB_REPOSITORY/"), "@")
		assert.FileExists(t, filepath.Join("..", file))
		assert.Equal(t, "refs/heads/main", at)
	}
}

// Pulumi keeps a stack's state in what the documents have for it, and in nothing else.
func TestTheStateIsWhereTheDocumentsHaveIt(t *testing.T) {
	t.Parallel()
	pulumi, err := filepath.Abs("../.tools/bin/pulumi")
	require.NoError(t, err)
	if _, err := os.Stat(pulumi); err != nil {
		t.Skip("pulumi is missing: make tools")
	}
	home, project, store := t.TempDir(), t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(project, "Pulumi.yaml"), []byte("name: expense\nruntime: go\n"), 0o600))
	run := func(args ...string) {
		command := exec.CommandContext(t.Context(), pulumi, args...)
		command.Dir = project
		command.Env = append(os.Environ(), "PULUMI_HOME="+home, "PULUMI_BACKEND_URL=file://"+store, "PULUMI_CONFIG_PASSPHRASE=p",
			"PULUMI_SKIP_UPDATE_CHECK=true")
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%s: %s", args, out)
	}
	// A stack without resources is destroyed without its program, with a lock, a history and a copy of the state all the same.
	run("stack", "init", "dev")
	run("stack", "tag", "set", "team", "web")
	run("destroy", "--stack", "dev", "--yes", "--skip-preview", "--non-interactive")
	run("destroy", "--stack", "dev", "--yes", "--skip-preview", "--non-interactive")

	var questions []question
	folders := map[string]bool{}
	require.NoError(t, filepath.WalkDir(store, func(path string, entry os.DirEntry, err error) error {
		name, _ := filepath.Rel(store, path)
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".attrs") { // of files only, not of objects in S3
			return err
		}
		folders[strings.Split(name, "/")[1]] = true
		for _, action := range []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} {
			if name != ".pulumi/meta.yaml" || action == "s3:GetObject" { // a person's first login writes it
				questions = append(questions, question{about: "state", Documents: roleDocuments["deploy"], Action: action,
					Resource: "arn:aws:s3:::states/" + name, Context: map[string]string{}})
			}
		}
		return nil
	}))
	assert.Equal(t, []string{"backups", "history", "meta.yaml", "stacks"}, slices.Sorted(maps.Keys(folders)))
	assert.DirExists(t, filepath.Join(store, ".pulumi/locks/organization/expense/dev"))
	texts, _ := documents(t, filling(t, "dev"))
	answers, _ := evaluate(t, texts, questions)
	for i, a := range answers {
		assert.True(t, a.allowed(), questions[i])
	}
}

// With the setting no role is without the boundary; the component's is bounded in cluster/controlplane_test.go.
func TestEveryRoleIsBounded(t *testing.T) {
	t.Parallel()
	settings := stackFile(t, "dev")
	settings["expense:iam"] = `{"permissionsBoundary":"` + boundaryOf("dev") + `"}`
	all, err := run(t, "dev", settings)
	require.NoError(t, err)
	without, err := run(t, "dev", stackFile(t, "dev"))
	require.NoError(t, err)
	assert.Equal(t, names(without), names(all))
	for i, r := range of(all, "aws:iam/role:Role") {
		assert.Equal(t, boundaryOf("dev"), r.Inputs["permissionsBoundary"], r)
		assert.NotEmpty(t, r.Inputs["assumeRolePolicy"], r)
		assert.NotContains(t, of(without, r.Type)[i].Inputs, "permissionsBoundary", r)
	}
	for _, r := range all {
		if r.Type != "aws:iam/role:Role" {
			assert.NotContains(t, r.Inputs, "permissionsBoundary", r)
		}
	}
	assert.Greater(t, len(of(all, "aws:iam/role:Role")), 5)
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
	types := rows(t).Types
	assert.Equal(t, slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(types)))
	for typ, n := range types {
		assert.Regexp(t, `^[a-z0-9]+/[a-z0-9_]+\.go$`, n.Source, typ)
		assert.NotEmpty(t, n.Read, typ)
		assert.NotEmpty(t, n.Create, typ)
	}
	assert.Greater(t, len(used), 30)
}

func TestNoPermissionIsMissingAndNoneIsUnused(t *testing.T) {
	t.Parallel()
	_, docs := documents(t, nil)
	allowed := func(names ...string) map[string]bool {
		out := map[string]bool{}
		for _, name := range names {
			for _, s := range docs[name].Statement {
				for _, action := range s.Action {
					if s.Effect == "Allow" {
						out[action] = true
					}
				}
			}
		}
		return out
	}
	reads, writes := rows(t).needed()
	read, write := map[string]bool{}, map[string]bool{"iam:PassRole": true} // which role goes to whom is read off the roles
	for _, list := range reads {
		for action := range list {
			read[action] = true
		}
	}
	for _, list := range writes {
		for action := range list {
			if !read[action] || action == "s3:GetObject" { // of which each role has its own
				write[action] = true
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(read)), slices.Sorted(maps.Keys(allowed("preview"))))
	assert.Equal(t, slices.Sorted(maps.Keys(write)), slices.Sorted(maps.Keys(allowed(roleDocuments["deploy"][1:]...))))
	assert.Greater(t, len(read)+len(write), 150)
	_, policies := handedOut(t)
	for _, s := range docs["deploy-identity"].Statement {
		if s.Sid == "Attach" {
			assert.Equal(t, policies, s.Condition["ArnEquals"]["iam:PolicyARN"])
		}
	}
}

// A pull request's code runs with the role of previews.
func TestTheRoleOfPreviewsChangesNothing(t *testing.T) {
	t.Parallel()
	_, docs := documents(t, nil)
	for _, s := range docs["preview"].Statement {
		for _, action := range s.Action {
			assert.Regexp(t, `^([a-z0-9]+:(Describe|Get|List)[A-Za-z]+|kms:Decrypt)$`, action)
		}
	}
}

// No action of the two roles is a pattern, no statement has two names, and what is allowed on everything is so in one region.
func TestPermissionsAreExact(t *testing.T) {
	t.Parallel()
	_, docs := documents(t, nil)
	for name, doc := range docs {
		sids := map[string]bool{}
		for _, s := range doc.Statement {
			where := name + ": " + s.Sid
			assert.False(t, sids[s.Sid], where)
			sids[s.Sid] = true
			assert.True(t, slices.IsSorted(s.Action), where)
			if name == "boundary" {
				continue
			}
			if slices.Contains(s.Action, "kms:CreateKey") {
				// To tag a new key "the principal must have permission in an IAM policy that isn't restricted to particular KMS keys":
				// https://docs.aws.amazon.com/kms/latest/developerguide/tag-permissions.html.
				assert.Contains(t, s.Action, "kms:TagResource", where)
				assert.Equal(t, []string{"*"}, s.Resource, where)
			}
			for _, action := range s.Action {
				assert.NotContains(t, action, "*", where)
			}
			if slices.Contains(s.Resource, "*") && s.Sid != "EndpointNames" {
				regions := []string{"REGION_NAME"}
				if name == "verify" || name == "e2e" { // which read what is global too
					regions = append(regions, "us-east-1")
				}
				assert.Equal(t, regions, s.Condition["StringEquals"]["aws:RequestedRegion"], where)
			}
		}
	}
}

// AWS's limits of a managed policy and of a trust policy, in characters that are no white space
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html), with the longest that a user can fill in.
func TestThePoliciesFit(t *testing.T) {
	t.Parallel()
	texts, _ := documents(t, map[string]string{
		"ACCOUNT_ID": account, "REGION_NAME": "ap-southeast-1", "STACK_NAME": strings.Repeat("s", 40),
		"CLUSTER_NAME": strings.Repeat("c", 60), "DOMAIN_NAME": strings.Repeat("d", 28), "STATE_BUCKET": strings.Repeat("b", 63),
		"STATE_KEY_ARN":     "arn:aws:kms:ap-southeast-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef",
		"GITHUB_SUBJECT":    "repo:" + strings.Repeat("o", 39) + "@123456789/" + strings.Repeat("r", 100) + "@1234567890",
		"GITHUB_REPOSITORY": strings.Repeat("o", 39) + "/" + strings.Repeat("r", 100),
	})
	for name, text := range texts {
		var data bytes.Buffer
		require.NoError(t, json.Compact(&data, text))
		limit := 6144
		if strings.HasPrefix(name, "trust-") {
			limit = 2048
		}
		assert.LessOrEqual(t, data.Len(), limit, name)
		t.Logf("%s has %d of %d characters", name, data.Len(), limit)
	}
}
