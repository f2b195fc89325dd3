package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	lbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// By default an account has 1,000 roles, and in a region 50 network load balancers and 10,000 repositories or more
// (https://github.com/aws/aws-eks-best-practices/blob/master/latest/bpg/scalability/quotas.adoc, with the codes).
var (
	balancerQuota   = quota{"network load balancers", "elasticloadbalancing", "L-69A177A2"}
	repositoryQuota = quota{"image repositories", "ecr", "L-CFEB8E8D"}
	// By default 60 (https://docs.aws.amazon.com/general/latest/gr/vpc-service.html).
	ruleQuota = quota{"inbound rules of a security group", "vpc", "L-0EA8095F"}
)

// containerImages are the images of all pods by the paths of their settings, those of apps too.
func (e *examination) containerImages() map[string]string {
	out := e.Settings.ContainerImages()
	out["logging.captureImage"] = e.Settings.Logging.CaptureImage
	for name, app := range e.Settings.Workloads.Apps {
		out["workloads.apps."+name+".image"] = app.Image
	}
	maps.DeleteFunc(out, func(_, reference string) bool { return reference == "" })
	return out
}

// ownImages looks for the images that are in the account's own registry. Their digests stay in the settings when ECR expires them.
func (e *examination) ownImages(ctx context.Context) {
	for _, reference := range e.private {
		i := parseImage(reference)
		check := "image " + reference
		host := strings.Split(i.host, ".")
		if account := strings.Split(e.caller, ":")[4]; host[0] != account || host[3] != e.Settings.Region {
			e.unchecked(check, fmt.Errorf("in a registry of another account or region; look with: %s", i.describe()))
			continue
		}
		has, err := e.platforms(ctx, i)
		switch {
		case login.Missing(err) && e.cached(i.repository):
			e.notCached(check)
		case login.Missing(err):
			e.problem(check, "the registry has no such image, and nodes cannot pull it: build it again with make image, or take one that is "+
				"there: aws ecr describe-images --repository-name %s%s", i.repository, e.where())
		case err != nil:
			e.unchecked(check, err)
		default:
			e.compareArchitectures(check, has)
		}
	}
}

// cached tells whether a repository is one that ECR makes for the stack's cache rules.
func (e *examination) cached(repository string) bool {
	return slices.ContainsFunc(e.Settings.Cluster.Caches(), func(c config.Cache) bool { return strings.HasPrefix(repository, c.Prefix+"/") })
}

// notCached judges an image that ECR fetches when it is first pulled, over the internet
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html).
func (e *examination) notCached(check string) {
	if e.Settings.Network.NAT == config.NATNone {
		e.problem(check, "not in the cache yet, and the first pull needs a way to the internet, which nodes do not have: pull it once "+
			"from this machine: make image-cache STACK=%s", e.Stack)
		return
	}
	e.ok(check, "not in the cache yet: ECR fetches it when a node first pulls it")
}

// architectures are those of the node groups.
func (e *examination) architectures() []string {
	var out []string
	for _, g := range e.Settings.Cluster.NodeGroups {
		out = append(out, map[bool]string{true: "arm64", false: "amd64"}[strings.Contains(g.AMIType, "_ARM_64")])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// compareArchitectures wants an image for each of the nodes' architectures: any node may get the pod.
func (e *examination) compareArchitectures(check string, has []string) {
	want := e.architectures()
	if missing := slices.DeleteFunc(slices.Clone(want), func(a string) bool { return slices.Contains(has, a) }); len(missing) > 0 {
		e.problem(check, "it is for %s, and nodes are %s: build it for linux/%s, as make image does", strings.Join(has, ", "),
			strings.Join(want, ", "), strings.Join(missing, " and linux/"))
		return
	}
	e.ok(check, "there, for %s", strings.Join(has, ", "))
}

// manifest is that of an image, or an index of several
// (https://github.com/opencontainers/image-spec/blob/main/manifest.md, image-index.md).
type manifest struct {
	Config    struct{ Digest string }
	Manifests []struct{ Platform struct{ Architecture string } }
}

// platforms are the architectures of an image. Its manifest names its configuration, which names the one.
func (e *examination) platforms(ctx context.Context, i image) ([]string, error) {
	id := ecrtypes.ImageIdentifier{ImageTag: &i.version}
	if imageDigest.MatchString(i.version) {
		id = ecrtypes.ImageIdentifier{ImageDigest: &i.version}
	}
	answer, err := e.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &i.repository, ImageIds: []ecrtypes.ImageIdentifier{id}, AcceptedMediaTypes: strings.Split(manifests, ", "),
	})
	if err != nil {
		return nil, err
	}
	if len(answer.Images) == 0 {
		return nil, &ecrtypes.ImageNotFoundException{}
	}
	var m manifest
	if err := json.Unmarshal([]byte(aws.ToString(answer.Images[0].ImageManifest)), &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var out []string
	for _, one := range m.Manifests {
		// An attestation's is unknown (https://docs.docker.com/build/metadata/attestations/attestation-storage/).
		if one.Platform.Architecture != "unknown" {
			out = append(out, one.Platform.Architecture)
		}
	}
	if len(m.Manifests) > 0 {
		return out, nil
	}
	layer, err := e.ecr.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{
		RepositoryName: &i.repository, LayerDigest: &m.Config.Digest,
	})
	if err != nil {
		return nil, err
	}
	got, err := ask(ctx, e.HTTP, http.MethodGet, aws.ToString(layer.DownloadUrl), "")
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	var configuration struct{ Architecture string }
	if err := json.NewDecoder(io.LimitReader(got.Body, 1<<20)).Decode(&configuration); err != nil {
		return nil, fmt.Errorf("configuration of the image: %w", err)
	}
	return []string{configuration.Architecture}, nil
}

