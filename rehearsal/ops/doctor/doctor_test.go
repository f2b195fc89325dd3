package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"expense/internal/config"
	"expense/internal/published"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const bounding = "arn:aws:iam::111122223333:policy/github-expense-boundary-dev"

// patient is a machine, an account and a stack's file, all well until something is changed.
type patient struct {
	model  *awsmodel.Model
	api    *awsapi.API
	config aws.Config
	// signedOut is why there are no credentials.
	signedOut error
	// file edits the stack's file.
	file func(text string) string
	// said are the programs' answers to being asked for their versions.
	said map[string]string
	// absent are images that no registry has, offline tells that none answers.
	absent  string
	offline bool
	// digest is what registries say that they have under each tag.
	digest string
	// architecture is that of the images in the account's registry.
	architecture string
}

func healthy(t *testing.T) *patient {
	p := &patient{
		model: awsmodel.New(awsmodel.Options{}),
		file:  func(text string) string { return text },
		said: map[string]string{
			"aws": "aws-cli/2.31.4 Python/3.13.7 Linux/6.1 exe/x86_64", "pulumi": "v3.259.0", "kubectl": "Client Version: v1.35.4\nKustomize " +
				"Version: v5.7.1",
		},
	}
	zones := []string{"use1-az1", "use1-az2"}
	p.api = &awsapi.API{Model: p.model, PageSize: 2, Region: awsapi.Region{
		Quotas:     map[string]float64{"L-34B43A08": 64, "L-1216C47A": 64, "L-0263D0A3": 5, "L-F678F1CE": 5, "L-FE5A380F": 5, "L-1194D53C": 100},
		Offered:    map[string][]string{"m5.large": zones},
		Kubernetes: published.KubernetesVersions(),
		VolumeKey:  "alias/aws/ebs",
		Engines:    []string{"OpenSearch_2.17", "OpenSearch_2.19", "OpenSearch_3.1"}, DomainTypes: []string{"t3.small.search"},
		VolumeLimits: map[string]string{
			"MinimumVolumeSize": "10", "MaximumVolumeSize": "100", "MinimumIops": "3000", "MaximumIops": "11800",
			"MinimumThroughput": "125", "MaximumThroughput": "260",
		},
	}}
	p.config = p.api.Config()
	return p
}

// Who pins an image wants what its tag is now, and who has pinned it wants to know when there is another.
func TestAnImageIsPinnedToWhatItsTagIs(t *testing.T) {
	now, before := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	const alma = "public.ecr.aws/docker/library/almalinux:9.7"
	for _, c := range []struct{ digest, reference, want string }{
		{now, alma, "there; pin it to what the tag is today with: pulumi config set --path 'expense:workloads.images.alma' " +
			"" + alma + "@" + now + " --stack dev"},
		{now, alma + "@" + now, "there"},
		{now, alma + "@" + before, "there; the tag has another image by now, take it with: pulumi config set --path " +
			"'expense:workloads.images.alma' " + alma + "@" + now + " --stack dev"},
		{now, "public.ecr.aws:443/docker/library/almalinux@" + before, "there"},
		{"", alma, "there"},
		{"sha256:$(reboot)", alma, "there"},
	} {
		p := healthy(t)
		p.digest = c.digest
		p.file = func(text string) string {
			return strings.Replace(text, "  expense:workloads:\n", "  expense:workloads:\n    images: {alma: '"+c.reference+"'}\n", 1)
		}
		var got []string
		for _, f := range p.examine(t) {
			if f.Check == "image "+c.reference {
				got = append(got, string(f.Status)+" "+f.Says)
			}
		}
		assert.Equal(t, []string{"ok " + c.want}, got, c.reference)
	}
}

// RoundTrip is every registry there is: it wants a token, and has all images but the absent one.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.offline {
		return nil, errors.New("no route to host")
	}
	w := httptest.NewRecorder()
	switch {
	case r.URL.Host == "layers.example":
		fmt.Fprintf(w, `{"architecture": %q, "os": "linux"}`, p.architecture)
	case r.URL.Host == "auth.example":
		fmt.Fprintf(w, `{"token": %q}`, r.URL.Query().Get("service")+" "+r.URL.Query().Get("scope"))
	case r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://auth.example/token",service=%q,scope=%q`, r.URL.Host,
			strings.Split(r.URL.Path, "/manifests/")[0]))
		w.WriteHeader(http.StatusUnauthorized)
	case r.Header.Get("Authorization") != "Bearer "+r.URL.Host+" "+strings.Split(r.URL.Path, "/manifests/")[0]:
		w.WriteHeader(http.StatusForbidden)
	case p.absent != "" && strings.HasSuffix(r.URL.Host+r.URL.Path, p.absent):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Docker-Content-Digest", p.digest)
	}
	return w.Result(), nil
}

func (p *patient) run(_ context.Context, name string, _ ...string) (string, error) {
	if p.said[name] == "" {
		return "", errors.New("executable file not found in $PATH")
	}
	return p.said[name], nil
}

