package manifests

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the answers that the folders of testdata get")

// project is a folder with the project's Pulumi.yaml and a stack's file.
func project(t testing.TB) string {
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.dev.yaml"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// image is a registry with one image.
func image(_ context.Context, ref string) (Image, error) {
	if ref == "ghcr.io/acme/mailer:1.2" {
		return Image{Entrypoint: []string{"/mailer"}, Cmd: []string{"--help"}, User: "1000:1000"}, nil
	}
	return Image{}, errors.New("no docker")
}

// answer is what a folder gets: the lines that the stack's file has more, and what is said.
func answer(t *testing.T, dir, folder string, asGo bool) string {
	file := filepath.Join(dir, "Pulumi.dev.yaml")
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "k8s"), os.DirFS(folder)))
	var out bytes.Buffer
	err = Run(t.Context(), Options{
		Project: dir, Stack: "dev", Path: filepath.Join(dir, "k8s"), Go: asGo, Out: &out, Image: image,
	})
	after, failed := os.ReadFile(file)
	require.NoError(t, failed)
	if err != nil {
		assert.Equal(t, string(before), string(after), "an error writes nothing")
		assert.Empty(t, out.String())
		return err.Error() + "\n"
	}
	return added(t, string(before), string(after)) + "\n" + out.String()
}

// added are the lines that a file has more. All others have to be as they were.
func added(t *testing.T, before, after string) string {
	var out, rest []string
	old := strings.Split(before, "\n")
	for _, line := range strings.Split(after, "\n") {
		if len(rest) < len(old) && line == old[len(rest)] {
			rest = append(rest, line)
		} else {
			out = append(out, line)
		}
	}
	assert.Equal(t, old, rest, "comments and order stay")
	return strings.Join(out, "\n")
}

// Each folder gives what one would have written by hand.
func TestFoldersBecomeApps(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		folder := filepath.Join("testdata", entry.Name())
		t.Run(entry.Name(), func(t *testing.T) {
			got := answer(t, project(t), folder, false)
			if with := answer(t, project(t), folder, true); with != got {
				got += "with GO=1:\n" + with
			}
			file := folder + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
			assert.NotContains(t, got, "not-for-your-eyes")
		})
	}
}

// Each field of the API's types has a decision, and each decision a field.
func TestEachFieldIsDecided(t *testing.T) {
	asked, numbers := map[string]bool{}, map[string]int{}
	for name, kind := range kinds {
		o := &object{kind: kind.Name(), apiVersion: strings.Fields(name)[0]}
		for _, path := range leaves(kind, "") {
			all, _ := rows(o.root(), path)
			if assert.NotEmpty(t, all, "%s: %s has no line in decisions.txt", name, path) && !strings.HasPrefix(path, "spec.template.") {
				is := all[0].is
				if i := slices.IndexFunc(all, func(d decision) bool { return d.is != lacking }); i >= 0 {
					is = all[i].is
				}
				numbers[is]++
			}
			if strings.HasPrefix(path, "spec.template.") {
				path, o = strings.TrimPrefix(path, "spec.template."), &object{kind: "Pod"}
			}
			for p := path; ; p = parent(p) {
				asked[strings.TrimSuffix(o.root()+"."+p, ".")], asked[strings.TrimSuffix("*."+p, ".")] = true, true
				if p == "" {
					break
				}
			}
			o = &object{kind: kind.Name(), apiVersion: strings.Fields(name)[0]}
		}
	}
	for path := range decisions {
		// A key of a map has no field of its own.
		if at := strings.Index(path, "["); at > 0 && !strings.Contains(path[at:], "[]") {
			path = path[:at]
		} else if strings.Contains(path, "resources.") {
			path = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(path, "[cpu]"), "[memory]"), "[ephemeral-storage]")
		}
		path = strings.TrimPrefix(path, "Deployment.spec.template.")
		if strings.HasPrefix(path, "metadata") {
			path = "Pod." + path
		}
		assert.True(t, asked[path], "decisions.txt has %s, which no type has", path)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "from-manifests.md"))
	require.NoError(t, err)
	for is, row := range map[string]string{
		carried: "carried over", already: "done anyway", changed: "done otherwise, on purpose", lacking: "not in the words of an app",
	} {
		assert.Contains(t, string(page), fmt.Sprintf("| %s | %d |", row, numbers[is]), "docs/from-manifests.md")
	}
}

// A decision that carries is of one field: all of a struct is not carried by one line.
func TestWhatIsCarriedIsOneField(t *testing.T) {
	for name, kind := range kinds {
		o := &object{kind: kind.Name(), apiVersion: strings.Fields(name)[0]}
		for _, path := range leaves(kind, "") {
			short := strings.TrimPrefix(path, "spec.template.")
			root := o.root()
			if short != path && o.kind == "Deployment" {
				root = "Pod"
			}
			exact := slices.ContainsFunc([]string{short, strings.TrimSuffix(short, "[*]"), strings.TrimSuffix(short, "[]")}, func(p string) bool {
				return decisions[root+"."+p] != nil || decisions["*."+p] != nil
			})
			if all, _ := rows(o.root(), path); all[0].is == carried && !strings.Contains(strings.ToLower(path), "selector") {
				assert.True(t, exact, "%s: %s", name, path)
			}
		}
	}
}

