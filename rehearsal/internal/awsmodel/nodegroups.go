package awsmodel

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

func nodeGroupRows() rows {
	return of("EKS", rows{
		tNodeGroup: {
			ops:      "CreateNodegroup UpdateNodegroupConfig DeleteNodegroup",
			required: "clusterName nodeRoleArn scalingConfig.desiredSize scalingConfig.maxSize scalingConfig.minSize subnetIds",
			keeps:    "amiType capacityType nodeRepairConfig updateConfig version", name: naming{"nodeGroupName", "nodeGroupNamePrefix"},
			id:  func(_ *Model, o *object) string { return o.in.str("clusterName") + ":" + o.name() },
			arn: "eks|nodegroup/{cluster}/{name}/{uuid}", tagged: true,
			refs: []ref{clusterRef, subnetRef("subnetIds"), {
				"launchTemplate.id", tTemplate, "id", "InvalidRequestException", "Launch template %s not found",
			}},
			takenCode: "ResourceInUseException", takenText: "NodeGroup already exists with name %s",
			times:  took(150*seconds, 3*minutes, 380*seconds),
			create: createNodeGroup, fill: fillNodeGroup, settle: settleNodeGroup, after: syncNodes,
			update: updateNodeGroup, drain: drainNodeGroup, gone: nodeGroupGone,
		},
	})
}

func createNodeGroup(m *Model, o *object) error {
	in := o.in
	cluster := m.objects[tCluster][in.str("clusterName")]
	if cluster.status != active {
		return refuse("InvalidRequestException", "Cluster '%s' is not in ACTIVE status", cluster.id)
	}
	if m.objects[tNodeGroup][cluster.id+":"+o.name()] != nil {
		return refuse("ResourceInUseException", "NodeGroup already exists with name %s and cluster name %s", o.name(), cluster.id)
	}
	role := m.role(o, in.str("nodeRoleArn"))
	if role == nil {
		return invalidParameter("The role with name %s cannot be found.", in.str("nodeRoleArn"))
	}
	if !trusts(role, "Service", "ec2.amazonaws.com", "sts:AssumeRole") {
		return invalidParameter("Following required service principals [ec2.amazonaws.com] were not found in the trust relationships of "+
			"nodeRole %s", role.arn())
	}
	var missing []string
	if !m.attached(role, "AmazonEKSWorkerNodePolicy", "AmazonEKSWorkerNodeMinimalPolicy") {
		missing = append(missing, "AmazonEKSWorkerNodePolicy")
	}
	if !m.attached(role, "AmazonEC2ContainerRegistryReadOnly", "AmazonEC2ContainerRegistryPullOnly") {
		missing = append(missing, "AmazonEC2ContainerRegistryReadOnly")
	}
	if len(missing) > 0 {
		return invalidParameter("The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the "+
			"following policies [%s] are attached", strings.Join(missing, ", "))
	}
	if err := m.nodeTypes(o, cluster); err != nil {
		return err
	}
	if err := nodeLabels(in); err != nil {
		return err
	}
	o.id = cluster.id + ":" + o.name()
	m.ensureSLR("eks-nodegroup.amazonaws.com")
	m.ensureSLR("autoscaling.amazonaws.com")
	if in.str("capacityType") == "SPOT" {
		m.ensureSLR("spot.amazonaws.com")
	}
	m.made(tASG, fmt.Sprintf("eks-%s-%s", o.name(), m.uuid(o.id)), AWS,
		map[string]any{"owner": o.id, "tags": scalingTags(cluster.id, o.name())})
	m.made(tTemplate, m.newID(o.id, "lt-"), AWS, map[string]any{"owner": o.id, "name": "eks-" + m.uuid(o.id)})
	m.entry(cluster.id, role.arn(), "EC2_LINUX")
	m.resize(o)
	return nil
}

// nodeLabels checks what the table of rules has not (https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html).
func nodeLabels(in props) error {
	for k := range in.strMap("labels") {
		for _, p := range []string{"kubernetes.io/", "k8s.io/", "eks.amazonaws.com/"} {
			if strings.HasPrefix(k, p) {
				return invalidParameter("Label cannot contain reserved prefixes [kubernetes.io/ k8s.io/ eks.amazonaws.com/], found %s", k)
			}
		}
	}
	return nil
}

// types lists the group's instance types; EKS takes t3.medium if nothing names one.
func (m *Model) types(o *object) []string {
	if types := o.in.strs("instanceTypes"); len(types) > 0 {
		return types
	}
	return []string{"t3.medium"}
}

