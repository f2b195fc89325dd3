package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// floors are the product's folders, the highest on top. A package imports only from lower floors. Packages of internal may also import
// each other.
var floors = map[string]int{".": 4, "program": 3, "cluster": 2, "workloads": 2, "logging": 2, "internal": 1}

// source is one of the product's Go files, tests excepted.
type source struct {
	name, text string
	// folder is the package's, and room the first part of it.
	folder, room string
	file         *ast.File
}

var positions = token.NewFileSet()

func sources(t *testing.T) []source {
	var out []source
	for room := range floors {
		root := filepath.Join("..", room)
		require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && room == "." && name != root:
				return fs.SkipDir
			case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(positions, name, data, 0)
			folder := strings.TrimPrefix(path.Dir(filepath.ToSlash(name)), "../")
			out = append(out, source{name, string(data), folder, room, file})
			return err
		}))
	}
	return out
}

// No import goes up, none goes to a neighbour, and none leaves the product.
func TestImportsFlowOneWay(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, file := range sources(t) {
		for _, spec := range file.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			folder, own := strings.CutPrefix(imported, "expense/")
			if !own {
				continue
			}
			room, _, _ := strings.Cut(folder, "/")
			floor, known := floors[room]
			assert.True(t, known, "%s imports %s, which is not of the product", file.name, imported)
			assert.True(t, floor < floors[file.room] || room == "internal" && file.room == "internal", "%s imports %s", file.name, imported)
			checked++
		}
	}
	assert.Greater(t, checked, 30)
}

// A reader sees a function whole, and a caller does not count arguments.
func TestFunctionsFitAScreen(t *testing.T) {
	t.Parallel()
	const lines, parameters = 80, 6
	checked := 0
	for _, file := range sources(t) {
		for _, declaration := range file.file.Decls {
			function, is := declaration.(*ast.FuncDecl)
			if !is {
				continue
			}
			found := positions.Position(function.End()).Line - positions.Position(function.Pos()).Line + 1
			assert.LessOrEqual(t, found, lines, "%s: lines of %s", file.name, function.Name)
			assert.LessOrEqual(t, function.Type.Params.NumFields(), parameters, "%s: parameters of %s", file.name, function.Name)
			checked++
		}
	}
	assert.Greater(t, checked, 200)
}

// A component registers exactly its tagged fields as outputs, each under its tag.
func TestComponentsRegisterTheirOutputs(t *testing.T) {
	t.Parallel()
	declared := map[string]map[string]string{} // by folder and type: the fields by the names in their tags
	all := sources(t)
	for _, file := range all {
		ast.Inspect(file.file, func(node ast.Node) bool {
			if spec, is := node.(*ast.TypeSpec); is {
				if fields, is := spec.Type.(*ast.StructType); is && isComponent(fields) {
					declared[file.folder+"."+spec.Name.Name] = tagged(t, fields)
				}
			}
			return true
		})
	}
	found := map[string]map[string]string{}
	for _, file := range all {
		for _, declaration := range file.file.Decls {
			if function, is := declaration.(*ast.FuncDecl); is {
				ast.Inspect(function, func(node ast.Node) bool {
					call, is := node.(*ast.CallExpr)
					if !is || len(call.Args) != 2 {
						return true
					}
					if method, is := call.Fun.(*ast.SelectorExpr); is && method.Sel.Name == "RegisterResourceOutputs" {
						found[file.folder+"."+typeOf(function, call.Args[0])] = entries(t, call.Args[1])
					}
					return true
				})
			}
		}
	}
	assert.Equal(t, declared, found)
	assert.Greater(t, len(declared), 10)
}

func isComponent(fields *ast.StructType) bool {
	return slices.ContainsFunc(fields.Fields.List, func(field *ast.Field) bool {
		embedded, is := field.Type.(*ast.SelectorExpr)
		return is && len(field.Names) == 0 && embedded.Sel.Name == "ResourceState"
	})
}

func tagged(t *testing.T, fields *ast.StructType) map[string]string {
	out := map[string]string{}
	for _, field := range fields.Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		require.NoError(t, err)
		require.Len(t, field.Names, 1)
		out[reflect.StructTag(tag).Get("pulumi")] = field.Names[0].Name
	}
	return out
}

// typeOf is the type of a variable that the function sets to the address of a new value.
func typeOf(function *ast.FuncDecl, variable ast.Expr) string {
	name, typ := variable.(*ast.Ident).Name, ""
	ast.Inspect(function, func(node ast.Node) bool {
		set, is := node.(*ast.AssignStmt)
		if !is || len(set.Lhs) != 1 {
			return true
		}
		if left, is := set.Lhs[0].(*ast.Ident); is && left.Name == name {
			if address, is := set.Rhs[0].(*ast.UnaryExpr); is {
				typ = address.X.(*ast.CompositeLit).Type.(*ast.Ident).Name
			}
		}
		return true
	})
	return typ
}

// entries are the fields that a map literal has, by key.
func entries(t *testing.T, literal ast.Expr) map[string]string {
	out := map[string]string{}
	for _, element := range literal.(*ast.CompositeLit).Elts {
		entry := element.(*ast.KeyValueExpr)
		key, err := strconv.Unquote(entry.Key.(*ast.BasicLit).Value)
		require.NoError(t, err)
		out[key] = entry.Value.(*ast.SelectorExpr).Sel.Name
	}
	return out
}

// A setting's field that the sidecar sets too would be lost, or would replace the sidecar's.
func TestAFieldCannotTakeThePlaceOfWhatTheSidecarSets(t *testing.T) {
	t.Parallel()
	conf, err := os.ReadFile("../logging/files/fluent.conf")
	require.NoError(t, err)
	names := map[string]bool{"container": true, "stream": true, "json": true}
	for _, name := range []string{"cluster", "namespace", "pod", "node", "zone"} {
		require.Regexp(t, `(?m)^  `+name+` "`, string(conf), "a parameter of the filter")
		names[name] = true
	}
	for _, key := range []string{"path_key", "id_key"} {
		names[regexp.MustCompile(`(?m)^\s*` + key + ` (\S+)`).FindStringSubmatch(string(conf))[1]] = true
	}
	assert.Greater(t, len(names), 8)
	for name := range names {
		settings := stackFile(t, "dev")
		set(t, settings, "expense:logging.fields", map[string]string{name: "x"})
		_, err := run(t, "dev", settings)
		assert.ErrorContains(t, err, "logging.fields."+name+": found a field of the sidecar's own")
	}
}
