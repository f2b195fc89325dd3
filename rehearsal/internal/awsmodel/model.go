package awsmodel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"expense/internal/published"
	"expense/rehearsal/internal/awsrules"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Options sets up a Model. The zero value is an account 111122223333 in us-east-1 that answers at once.
type Options struct {
	// Region is an AWS region name; default us-east-1.
	Region string
	// Account is the 12-digit account ID; default 111122223333.
	Account string
	// Scale multiplies AWS's typical durations: 1 is real time, 0.01 a hundredth of it. 0 (the default) never waits: a
	// clock of the account's own counts instead, and whatever would settle after some minutes (a node that waits for its
	// network plugin) fails at once.
	Scale float64
	// KeyTagDelay is how long tags of a KMS key take until they count for the caller, whose permissions depend on them.
	// 0 (the default) is a caller whose permissions do not. AWS says "up to five minutes"
	// (https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html); whether tags that a key was created
	// with take as long is not published.
	KeyTagDelay time.Duration
	// KnownAtOnce has services know at once what is new: for a Scale at which the steps of the caller, which no scale makes
	// shorter, would take longer than AWS does.
	KnownAtOnce bool
	// Quotas are the account's limits; zero fields take the defaults of Quotas.
	Quotas Quotas
	// EndpointZones are the zones, by ID, of endpoint services, by the services' names as in com.amazonaws.REGION.NAME. A
	// service that is not listed is in all of the region's zones; one with no zones is not in the region.
	EndpointZones map[string][]string
	// Principals are ARNs of IAM users and roles that exist without the program having made them.
	Principals []string
	// ServiceLinkedRoles are the services (for example opensearchservice.amazonaws.com) whose service-linked role the
	// account has already.
	ServiceLinkedRoles []string
	// Cluster is told about clusters and nodes; nil means invented endpoints and nodes that are Ready at once.
	Cluster Cluster
}

// Quotas are the service quotas that the model enforces.
type Quotas struct {
	// SpotVCPU is "All Standard Spot Instance Requests" in vCPUs; default 640. A new account has 5
	// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html).
	SpotVCPU int
	// VPCs per region; default 5 (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
	VPCs int
	// EIPs is the number of Elastic IP addresses per region; default 5 (same page).
	EIPs int
}

// Cluster is the Kubernetes side of a cluster: whoever runs its API server. Calls come from several goroutines, never
// while the model holds its lock, so that an implementation may call the Model.
type Cluster interface {
	// Endpoint gives the URL of the API server and its CA certificate in PEM for the cluster that EKS is creating.
	Endpoint(ctx context.Context, name, version string) (url string, caPEM []byte, err error)
	// AddNodes makes the instances join; it returns when they are Ready, or why they are not.
	AddNodes(ctx context.Context, nodes []Instance) error
	// RemoveNodes drains the instances and removes their Node objects.
	RemoveNodes(ctx context.Context, nodes []Instance) error
	// LoseNodes removes the Node objects of instances that ended without notice, and the pods on them.
	LoseNodes(ctx context.Context, nodes []Instance) error
	// RunAddon makes the pods that an add-on runs, if they are not there yet, and does not wait for them.
	RunAddon(ctx context.Context, name string, runs published.Addon) error
	// StopAddon removes them and returns when they are gone.
	StopAddon(ctx context.Context, name string) error
}

// CheckFailure is one input that the provider refuses before it calls AWS.
type CheckFailure struct {
	// Property is the path of the input, Reason the sentence about it.
	Property, Reason string
}

// Origin tells who made a thing.
type Origin string

// The makers of things in an account.
const (
	Program   Origin = "program"
	AWS       Origin = "AWS itself"
	InCluster Origin = "in-cluster controller"
)

// Item is one thing that exists in the account.
type Item struct {
	// Type is the Pulumi type token, also for what the program did not make itself.
	Type string
	// ID is the provider's ID, Name what a person calls the thing ("" if it has no name).
	ID, Name string
	// Status is CREATING, ACTIVE, DELETING, FAILED or, for a KMS key, PENDING_DELETION.
	Status string
	Tags   map[string]string
	Origin Origin
	// KeptByDesign says why AWS keeps the thing although the program that made it, or caused it, is gone. It is empty
	// for everything that should go away with the stack.
	KeptByDesign string
}