func (m *Model) nodeTypes(o, cluster *object) error {
	// https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
	if o.in.has("launchTemplate") && o.in.num("diskSize") != 0 {
		return invalidParameter("Disk size must be specified within the launch template.")
	}
	types := m.types(o)
	ami := cmp.Or(o.in.str("amiType"), "AL2023_x86_64_STANDARD")
	for _, t := range types {
		if ami != "CUSTOM" && played(t, arch(o)).Arch != arch(o) {
			return invalidParameter("[%s] is not a valid instance type for requested amiType %s", t, ami)
		}
	}
	version := cmp.Or(o.in.str("version"), cluster.out.str("version"))
	// https://docs.aws.amazon.com/eks/latest/userguide/eks-ami-deprecation-faqs.html
	if strings.HasPrefix(ami, "AL2_") && slices.Index(kubernetesVersions, version) >= slices.Index(kubernetesVersions, "1.33") {
		return invalidParameter("AMI Type %s is only supported for kubernetes versions 1.32 or earlier", ami)
	}
	if a, b := slices.Index(kubernetesVersions, version), slices.Index(kubernetesVersions, cluster.out.str("version")); a < 0 || a > b {
		return invalidParameter("Nodegroup Kubernetes version %s cannot be newer than the cluster's %s", version,
			cluster.out.str("version"))
	}
	return nil
}

func fillNodeGroup(m *Model, o *object) {
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	if cluster != nil {
		o.out.setDefault("version", cluster.out.str("version"))
	}
	if !strings.HasPrefix(o.out.str("releaseVersion"), o.out.str("version")+".") {
		o.out.set("releaseVersion", o.out.str("version")+".0-20261101")
	}
	o.out.setDefault("status", creating)
	asg := m.first(tASG, "owner", o.id)
	if asg != nil {
		o.out.set("resources",
			[]any{map[string]any{"autoscalingGroups": []any{map[string]any{"name": asg.id}}, "remoteAccessSecurityGroupId": ""}})
	}
}

// settleNodeGroup says why the nodes of a group do not come up.
func settleNodeGroup(m *Model, o *object) error {
	bad := func(ids []string, code, format string, args ...any) error {
		return fmt.Errorf("unexpected state 'CREATE_FAILED', wanted target 'ACTIVE'. last error: %s: %s: %s", strings.Join(ids, ", "), code,
			fmt.Sprintf(format, args...))
	}
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	var public []string
	for _, id := range o.in.strs("subnetIds") {
		if s := m.objects[tSubnet][id]; s != nil && !s.in.flag("mapPublicIpOnLaunch", false) {
			if via, _ := m.egress(id); via == "igw" {
				public = append(public, id)
			}
		}
	}
	if len(public) > 0 {
		return bad([]string{o.name()}, "Ec2SubnetInvalidConfiguration",
			"One or more Amazon EC2 Subnets of [%s] for node group %s does not automatically assign public IP addresses to instances "+
				"launched into it. If you want your instances to be assigned a public IP address, then you need to enable auto-assign "+
				"public IP address for the subnet.", strings.Join(public, ", "), o.name())
	}
	if _, err := m.configuredPods(o); err != nil {
		// terraform-aws-modules/terraform-aws-eks#1875
		return bad([]string{o.name()}, "Ec2LaunchTemplateInvalidConfiguration", "User data was not in the MIME multipart format.")
	}
	running := m.instances(o.id)
	if len(running) < int(o.in.num("scalingConfig.desiredSize")) {
		return bad([]string{m.first(tASG, "owner", o.id).id}, "AsgInstanceLaunchFailures",
			"Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded (quota All Standard Spot "+
				"Instance Requests: %d vCPUs). Launching EC2 instance failed.", m.opts.Quotas.SpotVCPU)
	}
	for _, i := range running {
		if why := m.cannotJoin(cluster, m.objects[tSubnet][i.out.str("subnetId")], o.in.str("nodeRoleArn")); why != "" {
			return bad([]string{i.id}, "NodeCreationFailure", "Instances failed to join the kubernetes cluster (%s)", why)
		}
	}
	// The network plugin makes a node Ready: https://docs.aws.amazon.com/eks/latest/userguide/managing-vpc-cni.html
	role := m.first(tRole, "arn", o.in.str("nodeRoleArn"))
	cni := m.addon(cluster.id, "vpc-cni")
	if len(running) > 0 && cni == nil && cluster.cniGone {
		return bad(instanceIDs(running), "NodeCreationFailure",
			"Unhealthy nodes in the kubernetes cluster (no network plugin: the vpc-cni add-on is gone)")
	}
	if len(running) > 0 && (role == nil || !m.attached(role, "AmazonEKS_CNI_Policy")) && !m.hasCredentials(cluster, cni, "kube-system",
		"aws-node", "AmazonEKS_CNI_Policy") {
		return bad(instanceIDs(running), "NodeCreationFailure",
			"Unhealthy nodes in the kubernetes cluster (the network plugin has no permission: AmazonEKS_CNI_Policy is on no role that "+
				"aws-node can use)")
	}
	return nil
}