// files writes the project, with a stack dev whose file lets somebody in.
func (p *patient) files(t *testing.T) (dir string) {
	dir = t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.dev.yaml"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		require.NoError(t, err)
		text := string(data)
		if name == "Pulumi.dev.yaml" {
			text = p.file(strings.Replace(text, "    publicAccess: true\n", "    publicAccess: true\n    publicAccessCidrs: [203.0.113.7/32]\n", 1))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// settings are those of stack dev.
func (p *patient) settings(t *testing.T) (*config.Config, config.Problems) {
	settings, problems, err := Settings(p.files(t), "dev")
	require.NoError(t, err)
	return settings, problems
}

// examine makes all checks of stack dev.
func (p *patient) examine(t *testing.T) []Finding {
	dir := p.files(t)
	settings, problems, err := Settings(dir, "dev")
	require.NoError(t, err)
	account, region, _ := config.FileAccount(dir, "dev")
	return Examine(context.Background(), Options{Config: p.config, SignedOut: p.signedOut, Account: account, Stack: "dev", Region: region,
		Settings: settings, Problems: problems, Run: p.run, HTTP: &http.Client{Transport: p}})
}

// signedIn is who looks, autoScaling the role that starts nodes.
const signedIn = "arn:aws:iam::111122223333:user/rehearsal"
const autoScaling = "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"

// plant puts a thing of a stack of this project into the account.
func (p *patient) plant(typ, id, stack string, properties map[string]any) {
	all := map[string]any{"tags": map[string]any{"pulumi:project": "expense", "pulumi:stack": stack}}
	maps.Copy(all, properties)
	p.model.Plant(typ, id, "", awsmodel.Program, all)
}

// volumeKey makes a customer's key the account's default for volumes, which names who may use it.
func (p *patient) volumeKey(inPolicy, byGrant string) {
	p.model.Plant("aws:kms/key:Key", "0000-1111", "", awsmodel.Program, map[string]any{
		"policy": `{"Statement":[{"Principal":{"AWS":"` + inPolicy + `"}}]}`, "grantees": []any{byGrant},
	})
	p.api.Region.VolumeKey = "arn:aws:kms:us-east-1:111122223333:key/0000-1111"
}

// endpoints puts an endpoint service into zones only.
func (p *patient) endpoints(service string, zones ...string) {
	p.api.Model = awsmodel.New(awsmodel.Options{EndpointZones: map[string][]string{service: zones}})
}

func of(findings []Finding, status Status) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Status != status })
}

func TestWhereNothingIsWrongEverythingIsOK(t *testing.T) {
	findings := healthy(t).examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Empty(t, of(findings, Unchecked))
	assert.Equal(t, 0, Code(findings))
	assert.GreaterOrEqual(t, len(findings), 25)
	var text bytes.Buffer
	require.NoError(t, Text(&text, findings))
	assert.Equal(t, len(findings)+2, strings.Count(text.String(), "\n"), "one line for each check")
}

// In a wrong account the quotas and names are another stack's: that is said before all else, and nothing more is asked.
func TestAWrongAccountIsSaidFirst(t *testing.T) {
	region := "aws:region: us-east-1\n"
	for keys, want := range map[string]string{
		"  aws:allowedAccountIds: ['999999999999']\n": "allows: 999999999999; use another account's, " +
			"for example with: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; export AWS_PROFILE=NAME",
		"  aws:allowedAccountIds: ['999999999999']\n  aws:profile: work\n": "for example with: pulumi config set " +
			"aws:profile NAME --stack dev",
		"  aws:forbiddenAccountIds: ['111122223333']\n  expense:wrong: whatever it may be\n": "which is in aws:forbiddenAccountIds",
	} {
		p := healthy(t)
		edit(region, region+keys)(p)
		findings := p.examine(t)
		assert.Equal(t, "account", findings[0].Check)
		assert.Equal(t, Problem, findings[0].Status)
		assert.Contains(t, findings[0].Says, "the credentials are of account 111122223333")
		assert.Contains(t, findings[0].Says, want)
		var checks []string
		for _, f := range findings {
			checks = append(checks, f.Check)
		}
		assert.Contains(t, checks, "settings", "what needs no account is looked at")
		assert.NotContains(t, strings.Join(checks, ","), "log group", "what needs one is not")
	}
	p := healthy(t)
	edit(region, region+"  aws:allowedAccountIds: ['111122223333']\n")(p)
	findings := p.examine(t)
	assert.Equal(t, OK, findings[0].Status)
	assert.Empty(t, of(findings, Problem))

	p.signedOut = errors.New("this machine has no such profile")
	findings = p.examine(t)
	assert.Equal(t, Finding{Status: Unchecked, Check: "credentials", Says: "this machine has no such profile", Essential: true}, findings[0])
	assert.Equal(t, 1, Code(findings))
}

