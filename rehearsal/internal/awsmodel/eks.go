package awsmodel

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"expense/internal/published"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Rules of Amazon EKS: https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html and the pages of the
// user guide named beside the rule.

// Today is the day whose offer published.KubernetesVersions is, and not the day of the rehearsal: what passes must not depend on
// that. On it EKS offered all of them, "any version offered in standard or extended support"
// (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html). Newer ones were not seen.
var Today = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

// kubernetesVersions are EKS's, the oldest first; supportEnds are the days on which their standard support ends.
var kubernetesVersions, supportEnds = offered()

func offered() (versions []string, ends map[string]time.Time) {
	ends = map[string]time.Time{}
	for _, v := range published.KubernetesVersions() {
		versions = append(versions, v.Version)
		ends[v.Version] = v.StandardEnds
	}
	return versions, ends
}

const defaultKubernetes = "1.35"

func invalidParameter(format string, args ...any) error {
	return refuse("InvalidParameterException", format, args...)
}

func createCluster(m *Model, o *object) error {
	in := o.in
	if m.objects[tCluster][o.name()] != nil {
		return nil // the name decides, see admit
	}
	if v := orElse(in.str("version"), defaultKubernetes); !slices.Contains(kubernetesVersions, v) {
		return invalidParameter("unsupported Kubernetes version %s; supported are %s", v, strings.Join(kubernetesVersions, ", "))
	}
	role := m.role(o, in.str("roleArn"))
	if role == nil || !trusts(role, "Service", "eks.amazonaws.com", "sts:AssumeRole") {
		return invalidParameter("Role with arn: %s, could not be assumed because it does not exist or the trusted entity is not correct", in.str("roleArn"))
	}
	if !m.attached(role, "AmazonEKSClusterPolicy") {
		return invalidParameter("The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the following policies [arn:%s:iam::aws:policy/AmazonEKSClusterPolicy] are attached", m.Partition())
	}
	if err := m.clusterSubnets(o); err != nil {
		return err
	}
	if err := m.clusterEndpoints(in); err != nil {
		return err
	}
	if err := m.clusterEncryption(in); err != nil {
		return err
	}
	// EKS makes a grant in the caller's name (kubernetes-sigs/cluster-api-provider-aws#2432).
	if key := m.usableKey(in.str("encryptionConfig.provider.keyArn")); key != nil && !m.tagsCount(key, o) {
		return refuse("InvalidRequestException", "User not authorized to perform kms:CreateGrant operation")
	}
	vpc := m.objects[tVPC][m.objects[tSubnet][in.strs("vpcConfig.subnetIds")[0]].in.str("vpcId")]
	if cidr := in.str("kubernetesNetworkConfig.serviceIpv4Cidr"); cidr != "" {
		if err := serviceRange(netip.MustParsePrefix(cidr), netip.MustParsePrefix(vpc.in.str("cidrBlock"))); err != nil {
			return err
		}
	}

	name := o.name()
	o.id = name
	sg := m.made(tSG, m.newID(name, "sg-"), AWS, map[string]any{
		"name": fmt.Sprintf("eks-cluster-sg-%s-%d", name, 100000000+m.seq), "vpcId": vpc.id,
		"description": "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.",
		"tags":        map[string]any{"kubernetes.io/cluster/" + name: "owned", "aws:eks:cluster-name": name},
	})
	sg.out.set("owner", name)
	groups := append(in.strs("vpcConfig.securityGroupIds"), sg.id)
	zones := map[string]bool{}
	for _, id := range in.strs("vpcConfig.subnetIds") {
		s := m.objects[tSubnet][id]
		if zone := s.out.str("availabilityZoneId"); !zones[zone] && len(zones) < 2 {
			zones[zone] = true
			m.addENI(s, name, "Amazon EKS "+name, groups)
		}
	}
	m.ensureSLR("eks.amazonaws.com")
	// The creator's entry: https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
	if m.entriesAllowed(in) && in.flag("accessConfig.bootstrapClusterCreatorAdminPermissions", true) {
		m.entry(name, m.Caller(), "STANDARD")
	}
	m.ensureLogGroup(o)
	return nil
}

