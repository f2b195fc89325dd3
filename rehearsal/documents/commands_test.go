package documents

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"expense/rehearsal/ops/doctor"

	"github.com/blang/semver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/jsonpath"
)

// form is what a command accepts.
type form struct {
	Required []string `yaml:"required,omitempty,flow"`
	// Options have what follows each option: flag (nothing), text, number, list (several words), or the members of a structure.
	Options map[string]string `yaml:"options,omitempty,flow"`
	// Queries are values of --query whose members the answer has.
	Queries []string `yaml:"queries,omitempty,flow"`
	// words is the most other words.
	words int
}

type options = map[string]string

// Options of each aws command: https://github.com/aws/aws-cli/blob/2.22.23/awscli/data/cli.json.
var ofAWS = options{"region": "text", "profile": "text", "query": "text", "output": "text", "no-cli-pager": "flag"}

// Commands of the aws CLI that are more than one call: https://github.com/aws/aws-cli/tree/2.22.23/awscli/customizations, below
// configure, eks, logs, s3 and sso.
var awsOwn = map[string]form{
	"configure":              {},
	"configure list":         {},
	"configure sso":          {},
	"ecr get-login-password": {},
	"eks get-token":          {Options: options{"cluster-name": "text", "role-arn": "text", "cluster-id": "text"}},
	"eks update-kubeconfig": {
		Required: []string{"name"},
		Options:  options{"name": "text", "kubeconfig": "text", "role-arn": "text", "dry-run": "flag", "alias": "text", "user-alias": "text"},
	},
	"logs tail": {Options: options{"since": "text", "follow": "flag", "format": "text", "filter-pattern": "text"}, words: 1},
	"s3 mb":     {words: 1},
	"sso login": {Options: options{"sso-session": "text", "no-browser": "flag"}},
}

// Commands of gh: https://cli.github.com/manual/gh. Not those of the gh on PATH, which may be too old for `gh variable`.
var ofGH = map[string]form{
	"api": {
		Options: options{"method": "text", "f": "text", "F": "text", "paginate": "flag", "jq": "text", "input": "text"},
		words:   1,
	},
	"issue close": {Options: options{"repo": "text", "comment": "text"}, words: 1},
	"issue create": {
		Required: []string{"title", "body-file"},
		Options:  options{"repo": "text", "label": "text", "title": "text", "body-file": "text"},
	},
	"issue edit":   {Options: options{"repo": "text", "body-file": "text"}, words: 1},
	"issue list":   {Options: options{"repo": "text", "label": "text", "state": "text", "limit": "number", "json": "text"}},
	"label create": {Options: options{"repo": "text", "force": "flag", "description": "text"}, words: 1},
	"run download": {Options: options{"repo": "text", "name": "text", "dir": "text"}, words: 1},
	"workflow run": {Options: options{"repo": "text", "ref": "text"}, words: 1},
	"variable set": {Options: options{"repo": "text", "env": "text", "body": "text"}, words: 1},
}

// Each command of the pages and of GitHub's workflows is one that its program accepts, in a shell without variables: AWS's models of
// its calls know aws, the programs that `make tools` builds know kubectl and pulumi.
func TestEveryCommandIsTaken(t *testing.T) {
	s := sweepAll(t)
	for kind, least := range map[string]int{".md": 120, ".go": 60, ".sh": 16, ".yml": 2, "text": 60} {
		assert.GreaterOrEqual(t, s.kinds[kind], least, "commands in files of the kind %s", kind)
	}
	different := map[string]bool{}
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			take := map[string]func(*testing.T) func(command) error{"aws": aws, "gh": gh, "kubectl": kubectl, "pulumi": pulumi}[program](t)
			for _, c := range s.found {
				if key := fmt.Sprint(c.words, c.named, c.region); c.words[0] == program && !different[key] {
					different[key] = true
					assert.NoError(t, take(c), c)
				}
			}
		})
	}
	t.Log(len(s.found), "commands,", len(different), "different ones, by kind of file:", s.kinds)
}

// find is the form of a command by its longest name, and the words after that.
func find(forms map[string]form, words []string) (f form, rest []string, err error) {
	for n := min(3, len(words)); n > 0; n-- {
		if f, known := forms[strings.Join(words[:n], " ")]; known {
			return f, words[n:], nil
		}
	}
	return form{}, nil, errors.New("no such command is known")
}

var number = regexp.MustCompile(`^\d+(\.\d+)?$`)

