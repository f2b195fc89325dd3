package doctor

import (
	"strings"
	"testing"

	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	registry    = "111122223333.dkr.ecr.us-east-1.amazonaws.com/"
	certificate = "arn:aws:acm:us-east-1:111122223333:certificate/0f0e0d0c"
	// single and index are the manifests of an image and of one for two architectures.
	single = `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:cafe"}}`
	index  = `{"schemaVersion":2,"manifests":[{"platform":{"os":"linux","architecture":"amd64"}},` +
		`{"platform":{"os":"linux","architecture":"arm64"}},{"platform":{"os":"unknown","architecture":"unknown"}}]}`
)

// pushed is the digest of backend's image.
var pushed = "sha256:" + strings.Repeat("b", 64)

// apps gives the stack an app that is public, has a role and an image of its own, all as they should be.
func (p *patient) apps() {
	p.app("logs: none, port: 8080, user: 1000, image: '" + registry + "expense/backend@" + pushed + "', build: {dir: images/backend}, " +
		"public: {certificateArn: '" + certificate + "', from: [203.0.113.0/24]}, " +
		"iam: [{actions: [s3:GetObject], resources: ['arn:aws:s3:::b/*']}]")
	p.model.Plant("aws:ecr/repository:Repository", "expense/backend", "", awsmodel.Program, map[string]any{"name": "expense/backend"})
	p.api.Push("expense/backend", pushed, single)
	p.architecture = "amd64"
	p.model.Plant("aws:acm/certificate:Certificate", certificate, "", awsmodel.Program,
		map[string]any{"status": "ISSUED", "domainName": "backend.example.com"})
	p.model.Plant("aws:lb/loadBalancer:LoadBalancer", "a0web", "", awsmodel.InCluster, map[string]any{"loadBalancerType": "network"})
	p.api.Region.Quotas["L-69A177A2"], p.api.Region.Quotas["L-CFEB8E8D"], p.api.Region.Quotas["L-0EA8095F"] = 50, 10000, 60
}

// app is the app's entry in the stack's file.
func (p *patient) app(entry string) {
	before := p.file
	p.file = func(text string) string {
		return strings.Replace(before(text), "  expense:workloads:\n", "  expense:workloads:\n    apps: {backend: {"+entry+"}}\n", 1)
	}
}

func TestAnAppThatIsRightIsNoProblem(t *testing.T) {
	p := healthy(t)
	p.apps()
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Empty(t, of(findings, Unchecked))
	for _, want := range []string{
		"image " + registry + "expense/backend@" + pushed + ": there, for amd64", "certificate of backend: issued for backend.example.com",
		"quota roles: 1000, in use 0, needed by apps 1", "quota network load balancers: 50, in use 1, needed 1",
		"quota image repositories: 10000, in use 0, needed 2", "quota inbound rules of a security group: 60, in use 0, needed 5",
	} {
		assert.Contains(t, says(findings), want)
	}
	p.api.Model.Uproot("aws:ecr/image:Image", pushed)
	p.api.Push("expense/backend", pushed, index)
	assert.Contains(t, says(p.examine(t)), ": there, for amd64, arm64", "one for two architectures, whose attestation is none")
}

func TestEachProblemOfAnAppIsFoundAlone(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(p *patient)
		check, want string
	}{
		"an image that expired": {func(p *patient) { p.model.Uproot("aws:ecr/image:Image", pushed) },
			"image " + registry + "expense/backend@" + pushed,
			"nodes cannot pull it: build it again with make image, or take one that is there: aws ecr describe-images --repository-name " +
				"expense/backend --region us-east-1"},
		"a repository that is gone": {func(p *patient) { p.model.Uproot("aws:ecr/repository:Repository", "expense/backend") },
			"image " + registry + "expense/backend@" + pushed, "the registry has no such image"},
		"an image of another architecture": {func(p *patient) { p.architecture = "arm64" },
			"image " + registry + "expense/backend@" + pushed, "it is for arm64, and nodes are amd64: build it for linux/amd64"},
		"a certificate that is not there": {func(p *patient) { p.model.Uproot("aws:acm/certificate:Certificate", certificate) },
			"certificate of backend", "aws acm list-certificates --region us-east-1"},
		"a certificate that waits": {func(p *patient) {
			p.model.Set("aws:acm/certificate:Certificate", certificate, "status", "PENDING_VALIDATION")
		}, "certificate of backend", "its status is PENDING_VALIDATION; allowed is ISSUED"},
		"no role left": {func(p *patient) {
			p.api.Region.Roles = 1
			p.model.Plant("aws:iam/role:Role", "of-others", "", awsmodel.Program, nil)
		}, "quota roles", "--quota-code L-FE177D64"},
		"no balancer left": {func(p *patient) { p.api.Region.Quotas["L-69A177A2"] = 1 }, "quota network load balancers",
			"--quota-code L-69A177A2"},
		"too many networks": {func(p *patient) { p.api.Region.Quotas["L-0EA8095F"] = 4 }, "quota inbound rules of a security group",
			"the stack needs 5 for load balancers: fewer networks in public.from, or a larger quota: aws service-quotas"},
		"no repository left": {func(p *patient) { p.api.Region.Quotas["L-CFEB8E8D"] = 1 }, "quota image repositories", "--quota-code L-CFEB8E8D"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := healthy(t)
			p.apps()
			c.change(p)
			findings := p.examine(t)
			problems := of(findings, Problem)
			require.Len(t, problems, 1, "%v", problems)
			assert.Equal(t, c.check, problems[0].Check)
			assert.Contains(t, problems[0].Says, c.want)
			assert.Empty(t, of(findings, Unchecked))
		})
	}
}

// A balancer of the stack's own cluster is no other's.
func TestBalancersOfTheClusterAreTheStacksOwn(t *testing.T) {
	p := healthy(t)
	p.apps()
	p.model.Plant("aws:lb/loadBalancer:LoadBalancer", "a0web", "", awsmodel.InCluster, map[string]any{"loadBalancerType": "network",
		"tags": map[string]any{"kubernetes.io/cluster/expense": "owned"}})
	assert.Contains(t, says(p.examine(t)), "quota network load balancers: 50, in use 0, needed 1")
}

// What was never pulled through the cache is there when a node asks, if ECR's first pull has a way out.
func TestACachedImageNeedsAWayOutOnce(t *testing.T) {
	const reference = registry + "expense/ecr-public/docker/library/nginx:1.30.5"
	cache := func(text string) string {
		return strings.NewReplacer("  expense:cluster:\n", "  expense:cluster:\n    registry: {cache: true}\n",
			"  expense:workloads:\n", "  expense:workloads:\n    images: {nginx: '"+reference+"'}\n").Replace(text)
	}
	p := healthy(t)
	p.file = cache
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Contains(t, says(findings), "image "+reference+": not in the cache yet: ECR fetches it when a node first pulls it")

	e := &examination{}
	e.Stack = "prod"
	p.file = func(text string) string { return cache(text) }
	settings, problems := p.settings(t)
	require.Empty(t, problems)
	settings.Network.NAT = "none"
	e.Settings = settings
	e.notCached("image")
	require.Len(t, of(e.findings, Problem), 1)
	assert.Contains(t, e.findings[0].Says, "make image-cache STACK=prod")
}
