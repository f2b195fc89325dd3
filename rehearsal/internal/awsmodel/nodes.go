package awsmodel

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"

	"expense/internal/published"

	"go.yaml.in/yaml/v3"
)

// Instance is one node's machine.
type Instance struct {
	// ID is the EC2 instance ID, PrivateDNS the name that the Node object gets.
	ID, PrivateDNS, PrivateIP string
	// Region, Zone and ZoneID place it; Zone is a name such as us-east-1b.
	Region, Zone, ZoneID string
	// InstanceType is for example m5.large, CapacityType SPOT or ON_DEMAND, Arch amd64 or arm64.
	InstanceType, CapacityType, Arch string
	// Cluster and NodeGroup are physical names.
	Cluster, NodeGroup string
	VCPU, MemoryMiB    int
	// MaxPods is how many pods the group's nodes hold.
	MaxPods int
	// DiskGiB is the root volume's size.
	DiskGiB int
	Labels  map[string]string
	Taints  []Taint
}

// Taint is a node taint in Kubernetes' words: NoSchedule, PreferNoSchedule, NoExecute.
type Taint struct{ Key, Value, Effect string }

var taintEffects = map[string]string{"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}

// played is an instance type as it is published. A type that is not published may be newer: it gets what m5 has in its size, or
// m5.large.
func played(name, arch string) published.InstanceType {
	all := published.InstanceTypes()
	if known, is := all[name]; is {
		return known
	}
	_, size, _ := strings.Cut(name, ".")
	t, is := all["m5."+size]
	if !is {
		t = all["m5.large"]
	}
	t.Arch = arch
	return t
}

// arch is the architecture of a group's image, amd64 if its name has none.
func arch(o *object) string {
	if strings.Contains(o.in.str("amiType"), "ARM_64") {
		return "arm64"
	}
	return "amd64"
}

// instances lists the running machines of a group, without those that are to be terminated.
func (m *Model) instances(group string) []*object {
	return slices.DeleteFunc(m.where(tInstance, "owner", group), func(i *object) bool { return i.doomed })
}

func (m *Model) spotVCPU() int {
	n := 0
	for _, i := range m.all(tInstance) {
		if i.node.CapacityType == "SPOT" {
			n += i.node.VCPU
		}
	}
	return n
}

// resize launches and dooms instances until the group has its desired size, spread evenly over its subnets' zones. A
// spot instance beyond the quota does not start, which settleNodeGroup reports.
func (m *Model) resize(o *object) {
	want := int(o.in.num("scalingConfig.desiredSize"))
	byZone := func(subnet string) int { return m.besides(o, subnet) }
	for running := m.instances(o.id); len(running) > want; running = m.instances(o.id) {
		fullest := slices.MaxFunc(running, func(a, b *object) int {
			if d := byZone(a.out.str("subnetId")) - byZone(b.out.str("subnetId")); d != 0 {
				return d
			}
			return a.seq - b.seq
		})
		fullest.doomed = true
	}
	subnets := o.in.strs("subnetIds")
	for len(m.instances(o.id)) < want {
		slices.SortStableFunc(subnets, func(a, b string) int { return byZone(a) - byZone(b) })
		if !slices.ContainsFunc(subnets, func(id string) bool { return m.launch(o, m.objects[tSubnet][id]) }) {
			return
		}
	}
}

// besides is how many of a group's instances are in the zone of a subnet.
func (m *Model) besides(o *object, subnet string) (n int) {
	zone := m.objects[tSubnet][subnet].out.str("availabilityZoneId")
	for _, i := range m.instances(o.id) {
		if i.node.ZoneID == zone {
			n++
		}
	}
	return n
}

// rebalance moves instances to zones that have two fewer than others, as Auto Scaling groups do when a zone has capacity
// again: a new one first (https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html, "Rebalancing").
func (m *Model) rebalance(o *object) {
	subnets := o.in.strs("subnetIds")
	for {
		slices.SortStableFunc(subnets, func(a, b string) int { return m.besides(o, a) - m.besides(o, b) })
		emptiest, fullest := subnets[0], subnets[len(subnets)-1]
		if m.besides(o, fullest)-m.besides(o, emptiest) < 2 || !m.launch(o, m.objects[tSubnet][emptiest]) {
			return
		}
		zone := m.objects[tSubnet][fullest].out.str("availabilityZoneId")
		running := m.instances(o.id)
		running[slices.IndexFunc(running, func(i *object) bool { return i.node.ZoneID == zone })].doomed = true
	}
}

// maxPods is what each of a group's nodes holds: what the template's user data says, or as many as one of its smallest type
// (https://docs.aws.amazon.com/eks/latest/userguide/create-managed-node-group.html). That the user data's number counts, and not EKS's,
// is what eksctl's tests on AWS expect (eksctl-io/eksctl, integration/tests/crud, "asserting that maxPods is set correctly").
func (m *Model) maxPods(group *object) int {
	if pods, err := m.configuredPods(group); err == nil && pods > 0 {
		return pods
	}
	var holds []int
	for _, t := range m.types(group) {
		holds = append(holds, played(t, arch(group)).Pods())
	}
	return slices.Min(holds)
}

// configuredPods is the number of pods in the user data of a group's template, 0 if it has none. It is read as nodeadm reads it: of the
// parts for nodeadm, the last one with the number counts
// (https://awslabs.github.io/amazon-eks-ami/nodeadm/doc/examples/#merging-multiple-configuration-objects).
func (m *Model) configuredPods(group *object) (pods int, err error) {
	template := m.objects[tTemplate][group.in.str("launchTemplate.id")]
	if template == nil || template.in.str("userData") == "" {
		return 0, nil
	}
	data, err := base64.StdEncoding.DecodeString(template.in.str("userData"))
	if err != nil {
		return 0, err
	}
	message, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	kind, of, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return 0, fmt.Errorf("content type %q", kind)
	}
	for parts := multipart.NewReader(message.Body, of["boundary"]); ; {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return pods, nil
		}
		if err != nil {
			return 0, err
		}
		var config struct {
			Spec struct {
				Kubelet struct {
					Config struct {
						MaxPods int `yaml:"maxPods"`
					}
				}
			}
		}
		if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind != "application/node.eks.aws" {
			continue
		}
		if err := yaml.NewDecoder(part).Decode(&config); err != nil {
			return 0, fmt.Errorf("part for nodeadm: %w", err)
		}
		pods = cmp.Or(config.Spec.Kubelet.Config.MaxPods, pods)
	}
}