// STS of one partition does not know the credentials of another, whatever else is wrong with the settings.
func TestWhoseTheCredentialsAreIsAskedInTheFilesRegion(t *testing.T) {
	for keys, want := range map[string]string{
		"aws:region: eu-west-1\n": "eu-west-1", "aws:region: us-gov-west-1\n  expense:wrong: x\n": "us-gov-west-1", "pulumi:x: 1\n": "eu-north-1",
	} {
		p := healthy(t)
		p.config.Region = "eu-north-1"
		var asked []string
		p.config.APIOptions = append(p.config.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Record", func(
				ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
			) (middleware.DeserializeOutput, middleware.Metadata, error) {
				asked = append(asked, in.Request.(*smithyhttp.Request).Header.Get("Authorization"))
				return next.HandleDeserialize(ctx, in)
			}), middleware.Before)
		})
		edit("aws:region: us-east-1\n", keys)(p)
		p.examine(t)
		require.NotEmpty(t, asked, keys)
		assert.Contains(t, asked[0], "/"+want+"/sts/", keys)
	}
}

// The keys that the program refuses in a run, doctor finds before it.
func TestAKeyThatNothingReadsIsFound(t *testing.T) {
	p := healthy(t)
	edit("aws:region: us-east-1\n", "aws:region: us-east-1\n  aws:profil: work\n  expense:cluter: {}\n")(p)
	var says []string
	for _, f := range of(p.examine(t), Problem) {
		says = append(says, f.Says)
	}
	require.Len(t, says, 2)
	assert.Contains(t, says[0], "did you mean profile?")
	assert.Contains(t, says[1], "did you mean cluster?")
}

