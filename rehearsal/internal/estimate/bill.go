package estimate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"expense/rehearsal/internal/state"
)

// spotShare is the assumed price of a spot node as a share of the one on demand. AWS only says "up to 90 %" off
// (https://aws.amazon.com/ec2/spot/pricing/); the price moves, and differs between zones.
const spotShare = 0.4

// Assumed amounts of CloudWatch logs, in GiB a month: guesses for a small, quiet cluster.
const (
	controlPlaneLogs = 5
	domainLogs       = 0.5
)

// images is the assumed size of a repository in GiB: 50 images with 20 MiB each of their own.
const images = 1

// standardSupport says when EKS's standard support of a Kubernetes version ends (https://endoflife.date/amazon-eks, after
// https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html; read in February 2026).
var standardSupport = map[string]string{
	"1.30": "2025-07-23", "1.31": "2025-11-26", "1.32": "2026-03-23", "1.33": "2026-07-29", "1.34": "2026-12-02", "1.35": "2027-03-27",
}

// free are the types that cost nothing by themselves. A bill lists a type that is neither free nor priced.
var free = []string{
	"aws:cloudwatch/logResourcePolicy:LogResourcePolicy", "aws:ecr/lifecyclePolicy:LifecyclePolicy",
	"aws:ecr/pullThroughCacheRule:PullThroughCacheRule", "aws:ec2/internetGateway:InternetGateway", "aws:ec2/launchTemplate:LaunchTemplate",
	"aws:ec2/route:Route", "aws:ec2/routeTable:RouteTable", "aws:ec2/routeTableAssociation:RouteTableAssociation",
	"aws:ec2/securityGroup:SecurityGroup", "aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc", "aws:eks/accessEntry:AccessEntry",
	"aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "aws:eks/addon:Addon", "aws:eks/podIdentityAssociation:PodIdentityAssociation",
	"aws:eks/identityProviderConfig:IdentityProviderConfig",
	"aws:iam/openIdConnectProvider:OpenIdConnectProvider", "aws:iam/policy:Policy", "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy",
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment", "aws:iam/serviceLinkedRole:ServiceLinkedRole", "aws:kms/alias:Alias",
	"aws:opensearch/domainPolicy:DomainPolicy", "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
	// The topic sends an e-mail for each alarm: the first thousand a month are free (https://aws.amazon.com/sns/pricing/).
	"aws:sns/topic:Topic", "aws:sns/topicPolicy:TopicPolicy", "aws:sns/topicSubscription:TopicSubscription",
	"kubernetes:apps/v1:Deployment", "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "kubernetes:batch/v1:Job",
	"kubernetes:core/v1:ConfigMap", "kubernetes:core/v1:LimitRange", "kubernetes:core/v1:Namespace", "kubernetes:core/v1:Pod",
	"kubernetes:core/v1:ResourceQuota", "kubernetes:core/v1:Secret", "kubernetes:core/v1:ServiceAccount",
	"kubernetes:networking.k8s.io/v1:NetworkPolicy", "kubernetes:policy/v1:PodDisruptionBudget",
	"kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
	"kubernetes:rbac.authorization.k8s.io/v1:Role", "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
	"kubernetes:storage.k8s.io/v1:StorageClass",
}

// biller adds up the items of one bill.
type biller struct {
	Bill
	resources []Resource
	day       time.Time
}

// BillOf is what the resources cost in a month. The day decides whether a Kubernetes version is in extended support.
func BillOf(resources []Resource, day time.Time) Bill {
	b := biller{resources: resources, day: day}
	for _, r := range resources {
		if r.Custom && !strings.HasPrefix(r.Type, "pulumi:") && !slices.Contains(free, r.Type) {
			b.add(r)
		}
		if region, _ := r.Inputs["region"].(string); r.Type == "pulumi:providers:aws" && region != Region {
			b.Unpriced = append(b.Unpriced, fmt.Sprintf("region %s: the figures are those of %s, and differ there", region, Region))
		}
	}
	slices.SortStableFunc(b.Items, func(x, y Item) int { return cmp.Or(cmp.Compare(y.Monthly, x.Monthly), cmp.Compare(x.Name, y.Name)) })
	slices.Sort(b.Unpriced)
	b.Crowded = room(resources)
	for _, item := range b.Items {
		b.Monthly += item.Monthly
		b.OnDemand += item.OnDemand
	}
	return b.Bill
}

