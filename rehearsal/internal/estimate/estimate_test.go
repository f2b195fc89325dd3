package estimate

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/state"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var today = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

type object = map[string]any

// res is a resource of a test; its URN is its name.
func res(typ, name string, inputs map[string]any, needs ...string) Resource {
	return Resource{URN: name, Type: typ, Name: name, Custom: true, Dependencies: needs, Inputs: inputs}
}

func TestEveryPriceHasADayAndASource(t *testing.T) {
	verified := 0
	for _, p := range prices {
		_, err := time.Parse(time.DateOnly, p.Seen)
		assert.NoError(t, err, p.Key)
		source, err := url.Parse(p.Source)
		require.NoError(t, err, p.Key)
		assert.Equal(t, "https", source.Scheme, p.Key)
		assert.Positive(t, p.USD, p.Key)
		assert.Contains(t, []string{"hour", "month", "GiB", "GiB-month"}, p.Unit, p.Key)
		if p.Verified {
			verified++
		}
	}
	assert.Greater(t, len(prices), 50)
	assert.Greater(t, verified, 35)
	assert.Equal(t, len(prices), strings.Count(pricesCSV, "\n")-4, "no key is there twice")
}

// The figures are those of the sources for sizes other than large.
func TestASizeCostsAsMuchMoreAsItIsLarger(t *testing.T) {
	for key, usd := range map[string]float64{
		"ec2.m5.large": 0.096, "ec2.m5.24xlarge": 4.608, "ec2.m7i.xlarge": 0.2016, "ec2.c7i.48xlarge": 8.568, "ec2.m7g.medium": 0.0408,
		"ec2.t3.micro": 0.0104, "ec2.t4g.small": 0.0168,
		"opensearch.t3.small": 0.036, "opensearch.m7g.xlarge": 0.271, "opensearch.r6g.12xlarge": 4.016,
	} {
		price, ok := PriceOf(key)
		require.True(t, ok, key)
		assert.InEpsilon(t, usd, price.USD, 0.01, key)
	}
	for _, key := range []string{"ec2.x9.large", "ec2.m5.huge", "ec2.m5.0xlarge", "ec2.m5.xxlarge", "ebs.gp3.large", "nothing", ""} {
		_, ok := PriceOf(key)
		assert.False(t, ok, key)
	}
}

// What nobody priced would look as if it were free.
func TestEveryTypeOfTheModelIsPricedOrKnownToBeFree(t *testing.T) {
	for _, typ := range awsmodel.Types() {
		bill := BillOf([]Resource{res(typ, "x", nil)}, today)
		for _, line := range bill.Unpriced {
			assert.NotContains(t, line, "nothing is known", typ)
		}
	}
	assert.Greater(t, len(awsmodel.Types()), 30)
}

func TestWhatHasNoPriceIsListedAndNotCounted(t *testing.T) {
	bill := BillOf([]Resource{
		res("aws:rds/instance:Instance", "database", nil),
		res("kubernetes:apps/v1:StatefulSet", "set", nil),
		res("aws:eks/nodeGroup:NodeGroup", "odd",
			object{"instanceTypes": []any{"m5.large", "x9.large"}, "scalingConfig": object{"desiredSize": 3.}}),
		res("aws:opensearch/domain:Domain", "logs", object{"clusterConfig": object{"instanceType": "z1.large.search", "instanceCount": 1.}}),
		res("kubernetes:core/v1:PersistentVolumeClaim", "claim",
			object{"spec": object{"resources": object{"requests": object{"storage": "1Ti"}}}}),
		res("pulumi:providers:aws", "aws", map[string]any{"region": "eu-west-1"}),
		res("aws:kms/key:Key", "key", nil),
	}, today)
	require.Len(t, bill.Unpriced, 6)
	for i, part := range []string{
		"aws:opensearch/domain:Domain logs: 1 x opensearch.z1.large", "aws:rds/instance:Instance database", "claim claim: a size of \"1Ti\"",
		"kubernetes:apps/v1:StatefulSet set", "nodes odd: x9.large", "region eu-west-1",
	} {
		assert.Contains(t, bill.Unpriced[i], part)
	}
	assert.Equal(t, 1.0, bill.Monthly)
}