// diskGiB is the volume of a group's nodes: the template's, the group's, or 20 GiB
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
func (m *Model) diskGiB(group *object) int {
	if template := m.objects[tTemplate][group.in.str("launchTemplate.id")]; template != nil {
		for _, mapping := range template.in.objs("blockDeviceMappings") {
			return int(mapping.num("ebs.volumeSize"))
		}
	}
	return cmp.Or(int(group.in.num("diskSize")), 20)
}

// launchTags are those that the template of a group gives to a kind of thing.
func (m *Model) launchTags(group *object, kind string) map[string]any {
	if template := m.objects[tTemplate][group.in.str("launchTemplate.id")]; template != nil {
		for _, specification := range template.in.objs("tagSpecifications") {
			if specification.str("resourceType") == kind {
				return toAny(specification.strMap("tags"))
			}
		}
	}
	return map[string]any{}
}

// machine is what a group's Auto Scaling group launches of a type in a subnet.
func (m *Model) machine(group *object, kind string, subnet *object) Instance {
	s := played(kind, arch(group))
	i := Instance{
		Region: m.opts.Region, Zone: subnet.out.str("availabilityZone"), ZoneID: subnet.out.str("availabilityZoneId"),
		InstanceType: kind, CapacityType: cmp.Or(group.in.str("capacityType"), "ON_DEMAND"), Arch: s.Arch,
		Cluster: group.in.str("clusterName"), NodeGroup: group.name(), VCPU: s.VCPU, MemoryMiB: s.MemoryMiB, MaxPods: m.maxPods(group),
		DiskGiB: m.diskGiB(group), Labels: group.in.strMap("labels"),
	}
	for _, t := range group.in.objs("taints") {
		i.Taints = append(i.Taints, Taint{t.str("key"), t.str("value"), taintEffects[t.str("effect")]})
	}
	return i
}

