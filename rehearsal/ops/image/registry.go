package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// repository is one in ECR (https://docs.aws.amazon.com/cli/latest/reference/ecr/describe-repositories.html).
type repository struct {
	Name     string `json:"repositoryName"`
	Registry string `json:"registryId"`
	URI      string `json:"repositoryUri"`
}

func (r repository) host() string {
	host, _, _ := strings.Cut(r.URI, "/")
	return host
}

// pushed is an image in it (https://docs.aws.amazon.com/cli/latest/reference/ecr/describe-images.html).
type pushed struct {
	Digest    string   `json:"imageDigest"`
	Tags      []string `json:"imageTags"`
	MediaType string   `json:"imageManifestMediaType"`
}

// ecr calls the aws CLI with the credentials of the stack's file.
func (w *work) ecr(ctx context.Context, answer any, args ...string) error {
	if w.aws == nil {
		env, err := w.SignIn(ctx)
		if err != nil {
			return err
		}
		w.aws = env
	}
	args = append([]string{"ecr"}, append(args, "--region", w.settings.Region, "--output", "json")...)
	out, err := w.run(ctx, call{env: w.aws}, "aws", args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		return fmt.Errorf("aws %s %s: its answer: %w", args[0], args[1], err)
	}
	return nil
}

// errNoRepository is for a repository that is not there.
var errNoRepository = errors.New("found no repository")

// repository finds the stack's repository of an image, which the program makes.
func (w *work) repository(ctx context.Context, image string) (r repository, err error) {
	var answer struct{ Repositories []repository }
	name := w.settings.Cluster.Repository(image)
	err = w.ecr(ctx, &answer, "describe-repositories", "--repository-names", name)
	switch {
	case said(err, "RepositoryNotFoundException") || err == nil && len(answer.Repositories) != 1:
		return r, fmt.Errorf("%w %s in ECR of %s, which the stack makes: pulumi up --stack %s", errNoRepository, name, w.settings.Region, w.Stack)
	case err != nil:
		return r, err
	}
	r = answer.Repositories[0]
	return r, w.settings.Account.Check(r.Registry, w.Stack)
}

var imageDigest = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)

// indices are media types of lists of manifests (https://github.com/opencontainers/image-spec/blob/main/image-index.md;
// https://distribution.github.io/distribution/spec/manifest-v2-2/).
var indices = []string{"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}

// digest is that of a tag, "" if the repository has no such tag.
func (w *work) digest(ctx context.Context, r repository, tag string) (string, error) {
	images, err := w.images(ctx, r, "--image-ids", "imageTag="+tag)
	if said(err, "ImageNotFoundException") {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if len(images) != 1 || !imageDigest.MatchString(images[0].Digest) {
		return "", fmt.Errorf("%s:%s: found %d images, or a digest that is none", r.Name, tag, len(images))
	}
	if slices.Contains(indices, images[0].MediaType) {
		return "", fmt.Errorf("%s:%s: found an index of several manifests; allowed: one manifest, as docker buildx build --provenance=false "+
			"makes it; delete that image in ECR, and push it anew", r.Name, tag)
	}
	return images[0].Digest, nil
}

// newest is the image that was pushed last, of those with a tag.
func (w *work) newest(ctx context.Context, r repository) (tag, digest string, err error) {
	// The CLI sorts: it prints times as text or as numbers, as its version and its configuration want.
	images, err := w.images(ctx, r, "--filter", "tagStatus=TAGGED", "--query", "{imageDetails: sort_by(imageDetails, &imagePushedAt)}")
	if err != nil || len(images) == 0 {
		return "", "", err
	}
	last := images[len(images)-1]
	if len(last.Tags) == 0 || !imageDigest.MatchString(last.Digest) {
		return "", "", fmt.Errorf("%s: found an image without a tag, or a digest that is none", r.Name)
	}
	return last.Tags[0], last.Digest, nil
}

func (w *work) images(ctx context.Context, r repository, which ...string) ([]pushed, error) {
	var answer struct{ ImageDetails []pushed }
	args := append([]string{"describe-images", "--registry-id", r.Registry, "--repository-name", r.Name}, which...)
	err := w.ecr(ctx, &answer, args...)
	return answer.ImageDetails, err
}

// signInTo signs docker in to the repository's registry. The password is no word of a command, which others on the machine can read
// (https://docs.docker.com/reference/cli/docker/login/).
func (w *work) signInTo(ctx context.Context, r repository) error {
	if w.hosts[r.host()] {
		return nil
	}
	password, err := w.run(ctx, call{env: w.aws}, "aws", "ecr", "get-login-password", "--region", w.settings.Region)
	if err == nil {
		_, err = w.run(ctx, call{input: password}, "docker", "login", "--username", "AWS", "--password-stdin", r.host())
	}
	w.hosts[r.host()] = err == nil
	return err
}

// signOut takes the passwords out of docker's configuration.
func (w *work) signOut(ctx context.Context) (err error) {
	for host, signedIn := range w.hosts {
		if !signedIn {
			continue
		}
		if _, failed := w.run(context.WithoutCancel(ctx), call{}, "docker", "logout", host); failed != nil {
			err = errors.Join(err, fmt.Errorf("docker is still signed in to %s: %w; type: docker logout %[1]s", host, failed))
		}
	}
	return err
}

// push pushes what was built, and gives the digest that the registry has for it.
func (w *work) push(ctx context.Context, r repository, local, tag string) (string, error) {
	if err := w.signInTo(ctx, r); err != nil {
		return "", err
	}
	remote := r.URI + ":" + tag
	if _, err := w.run(ctx, call{}, "docker", "tag", local, remote); err != nil {
		return "", err
	}
	if _, err := w.run(ctx, call{show: true}, "docker", "push", remote); err != nil {
		return "", err
	}
	digest, err := w.digest(ctx, r, tag)
	if err == nil && digest == "" {
		err = fmt.Errorf("%s has no tag %s after the push", r.Name, tag)
	}
	if err == nil {
		w.say("Pushed %s@%s.", remote, digest)
	}
	return digest, err
}