func TestSpotNodesAreBilledAsBoth(t *testing.T) {
	group := object{
		"instanceTypes": []any{"m5.large", "m7i.large"}, "capacityType": "SPOT",
		"scalingConfig": object{"minSize": 3., "desiredSize": 3., "maxSize": 5.},
	}
	template := object{"blockDeviceMappings": []any{object{"ebs": object{"volumeSize": 80.}}}}
	bill := BillOf([]Resource{
		res("aws:ec2/launchTemplate:LaunchTemplate", "template", template), res("aws:ec2/launchTemplate:LaunchTemplate", "of another", template),
		res("aws:eks/nodeGroup:NodeGroup", "g", group, "template"),
	}, today)
	require.Len(t, bill.Items, 2)
	nodes, disks := bill.Items[0], bill.Items[1]
	assert.InDelta(t, 3*(0.096+0.1008)/2*730, nodes.OnDemand, 0.01)
	assert.InDelta(t, 0.4*nodes.OnDemand, nodes.Monthly, 0.01)
	assert.Equal(t, "3 x one of 2 types, spot", nodes.Quantity)
	assert.Contains(t, nodes.Note, "assumed 40 % of on demand; the autoscaler may make it 3 to 5 nodes")
	assert.InDelta(t, 3*80*0.08, disks.Monthly, 0.01)
	// Without a price of one of the types, the nodes' is not told, but that of their disks is.
	group["instanceTypes"] = []any{"c3.large", "m5.large", "m99i.large"}
	bill = BillOf([]Resource{
		res("aws:ec2/launchTemplate:LaunchTemplate", "template", template), res("aws:eks/nodeGroup:NodeGroup", "g", group, "template"),
	}, today)
	assert.Equal(t, []string{"nodes g: c3.large, m99i.large, of which the table has no price"}, bill.Unpriced)
	require.Len(t, bill.Items, 1)
	assert.Equal(t, disks, bill.Items[0])
	group["instanceTypes"] = []any{"m5.large", "m7i.large"}
	group["capacityType"] = "ON_DEMAND"
	bill = BillOf([]Resource{res("aws:eks/nodeGroup:NodeGroup", "g", group)}, today)
	assert.Equal(t, bill.OnDemand, bill.Monthly)
}

func TestExtendedSupportIsCalledOut(t *testing.T) {
	end := time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		version, policy, note string
		usd                   float64
		day                   time.Time
	}{
		"in support":                 {"1.35", "EXTENDED", "in standard support until 2027-03-27", 73, today},
		"last day":                   {"1.34", "EXTENDED", "in standard support until 2026-12-02", 73, end.Add(-time.Hour)},
		"the day it ends":            {"1.34", "EXTENDED", "EXTENDED SUPPORT", 438, end},
		"past, no policy":            {"1.33", "", "EXTENDED SUPPORT", 438, today},
		"past, upgraded by EKS":      {"1.33", "STANDARD", "EKS upgrades this cluster by itself", 73, today},
		"a version that came later":  {"1.40", "STANDARD", "is not known here", 73, today},
		"in support, standard again": {"1.35", "STANDARD", "in standard support", 73, today},
	} {
		inputs := map[string]any{"version": c.version}
		if c.policy != "" {
			inputs["upgradePolicy"] = map[string]any{"supportType": c.policy}
		}
		bill := BillOf([]Resource{res("aws:eks/cluster:Cluster", "c", inputs)}, c.day)
		require.Len(t, bill.Items, 1, name)
		assert.InDelta(t, c.usd, bill.Monthly, 0.01, name)
		assert.Contains(t, bill.Items[0].Note, c.note, name)
	}
}

