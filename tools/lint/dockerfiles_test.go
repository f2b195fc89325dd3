// Package lint has BuildKit, which builds images for docker, look at every Dockerfile of the repository. No image is built or fetched.
package lint

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// registry stands in for every image's: a base image has nothing that a Dockerfile here builds on.
type registry struct{}

func (registry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/usr/local/go/bin:/bin"]}}`), nil
}

var (
	// pinned is a base image that stays what it is; stages and scratch are no images of others.
	pinned = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	from   = regexp.MustCompile(`(?im)^FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?\s*$`)
	user   = regexp.MustCompile(`(?im)^USER\s+(\S+)\s*$`)
	number = regexp.MustCompile(`^[1-9][0-9]*(:[1-9][0-9]*)?$`)
)

// problems are what BuildKit's linter says of a Dockerfile, and what a pod of this repository needs of an image.
func problems(ctx context.Context, text string) ([]string, error) {
	platform := platforms.MustParse("linux/amd64")
	results, err := dockerfile2llb.DockerfileLint(ctx, []byte(text), dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{BuildPlatforms: []ocispecs.Platform{platform}, TargetPlatforms: []ocispecs.Platform{platform}},
		SourceMap:    &llb.SourceMap{Definition: &llb.Definition{}, Filename: "Dockerfile", Language: "Dockerfile", Data: []byte(text)},
		MetaResolver: registry{}, TargetPlatform: &platform,
	})
	if err != nil {
		return nil, err
	}
	var out []string
	if results.Error != nil {
		out = append(out, results.Error.Message)
	}
	for _, w := range results.Warnings {
		out = append(out, fmt.Sprintf("%s: %s", w.RuleName, w.Detail))
	}
	stages, last := []string{"scratch"}, ""
	for _, m := range from.FindAllStringSubmatch(text, -1) {
		if last = m[1]; !slices.Contains(stages, last) && !pinned.MatchString(last) {
			out = append(out, fmt.Sprintf("FROM %s: expected an image with a digest", last))
		}
		stages = append(stages, m[2])
	}
	// The last stage's, after the last FROM.
	final := text[strings.LastIndex(text, "FROM "):]
	if m := user.FindStringSubmatch(final); m == nil || !number.MatchString(m[1]) {
		out = append(out, "USER: expected a number other than 0 in the last stage: a pod does not run as root, and Kubernetes knows no names")
	}
	if last != "scratch" {
		out = append(out, "FROM "+last+": expected scratch as the last stage, with the program alone")
	}
	return out, nil
}

func TestTheDockerfiles(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "../.." {
			return fs.SkipDir
		}
		if d.IsDir() || d.Name() != "Dockerfile" {
			return nil
		}
		seen++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := problems(t.Context(), string(text))
		for _, problem := range found {
			t.Errorf("%s: %s", path, problem)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("found no Dockerfile")
	}
}

// Each mistake has its line, and nothing else has one.
func TestAMistakeIsSeen(t *testing.T) {
	const digest = "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	right := "FROM golang:1" + digest + " AS build\nRUN go build -o /app\nFROM scratch\nCOPY --from=build /app /app\nUSER 1000\n" +
		`ENTRYPOINT ["/app"]` + "\n"
	for _, c := range []struct{ old, with, expected string }{
		{"", "", ""},
		{"RUN go", "RAN go", "unknown instruction: RAN"},
		{" AS build", " as build", "FromAsCasing"},
		{`["/app"]`, "/app", "JSONArgsRecommended"},
		{"go build", "go build $FLAGS\nWORKDIR src\nRUN echo $(pwd) $VERSION", "WorkdirRelativePath"},
		{"COPY --from=build /app", "COPY --from=build /app$MISSING", "UndefinedVar"},
		{"USER 1000", "ENV API_TOKEN=x\nUSER 1000", "SecretsUsedInArgOrEnv"},
		{digest, "", "expected an image with a digest"},
		{"USER 1000", "USER root", "USER: expected a number"},
		{"USER 1000", "USER 0", "USER: expected a number"},
		{"USER 1000\n", "", "USER: expected a number"},
		{"FROM scratch", "FROM alpine:3" + digest, "expected scratch"},
	} {
		text := right
		if c.old != "" {
			text = strings.Replace(right, c.old, c.with, 1)
		}
		found, err := problems(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if c.expected == "" && len(found) > 0 || c.expected != "" && (len(found) != 1 || !strings.Contains(found[0], c.expected)) {
			t.Errorf("%s: found %q, expected %q", c.with, found, c.expected)
		}
	}
}