// Statuses of an object; AWS has more words, the model needs these.
const (
	creating = "CREATING"
	active   = "ACTIVE"
	deleting = "DELETING"
	failed   = "FAILED"
	pending  = "PENDING_DELETION"
)

// object is one thing in the account, whoever made it.
type object struct {
	typ, id, logical string
	in, out          props
	bookkeeping      resource.PropertyMap // inputs that begin with "__", given back by Read unchanged
	origin           Origin
	status           string
	kept             string
	seq              int
	// On the account's clock: when it was made, when it last changed, when the operation under way began, and when its
	// request was sent last.
	made, changed, began, asked time.Duration
	node                        *Instance     // of an instance
	joined, doomed              bool          // of an instance: in the cluster; to be terminated
	busy                        time.Duration // of a domain: until when, on the account's clock, a change of it is in progress
	degraded                    bool          // of an add-on: did not come up in time, and may still
	cniGone                     bool          // of a cluster: its vpc-cni add-on was deleted while nodes ran
}

func (o *object) arn() string { return o.out.str("arn") }

// name is the physical name: what row.name says, or the Name tag.
func (o *object) name() string {
	if r, ok := table[o.typ]; ok && r.name != nil {
		return o.out.str(r.name.property)
	}
	if n := o.out.str("name"); n != "" {
		return n
	}
	return o.out.strMap("tags")["Name"]
}

// Model is one AWS account in one region, held in memory. All methods are safe for concurrent use.
type Model struct {
	opts   Options
	region region

	mu      sync.Mutex
	objects map[string]map[string]*object // by type token, then ID
	seq     int
	noSpot  map[string]bool  // zones, by ID, in which EC2 has no spot nodes to give
	spoiled map[string]error // what is made next and does not come up, by type and logical name
	changed chan struct{}    // closed and renewed whenever something changes
	// The clock, see clock.go: when it began, and with Scale 0 its time and when the command under way began.
	opened         time.Time
	clock, session time.Duration
}

// New makes an empty account. It panics on a region that it does not know, because every test would fail later for a
// reason that is harder to see.
func New(opts Options) *Model {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	defInt := func(i *int, v int) {
		if *i == 0 {
			*i = v
		}
	}
	def(&opts.Region, "us-east-1")
	def(&opts.Account, "111122223333")
	defInt(&opts.Quotas.SpotVCPU, 640)
	defInt(&opts.Quotas.VPCs, 5)
	defInt(&opts.Quotas.EIPs, 5)
	r, ok := regions[opts.Region]
	if !ok {
		panic(fmt.Sprintf("awsmodel: region %q is not known; known are %s", opts.Region,
			strings.Join(slices.Sorted(maps.Keys(regions)), ", ")))
	}
	m := &Model{opts: opts, region: r, objects: map[string]map[string]*object{}, noSpot: map[string]bool{}, spoiled: map[string]error{}, changed: make(chan struct{}), opened: time.Now()}
	for _, service := range opts.ServiceLinkedRoles {
		m.ensureSLR(service)
	}
	return m
}

// Types lists the type tokens that the model answers for, sorted.
func Types() []string { return slices.Sorted(maps.Keys(table)) }

func rowOf(typ string) (*row, error) {
	r, ok := table[typ]
	if !ok {
		return nil, fmt.Errorf("the AWS model has no row for resource type %q; add it to the table of package awsmodel", typ)
	}
	return r, nil
}

// Taggable tells whether the type takes tags, and so the provider's default tags.
func Taggable(typ string) bool {
	r, ok := table[typ]
	return ok && slices.Contains(r.outputs, "tagsAll")
}

// Outputs lists the output properties of a type that are no inputs, as property paths: what is unknown in a preview of a
// creation.
func Outputs(typ string) []string {
	if r, ok := table[typ]; ok {
		return slices.Clone(r.outputs)
	}
	return nil
}

