package documents

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"expense/rehearsal/ops/leftovers"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// command is one of a page, a message or a script.
type command struct {
	where string
	// words are the shell's, with an X for what only the shell or the message knows.
	words []string
	// named tells that a sentence only names the command, perhaps without what it needs.
	named bool
	// region tells that the shell has AWS_REGION by then.
	region bool
}

func (c command) String() string { return c.where + ": " + strings.Join(c.words, " ") }

// sweep collects all commands that people read and that GitHub runs.
type sweep struct {
	t     *testing.T
	found []command
	// kinds counts them by kind of file.
	kinds map[string]int
}

const named = `(?:aws|gh|kubectl|pulumi) +[a-z]`

var (
	programs = []string{"aws", "gh", "kubectl", "pulumi"}
	// one finds a command in text; its program's name is not part of another word, a path or a key.
	one  = regexp.MustCompile(`(?:^|[\s("'])(` + named + `)`)
	span = regexp.MustCompile("`([^`]+)`")
	verb = regexp.MustCompile(`%(?:\[\d+\])?[-+.\d]*[a-z]`)
	// digits is such a verb behind a flag that takes a number.
	digits = regexp.MustCompile(`(--[a-z-]+=)%(?:\[\d+\])?d`)
	// added is what a message adds to a command without a blank between: where it is done, as --region and --profile.
	added = regexp.MustCompile(`([a-z0-9X'"])X([ ;,]|$)`)
)

// sweepAll has all that the project shows or runs.
func sweepAll(t *testing.T) *sweep {
	s := &sweep{t: t, kinds: map[string]int{}}
	require.NoError(t, filepath.WalkDir(project, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if strings.HasPrefix(name, ".") && name != ".." && name != ".github" && name != ".ci" {
				return fs.SkipDir
			}
			return nil
		}
		var read func(where, text string)
		kind := filepath.Ext(name)
		switch {
		case strings.HasSuffix(name, "_test.go"):
			return nil
		case kind == ".md" && !strings.Contains(path, "/testdata/"):
			read = s.page
		case kind == ".go":
			read = s.messages
		case kind == ".sh" || name == "run":
			read, kind = s.script, ".sh"
		case kind == ".yml":
			read = s.workflow
		case strings.HasPrefix(name, "Pulumi."), name == "problems.txt", name == "Makefile", kind == ".tmpl":
			read, kind = s.lines, "text"
		default:
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before := len(s.found)
		read(strings.TrimPrefix(path, project+"/"), string(data))
		s.kinds[kind] += len(s.found) - before
		return nil
	}))
	for _, words := range leftovers.AllCommands(leftovers.Stack{Name: "dev", Region: "us-east-1", Cluster: "expense"}) {
		for i, word := range words {
			if word == "ID" || word == "PART" {
				words[i] = "X"
			}
		}
		s.found = append(s.found, command{where: "leftovers", words: words})
		s.kinds["leftovers"]++
	}
	return s
}

// shell is what a shell knows by now.
type shell struct {
	where string
	// set are its variables; may tells which others it starts with.
	set map[string]bool
	may func(name string) bool
}

// run goes through commands as a shell without variables would.
func (s *sweep) run(sh *shell, text string) []command {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if !assert.NoError(s.t, err, "%s: %s", sh.where, text) {
		return nil
	}
	var found []command
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Assign:
			sh.set[node.Name.Value] = sh.set[node.Name.Value] || !node.Naked
		case *syntax.WordIter:
			sh.set[node.Name.Value] = true
		case *syntax.ParamExp: // ${NAME:?} says that the script needs it.
			sh.set[node.Param.Value] = sh.set[node.Param.Value] || node.Exp != nil && node.Exp.Op == syntax.ErrorUnsetOrNull
		case *syntax.CallExpr:
			if len(node.Args) > 0 && node.Args[0].Lit() == "read" {
				for _, word := range node.Args[1:] {
					sh.set[word.Lit()] = true
				}
			}
		}
		return true
	})
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.ParamExp:
			name := node.Param.Value
			if syntax.ValidName(name) && node.Exp == nil && !sh.set[name] && !slices.Contains([]string{"HOME", "PATH"}, name) {
				assert.True(s.t, sh.may != nil && sh.may(name), "%s: nothing sets $%s", sh.where, name)
			}
		case *syntax.CallExpr:
			var words []string
			for _, word := range node.Args {
				words = append(words, written(word.Parts))
			}
			if len(words) > 1 && slices.Contains(programs, words[0]) {
				found = append(found, command{where: sh.where, words: words, region: sh.set["AWS_REGION"]})
			}
		}
		return true
	})
	s.found = append(s.found, found...)
	return found
}