func TestAnEntryThatIsThereIsAnError(t *testing.T) {
	dir := project(t)
	first := answer(t, dir, "testdata/barepod", false)
	require.Contains(t, first, "Pulumi.dev.yaml has 1 more of workloads.apps: cache.")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "k8s")))
	assert.Equal(t, "workloads.apps.cache: found an entry that is there; allowed: names of apps that are not there; "+
		"remove it, or take its manifest out of FILE\n", answer(t, dir, "testdata/barepod", false))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "k8s")))
	assert.Contains(t, answer(t, dir, "testdata/list", false), "workloads.apps: hello.", "others go behind it")
}

// The value of a secret goes to who asks for it, with its line ends.
func TestASecretsValueIsRead(t *testing.T) {
	for name, want := range map[string]string{"database/password": "not-for-your-eyes\n", "database/user": "shop\n"} {
		var out bytes.Buffer
		require.NoError(t, Run(t.Context(), Options{Project: ".", Stack: "dev", Path: "testdata/shop", Secret: name, Out: &out}))
		assert.Equal(t, want, out.String())
	}
	var out bytes.Buffer
	err := Run(t.Context(), Options{Project: ".", Stack: "dev", Path: "testdata/shop", Secret: "database/none", Out: &out})
	assert.EqualError(t, err, `found no key "none" of a Secret "database" in testdata/shop`)
}

// The lines that are printed set the values, each as it is in the manifest.
func TestThePrintedLinesSetTheSecrets(t *testing.T) {
	tools, err := filepath.Abs(filepath.Join("..", "..", "..", ".tools", "bin"))
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(tools, "pulumi")); err != nil {
		t.Skip("pulumi is not built; run `make tools` to have this test run")
	}
	dir := project(t)
	env := append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "PULUMI_HOME="+filepath.Join(dir, "home"),
		"PULUMI_BACKEND_URL=file://"+dir, "PULUMI_CONFIG_PASSPHRASE=test", "PULUMI_SKIP_UPDATE_CHECK=true")
	sh := func(line, input string) string {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", line, out)
		return string(out)
	}
	sh("pulumi stack init dev", "")
	said := answer(t, dir, "testdata/files", false)
	lines := regexp.MustCompile(`-file (\S+) -secret (\S+) \|\n +(pulumi .*)`).FindAllStringSubmatch(said, -1)
	require.Len(t, lines, 2)
	for _, line := range lines {
		var value bytes.Buffer
		require.NoError(t, Run(t.Context(), Options{Project: dir, Stack: "dev", Path: filepath.Join(dir, line[1]), Secret: line[2], Out: &value}))
		sh(line[3], value.String())
	}
	assert.Equal(t, "key\n", sh(`pulumi config get --path 'expense:secrets.vault["tls.key"]' --stack dev`, ""))
	data, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	found, err := Options{Project: dir, Stack: "dev"}.loaded("Pulumi.dev.yaml", data)
	require.NoError(t, err)
	assert.NotContains(t, found.Error(), "vault", "the loader takes them")
}

// The types that are read are those of the kinds' names.
func TestKindsHaveTheirTypes(t *testing.T) {
	for name, kind := range kinds {
		assert.Equal(t, strings.Fields(name)[1], kind.Name())
		assert.Equal(t, reflect.Struct, kind.Kind())
	}
}

// No message shows the value of a Secret, whatever is wrong with it.
func TestNoMessageShowsASecret(t *testing.T) {
	const sentinel = "do-not-show-me"
	for _, data := range []string{
		"data: {a: " + sentinel + "}", "data: {a: [" + sentinel + "]}", "data: " + sentinel, "stringData: {a: {b: " + sentinel + "}}",
		"stringData: {a: \"" + sentinel + "\", a: " + sentinel + "}", "stringData: {a: 1234567}", "stringData: [" + sentinel + "]",
		"stringData:\n  a: " + sentinel + "\n b: c", "stringData: {a: '" + sentinel, "stringData: {a: " + sentinel + "}\nspec: " + sentinel,
		"stringData: {\"a/b\": " + sentinel + "}", "type: Wrong\nstringData: {a: " + sentinel + "}",
	} {
		dir := project(t)
		file := filepath.Join(dir, "secret.yaml")
		text := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + data + "\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var out bytes.Buffer
		err := Run(t.Context(), Options{Project: dir, Stack: "dev", Path: file, Out: &out, Go: true})
		said := out.String()
		if err != nil {
			said += err.Error()
		}
		assert.NotEmpty(t, said)
		assert.NotContains(t, said, sentinel, data)
		assert.NotContains(t, said, "1234567")
	}
}

// Whatever the manifest, nothing panics, an error leaves the file as it is, and what is written the loader takes.
func FuzzRun(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*")
	require.NoError(f, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(data), false)
		f.Add(string(data), true)
	}
	f.Fuzz(func(t *testing.T, text string, asGo bool) {
		dir := project(t)
		manifest, stack := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "Pulumi.dev.yaml")
		require.NoError(t, os.WriteFile(manifest, []byte(text), 0o600))
		before, err := os.ReadFile(stack)
		require.NoError(t, err)
		o := Options{Project: dir, Stack: "dev", Path: manifest, Out: io.Discard, Go: asGo, Image: image}
		failed := Run(t.Context(), o)
		after, err := os.ReadFile(stack)
		require.NoError(t, err)
		if failed != nil {
			assert.Equal(t, string(before), string(after))
			return
		}
		former, err := o.loaded("Pulumi.dev.yaml", before)
		require.NoError(t, err)
		found, err := o.loaded("Pulumi.dev.yaml", after)
		require.NoError(t, err)
		for _, p := range found {
			assert.True(t, slices.Contains(former, p) || p.Found == "no value for it", p.String())
		}
	})
}