// edit replaces text of the stack's file.
func edit(old, new string) func(*patient) {
	return func(p *patient) {
		p.file = func(text string) string {
			if !strings.Contains(text, old) {
				panic("no such text: " + old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
}

// Each thing that may be wrong is one problem, alone, with a command that mends it.
func TestEachProblemIsFoundAlone(t *testing.T) {
	many := func(typ, prefix string, n int, properties map[string]any) func(*patient) {
		return func(p *patient) {
			for range n {
				p.model.Plant(typ, "", prefix, awsmodel.Program, properties)
			}
		}
	}
	// kubernetes changes one of EKS's versions, or takes it away.
	kubernetes := func(version string, change func(*published.KubernetesVersion)) func(*patient) {
		return func(p *patient) {
			all := p.api.Region.Kubernetes
			i := slices.IndexFunc(all, func(v published.KubernetesVersion) bool { return v.Version == version })
			if change == nil {
				p.api.Region.Kubernetes = slices.Delete(all, i, i+1)
			} else {
				change(&all[i])
			}
		}
	}
	quota := func(code string, value float64) func(*patient) {
		return func(p *patient) { p.api.Region.Quotas[code] = value }
	}
	machines := func(name string, pods int) func(*patient) {
		return func(p *patient) {
			edit("instanceTypes: [m5.large]", "instanceTypes: ["+name+"]")(p)
			p.api.Region.Types = map[string]published.InstanceType{name: {VCPU: 2, Interfaces: 1, Addresses: pods - 1}}
			p.api.Region.Offered[name] = p.api.Region.Offered["m5.large"]
		}
	}
	limit := func(name, value string) func(*patient) {
		return func(p *patient) { p.api.Region.VolumeLimits[name] = value }
	}
	for name, c := range map[string]struct {
		change      func(*patient)
		check, want string
	}{
		"no aws": {func(p *patient) { delete(p.said, "aws") }, "aws", "getting-started-install.html"},
		"an old aws": {func(p *patient) { p.said["aws"] = "aws-cli/2.9.19 Python/3.9" }, "aws",
			"found 2.9.19; allowed from 2.22.23"},
		"an aws of version 1": {func(p *patient) { p.said["aws"] = "aws-cli/1.46.3 Python/3.13" }, "aws", "found 1.46.3"},
		"an old kubectl": {func(p *patient) { p.said["kubectl"] = "Client Version: v1.30.9" }, "kubectl",
			"found 1.30.9; allowed from 1.31.0"},
		"no pulumi":  {func(p *patient) { delete(p.said, "pulumi") }, "pulumi", "pulumi.com/docs/install"},
		"no kubectl": {func(p *patient) { delete(p.said, "kubectl") }, "kubectl", "kubernetes.io/docs/tasks/tools"},
		"nobody may reach the API": {edit("    publicAccessCidrs: [203.0.113.7/32]\n", ""), "settings",
			"pulumi config set --path 'expense:cluster.publicAccessCidrs[0]'"},
		"another region": {func(p *patient) { p.config.Region = "eu-west-1" }, "region", "export AWS_REGION=us-east-1"},
		"a new account's spot quota": {quota("L-34B43A08", 5), "quota vCPUs of standard spot instances",
			"--quota-code L-34B43A08 --desired-value 20"},
		"nodes that hold too few pods": {machines("m99i.small", 4), "pods on nodes",
			`cluster.nodeGroups.expense.instanceTypes[0]: found "m99i.small", whose nodes hold 4 pods; allowed: ` +
				`types whose nodes hold more than the 5 pods`},
		"nodes without room for coredns": {machines("m99i.medium", 7), "pods on nodes",
			"cluster.nodeGroups: found nodes without taints with room for 6 pods beside the add-ons' 5 on each; allowed: room for the 7 pods"},
		"no VPC left":     {many("aws:ec2/vpc:Vpc", "vpc-", 5, nil), "quota VPCs", "--quota-code L-F678F1CE"},
		"no address left": {many("aws:ec2/eip:Eip", "eipalloc-", 5, nil), "quota Elastic IP addresses", "--quota-code L-0263D0A3"},
		"no cluster left": {quota("L-1194D53C", 0), "quota EKS clusters", "--quota-code L-1194D53C"},
		"no NAT gateway left": {func(p *patient) {
			p.model.Plant("aws:ec2/subnet:Subnet", "subnet-1", "", awsmodel.Program, map[string]any{"availabilityZoneId": "use1-az1"})
			many("aws:ec2/natGateway:NatGateway", "nat-", 5, map[string]any{"subnetId": "subnet-1"})(p)
		}, "quota NAT gateways in a zone", "--quota-code L-FE5A380F"},
		"a role that is there": {func(p *patient) {
			p.model.Plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "slr", "", awsmodel.AWS,
				map[string]any{"name": "AWSServiceRoleForAmazonOpenSearchService"})
		}, "role AWSServiceRoleForAmazonOpenSearchService", "createServiceLinkedRole false"},
		"a role that is missing": {edit("createServiceLinkedRole: true", "createServiceLinkedRole: false"),
			"role AWSServiceRoleForAmazonOpenSearchService", "createServiceLinkedRole true"},
		"a zone without the type": {func(p *patient) { p.api.Region.Offered["m5.large"] = []string{"use1-az1"} },
			"instance types of expense", "use1-az2 has none of m5.large"},
		"a version in extended support": {edit(`version: "1.35"`, `version: "1.33"`), "Kubernetes 1.33", "EXTENDED_SUPPORT"},
		"a version that EKS lacks":      {kubernetes("1.35", nil), "Kubernetes 1.35", "describe-cluster-versions"},
		"a version whose support ends on another day": {kubernetes("1.35",
			func(v *published.KubernetesVersion) { v.StandardEnds = v.StandardEnds.AddDate(0, 1, 0) }),
			"Kubernetes 1.35", "EKS says that standard and extended support end on 2027-04-27 and 2028-03-27, " +
				"internal/published/kubernetes-versions.csv says 2027-03-27 and 2028-03-27"},
		"a version whose days are not known": {func(p *patient) {
			edit(`version: "1.35"`, `version: "1.99"`)(p)
			kubernetes("1.35", func(v *published.KubernetesVersion) { v.Version = "1.99" })(p)
		}, "Kubernetes 1.99", "internal/published/kubernetes-versions.csv says nothing"},
		"an engine that AWS lacks": {func(p *patient) { p.api.Region.Engines = []string{"OpenSearch_2.17"} }, "engine OpenSearch_2.19",
			"OpenSearch_2.17"},
		"a zone that the account lacks": {func(p *patient) {
			edit("use1-az2", "use1-az7")(p)
			p.api.Region.Offered["m5.large"] = []string{"use1-az1", "use1-az7"}
		}, "availability zones", "'expense:network.zones[1]' ZONE"},
		"a zone without the endpoint service": {func(p *patient) { p.endpoints("sts", "use1-az2", "use1-az4") },
			"VPC endpoint service com.amazonaws.us-east-1.sts", "not in use1-az1, but in use1-az2, use1-az4: pulumi config set --path " +
				"'expense:network.zones[0]' ZONE"},
		"an endpoint service without policies": {func(p *patient) { p.api.Region.NoEndpointPolicy = []string{"com.amazonaws.us-east-1.sts"} },
			"VPC endpoint service com.amazonaws.us-east-1.sts", "AWS takes no policy for it"},
		"a region without an endpoint service": {func(p *patient) { p.endpoints("sts") },
			"VPC endpoint service com.amazonaws.us-east-1.sts", "pulumi config set aws:region REGION"},
		"a zone without the domain's type": {func(p *patient) { p.api.Region.DomainZones = map[string][]string{"t3.small.search": {"use1-az2"}} },
			"zones of t3.small.search", "not in use1-az1, but in use1-az2"},
		"a domain type that AWS lacks": {func(p *patient) { p.api.Region.DomainTypes = nil }, "domain's instanceType t3.small.search",
			"expense:logging.domain.instanceType"},
		"volumes too large for their type": {limit("MaximumVolumeSize", "9"), "domain's volumes in GiB",
			"10; t3.small.search takes 10 to 9: pulumi config set --path expense:logging.retentionDays"},
		"volumes with too few IOPS": {limit("MinimumIops", "4000"), "domain's volumes in IOPS",
			"3000; t3.small.search takes 4000 to 11800: pulumi config set --path expense:logging.domain.iops"},
		"volumes that are too slow": {limit("MinimumThroughput", "250"), "domain's volumes in MiB/s",
			"expense:logging.domain.throughputMiB NUMBER --stack dev"},
		"a free plan": {func(p *patient) { p.api.Region.Plan = "FREE" }, "account's plan",
			"m5.large is not; m7i-flex.large, which has the shape of m5.large, is: pulumi config set --path " +
				"'expense:cluster.nodeGroups.expense.instanceTypes[0]' TYPE --stack dev"},
		"a customer's key for all volumes": {func(p *patient) { p.volumeKey("", "") }, "default key of volumes",
			"no node would start: aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com --region us-east-1; aws kms " +
				"create-grant --key-id arn:aws:kms:us-east-1:111122223333:key/0000-1111 --grantee-principal " + autoScaling + " --operations Encrypt"},
		"the creator among the admins": {edit("    publicAccess: true\n", "    publicAccess: true\n    admins: "+
			"['arn:aws:iam::111122223333:role/other', '"+signedIn+"']\n"),
			"cluster.admins", "pulumi config rm --path 'expense:cluster.admins[1]' --stack dev"},
		"the creator among the readers": {edit("    publicAccess: true\n", "    publicAccess: true\n    readers: ['"+signedIn+"']\n"),
			"cluster.readers", "pulumi config rm --path 'expense:cluster.readers[0]' --stack dev"},
		"a log group of the name with tags": {func(p *patient) {
			p.plant("aws:cloudwatch/logGroup:LogGroup", "/aws/eks/expense/cluster", "prod",
				nil)
		},
			"log group /aws/eks/expense/cluster", "expense:cluster.name ANOTHER"},
		"a log group of the domain's name": {func(p *patient) {
			p.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/OpenSearchService/domains/expense/index-slow", "", awsmodel.AWS, nil)
		}, "log group /aws/OpenSearchService/domains/expense/index-slow", "aws logs delete-log-group"},
		"a boundary that the account lacks": {edit("  expense:workloads:\n", "  expense:iam: {permissionsBoundary: '"+bounding+"'}\n  "+
			"expense:workloads:\n"),
			"boundary " + bounding, "pulumi config rm --path expense:iam.permissionsBoundary --stack dev"},
		"another stack's role": {func(p *patient) {
			p.plant("aws:opensearch/domain:Domain", "domain", "dev", map[string]any{"domainName": "expense"})
			p.plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "slr", "prod", map[string]any{"name": "AWSServiceRoleForAmazonOpenSearchService"})
		}, "role AWSServiceRoleForAmazonOpenSearchService", "createServiceLinkedRole false"},
		"a role that this stack left behind": {func(p *patient) {
			p.plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "slr", "dev", map[string]any{"name": "AWSServiceRoleForAmazonOpenSearchService"})
		}, "role AWSServiceRoleForAmazonOpenSearchService", "createServiceLinkedRole false"},
		"a cluster of the name": {func(p *patient) {
			p.model.Plant("aws:eks/cluster:Cluster", "expense", "", awsmodel.Program, map[string]any{"name": "expense"})
		}, "cluster name expense", "expense:cluster.name"},
		"a domain of the name": {func(p *patient) {
			p.model.Plant("aws:opensearch/domain:Domain", "domain", "", awsmodel.Program, map[string]any{"domainName": "expense"})
		}, "domain name expense", "expense:logging.domain.name"},
		"a log group of the name": {func(p *patient) {
			p.model.Plant("aws:cloudwatch/logGroup:LogGroup", "/aws/eks/expense/cluster", "", awsmodel.AWS, nil)
		}, "log group /aws/eks/expense/cluster", "aws logs delete-log-group"},
		"an image that is not there": {func(p *patient) { p.absent = "public.ecr.aws/v2/docker/library/almalinux/manifests/9.7" },
			"image public.ecr.aws/docker/library/almalinux:9.7", "correct its reference"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := healthy(t)
			c.change(p)
			findings := p.examine(t)
			problems := of(findings, Problem)
			require.Len(t, problems, 1, "%v", problems)
			assert.Equal(t, c.check, problems[0].Check)
			assert.Contains(t, problems[0].Says, c.want)
			assert.Empty(t, of(findings, Unchecked))
			assert.Equal(t, 3, Code(findings))
		})
	}
}

