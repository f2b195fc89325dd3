package verify

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var storeChecks = []Check{
	{
		Name:    "keys",
		Promise: "The stack's KMS keys are enabled, and renew their material.",
		Actions: []string{"kms:DescribeKey", "kms:GetKeyRotationStatus"}, Takes: 2 * time.Second, Run: checkKeys,
	},
	{
		Name:    "log-groups",
		Promise: "The stack's log groups keep lines for as long as the settings say.",
		Actions: []string{"logs:DescribeLogGroups"}, Takes: 2 * time.Second, Run: checkLogGroups,
	},
	{
		Name:    "repositories",
		Promise: "The image repositories of the settings are there, and nobody can move a tag in them.",
		Actions: []string{"ecr:DescribeRepositories"}, Takes: 2 * time.Second, Run: checkRepositories,
	},
	{
		Name:    "images",
		Promise: "Each image of the settings that is in the account's own registry is still there.",
		Actions: []string{"ecr:BatchGetImage"}, Needs: []Ability{Images}, Takes: 3 * time.Second, Run: checkImages,
	},
}

func checkKeys(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client, made := findings{}, kms.NewFromConfig(s.AWS), s.resources("aws:kms/key:Key")
	for _, r := range made {
		id := output(r, "arn")
		thing := "key " + id
		answer, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		if f.asked(thing, err) {
			f.want(thing, "state", answer.KeyMetadata.KeyState, kmstypes.KeyStateEnabled)
		}
		rotation, err := client.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &id})
		if f.asked(thing+": rotation", err) {
			wanted, _ := state.At(r.Inputs, "enableKeyRotation").(bool)
			f.want(thing, "rotation", rotation.KeyRotationEnabled, wanted)
		}
	}
	if len(made) == 0 {
		f.problem("the state has no key: is the stack up whole?")
	}
	f.visit(len(made), "key")
	return f.result()
}

func checkLogGroups(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client := findings{}, cloudwatchlogs.NewFromConfig(s.AWS)
	wanted := map[string]int{config.ClusterLogGroup(s.Settings.Cluster.Name): s.Settings.Cluster.LogRetentionDays}
	for log := range config.DomainLogs {
		wanted[config.DomainLogGroup(s.Settings.Logging.Domain.Name, log)] = s.Settings.Logging.LogRetentionDays
	}
	keys := map[string]string{}
	for _, r := range s.resources("aws:cloudwatch/logGroup:LogGroup") {
		keys[output(r, "name")] = output(r, "kmsKeyId")
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		thing := "log group " + name
		list := cloudwatchlogs.NewDescribeLogGroupsPaginator(client, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
		all, err := login.All(ctx, list, func(p *cloudwatchlogs.DescribeLogGroupsOutput) []logtypes.LogGroup { return p.LogGroups })
		if !f.asked(thing, err) {
			continue
		}
		i := slices.IndexFunc(all, func(g logtypes.LogGroup) bool { return aws.ToString(g.LogGroupName) == name })
		if i < 0 {
			f.problem("%s: AWS has none", thing)
			continue
		}
		f.want(thing, "days of retention", all[i].RetentionInDays, wanted[name])
		f.want(thing, "key", all[i].KmsKeyId, keys[name])
	}
	f.visit(len(wanted), "log group")
	return f.result()
}

func checkRepositories(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, images, made := findings{}, s.Settings.Repositories(), map[string]string{}
	for _, r := range s.resources("aws:ecr/repository:Repository") {
		made[output(r, "name")] = output(r, "imageTagMutability")
	}
	var names []string
	for _, image := range images {
		name := s.Settings.Cluster.Repository(image)
		names = append(names, name)
		thing := "repository " + name
		answer, err := ecr.NewFromConfig(s.AWS).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
		if !f.asked(thing, err) {
			continue
		}
		for _, r := range answer.Repositories {
			f.want(thing, "mutability of tags", r.ImageTagMutability, made[name])
		}
	}
	f.want("settings", "repositories", slices.Collect(maps.Keys(made)), names)
	f.visit(len(images), "repository")
	return f.result()
}

// privateImage is an image in a private registry: account, region, repository, and a digest or a tag
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
var privateImage = regexp.MustCompile(
	`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([a-z0-9._/-]+)(?:@(sha256:[0-9a-f]{64})|:([\w.-]+))$`)

// checkImages leaves out the images of a cache: ECR fetches them again when a node pulls them
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html).
func checkImages(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, n := findings{}, 0
	all := s.Settings.ContainerImages()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		m := privateImage.FindStringSubmatch(all[path])
		cached := func(c config.Cache) bool { return strings.HasPrefix(m[3], c.Prefix+"/") }
		if m == nil || slices.ContainsFunc(s.Settings.Cluster.Caches(), cached) {
			continue
		}
		thing, id := path+": image "+all[path], ecrtypes.ImageIdentifier{ImageDigest: &m[4]}
		if m[4] == "" {
			id = ecrtypes.ImageIdentifier{ImageTag: &m[5]}
		}
		answer, err := ecr.NewFromConfig(s.AWS, func(o *ecr.Options) { o.Region = m[2] }).BatchGetImage(ctx, &ecr.BatchGetImageInput{
			RegistryId: &m[1], RepositoryName: &m[3], ImageIds: []ecrtypes.ImageIdentifier{id},
		})
		switch {
		case !f.asked(thing, err) || len(answer.Images) > 0:
		case len(answer.Failures) > 0 && answer.Failures[0].FailureCode != ecrtypes.ImageFailureCodeImageNotFound:
			why := answer.Failures[0]
			f.unseen = append(f.unseen, notSeen("%s: could not look: %s %s", thing, why.FailureCode, aws.ToString(why.FailureReason)))
		default:
			f.problem("%s: the registry has it no more, and a new node cannot pull it: build it again with make image, or name one that is there",
				thing)
		}
		n++
	}
	f.visit(len(all), "image")
	f.note("%d in a private registry", n)
	return f.result()
}
