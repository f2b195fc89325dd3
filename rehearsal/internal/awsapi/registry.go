package awsapi

import (
	"cmp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

var registryRows = []row{
	on((*ecr.Client).DescribeRepositories, func(c *call) (obj, error) {
		names := c.texts("RepositoryNames")
		for _, name := range names {
			if _, err := c.find(repositories, name, "RepositoryNotFoundException"); err != nil {
				return nil, err
			}
		}
		return c.show(repositories, "RepositoryName", func(o awsmodel.Object) obj {
			if len(names) > 0 && !slices.Contains(names, o.ID) {
				return nil
			}
			return showRepository(c, o)
		}), nil
	}),
	on((*ecr.Client).ListTagsForResource, tags(repositories, "ResourceArn", "RepositoryNotFoundException")),
	on((*ecr.Client).DeleteRepository, func(c *call) (obj, error) {
		name := c.text("RepositoryName")
		if c.text("Force") == "true" {
			for _, image := range c.imagesOf(name) {
				c.Model.Uproot(images, image.ID)
			}
		}
		return obj{}, c.delete(repositories, name, "RepositoryNotFoundException")
	}),
	on((*ecr.Client).DescribePullThroughCacheRules, describe(cacheRules, "EcrRepositoryPrefix", nil)),
	on((*ecr.Client).DeletePullThroughCacheRule, deletion(cacheRules, "EcrRepositoryPrefix", "PullThroughCacheRuleNotFoundException")),
	on((*ecr.Client).BatchGetImage, batchGetImage),
	// The address is signed, and S3's: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html.
	on((*ecr.Client).GetDownloadUrlForLayer, func(c *call) (obj, error) {
		name, digest := c.text("RepositoryName"), c.text("LayerDigest")
		c.text("RegistryId")
		for _, image := range c.imagesOf(name) {
			if strings.Contains(text(image, "manifest"), digest) {
				return obj{"DownloadUrl": "https://layers.example/" + digest, "LayerDigest": digest}, nil
			}
		}
		return nil, refuse("LayersNotFoundException", "The layers with digests '%s' do not exist", digest)
	}),
	on((*iam.Client).GetAccountSummary, func(c *call) (obj, error) {
		return obj{"SummaryMap": map[string]any{"Roles": len(c.Model.Objects(roles)), "RolesQuota": cmp.Or(c.Region.Roles, 1000)}}, nil
	}),
	on((*acm.Client).DescribeCertificate, func(c *call) (obj, error) {
		o, err := c.find(certificates, c.text("CertificateArn"), noResource)
		return obj{"Certificate": obj{"CertificateArn": o.ID, "Status": text(o, "status"), "DomainName": text(o, "domainName")}}, err
	}),
}

// imagesOf are the images of a repository.
func (c *call) imagesOf(repository string) []awsmodel.Object {
	return slices.DeleteFunc(c.Model.Objects(images), func(o awsmodel.Object) bool { return text(o, "repository") != repository })
}

// batchGetImage answers for an image that is not there with a failure in place of an error
// (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html).
func batchGetImage(c *call) (obj, error) {
	name := c.text("RepositoryName")
	c.text("RegistryId")
	c.texts("AcceptedMediaTypes")
	c.read["ImageIds"] = true
	if _, err := c.findBy(repositories, "name", name, "RepositoryNotFoundException"); err != nil {
		return nil, err
	}
	found, failures := list{}, list{}
	ids, _ := c.input["ImageIds"].([]types.ImageIdentifier)
	for _, id := range ids {
		at := slices.IndexFunc(c.imagesOf(name), func(o awsmodel.Object) bool {
			return id.ImageDigest != nil && o.ID == *id.ImageDigest || id.ImageTag != nil && text(o, "tag") == *id.ImageTag
		})
		if at < 0 {
			failures = append(failures, obj{"FailureCode": "ImageNotFound", "FailureReason": "Requested image not found"})
			continue
		}
		o := c.imagesOf(name)[at]
		found = append(found, obj{"RepositoryName": name, "ImageManifest": text(o, "manifest"), "ImageId": obj{"ImageDigest": o.ID}})
	}
	return obj{"Images": found, "Failures": failures}, nil
}

// Push puts an image into a repository as `docker push` does: with a manifest whose configuration has a digest of its own.
func (a *API) Push(repository, digest, manifest string) {
	a.Model.Plant(images, digest, "", awsmodel.InCluster, map[string]any{"repository": repository, "manifest": manifest})
}