func (m *Model) entriesAllowed(cluster props) bool {
	mode := orElse(cluster.str("accessConfig.authenticationMode"), "CONFIG_MAP")
	return mode != "CONFIG_MAP"
}

// entry makes an access entry that EKS makes by itself; it goes away with the cluster.
func (m *Model) entry(cluster, principal, kind string) {
	id := cluster + ":" + principal
	if m.objects[tAccessEntry][id] == nil {
		m.made(tAccessEntry, id, AWS, map[string]any{"clusterName": cluster, "principalArn": principal, "type": kind})
	}
}

// ensureLogGroup makes the log group of a cluster that logs, as EKS does if it finds none.
func (m *Model) ensureLogGroup(cluster *object) {
	name := "/aws/eks/" + cluster.id + "/cluster"
	if len(cluster.in.strs("enabledClusterLogTypes")) > 0 && m.objects[tLogGroup][name] == nil {
		g := m.made(tLogGroup, name, AWS, map[string]any{"name": name, "retentionInDays": 0})
		g.kept = "EKS made this log group, because no other was there while control plane logging was on, and never deletes it"
	}
}

func (m *Model) clusterSubnets(o *object) error {
	zones := map[string]bool{}
	vpc := ""
	for _, id := range o.in.strs("vpcConfig.subnetIds") {
		s := m.objects[tSubnet][id]
		if s == nil {
			return invalidParameter("The subnet ID '%s' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: InvalidSubnetID.NotFound)", id)
		}
		if vpc != "" && s.in.str("vpcId") != vpc {
			return invalidParameter("Subnets provided must belong to the same VPC: %s is in %s, others are in %s", id, s.in.str("vpcId"), vpc)
		}
		vpc = s.in.str("vpcId")
		zone := s.out.str("availabilityZoneId")
		zones[zone] = true
		if slices.Contains(refusedZones, zone) {
			return refuse("UnsupportedAvailabilityZoneException", "Cannot create cluster '%s' because %s, the targeted availability zone, does not currently have sufficient capacity to support the cluster. Retry and choose from these availability zones: %s",
				o.name(), s.out.str("availabilityZone"), m.eksZones())
		}
	}
	if len(zones) < 2 {
		return invalidParameter("Subnets specified must be in at least two different AZs")
	}
	for _, id := range o.in.strs("vpcConfig.securityGroupIds") {
		if m.objects[tSG][id] == nil {
			return invalidParameter("The security group '%s' does not exist", id)
		}
	}
	return nil
}

// reserved address ranges cannot be in publicAccessCidrs
// (https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html).
var reserved = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16")}

func (m *Model) clusterEndpoints(in props) error {
	public := in.flag("vpcConfig.endpointPublicAccess", true)
	if !public && !in.flag("vpcConfig.endpointPrivateAccess", false) {
		return invalidParameter("Private and public endpoint access cannot be false")
	}
	for _, v := range in.strs("vpcConfig.publicAccessCidrs") {
		p := netip.MustParsePrefix(v)
		if p.Bits() > 0 && slices.ContainsFunc(reserved, func(r netip.Prefix) bool { return r.Overlaps(p) }) {
			return invalidParameter("The following CIDRs are not allowed in publicAccessCidrs: [%s]", v)
		}
	}
	return nil
}

func (m *Model) clusterEncryption(in props) error {
	if key := in.str("encryptionConfig.provider.keyArn"); key != "" {
		k := m.usableKey(key)
		if k == nil || k.arn() != key {
			return invalidParameter("The keyArn in encryptionConfig provider is invalid, or the key is not enabled: %s", key)
		}
		if k.out.str("keyUsage") != "ENCRYPT_DECRYPT" || k.out.str("customerMasterKeySpec") != "SYMMETRIC_DEFAULT" {
			return invalidParameter("The key in encryptionConfig must be symmetric: %s", key)
		}
	}
	return nil
}