func written(parts []syntax.WordPart) string {
	var out strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			out.WriteString(strings.ReplaceAll(part.Value, `\`, ""))
		case *syntax.SglQuoted:
			out.WriteString(part.Value)
		case *syntax.DblQuoted:
			out.WriteString(written(part.Parts))
		default:
			out.WriteString("X")
		}
	}
	return out.String()
}

// page reads Markdown. A reader uses one shell, and fills in the variables that the text names.
func (s *sweep) page(where, text string) {
	sh := &shell{where: where, set: map[string]bool{}, may: func(name string) bool { return strings.Contains(text, "`"+name+"`") }}
	for i, part := range strings.Split(text, "```") {
		if i%2 == 0 {
			s.spans(sh, part)
		} else if block, ok := strings.CutPrefix(part, "sh\n"); ok {
			s.run(sh, block)
		}
	}
}

// spans reads what stands in backticks, and gives back the rest.
func (s *sweep) spans(sh *shell, text string) string {
	return span.ReplaceAllStringFunc(text, func(match string) string {
		code := strings.Trim(strings.ReplaceAll(strings.Join(strings.Fields(match), " "), `\|`, "|"), "`")
		if one.MatchString(code) || strings.Contains(code, "export ") {
			found := s.run(sh, code)
			for i := len(s.found) - len(found); i < len(s.found); i++ {
				s.found[i].named = !slices.ContainsFunc(s.found[i].words, func(word string) bool { return !lower.MatchString(word) })
			}
		}
		return "X"
	})
}

var (
	lower = regexp.MustCompile(`^[a-z][a-z-]*$`)
	// In text a command is between one of the first and one of the second.
	introduced = regexp.MustCompile(`(: |; |&& |, or )$`)
	ended      = regexp.MustCompile(`[;,:] | \(|[.;,:]?$`)
	sentence   = regexp.MustCompile(`^\w+(?: +[a-z][a-z-]*)+`)
	// prose is text about a program, without a command.
	prose = regexp.MustCompile(`^\w+ (and|commands|from|has|on|provider|stand-in)\b`)
)

// lines reads text in which a whole line, or the rest after a colon or a semicolon, is a command. Elsewhere commands are only named.
func (s *sweep) lines(where, text string) {
	text = strings.NewReplacer("<code>", "`", "</code>", "`").Replace(text)
	for n, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", where, n+1)
		sh := &shell{where: at, set: map[string]bool{}}
		line = s.spans(sh, line)
		end := 0
		for _, match := range one.FindAllStringSubmatchIndex(line, -1) {
			before, rest := line[:match[2]], line[match[2]:]
			switch {
			case match[2] < end || prose.MatchString(rest):
			case strings.Trim(before, " #") == "" || introduced.MatchString(before):
				shown := ended.Split(rest, 2)[0]
				end = match[2] + len(shown)
				s.run(sh, shown)
			default:
				s.found = append(s.found, command{where: at, words: strings.Fields(sentence.FindString(rest)), named: true})
			}
		}
	}
}

// messages reads the texts of a Go file, with an X for each verb of their formats.
func (s *sweep) messages(where, source string) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, where, source, 0)
	require.NoError(s.t, err)
	var read func(node ast.Node) bool
	var flat func(e ast.Expr) string
	flat = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return text
			}
		case *ast.BinaryExpr:
			if e.Op == token.ADD {
				return flat(e.X) + flat(e.Y)
			}
		default:
			ast.Inspect(e, read)
		}
		return "X"
	}
	read = func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit, *ast.BinaryExpr:
			text := added.ReplaceAllString(verb.ReplaceAllString(digits.ReplaceAllString(flat(node.(ast.Expr)), "${1}1"), "X"), "$1 --region X$2")
			s.lines(fmt.Sprintf("%s:%d", where, set.Position(node.Pos()).Line), text)
			return false
		}
		return true
	}
	ast.Inspect(file, read)
}

// script reads a script. Its head says what it needs.
func (s *sweep) script(where, text string) {
	head, _, _ := strings.Cut(text, "\nset -")
	s.run(&shell{where: where, set: map[string]bool{"AWS_REGION": true}, may: func(name string) bool {
		return strings.HasPrefix(name, "GITHUB_") || regexp.MustCompile(`\b`+name+`\b`).MatchString(head)
	}}, text)
}

// workflow reads what the steps run. Their variables are below some env; configure-aws-credentials sets the region.
func (s *sweep) workflow(where, text string) {
	var document yaml.Node
	require.NoError(s.t, yaml.NewDecoder(bytes.NewReader([]byte(text))).Decode(&document), where)
	env := map[string]bool{"AWS_REGION": true}
	var runs []string
	var walk func(node *yaml.Node, key string)
	walk = func(node *yaml.Node, key string) {
		for i, child := range node.Content {
			if node.Kind != yaml.MappingNode {
				walk(child, "")
			} else if i%2 == 1 {
				name := node.Content[i-1].Value
				if key == "env" {
					env[name] = true
				}
				if name == "run" && child.Kind == yaml.ScalarNode {
					runs = append(runs, child.Value)
				}
				walk(child, name)
			}
		}
	}
	walk(&document, "")
	for _, text := range runs {
		s.run(
			&shell{where: where, set: map[string]bool{}, may: func(name string) bool { return env[name] || strings.HasPrefix(name, "GITHUB_") }},
			text)
	}
}
