package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/change"
	"expense/rehearsal/internal/estimate"

	"github.com/stretchr/testify/require"
)

// A part of the dev stack, as `pulumi stack export` has it, without properties.
//
//go:embed testdata/resources.json
var resourcesJSON []byte

func resources(t *testing.T) []estimate.Resource {
	var list []estimate.Resource
	require.NoError(t, json.Unmarshal(resourcesJSON, &list))
	require.Greater(t, len(list), 50)
	return list
}

// takes is how long a resource of a type takes to create and to delete here.
var takes = map[string][2]time.Duration{
	"aws:eks/cluster:Cluster":                  {9 * time.Minute, 3 * time.Minute},
	"aws:eks/nodeGroup:NodeGroup":              {150 * time.Second, 380 * time.Second},
	"aws:eks/addon:Addon":                      {30 * time.Second, 10 * time.Second},
	"aws:ec2/natGateway:NatGateway":            {105 * time.Second, 75 * time.Second},
	"aws:ec2/vpc:Vpc":                          {11 * time.Second, time.Second},
	"aws:opensearch/domain:Domain":             {18 * time.Minute, 9 * time.Minute},
	"kubernetes:core/v1:Pod":                   {12 * time.Second, 32 * time.Second},
	"kubernetes:apps/v1:Deployment":            {20 * time.Second, 4 * time.Second},
	"kubernetes:batch/v1:Job":                  {25 * time.Second, 2 * time.Second},
	"kubernetes:core/v1:PersistentVolumeClaim": {2 * time.Second, 12 * time.Second},
}

// timeline is when each resource is created, or deleted: as soon as all that it waits for is done.
func timeline(list []estimate.Resource, verb string) estimate.Timeline {
	below := map[string][]string{} // the custom resources of a component
	for _, r := range list {
		for parent := r.Parent; r.Custom && parent != ""; {
			below[parent] = append(below[parent], r.URN)
			i := slices.IndexFunc(list, func(other estimate.Resource) bool { return other.URN == parent })
			parent = list[i].Parent
		}
	}
	waits, followers := map[string][]string{}, map[string][]string{}
	took := map[string]time.Duration{}
	for _, r := range list {
		if !r.Custom {
			continue
		}
		both, ok := takes[r.Type]
		if !ok {
			both = [2]time.Duration{2 * time.Second, time.Second}
		}
		if took[r.URN] = both[0]; verb == "delete" {
			took[r.URN] = both[1]
		}
		for _, urn := range r.Dependencies {
			for _, need := range append(below[urn], urn) {
				from, to := need, r.URN
				if verb == "delete" {
					from, to = to, from
				}
				waits[to] = append(waits[to], from)
				followers[from] = append(followers[from], to)
			}
		}
	}
	var finish func(urn string) time.Duration
	var tail func(urn string) time.Duration
	finish = memoized(func(urn string) time.Duration {
		start := time.Duration(0)
		for _, other := range waits[urn] {
			start = max(start, finish(other))
		}
		return start + took[urn]
	})
	tail = memoized(func(urn string) time.Duration {
		rest := time.Duration(0)
		for _, other := range followers[urn] {
			rest = max(rest, tail(other))
		}
		return rest + took[urn]
	})
	line := estimate.Timeline{Untimed: []string{"kubernetes:storage.k8s.io/v1:StorageClass"}}
	for _, r := range list {
		if r.Custom {
			line.Total = max(line.Total, finish(r.URN))
		}
	}
	for _, r := range list {
		if r.Custom {
			end := finish(r.URN)
			line.Operations = append(line.Operations, estimate.Operation{
				URN: r.URN, Type: r.Type, Name: r.Name, Verb: verb, Start: end - took[r.URN], End: end, Critical: end-took[r.URN]+tail(r.URN) == line.Total,
			})
		}
	}
	inOrder(line.Operations)
	return line
}

func inOrder(operations []estimate.Operation) {
	slices.SortFunc(operations, func(a, b estimate.Operation) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.URN, b.URN))
	})
}

func memoized(f func(string) time.Duration) func(string) time.Duration {
	known := map[string]time.Duration{}
	return func(urn string) time.Duration {
		if _, ok := known[urn]; !ok {
			known[urn] = f(urn)
		}
		return known[urn]
	}
}

