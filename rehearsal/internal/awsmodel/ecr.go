package awsmodel

// Rules of Amazon ECR. Its errors are those of botocore's data/ecr, their words those of reports
// (https://github.com/brentley/appmeshworkshop/issues/31).

func ecrRows() rows {
	return of("ECR", rows{
		tRepository: {
			ops: "CreateRepository PutImageTagMutability DeleteRepository", required: "name", name: naming{property: "name"},
			arn: "ecr|repository/{name}", tagged: true, takenCode: "RepositoryAlreadyExistsException",
			takenText: "The repository with name '%s' already exists in the registry", times: instant,
			fill: fillRepository, remove: repositoryEmpty, gone: repositoryGone,
		},
		tLifecycle: {
			ops: "PutLifecyclePolicy PutLifecyclePolicy DeleteLifecyclePolicy", required: "policy repository",
			id:   func(_ *Model, o *object) string { return o.in.str("repository") },
			refs: []ref{{"repository", tRepository, "name", "RepositoryNotFoundException", "The repository with name '%s' does not exist"}},
			fill: fillRegistry, times: instant,
		},
		tCacheRule: {
			ops:       "CreatePullThroughCacheRule UpdatePullThroughCacheRule DeletePullThroughCacheRule",
			required:  "ecrRepositoryPrefix upstreamRegistryUrl",
			id:        func(_ *Model, o *object) string { return o.in.str("ecrRepositoryPrefix") },
			takenCode: "PullThroughCacheRuleAlreadyExistsException",
			takenText: "A pull through cache rule with this prefix already exists in the registry: %s", times: instant,
			check: upstreamWithCredentials, fill: fillCacheRule,
		},
	})
}

func fillRegistry(m *Model, o *object) { o.out.set("registryId", m.opts.Account) }

func fillRepository(m *Model, o *object) {
	fillRegistry(m, o)
	o.out.set("repositoryUrl", m.opts.Account+".dkr.ecr."+m.opts.Region+".amazonaws.com/"+o.name())
}

// fillCacheRule has the prefix that ECR takes where none is given: CreatePullThroughCacheRule's upstreamRepositoryPrefix.
func fillCacheRule(m *Model, o *object) {
	fillRegistry(m, o)
	o.out.setDefault("upstreamRepositoryPrefix", "ROOT")
}

// upstreamWithCredentials: Docker Hub's images come with credentials only
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-creating-rule.html).
func upstreamWithCredentials(c *checker) {
	if c.str("upstreamRegistryUrl") == "registry-1.docker.io" && !c.has("credentialArn") {
		c.fail("credentialArn", "registry-1.docker.io requires credentials")
	}
}

// images are the images of a repository. Nothing of the program makes any: a test plants what `docker push` or a pull through a cache
// would have made.
func (m *Model) images(repository string) (out []*object) {
	for _, image := range m.all(tImage) {
		if image.out.str("repository") == repository {
			out = append(out, image)
		}
	}
	return out
}

// repositoryEmpty: the provider's forceDelete is the call's force.
func repositoryEmpty(m *Model, o *object) error {
	if len(m.images(o.name())) > 0 && !o.in.flag("forceDelete", false) {
		return refuse("RepositoryNotEmptyException", "The repository with name '%s' in registry with id '%s' cannot be deleted because it "+
			"still contains images", o.name(), m.opts.Account)
	}
	return nil
}

func repositoryGone(m *Model, o *object) bool {
	for _, image := range m.images(o.name()) {
		m.drop(image)
	}
	return false
}
