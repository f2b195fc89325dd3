package change

import (
	"cmp"
	"slices"
)

const serviceType = "kubernetes:core/v1:Service"

// Kind is a kind of resource that the guard watches.
type Kind struct {
	// Name is what people call it.
	Name string
	// Types are its type tokens.
	Types []string
	// SuccessorFirst lets a replacement pass in which the successor comes up before the old one goes.
	SuccessorFirst bool
	// Property is the path of a property that only looks as if it changed in place. The kind then stops its update, and nothing else
	// unless it is Balanced.
	Property string
	// Balanced narrows it to Services that had a load balancer.
	Balanced bool
	// Meanwhile is what users notice while it is replaced or after it is deleted. Source is where that is from.
	Meanwhile, Source string
}

// Kinds are what holds data or carries the platform. How to go through a change of each is in docs/changes.md.
var Kinds = []Kind{
	{
		Name: "VPC", Types: []string{"aws:ec2/vpc:Vpc"},
		Meanwhile: "A cluster cannot leave its VPC, so AWS refuses the change half way: the old network stays with everything in it, " +
			"the new one stands beside it, and every later update fails until somebody sorts it out.",
		Source: "https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html",
	},
	{
		Name: "subnet", Types: []string{"aws:ec2/subnet:Subnet"},
		Meanwhile: "Nodes, the control plane's and the domain's network interfaces live in it, and AWS does not delete it before they " +
			"are gone. Pods whose volume is in its zone cannot start while the zone has no node.",
		Source: "https://docs.aws.amazon.com/vpc/latest/userguide/subnet-deleting.html",
	},
	{
		Name: "control plane", Types: []string{"aws:eks/cluster:Cluster", "eks:index:Cluster"},
		Meanwhile: "The Kubernetes API goes, and with it every object, node and pod, until a new cluster is up and filled again: half " +
			"an hour and more without the service. What lies on the cluster's volumes is lost.",
		Source: "https://docs.aws.amazon.com/eks/latest/userguide/delete-cluster.html",
	},
	{
		Name: "KMS key", Types: []string{"aws:kms/key:Key"},
		Meanwhile: "Nothing that was encrypted with it can be decrypted from then on, which is every Secret of the cluster: pods that " +
			"mount one do not start. During the key's waiting period its deletion can be cancelled, afterwards neither the Secrets " +
			"nor the cluster come back.",
		Source: "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html",
	},
	{
		Name: "key of the control plane", Types: []string{"aws:eks/cluster:Cluster"}, Property: "encryptionConfig.provider.keyArn",
		Meanwhile: "`pulumi up` says that it has updated the cluster, and EKS keeps the key that the cluster has. When that key is " +
			"deleted, the cluster is lost with every Secret.",
		Source: "https://docs.aws.amazon.com/eks/latest/userguide/enable-kms.html",
	},
	{
		Name: "node group", Types: []string{"aws:eks/nodeGroup:NodeGroup"}, SuccessorFirst: true,
		Meanwhile: "All of its nodes are drained before others are there: its pods wait for some minutes, those that need its labels " +
			"or its capacity for as long as there is none.",
		Source: "https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html",
	},
	{
		Name: "OpenSearch domain", Types: []string{"aws:opensearch/domain:Domain"},
		Meanwhile: "All logs in it are lost. New ones wait in the sidecars' buffers until a successor answers, 15 to 30 minutes and at " +
			"times more than 60, and those that do not fit are lost too.",
		Source: "https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_DeleteDomain.html",
	},
	{
		Name: "persistent volume claim", Types: []string{"kubernetes:core/v1:PersistentVolumeClaim"},
		Meanwhile: "Its volume is deleted with all that is on it, because the storage class says so. Its pods are stopped first.",
		Source:    "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#delete",
	},
	{
		Name: "load balancer", Types: []string{serviceType}, Balanced: true, Property: "spec.type",
		Meanwhile: "Its address goes for good: AWS gives the next one another name. Whoever has the old one, such as a DNS record, reaches " +
			"nobody until he has the new one.",
		Source: "https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/",
	},
	{
		Name: "image repository", Types: []string{"aws:ecr/repository:Repository"},
		Meanwhile: "ECR refuses while it has images, and the update stops there. Where cluster.registry.deleteImages is set, they are lost: " +
			"no node can pull them, and there is no way back to an earlier version.",
		Source: "https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-delete.html",
	},
	{
		Name: "namespace", Types: []string{"kubernetes:core/v1:Namespace"},
		Meanwhile: "Everything in it is deleted: pods, Services with their load balancers, claims with their volumes.",
		Source:    "https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace",
	},
}