func estimated(list []estimate.Resource, nodes int) estimate.Estimate {
	e := estimate.Estimate{Up: timeline(list, "create"), Destroy: timeline(list, "delete"), Bill: estimate.Bill{
		Items: []estimate.Item{
			{Name: "control plane", Quantity: "1 cluster, standard support", Monthly: 73, OnDemand: 73, Verified: true, Sources: []string{"https://aws.amazon.com/eks/pricing/"}},
			{Name: "nodes expense", Quantity: fmt.Sprintf("%d x m5.large, spot", nodes), Monthly: 25.55 * float64(nodes), OnDemand: 70.08 * float64(nodes), Note: "spot at 36 % of the price on demand, which changes", Sources: []string{"https://aws.amazon.com/ec2/pricing/on-demand/"}},
			{Name: "NAT gateway", Quantity: "1 gateway, 50 GB", Monthly: 35.1, OnDemand: 35.1, Note: "50 GB in a month are assumed", Verified: true, Sources: []string{"https://aws.amazon.com/vpc/pricing/"}},
			{Name: "log domain", Quantity: "1 x t3.small.search, 10 GiB gp3", Monthly: 27.5, OnDemand: 27.5, Verified: true, Sources: []string{"https://aws.amazon.com/opensearch-service/pricing/"}},
			{Name: "KMS key", Quantity: "1 key", Monthly: 1, OnDemand: 1, Verified: true, Sources: []string{"https://aws.amazon.com/kms/pricing/"}},
		},
		Unpriced: []string{"data transfer between zones: nobody knows how much there is"},
	}}
	for _, item := range e.Bill.Items {
		e.Bill.Monthly += item.Monthly
		e.Bill.OnDemand += item.OnDemand
	}
	return e
}

// urnOf is the first resource of a type whose name begins with a text.
func urnOf(t *testing.T, list []estimate.Resource, typ, name string) estimate.Resource {
	i := slices.IndexFunc(list, func(r estimate.Resource) bool { return r.Type == typ && strings.HasPrefix(r.Name, name) })
	require.NotEqual(t, -1, i, "%s %s", typ, name)
	return list[i]
}

// changed is a report on a change: more nodes, another domain, one alarm fewer.
func changed(t *testing.T, list []estimate.Resource) Report {
	before, after := estimated(list, 3), estimated(list, 5)
	after.Bill.Items = append(after.Bill.Items, estimate.Item{Name: "alarms", Quantity: "6 alarms", Monthly: 0.6, OnDemand: 0.6, Verified: true})
	before.Bill.Items = append(before.Bill.Items, estimate.Item{Name: "public addresses", Quantity: "1 address", Monthly: 3.65, OnDemand: 3.65, Verified: true})
	after.Bill.Monthly, after.Bill.OnDemand, before.Bill.Monthly, before.Bill.OnDemand = after.Bill.Monthly+0.6, after.Bill.OnDemand+0.6, before.Bill.Monthly+3.65, before.Bill.OnDemand+3.65
	is := func(r estimate.Resource, operation change.Operation, properties ...change.Property) change.Change {
		return change.Change{URN: r.URN, Type: r.Type, Name: r.Name, Operation: operation, Properties: properties}
	}
	domain := is(urnOf(t, list, "aws:opensearch/domain:Domain", ""), change.Replace,
		change.Property{Path: "domainName", Old: "expense-logs", New: "expense-log", Forces: true}, change.Property{Path: "engineVersion", Old: "OpenSearch_2.17", New: "OpenSearch_2.19"})
	domain.DeletedFirst, domain.Protected = true, true
	s := change.Stack{Name: "dev", Unchanged: len(list) - 4, Diff: diff, Changes: []change.Change{
		{URN: "urn:pulumi:dev::expense::aws:cloudwatch/metricAlarm:MetricAlarm::expense-old", Type: "aws:cloudwatch/metricAlarm:MetricAlarm", Name: "expense-old", Operation: change.Delete},
		domain,
		is(urnOf(t, list, "aws:eks/nodeGroup:NodeGroup", ""), change.Update, change.Property{Path: "scalingConfig.desiredSize", Old: 3.0, New: 5.0}, change.Property{Path: "scalingConfig.maxSize", Old: 4.0, New: 8.0}),
		is(urnOf(t, list, "kubernetes:core/v1:Secret", ""), change.Update, change.Property{Path: "stringData.TOKEN", Old: change.Secret, New: change.Secret}),
		is(urnOf(t, list, "kubernetes:storage.k8s.io/v1:StorageClass", ""), change.Create),
	}}
	apply := estimate.Timeline{}
	at := time.Duration(0) // one after the other but for updates, which wait for nothing
	for _, c := range s.Changes {
		both := takes[c.Type]
		d := max(both[0], 2*time.Second)
		if c.Operation == change.Update {
			apply.Operations = append(apply.Operations, estimate.Operation{URN: c.URN, Type: c.Type, Name: c.Name, Verb: string(c.Operation), End: d})
			continue
		}
		apply.Operations = append(apply.Operations, estimate.Operation{URN: c.URN, Type: c.Type, Name: c.Name, Verb: string(c.Operation), Start: at, End: at + d, Critical: true})
		at += d
	}
	apply.Total = at
	inOrder(apply.Operations)
	verdict := change.Guard([]change.Stack{s}, []change.Acknowledgement{{Stack: "dev", Resource: "aws:ec2/vpc:Vpc expense", Change: "delete", Reason: "the old network goes"}})
	return Report{
		Title: "What this change does", Subtitle: "Compared with 407832f0e397, as the Pulumi engine previews it in the rehearsal.", Made: made, Verdict: &verdict,
		Stacks:      []Stack{{Name: "dev", Change: &s, Resources: list, Before: &before, After: after, Apply: &apply}},
		NotModelled: []string{"Quotas of your account, and how much capacity AWS has in a zone.", "What people changed by hand."},
	}
}