func TestAPublicServiceIsBilledWithItsAddresses(t *testing.T) {
	subnet := func(zone, role string) map[string]any {
		return map[string]any{"availabilityZoneId": zone, "tags": map[string]any{"kubernetes.io/role/" + role: "1"}}
	}
	resources := []Resource{
		res("aws:ec2/subnet:Subnet", "a", subnet("z1", "elb")), res("aws:ec2/subnet:Subnet", "b", subnet("z2", "elb")),
		res("aws:ec2/subnet:Subnet", "c", subnet("z3", "internal-elb")),
		res("kubernetes:core/v1:Service", "inside", map[string]any{"spec": map[string]any{"type": "ClusterIP"}}),
		res("kubernetes:core/v1:Service", "web", map[string]any{"spec": map[string]any{"type": "LoadBalancer"},
			"metadata": map[string]any{"annotations": map[string]any{"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}}}),
	}
	bill := BillOf(resources, today)
	require.Len(t, bill.Items, 2)
	assert.InDelta(t, 0.0225*730, bill.Items[0].Monthly, 0.01)
	assert.InDelta(t, 2*0.005*730, bill.Items[1].Monthly, 0.01)
}

// small is a stack in which each operation has a known duration: network 11 s, NAT gateway 105 s, cluster 9 min, domain 20.
func small() []Resource {
	part := res("aws:eks/cluster:Cluster", "cluster", nil, "vpc")
	part.Parent = "component"
	return []Resource{
		res("aws:ec2/vpc:Vpc", "vpc", nil),
		res("aws:ec2/natGateway:NatGateway", "nat", nil, "vpc"),
		{URN: "component", Type: "eks:index:Cluster", Name: "component", Dependencies: []string{"vpc"}},
		part,
		res("aws:opensearch/domain:Domain", "domain", nil, "vpc"),
		res("aws:eks/nodeGroup:NodeGroup", "nodes", nil, "component", "nat"),
		res("kubernetes:apps/v1:Deployment", "web", nil, "nodes"),
	}
}

func names(operations []Operation) (names []string) {
	for _, o := range operations {
		names = append(names, o.Name)
	}
	return names
}

func start(t Timeline, name string) time.Duration {
	for _, o := range t.Operations {
		if o.Name == name {
			return o.Start
		}
	}
	return -1
}

func TestUpBeginsWithEachResourceAsSoonAsItMay(t *testing.T) {
	up := Up(small())
	assert.Equal(t, 11*time.Second, start(up, "nat"))
	assert.Equal(t, 11*time.Second, start(up, "domain"), "beside the cluster")
	assert.Equal(t, 11*time.Second+9*time.Minute, start(up, "nodes"), "who needs a component waits for its parts")
	assert.Equal(t, 11*time.Second+20*time.Minute, up.Total)
	assert.Equal(t, []string{"vpc", "domain"}, names(up.CriticalPath()))
	assert.Len(t, up.Operations, 6, "the component is nothing that is made")
	assert.Empty(t, up.Untimed)
}

func TestDestroyWaitsForEachLayer(t *testing.T) {
	destroy := Destroy(small())
	web, nodes := 30*time.Second, 380*time.Second
	assert.Equal(t, time.Duration(0), start(destroy, "web"))
	assert.Equal(t, web, start(destroy, "nodes"))
	assert.Equal(t, web+nodes, start(destroy, "cluster"))
	assert.Equal(t, web+nodes+3*time.Minute, start(destroy, "domain"), "it needs as little as the NAT gateway, and goes with it")
	assert.Equal(t, []string{"web", "nodes", "cluster", "domain", "vpc"}, names(destroy.CriticalPath()))
	last := destroy.Operations[len(destroy.Operations)-1]
	assert.Equal(t, last.End, destroy.Total)
}

func TestAChangeTakesTheTimeOfWhatItChanges(t *testing.T) {
	before := append(small(), res("aws:kms/key:Key", "old key", nil))
	after := append(small(), res("aws:kms/key:Key", "new key", nil))
	apply := Apply(before, after, map[string]Step{
		"nodes": {Verb: "replace"}, "web": {Verb: "update"}, "new key": {Verb: "create"}, "old key": {Verb: "delete"},
	})
	assert.Equal(t, 150*time.Second, start(apply, "web"), "after the successor of its nodes")
	require.Len(t, apply.Operations, 5)
	assert.Equal(t, 150*time.Second+60*time.Second+380*time.Second, apply.Total, "the old nodes go when everything is there")
	assert.Equal(t, []string{"nodes", "web", "nodes"}, names(apply.CriticalPath()))
	first := Apply(before, after, map[string]Step{"nodes": {Verb: "replace", DeletedFirst: true}})
	assert.Equal(t, 150*time.Second+380*time.Second, first.Total)
	require.Len(t, first.Operations, 1)
	assert.Zero(t, Apply(small(), small(), nil).Total)
}

func TestATypeWithoutDurationsIsListed(t *testing.T) {
	resources := []Resource{res("aws:rds/instance:Instance", "a", nil), res("aws:rds/instance:Instance", "b", nil)}
	assert.Equal(t, []string{"aws:rds/instance:Instance"}, Up(resources).Untimed)
	assert.Equal(t, []string{"aws:rds/instance:Instance"}, Destroy(resources).Untimed)
	text := Comparison{After: Of(resources, today)}.Page().Text()
	assert.Contains(t, text, "not in it: aws:rds/instance:Instance, no duration of this type is known")
	assert.Contains(t, text, "not in it: aws:rds/instance:Instance a: nothing is known of what this type costs")
}

func TestBothBillsStandBesideEachOther(t *testing.T) {
	before := Of([]Resource{res("aws:kms/key:Key", "gone", nil), res("aws:ec2/natGateway:NatGateway", "nat", nil)}, today)
	c := Comparison{Before: &before, After: Of([]Resource{
		res("aws:ec2/natGateway:NatGateway", "nat", nil), res("aws:cloudwatch/metricAlarm:MetricAlarm", "a|b", nil),
	}, today)}
	rows := c.Rows()
	require.Len(t, rows, 3)
	sum := 0.0
	for _, row := range rows {
		sum += row.After - row.Before
	}
	assert.InDelta(t, c.After.Bill.Monthly-c.Before.Bill.Monthly, sum, 0.001)
	assert.True(t, math.Abs(sum-(-0.9)) < 0.001)
	assert.Contains(t, c.Page().Markdown(10_000), `| alarm a\|b | 1 | 0.00 | 0.10 | 0.10 |`)
	assert.Contains(t, c.Page().Markdown(10_000), "| KMS key gone | 1 | 1.00 | 0.00 | 0.00 |")
	assert.Contains(t, c.Summary(), "33 USD a month (-0.90)")
}

func TestABillPairsItemsOfOneName(t *testing.T) {
	before := Estimate{Bill: Bill{Items: []Item{{Name: "a", Monthly: 10}, {Name: "a", Monthly: 15}, {Name: "gone", Monthly: 5}}}}
	after := Estimate{Bill: Bill{Items: []Item{{Name: "new", Monthly: 1}, {Name: "a", Monthly: 12}, {Name: "a", Monthly: 15}}}}
	var got []string
	for _, row := range (Comparison{Before: &before, After: after}).Rows() {
		got = append(got, fmt.Sprintf("%s %g %g", row.Name, row.Before, row.After))
	}
	assert.Equal(t, []string{"new 0 1", "a 10 12", "a 15 15", "gone 5 0"}, got)
}

// A price that nobody saw in its source is marked in its row, and its source is named once.
func TestAPriceThatWasNotSeenIsMarked(t *testing.T) {
	domain := object{
		"clusterConfig": object{"instanceType": "m7g.large.search", "instanceCount": 2.}, "ebsOptions": object{"volumeSize": 10.},
	}
	resources := []Resource{res("aws:opensearch/domain:Domain", "logs", domain), res("aws:kms/key:Key", "key", nil)}
	p := Comparison{After: Of(resources, today)}.Page()
	for name, text := range map[string]string{"text": p.Text(), "Markdown": p.Markdown(10_000)} {
		marked := 0
		for line := range strings.Lines(text) {
			switch {
			case strings.Contains(line, "nodes of domain logs"), strings.Contains(line, "volumes of domain logs"):
				assert.Contains(t, line, "price not seen in its source", name)
				marked++
			case strings.Contains(line, "KMS key"):
				assert.NotContains(t, line, "not seen", name)
				marked++
			}
		}
		assert.Equal(t, 3, marked, name)
		assert.Equal(t, 1, strings.Count(text, "https://aws.amazon.com/opensearch-service/pricing/"), name)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	deployment, err := state.Read([]byte(`{"version": 3, "deployment": {"resources": [
		{"urn": "urn:pulumi:dev::expense::pulumi:pulumi:Stack::expense-dev", "type": "pulumi:pulumi:Stack"},
		{"urn": "urn:pulumi:dev::expense::kubernetes:core/v1:Secret::web", "type": "kubernetes:core/v1:Secret", "custom": true,
		 "parent": "urn:pulumi:dev::expense::pulumi:pulumi:Stack::expense-dev",
		 "provider": "urn:pulumi:dev::expense::pulumi:providers:kubernetes::expense::id",
		 "dependencies": ["urn:pulumi:dev::expense::a:b:C::x"],
		 "propertyDependencies": {"p": ["urn:pulumi:dev::expense::a:b:C::x", "urn:pulumi:dev::expense::a:b:C::y"]},
		 "inputs": {"data": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x", "plaintext": "hunter2"}}},
		{"urn": "urn:pulumi:dev::expense::kubernetes:core/v1:Secret::old", "type": "kubernetes:core/v1:Secret", "custom": true, "delete": true}
	]}}`))
	require.NoError(t, err)
	resources := FromState(deployment)
	require.Len(t, resources, 1, "neither the stack nor what waits for its deletion")
	assert.Equal(t, map[string]any{"data": "[secret]"}, resources[0].Inputs)
	assert.Equal(t, "", resources[0].Parent)
	const project = "urn:pulumi:dev::expense::"
	assert.Equal(t, []string{project + "a:b:C::x", project + "a:b:C::y", project + "pulumi:providers:kubernetes::expense"},
		resources[0].Dependencies)
}

// A row for each operation, a bar of one width, and the critical path marked.
func TestTheWholeShowsEachOperationAndWhatNeedsWhat(t *testing.T) {
	resources := small()
	c := Comparison{After: Of(resources, today)}
	text := c.Whole().Text()
	bars := regexp.MustCompile(`(?m)^ +(yes)? +([·█░]{40}) +\S+ \S+ +\S+ \S+ +(create|delete) \S+ \S+$`).FindAllStringSubmatch(text, -1)
	assert.Len(t, bars, len(c.After.Up.Operations)+len(c.After.Destroy.Operations))
	critical := 0
	for _, bar := range bars {
		assert.Regexp(t, `^·*(█+|░+)·*$`, bar[2])
		assert.Equal(t, strings.Contains(bar[2], "█"), bar[1] == "yes")
		if bar[1] == "yes" {
			critical++
		}
	}
	assert.Equal(t, len(c.After.Up.CriticalPath())+len(c.After.Destroy.CriticalPath()), critical)
	for _, r := range resources {
		assert.Contains(t, text, last(r.Type)+" "+r.Name)
	}
}

func TestTheTreeShowsDirectNeedsBelowTheirComponent(t *testing.T) {
	of := func(urn, typ, parent string, needs ...string) Resource {
		return Resource{URN: urn, Type: typ, Name: urn, Parent: parent, Dependencies: needs}
	}
	assert.Equal(t, strings.Join([]string{
		"Network net",
		"  Vpc vpc",
		"  Subnet sub  <- Vpc vpc",
		"Key lost",
		"Cluster eks  <- Subnet sub",
		"aws provider",
		"",
	}, "\n"), Tree([]Resource{
		of("provider", "pulumi:providers:aws", ""), of("net", "a:a:Network", ""), of("vpc", "b:a:Vpc", "net", "provider"),
		of("sub", "b:b:Subnet", "net", "provider", "vpc"), of("eks", "b:c:Cluster", "", "provider", "sub", "vpc"),
		of("lost", "a:k:Key", "nobody"),
	}))
}