// take reads options and words, and gives back the values of the options.
func (f form) take(c command, rest []string) (map[string][]string, error) {
	given, words := map[string][]string{}, 0
	for i := 0; i < len(rest); i++ {
		name := strings.TrimLeft(rest[i], "-")
		if name == rest[i] {
			if words++; words > f.words {
				return nil, fmt.Errorf("%s is a word too many", name)
			}
			continue
		}
		kind, known := f.Options[name]
		if positive, no := strings.CutPrefix(name, "no-"); !known && no {
			kind = f.Options[positive]
			known = kind == "flag"
		}
		if !known {
			return nil, fmt.Errorf("no option --%s; there are %s", name, slices.Sorted(maps.Keys(f.Options)))
		}
		given[name] = []string{}
		for kind != "flag" && i+1 < len(rest) && !strings.HasPrefix(rest[i+1], "--") &&
			(len(given[name]) == 0 || !slices.Contains([]string{"text", "number"}, kind)) {
			i++
			value := rest[i]
			given[name] = append(given[name], value)
			switch {
			case value == "X" || kind == "text" || kind == "list":
			case kind == "number":
				if !number.MatchString(value) {
					return nil, fmt.Errorf("--%s %s is no number", name, value)
				}
			case !strings.ContainsAny(value[:1], "{["):
				for _, pair := range strings.Split(value, ",") {
					if member, _, _ := strings.Cut(pair, "="); !slices.Contains(strings.Fields(kind), member) {
						return nil, fmt.Errorf("--%s has no member %s: %s", name, member, kind)
					}
				}
			}
		}
		if kind != "flag" && len(given[name]) == 0 {
			return nil, fmt.Errorf("--%s has no value", name)
		}
	}
	for _, name := range f.Required {
		if _, found := given[name]; !found && !c.named {
			return nil, fmt.Errorf("--%s is required", name)
		}
	}
	return given, nil
}

func aws(t *testing.T) func(command) error {
	commands := awsCommands(t)
	assert.Equal(t, oldestCLI, doctor.OldestAWS.String(), "what doctor asks for")
	for _, page := range []string{"README.md", "docs/ci.md"} {
		text, err := os.ReadFile(filepath.Join(project, page))
		require.NoError(t, err)
		assert.Regexp(t, `(?i)aws CLI(\]\(\S+\))? `+regexp.QuoteMeta(oldestCLI)+` or newer`, string(text), page)
	}
	return func(c command) error {
		f, rest, err := find(commands, c.words[1:])
		if err != nil {
			return fmt.Errorf("aws CLI %s: %w: correct it, or run `make aws-commands`", oldestCLI, err)
		}
		if c.named {
			return nil
		}
		given, err := f.take(c, rest)
		if err != nil {
			return err
		}
		for _, query := range given["query"] {
			if !slices.Contains(f.Queries, query) {
				return fmt.Errorf("--query %q is not known to fit the answer: correct it, or run `make aws-commands`", query)
			}
		}
		// The global services and what needs no service.
		if _, found := given["region"]; !found && !c.region && !slices.Contains([]string{"configure", "iam", "sso"}, c.words[1]) {
			return errors.New("nothing says the region: --region, or on a page export AWS_REGION before")
		}
		return nil
	}
}

// The aws CLI on PATH parses the calls itself, if its models are not older than the oldest's: it gets as far as the network.
func TestTheAWSCLITakesTheCalls(t *testing.T) {
	said, err := exec.Command("aws", "--version").CombinedOutput()
	if err != nil {
		t.Skip("aws is not on PATH")
	}
	match := regexp.MustCompile(`^aws-cli/(2\.\S+)|botocore/(1\.\S+)`).FindStringSubmatch(string(said))
	if match == nil || match[1] != "" && semver.MustParse(match[1]).LT(doctor.OldestAWS) ||
		match[2] != "" && semver.MustParse(match[2]).LT(semver.MustParse(botocore)) {
		t.Skipf("aws is too old: %s", said)
	}
	commands, different := awsCommands(t), map[string]bool{}
	for _, c := range sweepAll(t).found {
		f, rest, err := find(commands, c.words[1:])
		if _, _, own := find(awsOwn, c.words[1:]); c.words[0] != "aws" || c.named || err != nil || own == nil {
			continue
		}
		// A text in place of X that is long enough for a name and an ARN.
		given, err := f.take(c, rest)
		names := slices.Sorted(maps.Keys(given))
		words, known := slices.Clone(c.words[1:len(c.words)-len(rest)]), err == nil
		key := fmt.Sprint(words, names)
		for _, name := range names {
			words = append(words, "--"+name)
			for _, value := range given[name] {
				kind := f.Options[name]
				switch {
				case name == "region":
					value = "us-east-1"
				case value == "X" && kind == "number":
					value = "1"
				case value == "X" && (kind == "text" || kind == "list"):
					value = strings.Repeat("x", 40)
				case kind != "text" && kind != "number" && strings.Contains(value, "X"):
					known = false
				}
				words = append(words, value)
			}
		}
		if !known || different[key] {
			continue
		}
		different[key] = true
		t.Run(strings.Join(c.words[1:3], " "), func(t *testing.T) {
			t.Parallel()
			run := exec.CommandContext(t.Context(), "aws", words...)
			mine := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
			run.Env = append(mine, "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
				"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_MAX_ATTEMPTS=1", "AWS_CONFIG_FILE=/dev/null",
				"AWS_SHARED_CREDENTIALS_FILE=/dev/null")
			out, _ := run.CombinedOutput()
			assert.Contains(t, string(out), "Could not connect to the endpoint", c)
		})
	}
	assert.GreaterOrEqual(t, len(different), 20, "calls")
}

