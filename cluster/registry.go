package cluster

import (
	"encoding/json"
	"fmt"

	"expense/internal/config"
	"expense/internal/tags"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegistryArgs describe the stack's part of the account's ECR registry.
type RegistryArgs struct {
	// Region is part of the registry's address.
	Region string
	// Cluster names the repositories and the cache rules.
	Cluster config.Cluster
	// Images are the images that get a repository.
	Images []string
}

// Registry is repositories for images that are built for the stack, and rules that cache images of other registries.
//
// A repository has no setting for scans: that call is deprecated, and the registry's own setting belongs to the whole account
// (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageScanningConfiguration.html). It has no policy of its own: the
// account's roles pull and push by theirs.
type Registry struct {
	pulumi.ResourceState

	// Repositories are the repositories' addresses by image.
	Repositories pulumi.StringMapOutput `pulumi:"repositories"`
	// Caches are the addresses in front of a cached image's own path, by its registry's host.
	Caches pulumi.StringMapOutput `pulumi:"caches"`
}

// NewRegistry makes repositories and cache rules. Pulumi deletes a repository with images only if DeleteImages was set by an `up`
// before. A repository that ECR makes for a cached image is in no state, and stays.
func NewRegistry(ctx *pulumi.Context, name string, args *RegistryArgs, opts ...pulumi.ResourceOption) (*Registry, error) {
	if args == nil {
		return nil, fmt.Errorf("registry %q: no arguments", name)
	}
	r := &Registry{}
	if err := ctx.RegisterComponentResource(typeRegistry, name, r, opts...); err != nil {
		return nil, err
	}
	repositories, caches := pulumi.StringMap{}, pulumi.StringMap{}
	for _, image := range args.Images {
		url, err := r.repository(ctx, name+"-"+image, args.Cluster.Repository(image), args.Cluster.Registry)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", image, err)
		}
		repositories[image] = url
	}
	for _, cache := range args.Cluster.Caches() {
		rule, err := ecr.NewPullThroughCacheRule(ctx, name+"-"+cache.Name, &ecr.PullThroughCacheRuleArgs{
			EcrRepositoryPrefix: pulumi.String(cache.Prefix),
			UpstreamRegistryUrl: pulumi.String(cache.Upstream),
			CredentialArn:       optional(cache.SecretARN),
		}, pulumi.Parent(r))
		if err != nil {
			return nil, fmt.Errorf("cache of %s: %w", cache.Registry, err)
		}
		caches[cache.Registry] = pulumi.Sprintf("%s.dkr.ecr.%s.amazonaws.com/%s", rule.RegistryId, args.Region, cache.Prefix)
	}
	r.Repositories, r.Caches = repositories.ToStringMapOutput(), caches.ToStringMapOutput()
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"repositories": r.Repositories, "caches": r.Caches})
}

func (r *Registry) repository(ctx *pulumi.Context, name, repository string, settings config.Registry) (pulumi.StringOutput, error) {
	repo, err := ecr.NewRepository(ctx, name, &ecr.RepositoryArgs{
		Name:               pulumi.String(repository),
		ImageTagMutability: pulumi.String("IMMUTABLE"),
		// ECR's own key costs nothing and cannot be lost. A change of the key replaces the repository
		// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html).
		EncryptionConfigurations: ecr.RepositoryEncryptionConfigurationArray{ecr.RepositoryEncryptionConfigurationArgs{
			EncryptionType: pulumi.String("AES256"),
		}},
		ForceDelete: pulumi.Bool(settings.DeleteImages),
		Tags:        tags.Name(name),
	}, pulumi.Parent(r))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("repository: %w", err)
	}
	policy, err := json.Marshal(lifecycle(settings.KeepImages))
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	_, err = ecr.NewLifecyclePolicy(ctx, name, &ecr.LifecyclePolicyArgs{
		Repository: repo.Name, Policy: pulumi.String(policy),
	}, pulumi.Parent(r))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("lifecycle policy: %w", err)
	}
	return repo.RepositoryUrl, nil
}

type lifecycleRules struct {
	Rules []lifecycleRule `json:"rules"`
}

// lifecycleRule has ECR's names (https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html).
type lifecycleRule struct {
	RulePriority int               `json:"rulePriority"`
	Description  string            `json:"description"`
	Selection    selection         `json:"selection"`
	Action       map[string]string `json:"action"`
}

type selection struct {
	TagStatus      string   `json:"tagStatus"`
	TagPatternList []string `json:"tagPatternList,omitempty"`
	CountType      string   `json:"countType"`
	CountUnit      string   `json:"countUnit,omitempty"`
	CountNumber    int      `json:"countNumber"`
}

// lifecycle expires untagged images after a day, and all tagged ones but the newest.
func lifecycle(keep int) lifecycleRules {
	expire := map[string]string{"type": "expire"}
	return lifecycleRules{[]lifecycleRule{
		{1, "untagged", selection{TagStatus: "untagged", CountType: "sinceImagePushed", CountUnit: "days", CountNumber: 1}, expire},
		{2, "all but the newest", selection{
			TagStatus: "tagged", TagPatternList: []string{"*"}, CountType: "imageCountMoreThan", CountNumber: keep,
		}, expire},
	}}
}

// optional omits an empty text.
func optional(text string) pulumi.StringPtrInput {
	if text == "" {
		return nil
	}
	return pulumi.String(text)
}