func (m *Model) launch(o, subnet *object) bool {
	types := m.types(o)
	n := m.machine(o, types[len(m.instances(o.id))%len(types)], subnet)
	if n.CapacityType == "SPOT" && (m.spotVCPU()+n.VCPU > m.opts.Quotas.SpotVCPU || m.noSpot[n.ZoneID]) {
		return false
	}
	n.ID = m.newID(o.id, "i-")
	eni := m.addENI(subnet, n.ID, "", []string{m.objects[tCluster][n.Cluster].out.str("vpcConfig.clusterSecurityGroupId")})
	if via, _ := m.egress(subnet.id); via == "igw" && subnet.in.flag("mapPublicIpOnLaunch", false) {
		eni.out.set("publicIp", "203.0.113.1") // RFC 5737
	}
	n.PrivateIP = eni.out.str("privateIp")
	// us-east-1 has a DNS suffix of its own: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
	suffix := m.opts.Region + ".compute.internal"
	if m.opts.Region == "us-east-1" {
		suffix = "ec2.internal"
	}
	n.PrivateDNS = "ip-" + strings.ReplaceAll(n.PrivateIP, ".", "-") + "." + suffix
	m.made(tInstance, n.ID, AWS, map[string]any{
		"owner": o.id, "subnetId": subnet.id, "vpcId": subnet.in.str("vpcId"), "instanceType": n.InstanceType, "privateDns": n.PrivateDNS,
		"tags": m.launchTags(o, "instance"),
	}).node = &n
	return true
}

func instanceIDs(list []*object) []string {
	var out []string
	for _, i := range list {
		out = append(out, i.id)
	}
	return out
}

// syncNodes tells the Kubernetes side about instances that came and, then, about those that go.
func syncNodes(ctx context.Context, m *Model, o *object) error {
	m.mu.Lock()
	var come, leave []*object
	for _, i := range m.where(tInstance, "owner", o.id) {
		switch {
		case i.doomed:
			leave = append(leave, i)
		case !i.joined:
			come = append(come, i)
		}
	}
	m.mu.Unlock()
	if hook := m.opts.Cluster; hook != nil && len(come) > 0 {
		if err := hook.AddNodes(ctx, nodesOf(come)); err != nil {
			return fmt.Errorf("%s: NodeCreationFailure: Instances failed to join the kubernetes cluster: %w",
				strings.Join(instanceIDs(come), ", "), err)
		}
	}
	m.mu.Lock()
	for _, i := range come {
		i.joined = true
	}
	m.mu.Unlock()
	return m.terminate(ctx, o, leave)
}

func nodesOf(list []*object) []Instance {
	var out []Instance
	for _, i := range list {
		out = append(out, *i.node)
	}
	return out
}

// terminate drains and removes instances with their interfaces. Without the network plugin, its interfaces stay
// (aws/amazon-vpc-cni-k8s#608, #1223).
func (m *Model) terminate(ctx context.Context, group *object, list []*object) error {
	if len(list) == 0 {
		return nil
	}
	if hook := m.opts.Cluster; hook != nil {
		if err := hook.RemoveNodes(ctx, nodesOf(list)); err != nil {
			return fmt.Errorf("draining %s: %w", strings.Join(instanceIDs(list), ", "), err)
		}
	}
	m.terminated(list)
	return nil
}

// terminated removes instances.
func (m *Model) terminated(list []*object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range list {
		cluster := m.objects[tCluster][i.node.Cluster]
		for _, eni := range m.where(tENI, "owner", i.id) {
			m.drop(eni)
		}
		if cluster != nil && cluster.cniGone {
			sg := cluster.out.str("vpcConfig.clusterSecurityGroupId")
			leaked := m.addENI(m.objects[tSubnet][i.out.str("subnetId")], "", "aws-K8S-"+i.id, []string{sg})
			leaked.origin = InCluster
			leaked.out.set("tags", map[string]any{"node.k8s.amazonaws.com/instance_id": i.id})
		}
		m.drop(i)
	}
}
