package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"expense/internal/config"
)

// findDocker looks for what every build needs, before anything is begun.
func (w *work) findDocker(ctx context.Context) error {
	if _, err := w.run(ctx, call{}, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		// The texts are of the docker CLI 28.2.
		if said(err, "Cannot connect to the Docker daemon", "permission denied while trying to connect") {
			return fmt.Errorf("docker: its daemon does not answer: %w; start it, as with: sudo systemctl start docker, or Docker Desktop; you have "+
				"to be in the group docker", err)
		}
		return err
	}
	// Without it docker knows no --provenance (docker CLI 28.2: "unknown command: docker buildx").
	if _, err := w.run(ctx, call{}, "docker", "buildx", "version"); err != nil {
		return fmt.Errorf("docker: found no buildx, which builds: %w; install it, see https://docs.docker.com/go/buildx/", err)
	}
	return nil
}

// tag names what an image is built of: git's hash of the folder, and a hash of all else that the build is told. The same gets the same
// tag, also in a shallow clone of another commit.
func (w *work) tag(ctx context.Context, b config.Build) (string, error) {
	if within, err := filepath.Rel(filepath.Join(w.Project, b.Dir), filepath.Join(w.Project, w.name)); err == nil && filepath.IsLocal(within) {
		return "", fmt.Errorf("build.dir is %s, which has %s in it, so that each image would change what it is named by; allowed: a folder "+
			"without it", b.Dir, w.name)
	}
	// In the folder: it may be of another repository.
	tree, err := w.run(ctx, call{}, "git", "-C", b.Dir, "rev-parse", "--verify", "HEAD:./")
	if err != nil {
		return "", fmt.Errorf("%s is not in git's last commit, whose content names the image: commit it first: %w", b.Dir, err)
	}
	// With the options that a user's configuration may have otherwise.
	changed, err := w.run(ctx, call{}, "git", "-C", b.Dir, "status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none",
		"--", ".")
	if err != nil {
		return "", err
	}
	if changed = strings.TrimRight(changed, "\n"); changed != "" {
		return "", fmt.Errorf("%s has changes that are not committed, and the image is named by the commit's content: commit or stash them:\n%s",
			b.Dir, tail(changed))
	}
	told, err := json.Marshal([]any{w.platform, b.Dockerfile, b.Target, b.Args})
	sum := sha256.Sum256(told)
	return strings.TrimSpace(tree)[:12] + "-" + hex.EncodeToString(sum[:4]), err
}

// build builds for the nodes. Provenance would make an index of two manifests, and a lifecycle policy counts each
// (https://docs.docker.com/build/metadata/attestations/; https://github.com/aws/containers-roadmap/issues/1596).
func (w *work) build(ctx context.Context, b config.Build, local string) error {
	commit, err := w.run(ctx, call{}, "git", "-C", b.Dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	// With ./ a folder is none of docker's words: not a flag, not "-" for its input, and not the address of a repository.
	dir := "./" + filepath.ToSlash(filepath.Clean(b.Dir))
	args := []string{"buildx", "build", "--load", "--provenance=false", "--platform=" + w.platform, "--file=" + dir + "/" + b.Dockerfile,
		"--label=org.opencontainers.image.revision=" + strings.TrimSpace(commit), "--tag=" + local}
	if b.Target != "" {
		args = append(args, "--target="+b.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		args = append(args, "--build-arg="+name+"="+b.Args[name])
	}
	w.say("Builds %s for %s as %s.", b.Dir, w.platform, local)
	_, err = w.run(ctx, call{show: true}, "docker", append(args, dir)...)
	if said(err, "exec format error") {
		// https://docs.docker.com/build/building/multi-platform/#install-qemu-manually
		return fmt.Errorf("%w\nThis machine runs no programs of %s: docker run --privileged --rm tonistiigi/binfmt --install all", err,
			w.platform)
	}
	return err
}

// inspected is an image as docker shows it (https://docs.docker.com/reference/api/engine/version/v1.57/schemas/ImageConfig/).
type inspected struct {
	reference    string
	Architecture string
	Os           string
	Config       struct {
		User            string
		ExposedPorts    map[string]struct{}
		Env             []string
		Entrypoint, Cmd []string
		StopSignal      string
	}
}

func (w *work) inspect(ctx context.Context, reference string) (i inspected, err error) {
	out, err := w.run(ctx, call{}, "docker", "image", "inspect", reference)
	if err != nil {
		return i, err
	}
	var all []inspected
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		return i, fmt.Errorf("docker image inspect %s: found %d images: %w", reference, len(all), err)
	}
	i = all[0]
	i.reference = reference
	if found := i.Os + "/" + i.Architecture; found != w.platform {
		return i, fmt.Errorf("the image is for %s; allowed: %s, the nodes' platform; take --platform out of the last FROM", found, w.platform)
	}
	return i, nil
}

// look gives the files of an image that there are, by their paths. A container that never starts shows them
// (https://docs.docker.com/reference/cli/docker/container/cp/).
func (w *work) look(ctx context.Context, reference string, paths ...string) (found map[string]string, err error) {
	// An image without a command needs some to make a container.
	id, err := w.run(ctx, call{}, "docker", "create", "--platform="+w.platform, reference, "none")
	if err != nil {
		return nil, err
	}
	id = strings.TrimSpace(id)
	defer func() { err = errors.Join(err, w.remove(ctx, id)) }()
	found = map[string]string{}
	for _, path := range paths {
		archive, err := w.run(ctx, call{}, "docker", "cp", id+":"+path, "-")
		// https://github.com/moby/moby/blob/07bb45e23a364f0d27a82d9ac13ab79846bd7add/daemon/errors.go (containerFileNotFound)
		if said(err, "Could not find the file") {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Of a link nothing but its name.
		files := tar.NewReader(strings.NewReader(archive))
		if _, err := files.Next(); err != nil {
			return nil, fmt.Errorf("docker cp %s: %w", path, err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return nil, fmt.Errorf("docker cp %s: %w", path, err)
		}
		found[path] = string(content)
	}
	return found, nil
}

// remove takes away a container with the volumes that its image asks for.
func (w *work) remove(ctx context.Context, id string) error {
	_, err := w.run(context.WithoutCancel(ctx), call{}, "docker", "rm", "--force", "--volumes", id)
	return err
}