// Recomputed lists the outputs that a change of the inputs renews, and which are unknown in a preview of an update.
func Recomputed(typ string) []string {
	if r, ok := table[typ]; ok {
		return slices.Clone(r.recomputed)
	}
	return nil
}

// Region is the region that the account was set up in.
func (m *Model) Region() string { return m.opts.Region }

// Account is the account's 12-digit ID.
func (m *Model) Account() string { return m.opts.Account }

// Partition is the region's, aws or aws-us-gov.
func (m *Model) Partition() string {
	if strings.HasPrefix(m.opts.Region, "us-gov-") {
		return "aws-us-gov"
	}
	return "aws"
}

// DeleteBeforeReplace tells whether the provider deletes before it replaces: always for a few types, and for all whose
// name the program fixed, because the name is taken until the old one is gone (pulumi-terraform-bridge,
// nameRequiresDeleteBeforeReplace). The inputs are checked ones, with the provider's "__defaults".
func DeleteBeforeReplace(typ string, news resource.PropertyMap) bool {
	r, ok := table[typ]
	if !ok {
		return false
	}
	if r.deleteFirst {
		return true
	}
	defaults, recorded := news["__defaults"]
	if r.name == nil || !r.name.auto || !recorded || !defaults.IsArray() {
		return false
	}
	named := news.HasValue(resource.PropertyKey(r.name.property))
	for _, d := range defaults.ArrayValue() {
		if d.IsString() && d.StringValue() == r.name.property {
			return false
		}
	}
	return named
}

// Autoname gives the property that the provider names by itself and the name it would take: the logical name and seven
// hex digits drawn from seed. Both are empty if the type has no such property, or if the program gave the name or a
// name prefix. Source: pulumi/pulumi-aws, provider/resources.go and provider/autonaming.go.
func Autoname(typ, logical string, seed []byte, news resource.PropertyMap) (property, name string, err error) {
	r, rerr := rowOf(typ)
	if rerr != nil {
		return "", "", rerr
	}
	n := r.name
	if n == nil || !n.auto || news.HasValue(resource.PropertyKey(n.property)) ||
		n.prefixProperty != "" && news.HasValue(resource.PropertyKey(n.prefixProperty)) {
		return "", "", nil
	}
	name, err = resource.NewUniqueName(seed, logical+"-", 7, n.limit(), nil)
	if err != nil {
		return "", "", fmt.Errorf("could not make an automatic %s for %s: %w", n.property, typ, err)
	}
	if n.alias && !strings.HasPrefix(name, "alias/") {
		name = "alias/" + name
	}
	return n.property, name, nil
}

// Check gives what the provider refuses before it calls AWS: missing properties, values outside an enumeration, names and
// documents of a wrong form. Unknown values pass. An unknown type is one failure without a property.
func (m *Model) Check(typ string, news resource.PropertyMap) []CheckFailure {
	r, err := rowOf(typ)
	if err != nil {
		return []CheckFailure{{Reason: err.Error()}}
	}
	c := &checker{props: plain(news), region: m.opts.Region}
	for _, path := range r.required {
		if !c.has(path) {
			c.fail(path, "Missing required argument. The argument %q is required, but no definition was found", path)
		}
	}
	if r.name != nil {
		r.name.check(c)
	}
	// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
	if tags := c.strMap("tags"); slices.Contains(r.outputs, "tagsAll") {
		if len(tags) > 50 {
			c.fail("tags", "at most 50 tags, found %d", len(tags))
		}
		for k, v := range tags {
			if strings.HasPrefix(strings.ToLower(k), "aws:") {
				c.fail("tags", "tag %q=%q is not valid: keys do not begin with aws:", k, v)
			}
		}
	}
	if r.check != nil {
		r.check(c)
	}
	for _, f := range awsrules.Check(typ, c.m) {
		c.fail(f.At, "%s", f.Reason)
	}
	slices.SortStableFunc(c.failures, func(a, b CheckFailure) int { return strings.Compare(a.Property, b.Property) })
	return c.failures
}