func TestABoundaryThatIsThereIsNoProblem(t *testing.T) {
	p := healthy(t)
	p.api.Region.Policies = []string{bounding}
	p.file = func(text string) string {
		return strings.Replace(text, "  expense:workloads:\n", "  expense:iam: {permissionsBoundary: '"+bounding+"'}\n  expense:workloads:\n", 1)
	}
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Empty(t, of(findings, Unchecked))
	assert.Contains(t, findings, Finding{Status: OK, Check: "boundary " + bounding, Says: "there"})
}

// Without NAT there are more endpoints, in all zones, and what one lacks is mended by a gateway.
func TestWithoutNATEachEndpointServiceIsLookedFor(t *testing.T) {
	p := healthy(t)
	p.endpoints("ecr.api")
	const registry = "444455556666.dkr.ecr.us-east-1.amazonaws.com/"
	p.file = func(text string) string {
		return strings.NewReplacer(
			"nat: single", "nat: none",
			"  expense:cluster:\n", "  expense:cluster:\n    autoscaler: {image: "+registry+"a:1}\n",
			"  expense:workloads:\n", "  expense:workloads:\n    images: {nginx: "+registry+"n:1, alma: "+registry+"l:1}\n",
			"  expense:logging:\n", "  expense:logging:\n    image: "+registry+"f:1\n",
		).Replace(text)
	}
	findings := p.examine(t)
	problems := of(findings, Problem)
	require.Len(t, problems, 1, "%v", problems)
	assert.Equal(t, "VPC endpoint service com.amazonaws.us-east-1.ecr.api", problems[0].Check)
	assert.Contains(t, problems[0].Says, "pulumi config set --path expense:network.nat single --stack dev")
	services := 0
	for _, f := range findings {
		if strings.HasPrefix(f.Check, "VPC endpoint service ") {
			services++
		}
	}
	assert.Equal(t, 8, services)
}

