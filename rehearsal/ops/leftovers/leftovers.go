// Package leftovers lists what a stack has in an AWS account. It marks what the stack owns, what AWS keeps by design and what was left
// behind, and writes the commands that remove the last. It changes nothing.
//
// It compares the services' own lists. The Resource Groups Tagging API would take fewer calls, but it knows tags only, while half of what
// a destroy leaves behind has no tags and hangs on a VPC or has a name; it does not know IAM roles and Auto Scaling groups; and it shows
// deleted things for a while (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html). It is asked for
// KMS keys, topics and alarms, whose own lists have no tags, and the service confirms its answer.
//
// It was never run on AWS: the tests run it with the SDK against package awsapi.
package leftovers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Mark tells to whom a thing belongs.
type Mark string

const (
	// Owned is in the stack's state, or belongs to something that is: it goes with `pulumi destroy`.
	Owned Mark = "owned"
	// Kept is what AWS keeps, or what all stacks of the account share.
	Kept Mark = "kept"
	// Leftover is the stack's by its tags, its VPC or its name, and no state has it.
	Leftover Mark = "LEFTOVER"
	// Unknown is Owned or Leftover: the stack's state is not known, or the state at hand is another stack's.
	Unknown Mark = "unknown"
)

// Item is one thing in the account.
type Item struct {
	// Kind is for people; ID is the name in the kind's API; Name is more that helps to recognize it.
	Kind, ID, Name string
	// ARN is "" if the ID is enough.
	ARN string
	// Why names the tag, VPC or name by which it is counted.
	Why  string
	Mark Mark
	// Reason explains the mark.
	Reason string
	// Monthly is its price in USD for 730 hours. Priced is false if it costs nothing or its price is not known.
	Monthly float64
	Priced  bool

	// kept is why AWS keeps it. with are IDs, ARNs or references of what it belongs to, refs other names by which something may belong to
	// it. If nothing in with is found, it belongs to doubt.
	kept       string
	with, refs []string
	doubt      string
	// vpc is the VPC that it is in, if that is known.
	vpc string
	// parts have to be removed before it, by the kind's commands for them. stays is why no command removes it now.
	parts [][]string
	stays string
}

// Unchecked is what could not be looked at.
type Unchecked struct {
	// What is the kind of things, Problem what AWS said and what helps.
	What, Problem string
}

// Report is what was found.
type Report struct {
	Stack   Stack
	Account string
	// Items are in the order in which they can be removed.
	Items     []Item
	Unchecked []Unchecked
	// Notes tell how the search was made.
	Notes []string
}

// Of lists the items with a mark.
func (r *Report) Of(mark Mark) []Item {
	return slices.DeleteFunc(slices.Clone(r.Items), func(i Item) bool { return i.Mark != mark })
}

// Code is the exit code: 3 with leftovers, 1 if something could not be checked or told, 0 if nothing is left over.
func (r *Report) Code() int {
	switch {
	case len(r.Of(Leftover)) > 0:
		return 3
	case len(r.Unchecked) > 0, len(r.Of(Unknown)) > 0:
		return 1
	}
	return 0
}

// Options are what a search needs.
type Options struct {
	// Config has the credentials; its region is the stack's.
	Config aws.Config
	Stack  Stack
	// State is the stack's state, nil if it is not known.
	State *State
	// Lost is set if the state is lost for good: then what is not in the state at hand is left over, even if it runs.
	Lost bool
	// Price gives USD a month for one unit of a key of package estimate, false if it is not known.
	Price func(key string) (monthly float64, ok bool)
	// Region is the region of the caller's environment, "" if it names none.
	Region string
}

// finder is one search.
type finder struct {
	*clients
	Options
	account string
	// vpcs are the stack's.
	vpcs map[string]bool
	// cluster and domain are the ARNs of what the settings name. ourCluster and ourDomain are set if nobody else has the name; only then it
	// counts.
	cluster, domain       string
	ourCluster, ourDomain bool
	// noCluster is set if no cluster has the name.
	noCluster bool
	// othersState is set if the cluster or the domain cannot have been made from the state at hand.
	othersState bool
	// mayBe is set if a cluster or a domain that is not in the state could not be looked at.
	mayBe  bool
	report *Report
}

// Find lists what the stack has in the account. An error means that no search was possible.
func Find(ctx context.Context, options Options) (*Report, error) {
	f, err := newFinder(ctx, options)
	if err != nil {
		return nil, err
	}
	f.look(ctx)
	return f.report, ctx.Err()
}