// Diff lists what differs between old and new inputs, and whether any of it replaces the resource.
func (m *Model) Diff(typ, id string, olds, news resource.PropertyMap) (changes []Change, replace bool, err error) {
	r, err := rowOf(typ)
	if err != nil {
		return nil, false, err
	}
	o, n := plain(olds), plain(news)
	changes = slices.DeleteFunc(diff(o, n), func(c Change) bool { return c.Kind == "delete" && slices.Contains(r.computed, schemaPath(c.Path)) })
	var conditional []string
	if r.replacesIf != nil {
		conditional = r.replacesIf(o, n)
	}
	for i, c := range changes {
		paths := []string{c.Path}
		for _, side := range []props{o, n} {
			if c.Kind != "update" && !strings.Contains(c.Path, "[") {
				paths = append(paths, leaves(c.Path, side.value(c.Path))...)
			}
		}
		for _, p := range paths {
			if p := schemaPath(p); slices.Contains(r.replaces, p) || slices.Contains(conditional, p) {
				changes[i].Replaces, replace = true, true
			}
		}
	}
	return changes, replace, nil
}

// Create makes a resource: it checks the inputs, what they refer to and what AWS asks of them, then waits as long as AWS
// typically takes. name is the logical name, from which a missing physical name is derived. If AWS refuses, id is empty.
// If the resource was made and then did not come up (or ctx ended the wait), id and outputs are given together with the
// error: the thing exists and must be kept in the state.
func (m *Model) Create(ctx context.Context, typ, name string, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	r, err := rowOf(typ)
	if err != nil {
		return "", nil, err
	}
	if failures := m.Check(typ, inputs); len(failures) > 0 {
		var errs []error
		for _, f := range failures {
			errs = append(errs, fmt.Errorf("%s %q: %s", typ, name, f.Reason))
		}
		return "", nil, errors.Join(errs...)
	}
	in := plain(inputs)
	if property, auto, err := Autoname(typ, name, []byte(typ+name), in.m); err != nil {
		return "", nil, err
	} else if property != "" {
		in.set(property, auto)
	}
	o := &object{typ: typ, logical: name, in: in, out: props{in.m.Copy()}, origin: Program, status: creating,
		bookkeeping: bookkeeping(inputs)}

	if err := m.request(ctx, r, o, true, func() error { return m.admit(r, o) }); err != nil {
		return "", nil, r.wrap("creating", o, r.createOp(), err)
	}
	if err := m.bringUp(ctx, r, o); err != nil {
		return o.id, m.outputs(o), r.wrap("waiting for", o, r.createOp(), err)
	}
	return o.id, m.outputs(o), nil
}

// admit validates against the account and enters the object, still CREATING.
func (m *Model) admit(r *row, o *object) error {
	if err := m.checkRefs(r, o.in); err != nil {
		return err
	}
	r.name.expandPrefix(m, o)
	if r.create != nil {
		if err := r.create(m, o); err != nil {
			return err
		}
	}
	if o.id == "" {
		o.id = r.makeID(m, o)
	}
	if _, taken := m.objects[o.typ][o.id]; taken {
		what := orElse(destination(o.in), orElse(o.name(), o.id))
		text := strings.ReplaceAll(orElse(r.takenText, "The specified resource already exists: %s"), "%s", what) // some name nothing
		return refuse(orElse(r.takenCode, "ResourceAlreadyExistsException"), "%s", text)
	}
	m.fill(r, o)
	m.put(o)
	return nil
}

// fill computes the outputs from the inputs; it runs again after an update and changes nothing that is already there.
func (m *Model) fill(r *row, o *object) {
	if slices.Contains(r.outputs, "arn") && r.arn != "" {
		o.out.setDefault("arn", m.arnOf(r.arn, o))
	}
	if slices.Contains(r.outputs, "tagsAll") {
		o.out.set("tagsAll", toAny(o.in.strMap("tags")))
	}
	if slices.Contains(r.outputs, "ownerId") {
		o.out.setDefault("ownerId", m.opts.Account)
	}
	for k, v := range r.defaults {
		o.out.setDefault(k, v)
	}
	if r.fill != nil {
		r.fill(m, o)
	}
}