// A stack that is up has its names, its role and its share of the quotas already.
func TestAStackThatIsUpIsNoProblemToItself(t *testing.T) {
	p := healthy(t)
	p.begun()
	p.plant("aws:eks/cluster:Cluster", "expense", "dev", map[string]any{"name": "expense"})
	edit("    publicAccess: true\n", "    publicAccess: true\n    admins: ['"+signedIn+"']\n")(p) // another made the cluster
	p.api.Region.Quotas["L-1194D53C"] = 1
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.NotContains(t, says(findings), "pulumi up")
}

// begun leaves what an up leaves whose cluster failed, at the quotas' limits.
func (p *patient) begun() {
	p.plant("aws:opensearch/domain:Domain", "domain", "dev", map[string]any{"domainName": "expense"})
	p.plant("aws:iam/serviceLinkedRole:ServiceLinkedRole", "slr", "dev", map[string]any{"name": "AWSServiceRoleForAmazonOpenSearchService"})
	for _, group := range []string{"/aws/eks/expense/cluster", "/aws/OpenSearchService/domains/expense/application"} {
		p.plant("aws:cloudwatch/logGroup:LogGroup", group, "dev", nil)
	}
	p.plant("aws:ec2/subnet:Subnet", "subnet-1", "dev", map[string]any{"availabilityZoneId": "use1-az1"})
	for n, stack := range []string{"dev", "a", "b", "c", "d"} {
		p.plant("aws:ec2/vpc:Vpc", fmt.Sprint("vpc-", n), stack, nil)
		p.plant("aws:ec2/eip:Eip", fmt.Sprint("eipalloc-", n), stack, nil)
		p.plant("aws:ec2/natGateway:NatGateway", fmt.Sprint("nat-", n), stack, map[string]any{"subnetId": "subnet-1"})
	}
}

func says(findings []Finding) string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Check+": "+f.Says)
	}
	return strings.Join(out, "\n")
}

// Whoever takes another name after a first up that failed, loses the domain that it made.
func TestWhatAFailedUpLeftIsTheStacksOwn(t *testing.T) {
	p := healthy(t)
	p.begun()
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	for _, check := range []string{"domain name expense", "log group /aws/eks/expense/cluster",
		"log group /aws/OpenSearchService/domains/expense/application"} {
		assert.Contains(t, says(findings), check+": this stack's, of an up that did not end: pulumi up --refresh --stack dev")
	}
	assert.Contains(t, says(findings), "role AWSServiceRoleForAmazonOpenSearchService: this stack's")
	assert.Contains(t, says(findings), "cluster name expense: free")
}

// A customer's key is none that stops anybody, if it names who starts the nodes.
func TestADefaultKeyThatAutoScalingMayUseIsNoProblem(t *testing.T) {
	for _, names := range [][2]string{{autoScaling, ""}, {"", autoScaling}} {
		p := healthy(t)
		p.volumeKey(names[0], names[1])
		p.api.Inject("kms:"+map[bool]string{true: "ListGrants", false: "GetKeyPolicy"}[names[1] == ""], awsapi.Denied)
		findings := p.examine(t)
		assert.Empty(t, of(findings, Problem))
		assert.Contains(t, says(findings), "default key of volumes: arn:aws:kms:us-east-1:111122223333:key/0000-1111, which Auto Scaling may use")
	}
	p := healthy(t)
	p.volumeKey("", "")
	p.api.Inject("kms:GetKeyPolicy", awsapi.Denied)
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	require.Len(t, of(findings, Unchecked), 1)
	assert.Equal(t, "default key of volumes", of(findings, Unchecked)[0].Check)
}

