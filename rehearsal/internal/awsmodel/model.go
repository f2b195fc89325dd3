package awsmodel

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"expense/internal/published"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Options sets up a Model. The zero value is an account 111122223333 in us-east-1 that answers at once.
type Options struct {
	// Region is an AWS region name; default us-east-1.
	Region string
	// Account is the 12-digit account ID; default 111122223333.
	Account string
	// KeyTagDelay is how long tags of a KMS key take until they count for the caller, whose permissions depend on them.
	// 0 (the default) is a caller whose permissions do not. AWS says "up to five minutes"
	// (https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html); whether tags that a key was created
	// with take as long is not published.
	KeyTagDelay time.Duration
	// Quotas are the account's limits; zero fields take the defaults of Quotas.
	Quotas Quotas
	// EndpointZones are the zones, by ID, of endpoint services, by the services' names as in com.amazonaws.REGION.NAME. A
	// service that is not listed is in all of the region's zones; one with no zones is not in the region.
	EndpointZones map[string][]string
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

// Cluster is the Kubernetes side of a cluster. Calls come from several goroutines, and not while the model holds its lock: an
// implementation may call the Model.
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
	// KeptByDesign says why AWS keeps the thing when the stack is gone. It is empty for a thing that must go with the stack.
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

// object is one thing in the account.
type object struct {
	typ, id, logical string
	in, out          props
	bookkeeping      resource.PropertyMap // inputs that begin with "__", given back by Read unchanged
	origin           Origin
	status           string
	kept             string
	seq              int
	// On the account's clock: when it was made, when it last changed, when the operation under way began, and when its last request
	// was sent.
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
	if r, ok := table[o.typ]; ok && r.name.property != "" {
		return o.out.str(r.name.property)
	}
	if n := o.out.str("name"); n != "" {
		return n
	}
	return o.out.strMap("tags")["Name"]
}

func (o *object) item() Item {
	tags := map[string]string{}
	maps.Copy(tags, o.out.strMap("tags"))
	maps.Copy(tags, o.out.strMap("tagsAll"))
	return Item{Type: o.typ, ID: o.id, Name: o.name(), Status: o.status, Tags: tags, Origin: o.origin, KeptByDesign: o.kept}
}

// Model is one AWS account in one region, held in memory. All methods are safe for concurrent use.
type Model struct {
	opts Options

	mu      sync.Mutex
	objects map[string]map[string]*object // by type token, then ID
	seq     int
	noSpot  map[string]bool  // zones, by ID, in which EC2 has no spot nodes to give
	spoiled map[string]error // what is made next and does not come up, by type and logical name
	// The clock, see clock.go: its time, and when the command under way began.
	clock, session time.Duration
}

// New makes an empty account. It panics on an unknown region: later errors would be harder to read.
func New(opts Options) *Model {
	opts.Region, opts.Account = cmp.Or(opts.Region, "us-east-1"), cmp.Or(opts.Account, "111122223333")
	quotas := &opts.Quotas
	quotas.SpotVCPU, quotas.VPCs, quotas.EIPs = cmp.Or(quotas.SpotVCPU, 640), cmp.Or(quotas.VPCs, 5), cmp.Or(quotas.EIPs, 5)
	if zonesOf[opts.Region] == nil {
		panic(fmt.Sprintf("awsmodel: region %q is not known; known are %s", opts.Region, strings.Join(Regions(), ", ")))
	}
	m := &Model{
		opts: opts, objects: map[string]map[string]*object{}, noSpot: map[string]bool{}, spoiled: map[string]error{},
	}
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
		return nil, fmt.Errorf("the AWS model has no row for resource type %q; add it to its service in package awsmodel and to the "+
			"habits of package awsprovider", typ)
	}
	return r, nil
}

// Name gives the property with the physical name of a type, and the one with its prefix. They are empty if the type has none.
func Name(typ string) (property, prefix string) {
	if r, ok := table[typ]; ok {
		return r.name.property, r.name.prefix
	}
	return "", ""
}

// Keeps tells whether AWS keeps an argument when a change leaves it out.
func Keeps(typ, argument string) bool {
	r, ok := table[typ]
	return ok && r.keeps.has(argument)
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
	var items []Item
	for _, o := range all {
		items = append(items, o.item())
	}
	return items
}

// Reset empties the account for another life of the stack on the same stage, also of what AWS keeps by design.
func (m *Model) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects = map[string]map[string]*object{}
	m.noSpot, m.spoiled = map[string]bool{}, map[string]error{}
}

// Typical gives AWS's typical durations of creating, updating and deleting one thing of a type; known is false for a type
// that the model has no row for. They are what people's logs show, with a wide spread; OpenSearch is the least certain.
func Typical(typ string) (create, update, remove time.Duration, known bool) {
	r, known := table[typ]
	if !known {
		return 0, 0, 0, false
	}
	return r.times.create, r.times.update, r.times.remove, true
}