func newFinder(ctx context.Context, options Options) (*finder, error) {
	options.Config.Region = options.Stack.Region
	f := &finder{clients: newClients(options.Config), Options: options, vpcs: map[string]bool{}, report: &Report{Stack: options.Stack}}
	caller, err := f.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("credentials: %s", explain(err, f.Stack.Account))
	}
	f.account = aws.ToString(caller.Account)
	if err := f.Stack.Account.Check(f.account, f.Stack.Name); err != nil {
		return nil, err
	}
	f.report.Account = f.account
	if f.State != nil {
		if err := f.State.elsewhere(f.account, f.Stack); err != nil {
			return nil, err
		}
		for _, id := range f.State.vpcs {
			f.vpcs[id] = true
		}
	} else {
		f.note("The stack's state is not known, so nothing tells what is owned from what is left over.")
	}
	partition := strings.Split(aws.ToString(caller.Arn), ":")[1]
	f.cluster = fmt.Sprintf("arn:%s:eks:%s:%s:cluster/%s", partition, f.Stack.Region, f.account, f.Stack.Cluster)
	f.domain = fmt.Sprintf("arn:%s:es:%s:%s:domain/%s", partition, f.Stack.Region, f.account, f.Stack.Domain)
	tags, vpc, err := f.clusterTags(ctx)
	f.noCluster = login.Missing(err)
	f.ourCluster = f.claim("cluster "+f.Stack.Cluster, f.cluster, tags, vpc, err)
	if f.ourCluster && vpc != "" {
		f.vpcs[vpc] = true
	}
	tags, vpc, err = f.domainTags(ctx)
	f.ourDomain = f.claim("domain "+f.Stack.Domain, f.domain, tags, vpc, err)
	tagged, err := findVPCs(ctx, f)
	if err != nil {
		f.unchecked("what hangs on the stack's VPC", err)
	}
	for _, vpc := range tagged {
		f.vpcs[vpc.ID] = true
	}
	return f, nil
}

func (f *finder) note(format string, args ...any) {
	f.report.Notes = append(f.report.Notes, fmt.Sprintf(format, args...))
}

func (f *finder) unchecked(what string, err error) {
	f.report.Unchecked = append(f.report.Unchecked, Unchecked{What: what, Problem: explain(err, f.Stack.Account)})
}

// claim finds out whether the name of a cluster or a domain is the stack's. If that fails, nothing is counted by the name.
func (f *finder) claim(what, arn string, tags map[string]string, vpc string, err error) (ours bool) {
	ours = f.State.has(arn) || login.Missing(err) || err == nil && f.stacks(tags)
	switch {
	case err != nil && !login.Missing(err):
		f.unchecked("whose the "+what+" is", err)
		f.mayRun(what, arn)
	case !ours:
		f.note("A %s exists that has not the stack's tags: nothing is counted by its name.", what)
	case err == nil:
		f.compare(what, arn, vpc)
	}
	return ours
}

// compare finds out whether a cluster or a domain of the stack can have been made from the state at hand. The VPC is in the state before
// they are begun, and cannot be deleted before them: it is in the state of a run that was killed at them.
func (f *finder) compare(what, arn, vpc string) {
	if f.State == nil || f.Lost || f.State.has(arn) || f.State.has(vpc) {
		return
	}
	f.othersState = true
	f.note("The %s is there, and the state that pulumi has here has neither it nor its VPC (%s): that is not the state from which it was "+
		"made. All of "+
		"this may be in use, so no command is written. See which backend that is with `pulumi whoami -v`, and sign in to the stack's own with "+
		"`pulumi login URL`. "+
		"If the state is lost for good: make leftovers STACK=%s LOST=1", what, cmp.Or(vpc, "none"), f.Stack.Name)
}

// mayRun does the same for a cluster or a domain that could not be looked at: it may exist.
func (f *finder) mayRun(what, arn string) {
	if f.State == nil || f.State.has(arn) {
		return
	}
	f.mayBe = true
	f.note("Whether the %s is there could not be found out, and it is not in the state that pulumi has here. All of this may be in use, so "+
		"no command is written. "+
		"Have the permissions that docs/leftovers.md lists, and look again.", what)
}

// look fills the report.
func (f *finder) look(ctx context.Context) {
	for _, k := range kinds {
		items, err := k.find(ctx, f)
		if err != nil {
			f.unchecked(k.name, err)
		}
		for i := range items {
			items[i].Kind = k.name
		}
		f.report.Items = append(f.report.Items, items...)
	}
	f.running()
	f.mark(f.report.Items)
	f.parts(ctx)
	f.elsewhere(ctx)
}