// On the free plan the types that it may start are right; who has none, or pays, may start all.
func TestATypeOfTheFreePlanIsNoProblem(t *testing.T) {
	for plan, want := range map[string]string{"FREE": "account's plan: FREE; whether it allows spot instances",
		"PAID": "account's plan: PAID", "": "account's plan: none"} {
		p := healthy(t)
		if p.api.Region.Plan = plan; plan == "FREE" {
			p.api.Region.FreeTypes = []string{"m5.large"}
		}
		findings := p.examine(t)
		assert.Empty(t, of(findings, Problem))
		assert.Contains(t, says(findings), want)
	}
}

// A role's session names the role without its path.
func TestASessionIsItsRole(t *testing.T) {
	for arn, want := range map[string]bool{
		"arn:aws:iam::111122223333:role/Deploy": true, "arn:aws:iam::111122223333:role/ci/Deploy": true,
		"arn:aws:iam::111122223333:role/ReDeploy": false, "arn:aws:iam::999999999999:role/Deploy": false,
		"arn:aws:iam::111122223333:user/Deploy": false,
	} {
		e := &examination{caller: "arn:aws:sts::111122223333:assumed-role/Deploy/session",
			Options: Options{Settings: &config.Config{Cluster: config.Cluster{Admins: []string{arn}}}}}
		e.creator(t.Context())
		assert.Equal(t, want, e.findings[0].Status == Problem, arn)
	}
}

// What cannot be looked at is neither right nor wrong.
func TestNoCallMayFailUnnoticed(t *testing.T) {
	p := healthy(t)
	p.apps()
	p.examine(t)
	calls := p.api.Calls()
	require.GreaterOrEqual(t, len(calls), 23)
	for action := range calls {
		q := healthy(t)
		q.apps()
		q.api.Inject(action, awsapi.Denied)
		findings := q.examine(t)
		assert.NotEmpty(t, of(findings, Unchecked), action)
		assert.Empty(t, of(findings, Problem), action)
		want := 0
		if action == "sts:GetCallerIdentity" {
			want = 1
		}
		assert.Equal(t, want, Code(findings), action)
	}
}

// Service Quotas has a value only where somebody asked for another than AWS's default.
func TestAQuotaThatNobodyChangedHasItsDefault(t *testing.T) {
	p := healthy(t)
	p.api.Inject("servicequotas:GetServiceQuota", awsapi.Fault{Code: "NoSuchResourceException",
		Message: "The request failed because the specified service quota does not exist."})
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Empty(t, of(findings, Unchecked))
	assert.NotZero(t, p.api.Calls()["servicequotas:GetAWSDefaultServiceQuota"])
}

// A permission that the page forgets fails on AWS only.
func TestThePagesPolicyAllowsTheCallsThatAreMade(t *testing.T) {
	p := healthy(t)
	delete(p.api.Region.Quotas, "L-1194D53C") // asks for the default
	p.begun()
	p.volumeKey("", "")
	p.apps()
	p.examine(t)
	want, err := awsapi.PagePolicy("../../../docs/leftovers.md", "Doctor")
	require.NoError(t, err)
	assert.ElementsMatch(t, want, slices.Collect(maps.Keys(p.api.Calls())))
}

// The API's documentation says of each limit that it can be empty.
func TestALimitThatAWSDoesNotGiveIsNotChecked(t *testing.T) {
	p := healthy(t)
	delete(p.api.Region.VolumeLimits, "MinimumThroughput")
	p.api.Region.VolumeLimits["MaximumIops"] = ""
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	unchecked := of(findings, Unchecked)
	require.Len(t, unchecked, 2)
	assert.Contains(t, unchecked[0].Says, "not checked: AWS gives no MinimumIops or no MaximumIops for gp3 with t3.small.search and "+
		"OpenSearch_2.19")
	assert.Contains(t, unchecked[1].Says, "no MinimumThroughput")
}

func TestWithoutCredentialsNothingIsSaidOfTheAccount(t *testing.T) {
	p := healthy(t)
	p.api.Inject("*", awsapi.Expired)
	findings := p.examine(t)
	assert.Equal(t, 1, Code(findings))
	assert.Equal(t, map[string]int{"sts:GetCallerIdentity": 1}, p.api.Calls())
	assert.Contains(t, of(findings, Unchecked)[0].Says, "aws sso login")

	// Other credentials mend no network.
	p.config.APIOptions, p.config.HTTPClient = nil, smithyhttp.ClientDoFunc(func(*http.Request) (*http.Response, error) {
		return nil,
			errors.New("connection refused")
	})
	says := of(p.examine(t), Unchecked)[0].Says
	assert.Contains(t, says, "connection refused")
	assert.NotContains(t, says, "sign in")
}

