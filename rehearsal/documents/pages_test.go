package documents

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"
)

// files are the project's files of a kind, by path.
func files(t *testing.T, suffix string) map[string]string {
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(project, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != project && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, suffix):
			data, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, project+"/")] = string(data)
			return err
		}
		return nil
	}))
	return found
}

// pages are all that people read.
func pages(t *testing.T) map[string]string {
	found := files(t, ".md")
	require.Contains(t, found, "README.md")
	require.Contains(t, found, "docs/faq.md")
	return found
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	// shellBlock is a block of shell commands, also in a list.
	shellBlock = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")
	// needs is a sentence of a page or a section about all its commands.
	needs = regexp.MustCompile(`(?i)\bneed(s)?\s+(an AWS account|a network)`)
)

// anchors are the names that GitHub gives to the headings of a page.
func anchors(page string) []string {
	var found []string
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		found = append(found, strings.ReplaceAll(name, " ", "-"))
	}
	return found
}

func TestEachLinkLeadsSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all, seen := pages(t), 0
	for page, text := range all {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			path, anchor, anchored := strings.Cut(match[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			seen++
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
				assert.FileExists(t, filepath.Join(project, target), page)
			}
			if anchored {
				assert.Contains(t, anchors(all[target]), anchor, "%s: %s", page, match[1])
			}
		}
	}
	assert.Greater(t, seen, 100, "links")
}

// The index of a folder leads to each of its pages.
func TestEachPageIsInTheIndex(t *testing.T) {
	all, seen := pages(t), 0
	for page := range all {
		folder, name := filepath.Split(page)
		if index := all[folder+"README.md"]; strings.HasPrefix(page, "docs/") && name != "README.md" {
			assert.True(t, strings.Contains(index, "]("+name+")"), "%s is not in %sREADME.md", page, folder)
			seen++
		}
	}
	assert.Greater(t, seen, 15, "pages")
}

// The files, folders and tests that the pages name exist.
func TestThePagesNameWhatThereIs(t *testing.T) {
	var tests strings.Builder
	for _, text := range files(t, "_test.go") {
		tests.WriteString(text)
	}
	path := regexp.MustCompile("`((?:cluster|docs|internal|logging|program|rehearsal|tests|tools|workloads)/[\\w./-]*)`")
	name := regexp.MustCompile(`\bTest[A-Z]\w+`)
	seen := 0
	for page, text := range pages(t) {
		for _, match := range path.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join(project, match[1]))
			assert.NoError(t, err, page)
			seen++
		}
		for _, named := range name.FindAllString(text, -1) {
			assert.True(t, strings.Contains(tests.String(), "func "+named), "%s names %s", page, named)
			seen++
		}
	}
	assert.Greater(t, seen, 80, "names")
}

// Where the FAQ quotes an error, the page that it leads to has the same words.
func TestTheFAQLeadsToTheErrors(t *testing.T) {
	all, seen := pages(t), 0
	quoted, leads := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(`\]\(((?:recovery|logging)\.md)`)
	for line := range strings.Lines(all["docs/faq.md"]) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || !leads.MatchString(cells[2]) {
			continue
		}
		for _, match := range quoted.FindAllStringSubmatch(cells[0], -1) {
			target := "docs/" + leads.FindStringSubmatch(cells[2])[1]
			assert.True(t, strings.Contains(all[target], match[1]), "%s does not have %q", target, match[1])
			seen++
		}
	}
	assert.GreaterOrEqual(t, seen, 8, "errors")
}

// Each block of commands is in a section, or on a page, that says that it needs an account or a network. All others are run:
// by make, without doing it (TestMakeKnowsTheTargetsAndVariablesOfTheDocuments); as settings
// (TestTheSettingsOfTheDocumentsAreTaken); or by a test of their own.
func TestEachCommandRunsOrSaysWhatItNeeds(t *testing.T) {
	tested := regexp.MustCompile(`^pulumi (config set|stack rm) `)
	marked, run := map[string]int{}, map[string]int{}
	var neither []string
	for page, text := range pages(t) {
		for _, at := range shellBlock.FindAllStringSubmatchIndex(text, -1) {
			if slices.ContainsFunc(sections(text[:at[0]]), needs.MatchString) {
				marked[page]++
				continue
			}
			file, err := syntax.NewParser().Parse(strings.NewReader(text[at[2]:at[3]]), page)
			require.NoError(t, err, page)
			folder := project
			syntax.Walk(file, func(node syntax.Node) bool {
				call, is := node.(*syntax.CallExpr)
				if !is || len(call.Args) == 0 {
					return true
				}
				var words []string
				for _, word := range call.Args {
					words = append(words, written(word.Parts))
				}
				run[words[0]]++
				switch {
				case words[0] == "make":
				case words[0] == "cd":
					folder = filepath.Join(folder, words[1])
					assert.DirExists(t, folder, page)
				case words[0] == "go": // which looks whether packages and flags are there
					command := exec.Command("go", slices.Insert(slices.Clone(words[1:]), 1, "-n")...)
					command.Dir = folder
					out, err := command.CombinedOutput()
					assert.NoError(t, err, "%s: %s\n%s", page, words, out)
				case !tested.MatchString(strings.Join(words, " ")):
					neither = append(neither, page+": "+strings.Join(words, " "))
				}
				return true
			})
		}
	}
	assert.Empty(t, neither, "run each in a test, or say in its section what it needs")
	assert.Greater(t, run["make"], 10)
	for _, page := range []string{"docs/operate.md", "docs/recovery.md"} {
		assert.NotZero(t, marked[page], page)
	}
	assert.Equal(t, 1, marked["README.md"], "only the quick start needs an account")
}

// sections are the texts that a reader of the page's end is in: what the page begins with, and each heading that encloses it,
// with its text up to the next heading.
func sections(text string) []string {
	var open []string
	for _, part := range regexp.MustCompile(`(?m)^#`).Split(fenced.ReplaceAllString(text, ""), -1)[1:] {
		level := len(part) - len(strings.TrimLeft(part, "#"))
		open = append(open[:min(level, len(open))], part)
	}
	return open
}