func (b *biller) add(r Resource) {
	switch r.Type {
	case "aws:eks/cluster:Cluster":
		b.controlPlane(r)
	case "aws:eks/nodeGroup:NodeGroup":
		b.nodes(r)
	case "aws:ec2/natGateway:NatGateway":
		traffic := prices["ec2.nat-processed"]
		b.item(r, "NAT gateway", 1, "ec2.nat", fmt.Sprintf("without traffic, which is %g USD for each GiB", traffic.USD))
	case "aws:ec2/eip:Eip":
		b.item(r, "public address", 1, "ec2.address", "")
	case "aws:ec2/vpcEndpoint:VpcEndpoint":
		if r.Inputs["vpcEndpointType"] == "Interface" {
			b.item(r, "VPC endpoint", len(list(r.Inputs, "subnetIds")), "ec2.endpoint", "in each of its zones; without traffic")
		}
	case "aws:opensearch/domain:Domain":
		b.domain(r)
	case "aws:kms/key:Key":
		b.item(r, "KMS key", 1, "kms.key", "")
	case "aws:cloudwatch/metricAlarm:MetricAlarm":
		b.item(r, "alarm", 1, "cloudwatch.alarm", "")
	case "aws:ecr/repository:Repository":
		b.item(r, "images of", images, "ecr.storage", "an assumed amount; layers that images share are stored once")
	case "aws:cloudwatch/logGroup:LogGroup":
		b.logs(r)
	case "kubernetes:core/v1:PersistentVolumeClaim":
		b.claim(r)
	case "kubernetes:core/v1:Service":
		b.service(r)
	default:
		b.Unpriced = append(b.Unpriced, fmt.Sprintf("%s %s: nothing is known of what this type costs", r.Type, r.Name))
	}
}

// item adds n times the price of the key, or says that the table has none.
func (b *biller) item(r Resource, name string, n int, key, note string) {
	price, ok := PriceOf(key)
	if !ok {
		b.Unpriced = append(b.Unpriced, fmt.Sprintf("%s %s: %d x %s, of which the table has no price", r.Type, r.Name, n, key))
		return
	}
	monthly := float64(n) * price.Monthly()
	b.Items = append(b.Items, Item{
		Name: name + " " + r.Name, Quantity: amount(n, price), Monthly: monthly, OnDemand: monthly, Note: note,
		Verified: price.Verified, Sources: []string{price.Source},
	})
}

func amount(n int, price Price) string {
	switch {
	case price.Unit == "GiB-month":
		return fmt.Sprintf("%d GiB", n)
	case strings.HasPrefix(price.Key, "opensearch."):
		return fmt.Sprintf("%d x %s.search", n, strings.TrimPrefix(price.Key, "opensearch."))
	}
	return strconv.Itoa(n)
}

func (b *biller) controlPlane(r Resource) {
	version, _ := r.Inputs["version"].(string)
	end, known := standardSupport[version]
	key, note := "eks.control-plane", ""
	switch {
	case !known:
		note = fmt.Sprintf("when the standard support of Kubernetes %s ends is not known here; after it, it is 438 USD", version)
	case b.day.Format(time.DateOnly) < end:
		note = fmt.Sprintf("Kubernetes %s is in standard support until %s", version, end)
	case state.At(r.Inputs, "upgradePolicy", "supportType") == "STANDARD":
		note = fmt.Sprintf("Kubernetes %s is past its standard support, which ended on %s: EKS upgrades this cluster by itself, as its "+
			"upgrade policy says. Upgrade it before", version, end)
	default:
		key = "eks.control-plane-extended"
		note = fmt.Sprintf("EXTENDED SUPPORT: the standard support of Kubernetes %s ended on %s; with a version that has it, this is 73 USD",
			version, end)
	}
	b.item(r, "control plane", 1, key, note)
}

