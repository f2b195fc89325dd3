package image

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ownRegistry matches an image in ECR: the host, the account, the region and the rest
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
var ownRegistry = regexp.MustCompile(`^(([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com)/(.+)$`)

// fill pulls from here what nodes without a way out cannot be the first to pull: ECR asks the other registry for an image that it does not
// have, and needs a way to the internet from where the pull comes
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html).
func (w *work) fill(ctx context.Context) error {
	cached := map[string]bool{}
	images := slices.Collect(maps.Values(w.settings.ContainerImages()))
	for _, app := range w.settings.Workloads.Apps {
		images = append(images, app.Image)
	}
	for _, image := range images {
		// A repository of the stack's own has two parts, one of a cache three at least.
		match := ownRegistry.FindStringSubmatch(image)
		if match != nil && match[3] == w.settings.Region && strings.HasPrefix(match[4], w.settings.Cluster.Name+"/") &&
			strings.Count(match[4], "/") > 1 {
			cached[image] = true
		}
	}
	if len(cached) == 0 {
		return fmt.Errorf("%s: found no image that comes by a cache; allowed: images in ACCOUNT.dkr.ecr.%s.amazonaws.com/%s/CACHE, as the "+
			"output caches has them: pulumi stack output caches --stack %s", w.name, w.settings.Region, w.settings.Cluster.Name, w.Stack)
	}
	if err := w.findDocker(ctx); err != nil {
		return err
	}
	if w.aws == nil {
		env, err := w.SignIn(ctx)
		if err != nil {
			return err
		}
		w.aws = env
	}
	for _, image := range slices.Sorted(maps.Keys(cached)) {
		match := ownRegistry.FindStringSubmatch(image)
		if err := w.settings.Account.Check(match[2], w.Stack); err != nil {
			return err
		}
		if err := w.signInTo(ctx, repository{URI: match[1] + "/"}); err != nil {
			return err
		}
		if _, err := w.run(ctx, call{show: true}, "docker", "pull", "--platform="+w.platform, image); err != nil {
			return fmt.Errorf("%w; the rule of the cache has to be there first: pulumi up --stack %s", err, w.Stack)
		}
		w.say("The cache has %s.", image)
	}
	return nil
}