var made = time.Date(2026, time.March, 4, 9, 30, 0, 0, time.UTC)

// rehearsed is a report on a rehearsal.
func rehearsed(list []estimate.Resource) Report {
	return Report{
		Title: "Rehearsal of the stack dev", Subtitle: "Its whole life, played on one machine against stand-ins for AWS.", Made: made,
		Stacks: []Stack{{Name: "dev", Resources: list, After: estimated(list, 3), Checks: []Check{
			{Name: "preview", Held: true, Duration: 6 * time.Second},
			{Name: "up", Held: true, Duration: 41 * time.Second},
			{Name: "a log line of every pod is in the domain", Held: false, Duration: 30 * time.Second, Note: "pod nginx: no document in 30 s\nlast answer: 403 Forbidden: no permissions for [indices:data/write/bulk]"},
			{Name: "a killed pod comes back", Held: true, Duration: 3 * time.Second, Note: "after 2.1 s"},
			{Name: "destroy", Held: true, Duration: 38 * time.Second},
			{Name: "nothing is left", Held: true, Duration: time.Second, Note: "kept by design: aws:kms/key:Key 7d0c, for its waiting period"},
		}}},
		NotModelled: []string{"Quotas of your account, and how much capacity AWS has in a zone."},
	}
}

// hostile is a report of 150 resources, every text of which is long and tries to leave its element.
func hostile() Report {
	const evil = `</script></style><img src=x onerror=alert(1)>"'` + "`&lt;"
	long := strings.Repeat("unbreakable_", 12)
	parent := func(i int) string { return fmt.Sprintf("urn:pulumi:%s::parent%d", evil, i) }
	var list []estimate.Resource
	for i := range 30 {
		list = append(list, estimate.Resource{URN: parent(i), Type: "a:" + long + ":" + evil, Name: evil + long})
		for j := range 4 {
			r := estimate.Resource{URN: fmt.Sprintf("%s-%d", parent(i), j), Type: "aws:eks/cluster:Cluster", Name: fmt.Sprint(i, j) + evil + long, Parent: parent(i), Custom: true}
			for k := i - 3; k < i; k++ {
				if k >= 0 && (i+k)%2 == 1 {
					r.Dependencies = append(r.Dependencies, fmt.Sprintf("%s-%d", parent(k), j))
				}
			}
			list = append(list, r)
		}
	}
	stack := change.Stack{Name: evil + long, Diff: "+ " + evil + strings.Repeat(long, 5)}
	for i, r := range list {
		stack.Changes = append(stack.Changes, change.Change{URN: r.URN, Type: r.Type, Name: r.Name, Operation: marks[i%4].operation, Protected: true,
			Properties: []change.Property{{Path: evil + long, Old: map[string]any{evil: long}, New: evil + strings.Repeat(long, 9), Forces: true}}})
	}
	e := estimated(list, 3000)
	e.Bill.Items = append(e.Bill.Items, estimate.Item{Name: evil + long, Quantity: evil + long, Note: evil + long, Monthly: 1234567.89, OnDemand: 7654321, Sources: []string{"javascript:alert(1)", "https://" + long + ".example/" + evil}})
	e.Bill.Unpriced = []string{evil + long}
	e.Up.Untimed = []string{evil + long}
	finding := change.Finding{Stack: evil, Kind: evil, Resource: evil + long, Cause: evil + long, Meanwhile: evil + long, Source: "javascript:alert(1)", Reason: evil + long}
	one := Stack{Name: evil + long, Change: &stack, Resources: list, Before: &e, After: e, Apply: &e.Up, Checks: []Check{{Name: evil + long, Note: evil + long}, {Name: long, Held: true}}}
	return Report{Title: evil + long, Subtitle: evil + long, Made: made, NotModelled: []string{evil + long}, Stacks: []Stack{one, one},
		Verdict: &change.Verdict{Stopped: []change.Finding{finding}, Acknowledged: []change.Finding{finding}, Unused: []change.Acknowledgement{{Stack: evil, Resource: evil + long, Change: evil + long}}}}
}

// What `pulumi preview --diff` prints, cut short.
const diff = `  pulumi:pulumi:Stack: (same)
    [urn=urn:pulumi:dev::expense::pulumi:pulumi:Stack::expense-dev]
    ~ aws:eks/nodeGroup:NodeGroup: (update)
        [id=expense:expense-1a2b]
      ~ scalingConfig: {
          ~ desiredSize: 3 => 5
          ~ maxSize    : 4 => 8
        }
    +-aws:opensearch/domain:Domain: (replace)
        [id=arn:aws:es:us-east-1:111122223333:domain/expense-logs]
      ~ domainName   : "expense-logs" => "expense-log"
      ~ engineVersion: "OpenSearch_2.17" => "OpenSearch_2.19"
    + kubernetes:storage.k8s.io/v1:StorageClass: (create)
        provisioner: "ebs.csi.aws.com"
    - aws:cloudwatch/metricAlarm:MetricAlarm: (delete)
        [id=expense-old]
Resources:
    + 1 to create
    ~ 2 to update
    - 1 to delete
    +-1 to replace
`
