package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/blang/semver"
)

// tool is a program that must be on PATH.
type tool struct {
	name    string
	args    []string
	version *regexp.Regexp
	oldest  *semver.Version
	remedy  string
}

var tools = []tool{
	{"aws", []string{"--version"}, regexp.MustCompile(`aws-cli/(\d+\.\d+\.\d+)`), &OldestAWS,
		"https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"},
	{"pulumi", []string{"version"}, regexp.MustCompile(`v?(\d+\.\d+\.\d+)`), &OldestPulumi, "https://www.pulumi.com/docs/install/"},
	{"kubectl", []string{"version", "--client"}, regexp.MustCompile(`v(\d+\.\d+\.\d+)`), &OldestKubectl,
		"https://kubernetes.io/docs/tasks/tools/"},
}

var (
	// OldestAWS is the first aws CLI that has every command of the documents and messages: `aws eks describe-cluster-versions`
	// came with it (https://github.com/aws/aws-cli/blob/2.22.23/.changes/2.22.23.json). Version 1 lacks `aws logs tail`.
	OldestAWS = semver.MustParse("2.22.23")
	// OldestPulumi is the first with resource hooks, which the program registers (the release notes of pulumi v3.182.0).
	OldestPulumi = semver.MustParse("3.182.0")
	// OldestKubectl is the first that knows `kubectl logs --all-pods`
	// (https://github.com/kubernetes/kubectl/blob/v0.31.0/pkg/cmd/logs/logs.go).
	OldestKubectl = semver.MustParse("1.31.0")
)

// Exec runs a command on this machine.
func Exec(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func (e *examination) tools(ctx context.Context) {
	for _, t := range tools {
		out, err := e.Run(ctx, t.name, t.args...)
		match := t.version.FindStringSubmatch(out)
		switch {
		case err != nil:
			e.problem(t.name, "not found on PATH or does not run (%v): install it, see %s", err, t.remedy)
		case match == nil:
			e.unchecked(t.name, fmt.Errorf("%s %s does not say its version: %.60q", t.name, strings.Join(t.args, " "), out))
		case semver.MustParse(match[1]).LT(*t.oldest):
			e.problem(t.name, "found %s; allowed from %s: install a newer one, see %s", match[1], t.oldest, t.remedy)
		default:
			e.ok(t.name, "%s", match[1])
		}
	}
}

// images asks registries for the images of all pods, and for the digests of their tags. A private ECR repository wants AWS's
// credentials, and is left to ownImages.
func (e *examination) images(ctx context.Context) {
	images := e.containerImages()
	for _, path := range slices.Sorted(maps.Keys(images)) {
		reference := images[path]
		check := "image " + reference
		i := parseImage(reference)
		if strings.Contains(i.host, ".dkr.ecr") {
			e.private = append(e.private, reference)
			continue
		}
		status, now, err := i.head(ctx, e.HTTP)
		tag, digest, pinned := strings.Cut(reference, "@")
		if pinned && err == nil && status == http.StatusOK {
			// The pinned image exists, so an error of the tag is no problem.
			_, now, _ = parseImage(tag).head(ctx, e.HTTP)
		}
		pin := fmt.Sprintf("pulumi config set --path 'expense:%s' %s@%s --stack %s", path, tag, now, e.Stack)
		switch {
		case err != nil:
			e.unchecked(check, err)
		case status == http.StatusNotFound:
			e.problem(check, "the registry has no such image: correct its reference in Pulumi.%s.yaml", e.Stack)
		case status != http.StatusOK:
			e.unchecked(check, fmt.Errorf("the registry answered %d", status))
		case !pinned && now != "":
			e.ok(check, "there; pin it to what the tag is today with: %s", pin)
		case pinned && now != "" && now != digest && tagged.MatchString(tag):
			e.ok(check, "there; the tag has another image by now, take it with: %s", pin)
		default:
			e.ok(check, "there")
		}
	}
}

var (
	// tagged matches a reference with a tag, not with the port of a registry.
	tagged = regexp.MustCompile(`:[^/:]+$`)
	// imageDigest is how registries name an image by its contents.
	imageDigest = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
)

// image is a reference to a container image.
type image struct{ host, repository, version string }

// parseImage takes a reference apart as Docker does: no registry is Docker Hub's, no folder there is library, and no tag is
// latest (https://docs.docker.com/reference/cli/docker/image/tag/).
func parseImage(reference string) image {
	i := image{host: "docker.io", version: "latest"}
	if first, rest, found := strings.Cut(reference, "/"); found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		i.host, reference = first, rest
	}
	if name, digest, found := strings.Cut(reference, "@"); found {
		reference, i.version = name, digest
	}
	if at := strings.LastIndex(reference, ":"); at >= 0 {
		if i.version == "latest" {
			i.version = reference[at+1:]
		}
		reference = reference[:at]
	}
	if i.repository = reference; i.host == "docker.io" {
		i.host = "registry-1.docker.io"
		if !strings.Contains(reference, "/") {
			i.repository = "library/" + reference
		}
	}
	return i
}

// describe is the command that looks for an image in a private ECR repository. Its registry is that of an account and a region
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
func (i image) describe() string {
	version := "imageTag=" + i.version
	if strings.HasPrefix(i.version, "sha256:") {
		version = "imageDigest=" + i.version
	}
	host := append(strings.Split(i.host, "."), "", "") // ACCOUNT.dkr.ecr.REGION
	return fmt.Sprintf("aws ecr describe-images --registry-id %s --region %s --repository-name %s --image-ids %s", host[0], host[3],
		i.repository, version)
}

// manifests are the forms in which a registry may have an image
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
const manifests = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// challenge is a parameter of a registry's answer to a request without a token.
var challenge = regexp.MustCompile(`(realm|service|scope)="([^"]*)"`)

// head asks for the header of the image's manifest, with an anonymous token if the registry wants one
// (https://distribution.github.io/distribution/spec/auth/token/). digest is "" if the registry gives none
// (https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
func (i image) head(ctx context.Context, client *http.Client) (status int, digest string, err error) {
	address := "https://" + i.host + "/v2/" + i.repository + "/manifests/" + i.version
	answer, err := ask(ctx, client, http.MethodHead, address, "")
	if err != nil {
		return 0, "", err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		return answer.StatusCode, digestOf(answer), nil
	}
	query, realm := url.Values{}, ""
	for _, match := range challenge.FindAllStringSubmatch(answer.Header.Get("WWW-Authenticate"), -1) {
		if match[1] == "realm" {
			realm = match[2]
		} else {
			query.Set(match[1], match[2])
		}
	}
	if realm == "" {
		return answer.StatusCode, digestOf(answer), nil
	}
	grant, err := ask(ctx, client, http.MethodGet, realm+"?"+query.Encode(), "")
	if err != nil {
		return 0, "", err
	}
	defer grant.Body.Close()
	var token struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(grant.Body, 1<<20)).Decode(&token); err != nil {
		return 0, "", fmt.Errorf("token of %s: %w", i.host, err)
	}
	if token.Token == "" {
		token.Token = token.AccessToken
	}
	if answer, err = ask(ctx, client, http.MethodHead, address, token.Token); err != nil {
		return 0, "", err
	}
	answer.Body.Close()
	return answer.StatusCode, digestOf(answer), nil
}

// digestOf is the digest in a registry's answer. It is checked because it becomes a word of a command.
func digestOf(answer *http.Response) string {
	if digest := answer.Header.Get("Docker-Content-Digest"); imageDigest.MatchString(digest) {
		return digest
	}
	return ""
}

func ask(ctx context.Context, client *http.Client, method, address, token string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", manifests)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return client.Do(request)
}