// nodes are the group's nodes at its desired size, and their disks. EC2 chooses among several types, so their mean is taken.
func (b *biller) nodes(r Resource) {
	size, _ := state.At(r.Inputs, "scalingConfig", "desiredSize").(float64)
	types := list(r.Inputs, "instanceTypes")
	item := Item{Name: "nodes " + r.Name, Verified: true}
	var unpriced []string
	for _, t := range types {
		price, ok := PriceOf(fmt.Sprintf("ec2.%v", t))
		if !ok {
			unpriced = append(unpriced, fmt.Sprint(t))
		}
		item.OnDemand += size * price.Monthly() / float64(len(types))
		item.Verified = item.Verified && price.Verified
		if !slices.Contains(item.Sources, price.Source) {
			item.Sources = append(item.Sources, price.Source)
		}
	}
	item.Quantity, item.Monthly = fmt.Sprintf("%g x %s, on demand", size, kinds(types)), item.OnDemand
	if r.Inputs["capacityType"] == "SPOT" {
		item.Quantity, item.Monthly = fmt.Sprintf("%g x %s, spot", size, kinds(types)), spotShare*item.OnDemand
		item.Note = fmt.Sprintf("spot at an assumed %.0f %% of on demand", spotShare*100)
	}
	if least, most := state.At(r.Inputs, "scalingConfig", "minSize"), state.At(r.Inputs, "scalingConfig", "maxSize"); least != most {
		item.Note = strings.TrimPrefix(fmt.Sprintf("%s; the autoscaler may make it %v to %v nodes", item.Note, least, most), "; ")
	}
	if len(unpriced) > 0 {
		b.Unpriced = append(b.Unpriced, fmt.Sprintf("nodes %s: %s, of which the table has no price", r.Name, strings.Join(unpriced, ", ")))
	} else {
		b.Items = append(b.Items, item)
	}
	for _, other := range b.resources {
		if other.Type != "aws:ec2/launchTemplate:LaunchTemplate" || !slices.Contains(r.Dependencies, other.URN) {
			continue
		}
		for _, disk := range list(other.Inputs, "blockDeviceMappings") {
			gib, _ := state.At(disk, "ebs", "volumeSize").(float64)
			b.item(r, "disks of nodes", int(gib*size), "ebs.gp3", "")
		}
	}
}

func kinds(types []any) string {
	if len(types) == 1 {
		return fmt.Sprint(types[0])
	}
	return fmt.Sprintf("one of %d types", len(types))
}

func (b *biller) domain(r Resource) {
	family := func(v any) string { return "opensearch." + strings.TrimSuffix(fmt.Sprint(v), ".search") }
	count, _ := state.At(r.Inputs, "clusterConfig", "instanceCount").(float64)
	b.item(r, "data nodes of domain", int(count), family(state.At(r.Inputs, "clusterConfig", "instanceType")), "")
	if state.At(r.Inputs, "clusterConfig", "dedicatedMasterEnabled") == true {
		masters, _ := state.At(r.Inputs, "clusterConfig", "dedicatedMasterCount").(float64)
		b.item(r, "masters of domain", int(masters), family(state.At(r.Inputs, "clusterConfig", "dedicatedMasterType")), "")
	}
	gib, _ := state.At(r.Inputs, "ebsOptions", "volumeSize").(float64)
	b.item(r, "volumes of domain", int(gib*count), "opensearch.gp3",
		"without IOPS and throughput above the least for the size, and above 16000 and 1000 MiB/s")
}

// logs assumes an amount.
func (b *biller) logs(r Resource) {
	gib := domainLogs
	if name, _ := r.Inputs["name"].(string); strings.HasPrefix(name, "/aws/eks/") {
		gib = controlPlaneLogs
	}
	ingested := prices["cloudwatch.logs-ingested"]
	b.Items = append(b.Items, Item{
		Name: "logs " + r.Name, Quantity: fmt.Sprintf("%g GiB", gib), Monthly: gib * ingested.USD, OnDemand: gib * ingested.USD,
		Note: "an assumed amount, ingested; keeping it costs little beside that", Verified: ingested.Verified, Sources: []string{ingested.Source},
	})
}

// claim is the volume of the claim.
func (b *biller) claim(r Resource) {
	size, _ := state.At(r.Inputs, "spec", "resources", "requests", "storage").(string)
	gib, err := strconv.Atoi(strings.TrimSuffix(size, "Gi"))
	if err != nil {
		b.Unpriced = append(b.Unpriced, fmt.Sprintf("claim %s: a size of %q is not understood, only whole Gi are", r.Name, size))
		return
	}
	b.item(r, "volume", gib, "ebs.gp3", "")
}

// service is a load balancer if the Service asks for one.
func (b *biller) service(r Resource) {
	if state.At(r.Inputs, "spec", "type") != "LoadBalancer" {
		return
	}
	key := "elb.classic"
	if state.At(r.Inputs, "metadata", "annotations", "service.beta.kubernetes.io/aws-load-balancer-type") != nil {
		key = "elb.network"
	}
	b.item(r, "load balancer", 1, key, "without traffic")
	zones := map[any]bool{}
	for _, other := range b.resources {
		if other.Type == "aws:ec2/subnet:Subnet" && state.At(other.Inputs, "tags", "kubernetes.io/role/elb") != nil {
			zones[other.Inputs["availabilityZoneId"]] = true
		}
	}
	b.item(r, "public addresses of load balancer", len(zones), "ec2.address", "one in each zone")
}

// list is a property that is a list.
func list(inputs map[string]any, key string) []any {
	v, _ := inputs[key].([]any)
	return v
}