// certificates looks for those of public apps: a balancer takes only one that was issued, in its region
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html).
func (e *examination) certificates(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(e.Settings.Workloads.Apps)) {
		arn := e.Settings.Workloads.Apps[name].Public.CertificateARN
		if arn == "" {
			continue
		}
		check := "certificate of " + name
		answer, err := e.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &arn})
		switch {
		case login.Missing(err):
			e.problem(check, "%s has no %s: pulumi config set --path expense:workloads.apps.%s.public.certificateArn ARN --stack %s; see which "+
				"there are with: aws acm list-certificates%s", e.Settings.Region, arn, name, e.Stack, e.where())
		case err != nil:
			e.unchecked(check, err)
		case answer.Certificate.Status != acmtypes.CertificateStatusIssued:
			e.problem(check, "its status is %s; allowed is %s; see what is missing with: aws acm describe-certificate --certificate-arn %s%s",
				answer.Certificate.Status, acmtypes.CertificateStatusIssued, arn, e.where())
		default:
			e.ok(check, "issued for %s", aws.ToString(answer.Certificate.DomainName))
		}
	}
}

// appLimits compares what apps need of the account with its quotas. Only who has apps is near them.
func (e *examination) appLimits(ctx context.Context) {
	roles, balancers := 0, 0
	// EKS's controller opens the nodes' group for each balancer to each network and, for its checks, to each zone's subnet; and once to each
	// network for the size of packets
	// (https://github.com/kubernetes/cloud-provider-aws/blob/v1.35.2/pkg/providers/v1/aws_loadbalancer.go,
	// updateInstanceSecurityGroupsForNLB). The group has one rule of EKS's own.
	rules, networks := 1, map[string]bool{}
	public := func(from []string) {
		balancers++
		rules += len(from) + len(e.Settings.Network.Zones)
		for _, network := range from {
			networks[network] = true
		}
	}
	for _, app := range e.Settings.Workloads.Apps {
		if len(app.IAM) > 0 {
			roles++
		}
		if app.Public.Wanted() {
			public(app.Public.From)
		}
	}
	if e.Settings.Workloads.Web.Public {
		public([]string{"0.0.0.0/0"})
	}
	if roles > 0 {
		e.roles(ctx, roles)
	}
	if balancers > 0 {
		e.limited(ctx, balancerQuota, e.usedBalancers, balancers)
		e.compare(ctx, ruleQuota, 0, float64(rules+len(networks)), " for load balancers: fewer networks in public.from, or a larger quota")
	}
	if n := len(e.Settings.Repositories()); n > 0 {
		e.limited(ctx, repositoryQuota, e.usedRepositories, n)
	}
}

func (e *examination) limited(ctx context.Context, q quota, used func(context.Context) (float64, error), need int) {
	n, err := used(ctx)
	if err != nil {
		e.unchecked("quota "+q.name, err)
		return
	}
	e.compare(ctx, q, n, float64(need), "")
}

// roles compares with IAM's own count: its quota is not the region's. Those of apps that are up already are counted twice.
func (e *examination) roles(ctx context.Context, need int) {
	const check = "quota roles"
	answer, err := e.iam.GetAccountSummary(ctx, &iam.GetAccountSummaryInput{})
	if err != nil {
		e.unchecked(check, err)
		return
	}
	used, limit := int(answer.SummaryMap["Roles"]), int(answer.SummaryMap["RolesQuota"])
	if used+need > limit {
		e.problem(check, "the quota is %d, in use are %d, the stack's apps need %d: aws service-quotas request-service-quota-increase "+
			"--service-code iam --quota-code L-FE177D64 --desired-value %d --region us-east-1", limit, used, need, used+2*need)
		return
	}
	e.ok(check, "%d, in use %d, needed by apps %d", limit, used, need)
}

func (e *examination) usedBalancers(ctx context.Context) (n float64, err error) {
	all, err := login.All(ctx, elasticloadbalancingv2.NewDescribeLoadBalancersPaginator(e.balancers, nil),
		func(p *elasticloadbalancingv2.DescribeLoadBalancersOutput) []lbtypes.LoadBalancer {
			return p.LoadBalancers
		})
	if err != nil {
		return 0, err
	}
	var arns []string
	for _, b := range all {
		if b.Type == lbtypes.LoadBalancerTypeEnumNetwork {
			arns = append(arns, aws.ToString(b.LoadBalancerArn))
		}
	}
	own := "kubernetes.io/cluster/" + e.Settings.Cluster.Name
	for some := range slices.Chunk(arns, 20) { // as many as one question takes
		answer, err := e.balancers.DescribeTags(ctx, &elasticloadbalancingv2.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return 0, err
		}
		for _, d := range answer.TagDescriptions {
			if login.Tags(d.Tags)[own] != "owned" {
				n++
			}
		}
	}
	return n, nil
}

func (e *examination) usedRepositories(ctx context.Context) (n float64, err error) {
	all, err := login.All(ctx, ecr.NewDescribeRepositoriesPaginator(e.ecr, nil),
		func(p *ecr.DescribeRepositoriesOutput) []ecrtypes.Repository { return p.Repositories })
	own := e.Settings.Repositories()
	for _, r := range all {
		image, below := strings.CutPrefix(aws.ToString(r.RepositoryName), e.Settings.Cluster.Name+"/")
		if !below || !slices.Contains(own, image) {
			n++
		}
	}
	return n, err
}