// cannotJoin gives the reason why an instance with the role in the subnet cannot reach what it needs to become a node, or "".
func (m *Model) cannotJoin(cluster, subnet *object, role string) string {
	vpc := m.objects[tVPC][subnet.in.str("vpcId")]
	private, public := cluster.out.flag("vpcConfig.endpointPrivateAccess", false), cluster.out.flag("vpcConfig.endpointPublicAccess", true)
	// https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
	if private && !(vpc.in.flag("enableDnsSupport", true) && vpc.in.flag("enableDnsHostnames", false)) {
		return fmt.Sprintf("%s has no DNS hostnames or no DNS support, which the private endpoint needs", vpc.id)
	}
	calls := m.nodeCalls(role)
	for _, service := range slices.Sorted(maps.Keys(calls)) {
		if err := m.through(vpc.id, service, calls[service]); err != nil {
			return fmt.Sprintf("the endpoint of %s in %s refuses it: %v", service, vpc.id, err)
		}
	}
	via, address := m.egress(subnet.id)
	if via == "" && !(private && m.privateEndpoints(vpc.id)) {
		return fmt.Sprintf("%s has no route to a NAT or internet gateway that works, and its VPC lacks the endpoints of a private cluster",
			subnet.id)
	}
	if !private && public && via == "nat" {
		addr, err := netip.ParseAddr(address)
		open := slices.ContainsFunc(cluster.out.strs("vpcConfig.publicAccessCidrs"), func(v string) bool {
			p, perr := netip.ParsePrefix(v)
			return err == nil && perr == nil && p.Contains(addr)
		})
		if !open {
			return fmt.Sprintf("the public endpoint does not admit the NAT gateway's address %s, and the private endpoint is off", address)
		}
	}
	return ""
}

// nodeCalls are calls of a node that joins, by the service whose endpoint they take: the addresses of the instance, and the
// image of the pause container with a layer of it, from EKS's account and by a URL that ECR has signed
// (https://docs.aws.amazon.com/eks/latest/userguide/add-ons-images.html,
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html).
func (m *Model) nodeCalls(role string) map[string]Call {
	layers := fmt.Sprintf("arn:%s:s3:::prod-%s-starport-layer-bucket/", m.Partition(), m.opts.Region)
	return map[string]Call{
		"ec2":     m.ofNode(role, "ec2:DescribeInstances", "*"),
		"ecr.api": m.ofNode(role, "ecr:GetAuthorizationToken", "*"),
		"ecr.dkr": m.ofNode(role, "ecr:BatchGetImage",
			fmt.Sprintf("arn:%s:ecr:%s:602401143452:repository/eks/pause", m.Partition(), m.opts.Region)),
		"s3": {Role: "ecr.amazonaws.com", Action: "s3:GetObject", Resource: layers + "layer"},
	}
}

// ofNode is a call that is signed with a node's role.
func (m *Model) ofNode(role, action, resource string) Call {
	return Call{Role: role, Action: action, Resource: resource, Keys: map[string]string{"aws:PrincipalAccount": m.opts.Account}}
}

// privateEndpoints are the VPC endpoints that nodes without a way out need
// (https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html).
func (m *Model) privateEndpoints(vpc string) bool {
	have := map[string]bool{}
	for _, e := range m.where(tEndpoint, "vpcId", vpc) {
		have[m.endpointService(e.in.str("serviceName"))] = true
	}
	for _, need := range []string{"ec2", "ecr.api", "ecr.dkr", "s3", "sts"} {
		if !have[need] {
			return false
		}
	}
	return true
}

func updateNodeGroup(m *Model, o *object, before props) error {
	if err := nodeLabels(o.in); err != nil {
		return err
	}
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	if err := m.nodeTypes(o, cluster); err != nil {
		return err
	}
	roll := false
	for _, p := range []string{"launchTemplate.version", "version", "releaseVersion"} {
		roll = roll || before.str(p) != o.in.str(p)
	}
	if roll {
		for _, i := range m.instances(o.id) {
			i.doomed = true
		}
	}
	m.resize(o)
	return nil
}

// PatchNodes replaces a group's nodes by those of another release of its image, as
// `aws eks update-nodegroup-version` does (https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html).
func (m *Model) PatchNodes(ctx context.Context, id, release string) error {
	m.mu.Lock()
	o := m.objects[tNodeGroup][id]
	if o == nil || !strings.HasPrefix(release, o.out.str("version")+".") {
		m.mu.Unlock()
		return fmt.Errorf("node group %s is not there, or release version %s is not of its Kubernetes version", id, release)
	}
	o.out.set("releaseVersion", release)
	for _, i := range m.instances(id) {
		i.doomed = true
	}
	m.resize(o)
	m.mu.Unlock()
	return syncNodes(ctx, m, o)
}

func drainNodeGroup(ctx context.Context, m *Model, o *object) error {
	m.mu.Lock()
	list := m.where(tInstance, "owner", o.id)
	m.mu.Unlock()
	return m.terminate(ctx, o, list)
}

func nodeGroupGone(m *Model, o *object) bool {
	for _, typ := range []string{tASG, tTemplate} {
		for _, x := range m.where(typ, "owner", o.id) {
			m.drop(x)
		}
	}
	return false
}