// serviceRange: inside RFC 1918, /12 to /24, not overlapping the VPC (API_KubernetesNetworkConfigRequest).
func serviceRange(service, vpc netip.Prefix) error {
	private := slices.ContainsFunc(reserved[:3], func(p netip.Prefix) bool { return p.Contains(service.Addr()) && p.Bits() <= service.Bits() })
	if !private || service.Bits() < 12 || service.Bits() > 24 {
		return invalidParameter("The service CIDR %s must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 and between /12 and /24", service)
	}
	if service.Overlaps(vpc) {
		return invalidParameter("The service CIDR %s overlaps with the VPC CIDR %s", service, vpc)
	}
	return nil
}

// issuer is the URL of a cluster's OIDC issuer.
func (m *Model) issuer(cluster *object) string {
	for _, i := range cluster.out.objs("identities") {
		for _, o := range i.objs("oidcs") {
			return o.str("issuer")
		}
	}
	return ""
}

func fillCluster(m *Model, o *object) {
	sg := m.first(tSG, "owner", o.id)
	vpc := o.in.value("vpcConfig").ObjectValue().Copy()
	v := props{vpc}
	if sg != nil {
		v.set("clusterSecurityGroupId", sg.id)
		v.set("vpcId", sg.out.str("vpcId"))
	}
	v.setDefault("endpointPublicAccess", true)
	v.setDefault("endpointPrivateAccess", false)
	if v.flag("endpointPublicAccess", true) {
		v.setDefault("publicAccessCidrs", []any{"0.0.0.0/0"})
	}
	v.setDefault("securityGroupIds", []any{})
	o.out.set("vpcConfig", vpc)

	network := props{resource.PropertyMap{}}
	if k := o.in.value("kubernetesNetworkConfig"); k.IsObject() {
		network.m = k.ObjectValue().Copy()
	}
	network.setDefault("ipFamily", "ipv4")
	// EKS takes the one that does not overlap the VPC; both are outside this project's default 192.168.0.0/16.
	network.setDefault("serviceIpv4Cidr", "10.100.0.0/16")
	o.out.set("kubernetesNetworkConfig", network.m)

	access := props{resource.PropertyMap{}}
	if a := o.in.value("accessConfig"); a.IsObject() {
		access.m = a.ObjectValue().Copy()
	}
	access.setDefault("authenticationMode", "CONFIG_MAP")
	access.setDefault("bootstrapClusterCreatorAdminPermissions", true)
	o.out.set("accessConfig", access.m)

	o.out.setDefault("bootstrapSelfManagedAddons", true)
	o.out.setDefault("upgradePolicy", map[string]any{"supportType": "EXTENDED"})
	o.out.setDefault("version", defaultKubernetes)
	o.out.setDefault("platformVersion", "eks.1")
	o.out.setDefault("clusterId", "")
	o.out.setDefault("createdAt", stamp())
	o.out.setDefault("status", creating)
	if !o.out.has("identities") {
		host := "https://oidc.eks." + m.opts.Region + ".amazonaws.com/id/" + strings.ToUpper(m.hex(o.id)[:32])
		o.out.set("identities", []any{map[string]any{"oidcs": []any{map[string]any{"issuer": host}}}})
	}
	if !o.out.has("endpoint") {
		o.out.set("endpoint", fmt.Sprintf("https://%s.gr7.%s.eks.amazonaws.com", strings.ToUpper(m.hex(o.id)[:32]), m.opts.Region))
	}
	if !o.out.has("certificateAuthority") {
		m.setCA(o, []byte("-----BEGIN CERTIFICATE-----\nrehearsal\n-----END CERTIFICATE-----\n"))
	}
}

func (m *Model) setCA(o *object, pem []byte) {
	data := base64.StdEncoding.EncodeToString(pem)
	o.out.set("certificateAuthority", map[string]any{"data": data})
	o.out.set("certificateAuthorities", []any{map[string]any{"data": data}})
}

