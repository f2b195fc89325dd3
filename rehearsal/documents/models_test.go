package documents

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The oldest aws CLI that the documents ask for brings the models of botocore 1.35.87 along: the same files are in
// https://github.com/aws/aws-cli/tree/2.22.23/awscli/botocore/data. To ask for another one, change both here, in the Makefile,
// in doctor and in the documents.
const oldestCLI, botocore = "2.22.23", "1.35.87"

const tableFile = "testdata/aws-commands.yaml"

var wheel = flag.String("botocore", "",
	"the wheel of botocore "+botocore+": writes "+tableFile+" anew, for the commands that are shown now")

// awsCommands are the forms of the CLI's own commands and of the calls that are shown, by the models of AWS.
func awsCommands(t *testing.T) map[string]form {
	if *wheel != "" {
		writeTable(t)
	}
	var table struct {
		Botocore string
		Commands map[string]form
	}
	data, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &table))
	require.Equal(t, botocore, table.Botocore)
	maps.Copy(table.Commands, awsOwn)
	for name, f := range table.Commands {
		all := maps.Clone(ofAWS)
		maps.Copy(all, f.Options)
		f.Options = all
		table.Commands[name] = f
	}
	return table.Commands
}

// model is what AWS publishes of a service.
type model struct {
	Operations map[string]struct{ Input, Output reference }
	Shapes     map[string]*shape
	Waiters    map[string]struct{ Operation string }
}

type reference struct{ Shape string }

type shape struct {
	Type     string
	Required []string
	Members  map[string]reference
	Member   reference
}

func writeTable(t *testing.T) {
	require.Equal(t, botocore, strings.Split(filepath.Base(*wheel), "-")[1], "the wheel's version")
	archive, err := zip.OpenReader(*wheel)
	require.NoError(t, err)
	defer archive.Close()
	models := map[string]model{}
	read := func(service string) model {
		if m, known := models[service]; known {
			return m
		}
		folder := map[string]string{"s3api": "s3"}[service]
		if folder == "" {
			folder = service
		}
		var m model
		for _, kind := range []string{"service-2.json.gz", "waiters-2.json"} {
			var newest *zip.File
			for _, f := range archive.File {
				if ok, _ := path.Match("botocore/data/"+folder+"/*/"+kind, f.Name); ok && (newest == nil || f.Name > newest.Name) {
					newest = f
				}
			}
			if newest == nil {
				continue
			}
			file, err := newest.Open()
			require.NoError(t, err)
			defer file.Close()
			var out bytes.Buffer
			if strings.HasSuffix(kind, ".gz") {
				plain, err := gzip.NewReader(file)
				require.NoError(t, err)
				_, err = out.ReadFrom(plain)
				require.NoError(t, err)
			} else if _, err := out.ReadFrom(file); err != nil {
				require.NoError(t, err)
			}
			require.NoError(t, json.Unmarshal(out.Bytes(), &m), newest.Name)
		}
		models[service] = m
		return m
	}
	commands := map[string]form{}
	for _, c := range sweepAll(t).found {
		if _, _, err := find(awsOwn, c.words[1:]); c.words[0] != "aws" || err == nil || len(c.words) < 3 {
			continue
		}
		m, name := read(c.words[1]), strings.Join(c.words[1:3], " ")
		operation := ""
		if c.words[2] == "wait" && len(c.words) > 3 {
			name += " " + c.words[3]
			for waiter, w := range m.Waiters {
				if option(waiter) == c.words[3] {
					operation = w.Operation
				}
			}
		}
		for o := range m.Operations {
			if option(o) == c.words[2] {
				operation = o
			}
		}
		if operation == "" {
			continue // It is the test that says so.
		}
		f, known := commands[name]
		if !known {
			f = m.form(operation)
		}
		if at := slices.Index(c.words, "--query"); at > 0 && at+1 < len(c.words) {
			if query := c.words[at+1]; !slices.Contains(f.Queries, query) && m.answers(t, operation, query) {
				f.Queries = append(f.Queries, query)
			}
		}
		commands[name] = f
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# What the aws CLI's commands take that the documents and messages show: `make aws-commands` writes it.\n")
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	require.NoError(t, encoder.Encode(map[string]any{"botocore": botocore, "commands": commands}))
	require.NoError(t, os.WriteFile(tableFile, out.Bytes(), 0o644))
}

func (m model) form(operation string) form {
	f := form{Options: options{}}
	input := m.Shapes[m.Operations[operation].Input.Shape]
	if input == nil {
		return f
	}
	for _, member := range input.Required {
		f.Required = append(f.Required, option(member))
	}
	slices.Sort(f.Required)
	for member, of := range input.Members {
		s := m.Shapes[of.Shape]
		kind := "text"
		if s.Type == "list" {
			s, kind = m.Shapes[s.Member.Shape], "list"
		}
		switch s.Type {
		case "boolean":
			kind = "flag"
		case "integer", "long", "float", "double":
			kind = "number"
		case "structure":
			kind = strings.Join(slices.Sorted(maps.Keys(s.Members)), " ")
		}
		f.Options[option(member)] = kind
	}
	return f
}

// answers tells whether an operation's answer has all members that a query goes through, without functions and filters.
func (m model) answers(t *testing.T, operation, query string) bool {
	plain := regexp.MustCompile(`'[^']*'`).ReplaceAllString(query, "''")
	plain = regexp.MustCompile(`\[\?(?:[^\[\]]|\[[^\]]*\])*\]`).ReplaceAllString(plain, "[]")
	require.NotRegexp(t, "[{?@*|`]", plain, "this test does not know how to read %s", query)
	for _, path := range regexp.MustCompile(`[A-Za-z]\w*(?:\[\d*\])?(?:\.\w+(?:\[\d*\])?)*\(?`).FindAllString(plain, -1) {
		if strings.HasSuffix(path, "(") {
			continue
		}
		at := m.Shapes[m.Operations[operation].Output.Shape]
		for _, step := range strings.Split(path, ".") {
			name, _, list := strings.Cut(step, "[")
			if at == nil || at.Members[name].Shape == "" {
				return false
			}
			if at = m.Shapes[at.Members[name].Shape]; list {
				at = m.Shapes[at.Member.Shape]
			}
		}
	}
	return true
}

var (
	capital = regexp.MustCompile(`(.)([A-Z][a-z]+)`)
	change  = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	plural  = regexp.MustCompile(`[A-Z]{2,}s$`)
)

// option is how the CLI writes the name of a member, an operation or a waiter
// (https://github.com/boto/botocore/blob/1.35.87/botocore/__init__.py, xform_name).
func option(name string) string {
	if match := plural.FindString(name); match != "" {
		name = strings.TrimSuffix(name, match) + match[:1] + strings.ToLower(match[1:])
	}
	return strings.ToLower(change.ReplaceAllString(capital.ReplaceAllString(name, "$1-$2"), "$1-$2"))
}