func TestSettingsThatAreWrongAreAllListed(t *testing.T) {
	p := healthy(t)
	p.file = func(text string) string {
		return strings.NewReplacer("minSize: 3", "minSize: 9", "retentionDays: 3", "retentionDays: 0").Replace(text)
	}
	findings := p.examine(t)
	assert.Len(t, of(findings, Problem), 2)
	assert.Equal(t, 1, Code(findings))
}

// Without a network, and for a private repository, nobody knows whether an image is there.
func TestImagesThatCannotBeAskedForAreNoProblem(t *testing.T) {
	p := healthy(t)
	p.offline = true
	findings := p.examine(t)
	assert.Empty(t, of(findings, Problem))
	assert.Len(t, of(findings, Unchecked), 4)
	assert.Equal(t, 0, Code(findings))

	digest := "sha256:" + strings.Repeat("0", 64)
	for image, command := range map[string]string{
		"444455556666.dkr.ecr.us-east-1.amazonaws.com/a/nginx:1": "--registry-id 444455556666 --region us-east-1 " +
			"--repository-name a/nginx --image-ids imageTag=1",
		"444455556666.dkr.ecr-fips.eu-west-1.amazonaws.com/nginx:1@" + digest: "--registry-id 444455556666 --region eu-west-1 " +
			"--repository-name nginx --image-ids imageDigest=" + digest,
	} {
		p = healthy(t)
		edit("  expense:workloads:\n", "  expense:workloads:\n    images: {nginx: '"+image+"'}\n")(p)
		unchecked := of(p.examine(t), Unchecked)
		require.Len(t, unchecked, 1)
		assert.Contains(t, unchecked[0].Says, "aws ecr describe-images "+command)
		p.signedOut = errors.New("nobody")
		assert.Contains(t, says(of(p.examine(t), Unchecked)), "a private repository; look with: aws ecr describe-images "+command)
	}
}

func TestReferencesToImagesAreReadAsDockerReadsThem(t *testing.T) {
	for reference, want := range map[string]image{
		"nginx":                           {"registry-1.docker.io", "library/nginx", "latest"},
		"docker.io/fluent/fluentd:v1.19":  {"registry-1.docker.io", "fluent/fluentd", "v1.19"},
		"registry.k8s.io/autoscaling/x:v": {"registry.k8s.io", "autoscaling/x", "v"},
		"localhost:5000/a/b:c":            {"localhost:5000", "a/b", "c"},
		"quay.io/a/b:c@sha256:0123":       {"quay.io", "a/b", "sha256:0123"},
	} {
		assert.Equal(t, want, parseImage(reference), reference)
	}
}

// Of an answer, EKS counts the interfaces of the default network card alone.
func TestASizeIsThatOfTheDefaultCard(t *testing.T) {
	assert.Equal(t, published.InstanceType{VCPU: 96, Interfaces: 15, Addresses: 50}, sizeOf(ec2types.InstanceTypeInfo{
		VCpuInfo: &ec2types.VCpuInfo{DefaultVCpus: aws.Int32(96)},
		NetworkInfo: &ec2types.NetworkInfo{Ipv4AddressesPerInterface: aws.Int32(50), DefaultNetworkCardIndex: aws.Int32(1),
			MaximumNetworkInterfaces: aws.Int32(23),
			NetworkCards: []ec2types.NetworkCardInfo{
				{NetworkCardIndex: aws.Int32(0), MaximumNetworkInterfaces: aws.Int32(8)}, {NetworkCardIndex: aws.Int32(1),
					MaximumNetworkInterfaces: aws.Int32(15)},
			}},
	}))
	assert.Zero(t, sizeOf(ec2types.InstanceTypeInfo{}).Pods())
}

// Whatever type the SDK knows, the settings take for one, and the list has what EC2 offers. The others are of past generations,
// or mac, or newer than the list.
func TestTheListHasEC2sTypes(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile("../../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), data, 0o600))
	data, err = os.ReadFile("../../../Pulumi.dev.yaml")
	require.NoError(t, err)
	var names []string
	known := 0
	for _, name := range ec2types.InstanceType("").Values() {
		names = append(names, string(name))
		if _, is := published.InstanceTypes()[string(name)]; is {
			known++
		}
	}
	t.Logf("%d of %d types are in the list", known, len(names))
	assert.Greater(t, known, len(names)*95/100)
	for some := range slices.Chunk(names, 20) {
		text := strings.Replace(string(data), "instanceTypes: [m5.large]", "instanceTypes: ["+strings.Join(some, ", ")+"]", 1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(text), 0o600))
		_, problems, err := Settings(dir, "dev")
		require.NoError(t, err)
		for _, p := range problems {
			assert.NotContains(t, p.Allowed, "an EC2 instance type", p)
		}
	}
}