// clusterUp asks the Kubernetes side where the new cluster's API is.
func clusterUp(ctx context.Context, m *Model, o *object) error {
	if m.opts.Cluster == nil {
		return nil
	}
	m.mu.Lock()
	version := o.out.str("version")
	m.mu.Unlock()
	url, ca, err := m.opts.Cluster.Endpoint(ctx, o.id, version)
	if err != nil {
		return fmt.Errorf("endpoint of cluster %s: %w", o.id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o.out.set("endpoint", url)
	m.setCA(o, ca)
	return nil
}

func replacesCluster(olds, news props) []string {
	// A cluster that was encrypted cannot be decrypted (terraform-provider-aws, internal/service/eks/cluster.go).
	if olds.has("encryptionConfig") && !news.has("encryptionConfig") {
		return []string{"encryptionConfig"}
	}
	return nil
}

func updateCluster(m *Model, o *object, before props) error {
	from, to := orElse(before.str("version"), defaultKubernetes), orElse(o.in.str("version"), defaultKubernetes)
	a, b := slices.Index(kubernetesVersions, from), slices.Index(kubernetesVersions, to)
	if b < 0 || b < a || b > a+1 {
		return invalidParameter("Unsupported Kubernetes minor version update from %s to %s", from, to)
	}
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterVersion.html; the words are of
	// https://github.com/hashicorp/terraform-provider-aws/issues/19478.
	for _, g := range m.where(tNodeGroup, "clusterName", o.id) {
		if b > a && g.out.str("version") != from {
			return invalidParameter("Nodegroups %s must be updated to match cluster version %s before updating cluster version", g.name(), from)
		}
	}
	// "You can't disable extended support once your cluster has entered it"
	// (https://docs.aws.amazon.com/eks/latest/userguide/disable-extended-support.html); the answer's wording is ours.
	policy := func(p props) string { return orElse(p.str("upgradePolicy.supportType"), "EXTENDED") }
	if policy(before) == "EXTENDED" && policy(o.in) == "STANDARD" && supportEnds[to].Before(Today) {
		return invalidParameter("Extended support cannot be disabled for version %s: its standard support ended on %s", to, supportEnds[to].Format(time.DateOnly))
	}
	modes := []string{"CONFIG_MAP", "API_AND_CONFIG_MAP", "API"}
	mode := func(p props) int {
		return slices.Index(modes, orElse(p.str("accessConfig.authenticationMode"), modes[0]))
	}
	if mode(o.in) < mode(before) {
		return refuse("InvalidRequestException", "Unsupported authentication mode update from %s to %s", modes[mode(before)], modes[mode(o.in)])
	}
	if err := m.clusterSubnets(o); err != nil {
		return err
	}
	zones := func(p props) []string {
		var out []string
		for _, id := range p.strs("vpcConfig.subnetIds") {
			if s := m.objects[tSubnet][id]; s != nil {
				out = append(out, s.out.str("availabilityZoneId"))
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if was, is := zones(before), zones(o.in); !slices.Equal(was, is) {
		return invalidParameter("Provided subnets belong to the AZs '%s'. But they should belong to the exact set of AZs '%s' in which subnets were provided during cluster creation.", strings.Join(is, ","), strings.Join(was, ","))
	}
	if err := m.clusterEndpoints(o.in); err != nil {
		return err
	}
	if err := m.clusterEncryption(o.in); err != nil {
		return err
	}
	// EKS has no call for another key, and the provider makes none where there is one (same file, AssociateEncryptionConfig).
	for _, p := range []props{o.in, o.out} {
		if before.has("encryptionConfig") {
			p.m["encryptionConfig"] = before.value("encryptionConfig")
		}
	}
	m.ensureLogGroup(o)
	return nil
}

func removeCluster(m *Model, o *object) error {
	if groups := m.where(tNodeGroup, "clusterName", o.id); len(groups) > 0 {
		return refuse("ResourceInUseException", "Cluster has nodegroups attached")
	}
	return nil
}

func clusterGone(m *Model, o *object) bool {
	for _, typ := range []string{tAddon, tAccessEntry, tAccessPolicy, tPodIdentity} {
		for _, c := range m.where(typ, "clusterName", o.id) {
			m.drop(c)
		}
	}
	// EKS cleans up with the cluster's role; without its permissions the interfaces and the group stay
	// (https://docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html).
	role := m.first(tRole, "arn", o.in.str("roleArn"))
	if role == nil || !m.attached(role, "AmazonEKSClusterPolicy") {
		return false
	}
	dropENIs(m, o)
	if sg := m.first(tSG, "owner", o.id); sg != nil && m.groupInUse(sg.id) == nil {
		m.drop(sg)
	}
	return false
}

// Add-ons. needsNodes are those whose health asks for running Deployment pods; the others are DaemonSets, which are
// healthy on no node at all. Source: https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
var addons = map[string]struct{ needsNodes, selfManaged bool }{
	"vpc-cni":                         {selfManaged: true},
	"kube-proxy":                      {selfManaged: true},
	"coredns":                         {needsNodes: true, selfManaged: true},
	"metrics-server":                  {needsNodes: true},
	"aws-ebs-csi-driver":              {needsNodes: true},
	"aws-efs-csi-driver":              {needsNodes: true},
	"snapshot-controller":             {needsNodes: true},
	"eks-pod-identity-agent":          {},
	"eks-node-monitoring-agent":       {},
	"kube-state-metrics":              {needsNodes: true},
	"cert-manager":                    {needsNodes: true},
	"external-dns":                    {needsNodes: true},
	"prometheus-node-exporter":        {},
	"amazon-cloudwatch-observability": {needsNodes: true},
}

func checkAddon(c *checker) {
	c.arn("serviceAccountRoleArn")
	if c.has("resolveConflicts") {
		c.fail("resolveConflicts", "resolveConflicts is deprecated: use resolveConflictsOnCreate and resolveConflictsOnUpdate")
	}
}

func createAddon(m *Model, o *object) error {
	name := o.in.str("addonName")
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	if cluster.status != active { // InvalidRequestException: "invalid given the state of the cluster" (EKS's API model)
		return refuse("InvalidRequestException", "Cluster '%s' is not in ACTIVE status", cluster.id)
	}
	version := cluster.out.str("version")
	if _, known := addons[name]; !known {
		return invalidParameter("Addon %s specified is not supported in %s kubernetes version", name, version)
	}
	if err := addonValues(name, o.in.str("configurationValues")); err != nil {
		return err
	}
	if arn := o.in.str("serviceAccountRoleArn"); arn != "" && m.role(o, arn) == nil {
		return invalidParameter("Role with arn %s does not exist", arn)
	}
	for _, p := range o.in.objs("podIdentityAssociations") {
		if err := podIdentityRole(m, o, p.str("roleArn")); err != nil {
			return err
		}
	}
	return nil
}

// defaultVersion is what EKS installs when the program pins nothing. The numbers are the model's own: add-on versions
// cannot be derived, they are looked up with describe-addon-versions.
const defaultVersion = "v1.0.0-eksbuild.1"

func fillAddon(m *Model, o *object) {
	if !o.out.has("arn") {
		o.out.set("arn", m.arnOf("eks|addon/{cluster}/"+o.in.str("addonName")+"/{uuid}", o))
	}
	o.out.setDefault("addonVersion", defaultVersion)
	o.out.setDefault("configurationValues", "")
	o.out.setDefault("createdAt", stamp())
	o.out.setDefault("modifiedAt", o.out.str("createdAt"))
}

func settleAddon(m *Model, o *object) error {
	name, cluster := o.in.str("addonName"), m.objects[tCluster][o.in.str("clusterName")]
	if cluster == nil {
		return fmt.Errorf("couldn't find resource: cluster %s", o.in.str("clusterName"))
	}
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAddon.html, resolveConflicts
	if addons[name].selfManaged && cluster.in.flag("bootstrapSelfManagedAddons", true) && o.in.str("resolveConflictsOnCreate") != "OVERWRITE" {
		return fmt.Errorf("unexpected state 'CREATE_FAILED', wanted target 'ACTIVE'. last error: ConfigurationConflict: Conflicts found when trying to apply. Will not continue due to resolve conflicts mode: the self-managed %s is installed", name)
	}
	degraded := func(code, why string) error {
		return fmt.Errorf("timeout while waiting for state to become 'ACTIVE' (last state: 'DEGRADED', timeout: 20m0s): %s: %s", code, why)
	}
	if addons[name].needsNodes && m.room(cluster.id) < max(1, published.Addons()[name].Replicas) {
		return degraded("InsufficientNumberOfReplicas", "The add-on is unhealthy because it doesn't have the desired number of replicas.")
	}
	if name == "aws-ebs-csi-driver" && !m.hasCredentials(cluster, o, "kube-system", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy", "AmazonEBSCSIDriverPolicyV2") {
		// The driver's start calls ec2:DescribeAvailabilityZones: kubernetes-sigs/aws-ebs-csi-driver, docs/install.md.
		return degraded("InsufficientNumberOfReplicas", "The add-on is unhealthy because all deployments have less than the desired number of replicas: ebs-csi-controller has no AWS credentials (no pod identity association with a running eks-pod-identity-agent, no IRSA role, no policy on the node role).")
	}
	return nil
}

func (m *Model) addon(cluster, name string) *object {
	return m.objects[tAddon][cluster+":"+name]
}

// room is how many more pods of Deployments the cluster's nodes hold beside what add-ons run there. What else runs is not
// counted: workloads come after the add-ons.
func (m *Model) room(cluster string) (pods int) {
	onEach := 0
	for _, a := range m.where(tAddon, "clusterName", cluster) {
		runs := published.Addons()[a.in.str("addonName")]
		onEach += runs.OnEach
		if a.status == active {
			pods -= runs.Replicas
		}
	}
	for _, g := range m.where(tNodeGroup, "clusterName", cluster) {
		for _, i := range m.instances(g.id) {
			if i.joined && !slices.ContainsFunc(i.node.Taints, func(t Taint) bool { return t.Effect != "PreferNoSchedule" }) {
				pods += max(0, i.node.MaxPods-onEach)
			}
		}
	}
	return pods
}

// runAddon tells the Kubernetes side what an add-on in service runs.
func runAddon(ctx context.Context, m *Model, o *object) error {
	if m.opts.Cluster == nil {
		return nil
	}
	name := o.in.str("addonName")
	return m.opts.Cluster.RunAddon(ctx, name, published.Addons()[name])
}

func stopAddon(ctx context.Context, m *Model, o *object) error {
	if m.opts.Cluster == nil || o.in.flag("preserve", false) {
		return nil
	}
	return m.opts.Cluster.StopAddon(ctx, o.in.str("addonName"))
}

// hasCredentials tells whether a service account can reach AWS with one of the managed policies or one of the account's
// own: through pod identity (which needs its agent), a role by its token (which needs the OIDC provider), or the nodes'
// role.
func (m *Model) hasCredentials(cluster, addon *object, namespace, account string, policies ...string) bool {
	permitted := func(arn string) bool {
		role := m.first(tRole, "arn", arn)
		return role != nil && (m.attached(role, policies...) || m.hasOwnPolicy(role))
	}
	agent := m.addon(cluster.id, "eks-pod-identity-agent") != nil
	for _, p := range m.where(tPodIdentity, "clusterName", cluster.id) {
		if agent && p.in.str("namespace") == namespace && p.in.str("serviceAccount") == account && permitted(p.in.str("roleArn")) {
			return true
		}
	}
	if addon != nil {
		for _, p := range addon.in.objs("podIdentityAssociations") {
			if agent && p.str("serviceAccount") == account && permitted(p.str("roleArn")) {
				return true
			}
		}
		if role := m.first(tRole, "arn", addon.in.str("serviceAccountRoleArn")); role != nil && permitted(role.arn()) &&
			trusts(role, "Federated", m.oidcARN(m.issuer(cluster)), "sts:AssumeRoleWithWebIdentity") {
			return true
		}
	}
	for _, g := range m.where(tNodeGroup, "clusterName", cluster.id) {
		if role := m.first(tRole, "arn", g.in.str("nodeRoleArn")); role != nil && m.attached(role, policies...) {
			return true
		}
	}
	return false
}

func addonGone(m *Model, o *object) bool {
	cluster := m.objects[tCluster][o.in.str("clusterName")]
	if cluster != nil && o.in.str("addonName") == "vpc-cni" && !o.in.flag("preserve", false) && m.readyNodes(cluster.id) > 0 {
		cluster.cniGone = true
	}
	return false
}

func checkAccessEntry(c *checker) {
	c.arn("principalArn")
	for _, g := range c.strs("kubernetesGroups") {
		if strings.HasPrefix(g, "system:") {
			c.fail("kubernetesGroups", "InvalidParameterException: The kubernetes group name %s is invalid, it cannot start with system:", g)
		}
	}
}

func createAccessEntry(m *Model, o *object) error {
	if !m.entriesAllowed(m.objects[tCluster][o.in.str("clusterName")].in) {
		return refuse("InvalidRequestException", "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.")
	}
	if !m.principal(o, o.in.str("principalArn")) {
		return invalidParameter("The specified principalArn is invalid: invalid principal: %s", o.in.str("principalArn"))
	}
	return nil
}

func fillAccessEntry(m *Model, o *object) {
	if !o.out.has("accessEntryArn") {
		o.out.set("accessEntryArn", m.arnOf("eks|access-entry/{cluster}/"+o.in.str("principalArn")[strings.LastIndex(o.in.str("principalArn"), ":")+1:]+"/{uuid}", o))
	}
	o.out.setDefault("userName", o.in.str("principalArn"))
	o.out.setDefault("kubernetesGroups", []any{})
	o.out.setDefault("createdAt", stamp())
	o.out.setDefault("modifiedAt", o.out.str("createdAt"))
}

func accessEntryGone(m *Model, o *object) bool {
	for _, p := range m.where(tAccessPolicy, "clusterName", o.in.str("clusterName")) {
		if p.in.str("principalArn") == o.in.str("principalArn") {
			m.drop(p)
		}
	}
	return false
}

// accessPolicies: https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
var accessPolicies = []string{"AmazonEKSAdminPolicy", "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy", "AmazonEKSEditPolicy", "AmazonEKSViewPolicy", "AmazonEKSSecretReaderPolicy"}

func createAccessPolicy(m *Model, o *object) error {
	prefix := "arn:" + m.Partition() + ":eks::aws:cluster-access-policy/"
	if name, ok := strings.CutPrefix(o.in.str("policyArn"), prefix); !ok || !slices.Contains(accessPolicies, name) {
		return invalidParameter("The policyArn parameter format is not valid or the policy does not exist: %s (%s + one of %s)", o.in.str("policyArn"), prefix, strings.Join(accessPolicies, ", "))
	}
	if m.objects[tAccessEntry][o.in.str("clusterName")+":"+o.in.str("principalArn")] == nil {
		return refuse("ResourceNotFoundException", "The specified principalArn could not be found. You can view your available access entries with 'list-access-entries': %s", o.in.str("principalArn"))
	}
	scoped := len(o.in.strs("accessScope.namespaces")) > 0
	if namespace := o.in.str("accessScope.type") == "namespace"; namespace != scoped {
		return invalidParameter("An access scope of type namespace needs namespaces, one of type cluster has none")
	}
	return nil
}

func fillAccessPolicy(_ *Model, o *object) {
	o.out.setDefault("associatedAt", stamp())
	o.out.setDefault("modifiedAt", o.out.str("associatedAt"))
}

// podIdentityRole: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
func podIdentityRole(m *Model, o *object, arn string) error {
	role := m.role(o, arn)
	if role == nil {
		return invalidParameter("Role provided in the request does not exist: %s", arn)
	}
	for _, action := range []string{"sts:AssumeRole", "sts:TagSession"} {
		if !trusts(role, "Service", "pods.eks.amazonaws.com", action) {
			return invalidParameter("Trust policy of role %s must allow pods.eks.amazonaws.com to %s", arn, action)
		}
	}
	return nil
}

func createPodIdentity(m *Model, o *object) error {
	for _, p := range m.where(tPodIdentity, "clusterName", o.in.str("clusterName")) {
		if p.in.str("namespace") == o.in.str("namespace") && p.in.str("serviceAccount") == o.in.str("serviceAccount") {
			return refuse("ResourceInUseException", "Association already exists: %s", p.id)
		}
	}
	return podIdentityRole(m, o, o.in.str("roleArn"))
}

func fillPodIdentity(m *Model, o *object) {
	if !o.out.has("associationArn") {
		o.out.set("associationArn", m.arnOf("eks|podidentityassociation/{cluster}/{id}", o))
	}
	o.out.setDefault("associationId", o.id)
}