// running compares the state with what keeps a VPC from being deleted. The VPC is in the state for as long. This finds a cluster and a
// domain that run under other names than those of the settings.
func (f *finder) running() {
	for _, i := range f.report.Items {
		runs := slices.Contains([]string{"instance", "NAT gateway", "VPC endpoint"}, i.Kind)
		if runs && i.vpc != "" && !f.othersState && !f.State.has(f.cluster) {
			f.compare(i.Kind+" "+i.ID, i.ID, i.vpc)
		}
	}
}

// parts finds out what has to be removed before what is left over.
func (f *finder) parts(ctx context.Context) {
	for _, k := range kinds {
		var items []*Item
		for n := range f.report.Items {
			if i := &f.report.Items[n]; i.Mark == Leftover && i.Kind == k.name {
				items = append(items, i)
			}
		}
		if k.parts == nil || len(items) == 0 {
			continue
		}
		if err := k.parts(ctx, f, items); err != nil {
			f.unchecked("what has to go before each "+k.name, err)
		}
	}
}

// mark decides to whom each item belongs.
func (f *finder) mark(items []Item) {
	byRef := map[string]*Item{}
	for i := range items {
		item := &items[i]
		for _, ref := range append(item.refs, item.ID, item.ARN) {
			byRef[ref] = item
		}
	}
	delete(byRef, "")
	for i := range items {
		item := &items[i]
		owner := f.owner(item, byRef, map[*Item]bool{})
		switch {
		case owner == "itself":
			item.Mark, item.Reason = Owned, "in the stack's state"
		case owner != "":
			item.Mark, item.Reason = Owned, "belongs to "+owner+", which is in the stack's state"
		case keeper(item, byRef) != nil:
			item.Mark, item.Reason = Kept, keeper(item, byRef).kept
		case f.State == nil || f.othersState || f.mayBe:
			item.Mark, item.Reason = Unknown, "owned or left over"
		case len(f.report.Unchecked) > 0 && unseen(item, byRef, map[*Item]bool{}) != "":
			item.Mark, item.Reason = Unknown, "belongs to "+unseen(item, byRef, map[*Item]bool{})+", which was not found where not everything "+
				"could be looked at"
		default:
			item.Mark, item.Reason = Leftover, "not in the stack's state"
		}
	}
}

// owner gives what in the state an item is or belongs to, "" for nothing.
func (f *finder) owner(i *Item, byRef map[string]*Item, seen map[*Item]bool) string {
	if f.State.has(i.ID) || f.State.has(i.ARN) || slices.ContainsFunc(i.refs, f.State.has) {
		return "itself"
	}
	seen[i] = true
	found := false
	for _, ref := range i.with {
		if f.State.has(ref) {
			return ref
		}
		whole := byRef[ref]
		found = found || whole != nil
		if whole != nil && !seen[whole] && f.owner(whole, byRef, seen) != "" {
			return whole.ID
		}
	}
	if !found && f.State.has(i.doubt) {
		return i.doubt
	}
	return ""
}

// keeper is what AWS keeps of an item and of what it belongs to, nil if it keeps neither.
func keeper(i *Item, byRef map[string]*Item) *Item {
	if i.kept != "" {
		return i
	}
	for _, ref := range i.with {
		if whole := byRef[ref]; whole != nil && whole.kept != "" {
			return whole
		}
	}
	return nil
}

// unseen gives something that an item belongs to, directly or not, and that was not found; "" if all was found. It does not count the
// cluster and the domain, which are known by their ARNs and looked for first.
func unseen(i *Item, byRef map[string]*Item, seen map[*Item]bool) string {
	seen[i] = true
	for _, ref := range i.with {
		whole := byRef[ref]
		if whole == nil && !strings.HasPrefix(ref, "arn:") {
			return ref
		}
		if whole != nil && !seen[whole] {
			if ref := unseen(whole, byRef, seen); ref != "" {
				return ref
			}
		}
	}
	return ""
}

// elsewhere notes that the caller's environment names another region, and looks whether the cluster is there.
func (f *finder) elsewhere(ctx context.Context) {
	if f.Region == "" || f.Region == f.Stack.Region {
		return
	}
	f.note("AWS_REGION is %s; the stack's settings say %s, and that is where this looked.", f.Region, f.Stack.Region)
	answer, err := f.eks.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: &f.Stack.Cluster}, func(o *eks.Options) { o.Region = f.Region })
	if err == nil && f.stacks(answer.Cluster.Tags) {
		f.report.Unchecked = append(f.report.Unchecked, Unchecked{What: "region " + f.Region, Problem: fmt.Sprintf(
			"the stack's cluster %s is there, and the stack's settings say %s; set aws:region back to look there: pulumi config set aws:region "+
				"%s --stack %s",
			f.Stack.Cluster, f.Stack.Region, f.Region, f.Stack.Name)})
	}
}