// bringUp waits until the new object is ready. An object that cannot come up yet is looked at again whenever something
// in the account changes, until AWS would give up.
func (m *Model) bringUp(ctx context.Context, r *row, o *object) error {
	deadline := time.Now().Add(m.Scaled(max(r.creation(o), r.times.fail)))
	waitErr := m.wait(ctx, r.creation(o))
	for {
		m.mu.Lock()
		err := m.spoiled[o.typ+" "+o.logical]
		spoiled := err != nil
		if err == nil && r.settle != nil {
			err = r.settle(m, o)
		}
		changed := m.changed
		if err == nil {
			o.status = active
			if o.out.has("status") {
				o.out.set("status", active)
			}
			m.finish(o, r.creation(o))
			o.made = o.changed
			m.notify()
			m.mu.Unlock()
			break
		}
		left := time.Until(deadline)
		if spoiled || m.opts.Scale == 0 || left <= 0 || waitErr != nil {
			o.fail()
			o.degraded = !spoiled && strings.Contains(fmt.Sprint(err), "'DEGRADED'")
			m.notify()
			m.mu.Unlock()
			return errors.Join(err, waitErr)
		}
		m.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			waitErr = ctx.Err()
		}
		timer.Stop()
	}
	if r.after != nil {
		// What AWS has begun it finishes, whether or not somebody still waits for it.
		if err := r.after(context.WithoutCancel(ctx), m, o); err != nil {
			m.mu.Lock()
			o.fail()
			m.mu.Unlock()
			return err
		}
	}
	return waitErr
}

// Spoil makes what is created with this logical name from now on end without coming up: AWS has made it, gives up on it and
// says why. With "" it is over; what failed stays as it is then.
func (m *Model) Spoil(typ, logical, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.spoiled, typ+" "+logical)
	if why != "" {
		m.spoiled[typ+" "+logical] = errors.New(why)
	}
}

// fail is the end of what did not come up. A node group that is CREATE_FAILED and a cluster that is FAILED stay so
// (https://github.com/aws/containers-roadmap/issues/764, https://github.com/crossplane-contrib/provider-aws/issues/1447).
func (o *object) fail() {
	o.status = failed
	if o.out.has("status") {
		o.out.set("status", map[bool]string{true: failed, false: "CREATE_FAILED"}[o.typ == tCluster])
	}
}

// Read gives the inputs and outputs of what exists; found is false if nothing does.
func (m *Model) Read(typ, id string) (inputs, outputs resource.PropertyMap, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[typ][id]
	if !ok || o.status == pending {
		return nil, nil, false
	}
	if o.degraded && table[typ].settle(m, o) == nil { // EKS has gone on trying
		o.status, o.degraded = active, false
	}
	inputs = o.in.m.Copy()
	maps.Copy(inputs, o.bookkeeping)
	return inputs, o.out.m.Copy(), true
}