// Finding is a change that the guard watches for.
type Finding struct {
	Stack     string `json:"stack"`
	Kind      string `json:"kind"`
	Resource  string `json:"resource"`
	Cause     string `json:"cause"`
	Meanwhile string `json:"meanwhile"`
	Source    string `json:"source"`
	// Reason is why it was acknowledged.
	Reason string `json:"reason,omitempty"`
}

// Verdict is what the guard says.
type Verdict struct {
	// Stopped are findings without an acknowledgement.
	Stopped []Finding `json:"stopped,omitempty"`
	// Acknowledged are findings with one.
	Acknowledged []Finding `json:"acknowledged,omitempty"`
	// Unused are acknowledgements of what does not happen.
	Unused []Acknowledgement `json:"unused,omitempty"`
}

// Passes tells that nothing is stopped and that each acknowledgement covers something.
func (v Verdict) Passes() bool { return len(v.Stopped) == 0 && len(v.Unused) == 0 }

// Guard looks through the changes. An acknowledgement covers one finding, and repeats its stack, resource and cause. Those of other
// stacks do not count.
func Guard(stacks []Stack, acknowledgements []Acknowledgement) Verdict {
	var verdict Verdict
	unused := slices.Clone(acknowledgements)
	for _, stack := range stacks {
		for _, c := range stack.Changes {
			kind, cause, ok := watched(c)
			if !ok {
				continue
			}
			finding := Finding{
				Stack: stack.Name, Kind: kind.Name, Resource: c.Resource(), Cause: cause, Meanwhile: kind.Meanwhile, Source: kind.Source,
			}
			i := slices.IndexFunc(unused, func(a Acknowledgement) bool {
				return a.Stack == finding.Stack && a.Resource == finding.Resource && a.Change == finding.Cause
			})
			if i < 0 {
				verdict.Stopped = append(verdict.Stopped, finding)
				continue
			}
			finding.Reason = unused[i].Reason
			verdict.Acknowledged = append(verdict.Acknowledged, finding)
			unused = slices.Delete(unused, i, i+1)
		}
	}
	order := func(f Finding) int { return slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == f.Kind }) }
	byKind := func(a, b Finding) int { return cmp.Compare(order(a), order(b)) }
	slices.SortStableFunc(verdict.Stopped, byKind)
	slices.SortStableFunc(verdict.Acknowledged, byKind)
	for _, a := range unused {
		if slices.ContainsFunc(stacks, func(s Stack) bool { return s.Name == a.Stack }) {
			verdict.Unused = append(verdict.Unused, a)
		}
	}
	return verdict
}

// watched is the kind of a change that needs an acknowledgement, with the cause.
func watched(c Change) (kind Kind, cause string, ok bool) {
	for _, kind := range Kinds {
		if !slices.Contains(kind.Types, c.Type) {
			continue
		}
		if kind.Balanced && !c.Balanced {
			continue
		}
		i := slices.IndexFunc(c.Properties, func(p Property) bool { return p.Path == kind.Property })
		switch {
		case c.Operation == Update && i >= 0:
			return kind, c.Cause() + ": " + c.Properties[i].String(), true
		case kind.Property != "" && !kind.Balanced:
		case c.Operation == Delete, c.Operation == Replace && (c.DeletedFirst || !kind.SuccessorFirst):
			return kind, c.Cause(), true
		}
	}
	return Kind{}, "", false
}
