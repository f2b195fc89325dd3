package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Docker pulls an image and says what it has
// (https://docs.docker.com/reference/cli/docker/image/inspect/, https://github.com/opencontainers/image-spec/blob/main/config.md).
func Docker(ctx context.Context, ref string) (Image, error) {
	if _, err := docker(ctx, "pull", "--quiet", "--", ref); err != nil {
		return Image{}, err
	}
	out, err := docker(ctx, "image", "inspect", "--format", "{{json .Config}}", "--", ref)
	if err != nil {
		return Image{}, err
	}
	var image Image
	if err := json.Unmarshal(out, &image); err != nil {
		return Image{}, fmt.Errorf("docker image inspect %s: %w", ref, err)
	}
	return image, nil
}

func docker(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		last, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		if last == "" {
			last = err.Error()
		}
		return nil, fmt.Errorf("docker %s: %s", args[0], last)
	}
	return out.Bytes(), nil
}