// Update changes a resource in place. Inputs that did not change cause no call to AWS. A change that replaces is an
// error: the engine must not ask for it.
func (m *Model) Update(ctx context.Context, typ, id string, news resource.PropertyMap) (resource.PropertyMap, error) {
	r, err := rowOf(typ)
	if err != nil {
		return nil, err
	}
	if failures := m.Check(typ, news); len(failures) > 0 {
		return nil, fmt.Errorf("%s %q: %s", typ, id, failures[0].Reason)
	}
	m.mu.Lock()
	o, ok := m.objects[typ][id]
	if !ok && r.upserts {
		o = &object{typ: typ, id: id, logical: id, in: props{resource.PropertyMap{}}, out: props{resource.PropertyMap{}}, origin: Program, status: active}
	} else if !ok {
		m.mu.Unlock()
		return nil, fmt.Errorf("updating %s (%s): couldn't find resource", r.noun, id)
	}
	in := plain(news)
	if r.name != nil && !in.has(r.name.property) && o.in.has(r.name.property) {
		in.m[resource.PropertyKey(r.name.property)] = o.in.value(r.name.property)
	}
	changes, replace, _ := m.Diff(typ, id, o.in.m, in.m)
	if replace {
		m.mu.Unlock()
		return nil, fmt.Errorf("updating %s (%s): %v cannot be changed in place", r.noun, id, changes)
	}
	before, beforeOut := o.in, o.out
	o.bookkeeping = bookkeeping(news)
	m.mu.Unlock()
	if len(changes) == 0 {
		return m.outputs(o), nil
	}
	err = m.request(ctx, r, o, false, func() error {
		o.in, o.out = in, props{beforeOut.m.Copy()}
		for k := range before.m {
			if !slices.Contains(r.computed, string(k)) {
				delete(o.out.m, k)
			}
		}
		maps.Copy(o.out.m, in.m)
		err := m.checkRefs(r, in)
		if err == nil && r.update != nil {
			err = r.update(m, o, before)
		}
		if err != nil {
			o.in, o.out = before, beforeOut
			return err
		}
		m.fill(r, o)
		if m.objects[typ][id] == nil {
			m.put(o)
		}
		m.notify()
		return nil
	})
	if err != nil {
		return nil, r.wrap("updating", o, r.updateOp(), err)
	}
	err = m.wait(ctx, r.times.update)
	m.mu.Lock()
	m.finish(o, r.times.update)
	m.mu.Unlock()
	if err == nil && r.after != nil {
		err = r.after(ctx, m, o)
	}
	if err != nil {
		return m.outputs(o), r.wrap("updating", o, r.updateOp(), err)
	}
	return m.outputs(o), nil
}

// Delete removes a resource. What is gone already is no error. What is in use is refused; where the provider tries again
// (DependencyViolation), so does the model until the provider would give up.
func (m *Model) Delete(ctx context.Context, typ, id string) error {
	r, err := rowOf(typ)
	if err != nil {
		return err
	}
	m.mu.Lock()
	o, ok := m.objects[typ][id]
	m.mu.Unlock()
	if !ok && r.missed != nil {
		return r.missed(m, id)
	}
	if !ok {
		return nil
	}
	deadline := time.Now().Add(m.Scaled(r.times.retryDelete()))
	gone := false
	once := *r
	once.repeats = nil // what the provider repeats is creations and updates
	for {
		var changed chan struct{}
		err := m.request(ctx, &once, o, false, func() error {
			changed = m.changed
			if gone = m.objects[typ][id] != o || o.status == pending; gone {
				return nil
			}
			if r.remove != nil {
				if err := r.remove(m, o); err != nil {
					return err
				}
			}
			o.status = deleting
			m.notify()
			return nil
		})
		if gone {
			return nil
		}
		if err == nil {
			break
		}
		left := time.Until(deadline)
		if Code(err) != "DependencyViolation" || m.opts.Scale == 0 || left <= 0 {
			return r.wrap("deleting", o, r.deleteOp(), err)
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return r.wrap("deleting", o, r.deleteOp(), errors.Join(err, ctx.Err()))
		}
		timer.Stop()
	}
	if r.drain != nil {
		if err := r.drain(context.WithoutCancel(ctx), m, o); err != nil {
			m.mu.Lock()
			o.status = failed
			m.mu.Unlock()
			return r.wrap("deleting", o, r.deleteOp(), err)
		}
	}
	waitErr := m.wait(ctx, r.times.remove)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finish(o, r.times.remove)
	if r.gone == nil || !r.gone(m, o) {
		delete(m.objects[typ], id)
	}
	m.notify()
	if waitErr != nil {
		return r.wrap("deleting", o, r.deleteOp(), waitErr)
	}
	return nil
}

// Inventory lists everything that exists in the account, oldest first.
func (m *Model) Inventory() []Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*object
	for _, byID := range m.objects {
		for _, o := range byID {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *object) int { return a.seq - b.seq })
	items := make([]Item, 0, len(all))
	for _, o := range all {
		items = append(items, Item{Type: o.typ, ID: o.id, Name: o.name(), Status: o.status, Tags: o.out.strMap("tags"),
			Origin: o.origin, KeptByDesign: o.kept})
	}
	return items
}