func gh(*testing.T) func(command) error {
	return func(c command) error {
		f, rest, err := find(ofGH, c.words[1:])
		if err == nil {
			_, err = f.take(c, rest)
		}
		return err
	}
}

// help lets a program parse the options of a command and print its help instead of running it.
func help(program string, words []string) (string, error) {
	n := slices.Index(words, "--")
	if n < 0 {
		n = len(words)
	}
	run := exec.Command(program, slices.Insert(slices.Clone(words), n, "--help")...)
	run.Env = []string{"HOME=/nowhere", "PATH=/nowhere", "PULUMI_SKIP_UPDATE_CHECK=true"}
	out, err := run.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return string(out), err
}

// built is a program that `make tools` builds.
func built(t *testing.T, name string) string {
	path, err := filepath.Abs(filepath.Join(project, ".tools", "bin", name))
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not built: run `make tools`", name)
	}
	return path
}

// use is a command's line of use, as its help prints it: pulumi config set <key> [flags] [--] [value].
var use = regexp.MustCompile(`(?m)^Usage:\n +\w+((?: [a-z][a-z-]*)*)(.*)`)

func kubectl(t *testing.T) func(command) error {
	program := built(t, "kubectl")
	resources := map[string]bool{"pvc": true, "pv": true} // https://kubernetes.io/docs/reference/kubectl/#resource-types
	for kind := range scheme.Scheme.AllKnownTypes() {
		plural, singular := meta.UnsafeGuessKindToResource(kind)
		resources[plural.Resource], resources[singular.Resource] = true, true
	}
	object := regexp.MustCompile(`^([a-z]+)/[A-Za-z0-9-]+$`)
	return func(c command) error {
		said, err := help(program, c.words[1:])
		if err != nil {
			return err
		}
		match := use.FindStringSubmatch(said)
		if match == nil || match[1] == "" || strings.HasPrefix(match[2], " SUBCOMMAND") ||
			!strings.HasPrefix(strings.Join(c.words[1:], " ")+" ", match[1][1:]+" ") {
			return fmt.Errorf("no such command: %s", said)
		}
		var named []string
		if slices.Contains([]string{"get", "describe", "delete", "patch"}, c.words[1]) && len(c.words) > 2 &&
			!strings.HasPrefix(c.words[2], "-") {
			named = append(named, c.words[2])
		}
		for _, word := range c.words {
			if match := object.FindStringSubmatch(word); match != nil {
				named = append(named, match[1])
			}
			if path, found := strings.CutPrefix(word, "jsonpath="); found {
				if _, err := jsonpath.Parse("", path); err != nil {
					return err
				}
			}
		}
		for _, resource := range named {
			if !resources[resource] && resource != strings.ToUpper(resource) { // RESOURCE is for the reader to fill in.
				return fmt.Errorf("Kubernetes has no %s", resource)
			}
		}
		return nil
	}
}

// listed is a line of pulumi's help about an option: -s, --stack string   The name of ...
var listed = regexp.MustCompile(`(?m)^ +(?:-(\w), )?--([a-z-]+)( (?:string|int|duration|float)\w*(?: |$))?`)

// pulumi's help knows its options. A call takes a while: once for each command.
func pulumi(t *testing.T) func(command) error {
	program := built(t, "pulumi")
	said := map[string]string{}
	return func(c command) error {
		words := c.words[1:]
		if n := slices.IndexFunc(words, func(word string) bool { return !lower.MatchString(word) }); n >= 0 {
			words = words[:n]
		}
		name := strings.Join(words, " ")
		if said[name] == "" {
			var err error
			if said[name], err = help(program, words); err != nil {
				return err
			}
		}
		match := use.FindStringSubmatch(said[name])
		if match == nil || match[1] == "" {
			return fmt.Errorf("no such command: %s", said[name])
		}
		f, least := form{Options: options{}}, 0
		for _, word := range strings.Fields(match[2]) {
			if slices.Contains([]string{"[flags]", "[--]", "[command]"}, word) {
				continue
			}
			f.words++
			if strings.Contains(word, "<") {
				least++
			}
		}
		for _, option := range listed.FindAllStringSubmatch(said[name], -1) {
			kind := "flag"
			if option[3] != "" {
				kind = "text"
			}
			f.Options[option[1]], f.Options[option[2]] = kind, kind
		}
		delete(f.Options, "") // Few have a letter.
		rest := c.words[1+len(strings.Fields(match[1])):]
		if _, err := f.take(c, rest); err != nil {
			return err
		}
		f.words = least - 1
		if _, err := f.take(c, rest); err == nil && least > 0 && !c.named {
			return fmt.Errorf("it needs more words: %s", match[0])
		}
		for _, word := range rest {
			if (strings.HasPrefix(word, "s3://") || strings.HasPrefix(word, "awskms://")) && !c.region && !strings.Contains(word, "region=") {
				return fmt.Errorf("nothing says the region of %s", word)
			}
		}
		return nil
	}
}
