package record

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"expense/internal/published"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	searchtypes "github.com/aws/aws-sdk-go-v2/service/opensearch/types"
)

// public is what everybody may read: the words of the program's source, of the model's, and what only AWS chooses. A record keeps it.
type public struct {
	words map[string]bool // in lower case
	texts map[string]bool // addresses, and types of instances
}

// sources are the folders whose texts are public.
var sources = []string{
	"program", "cluster", "logging", "workloads", "internal", "rehearsal/internal/awsmodel", "rehearsal/internal/awsapi",
	"rehearsal/internal/eksprovider",
}

var (
	// aWord has letters of all scripts, and whatever else is not ASCII.
	aWord    = regexp.MustCompile(`[A-Za-z0-9_\x{80}-\x{10FFFF}]+`)
	aNetwork = regexp.MustCompile(`(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?`)
	aLetter  = regexp.MustCompile(`[A-Za-z]`)
	// random is a word as machines make them.
	random = regexp.MustCompile(`^[0-9a-f]{7,}$|\d.*[A-Za-z].*\d.*[A-Za-z].*\d|^[A-Z0-9]{16,}$`)
	// choices are numbers, and those of versions.
	choices = regexp.MustCompile(`^(\d{1,6}|v\d{1,4})$`)
	// anInstance is a type of instances by its form: with a size. A family alone could be anybody's name.
	anInstance = regexp.MustCompile(`\b[a-z][a-z0-9-]*\.(?:(?:\d+x)?large|medium|small|micro|nano|metal(?:-\d+xl)?)(?:\.search)?\b`)
)

// readPublic reads the texts of the program's and the model's source.
func readPublic(project string) (*public, error) {
	p := &public{words: map[string]bool{}, texts: map[string]bool{}}
	for name := range published.InstanceTypes() {
		p.texts[name] = true
	}
	for _, name := range ec2types.InstanceType("").Values() {
		p.texts[string(name)] = true
	}
	for _, name := range searchtypes.OpenSearchPartitionInstanceType("").Values() {
		p.texts[string(name)] = true
	}
	for _, folder := range sources {
		files := os.DirFS(filepath.Join(project, folder))
		err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			return p.readFile(files, path)
		})
		if err != nil {
			return nil, fmt.Errorf("the program's source: %w", err)
		}
	}
	return p, nil
}

func (p *public) readFile(files fs.FS, path string) error {
	source, err := fs.ReadFile(files, path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, is := n.(*ast.BasicLit); is && literal.Kind == token.STRING {
			for _, word := range aWord.FindAllString(literal.Value, -1) {
				if aLetter.MatchString(word) && !random.MatchString(word) {
					p.words[strings.ToLower(word)] = true
				}
			}
			for _, network := range aNetwork.FindAllString(literal.Value, -1) {
				p.texts[network] = true
			}
		}
		return true
	})
	return nil
}

// word tells whether a word is public: one of the source, or a number.
func (p *public) word(word string) bool { return p.made(word, choices.MatchString) }

// name tells whether a text that somebody chose as a name has words of the source only.
func (p *public) name(text string) bool {
	for _, word := range aWord.FindAllString(text, -1) {
		if !p.made(word, func(string) bool { return false }) {
			return false
		}
	}
	return true
}

// made tells whether a word is of the source, or what else may be, or is made of such with _ between them.
func (p *public) made(word string, may func(string) bool) bool {
	if random.MatchString(word) {
		return false
	}
	if p.words[strings.ToLower(word)] || may(word) {
		return true
	}
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == '_' })
	if len(parts) == 1 && parts[0] == word {
		return false
	}
	for _, part := range parts {
		if !p.made(part, may) {
			return false
		}
	}
	return true
}

// text tells whether a text has public words only.
func (p *public) text(text string) bool {
	if p.texts[text] {
		return true
	}
	for _, word := range aWord.FindAllString(text, -1) {
		if !p.word(word) {
			return false
		}
	}
	return true
}