// Below: helpers for rules; all want the lock held unless they say otherwise.

func (m *Model) put(o *object) {
	if m.objects[o.typ] == nil {
		m.objects[o.typ] = map[string]*object{}
	}
	m.seq++
	o.seq, o.made, o.changed = m.seq, m.now(), m.now()
	m.objects[o.typ][o.id] = o
	m.notify()
}

func (m *Model) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// made enters something that AWS or a controller makes.
func (m *Model) made(typ, id string, origin Origin, out map[string]any) *object {
	if id == "" {
		id = m.newID(typ, "")
	}
	o := &object{typ: typ, id: id, origin: origin, status: active, out: props{resource.NewPropertyMapFromMap(out)}, in: props{resource.PropertyMap{}}}
	m.put(o)
	return o
}

func (m *Model) drop(o *object) {
	delete(m.objects[o.typ], o.id)
	m.notify()
}

// all lists the objects of a type in the order of their making.
func (m *Model) all(typ string) []*object {
	out := slices.Collect(maps.Values(m.objects[typ]))
	slices.SortFunc(out, func(a, b *object) int { return a.seq - b.seq })
	return out
}

// where lists the objects of a type whose output has the value.
func (m *Model) where(typ, property, value string) []*object {
	var out []*object
	for _, o := range m.all(typ) {
		if property == "id" && o.id == value || property != "id" && o.out.str(property) == value {
			out = append(out, o)
		}
	}
	return out
}

func (m *Model) first(typ, property, value string) *object {
	if value == "" {
		return nil
	}
	if found := m.where(typ, property, value); len(found) > 0 {
		return found[0]
	}
	return nil
}

func (m *Model) checkRefs(r *row, in props) error {
	for _, ref := range r.refs {
		values := in.strs(ref.path)
		if v := in.str(ref.path); v != "" {
			values = append(values, v)
		}
		for _, v := range values {
			if m.first(ref.typ, ref.by, v) == nil {
				return refuse(ref.code, ref.text, v)
			}
		}
	}
	return nil
}

// newID makes an ID of AWS's form, prefix-0 and 16 hex digits, that is the same in every run.
func (m *Model) newID(seed, prefix string) string {
	return prefix + "0" + m.hex(seed)[:16]
}

func (m *Model) hex(seed string) string {
	m.seq++
	sum := sha256.Sum256([]byte(fmt.Sprint(seed, m.seq)))
	return hex.EncodeToString(sum[:])
}

func (m *Model) uuid(seed string) string {
	h := m.hex(seed)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

// arnOf expands {id}, {name} and {path} in service:region-or-nothing:resource.
func (m *Model) arnOf(pattern string, o *object) string {
	r := strings.NewReplacer("{id}", o.id, "{name}", o.name(), "{path}", orElse(o.in.str("path"), "/"), "{region}", m.opts.Region,
		"{cluster}", o.in.str("clusterName"), "{uuid}", m.uuid(o.id), "{logical}", o.logical)
	service, resource, _ := strings.Cut(pattern, "|")
	region := m.opts.Region
	if service == "iam" {
		region = ""
	}
	return strings.Join([]string{"arn", m.Partition(), service, region, m.opts.Account, r.Replace(resource)}, ":")
}

// Scaled gives how long something lasts here that lasts d in AWS.
func (m *Model) Scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * m.opts.Scale)
}

// wait sleeps for a scaled duration; it must be called without the lock.
func (m *Model) wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d = m.Scaled(d); d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Model) outputs(o *object) resource.PropertyMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return o.out.m.Copy()
}

func bookkeeping(m resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for k, v := range m {
		if strings.HasPrefix(string(k), "__") {
			out[k] = v
		}
	}
	return out
}

func orElse(v, byDefault string) string {
	if v == "" {
		return byDefault
	}
	return v
}

func toAny(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func crc(s string) string { return fmt.Sprint(crc32.ChecksumIEEE([]byte(s))) }
