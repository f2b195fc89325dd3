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
)

// Rules of Amazon EKS: https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html and the pages of the
// user guide named beside the rule.

func clusterRows() rows {
	return of("EKS", rows{
		tCluster: {
			ops: "CreateCluster UpdateClusterConfig DeleteCluster", required: "roleArn vpcConfig vpcConfig.subnetIds",
			keeps: "accessConfig kubernetesNetworkConfig upgradePolicy version vpcConfig.publicAccessCidrs",
			name:  naming{property: "name"}, arn: "eks|cluster/{name}", tagged: true, blank: "clusterId createdAt platformVersion",
			takenCode: "ResourceInUseException", takenText: "Cluster already exists with name: %s",
			refs: []ref{subnetRef("vpcConfig.subnetIds"), {
				"encryptionConfig.provider.keyArn", tKey, "arn", "InvalidParameterException",
				"The keyArn in encryptionConfig provider is invalid, or the key is not enabled: %s",
			}},
			times:  took(9*minutes, 2*minutes, 3*minutes),
			create: createCluster, fill: fillCluster, after: clusterUp, update: updateCluster, remove: removeCluster, gone: clusterGone,
		},
	})
}

// Today is the day whose offer published.KubernetesVersions is, and not the day of the rehearsal: what passes must not depend on
// that. On it EKS offered all of them, "any version offered in standard or extended support"
// (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html). Newer ones were not seen.
var Today = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

// kubernetesVersions are EKS's, the oldest first.
var kubernetesVersions = offered()

func offered() (versions []string) {
	for _, v := range published.KubernetesVersions() {
		versions = append(versions, v.Version)
	}
	return versions
}

func invalidParameter(format string, args ...any) error {
	return refuse("InvalidParameterException", format, args...)
}

func createCluster(m *Model, o *object) error {
	in := o.in
	if m.objects[tCluster][o.name()] != nil {
		return nil // the name decides, see admit
	}
	version, role := in.str("version"), m.role(o, in.str("roleArn"))
	switch {
	case !slices.Contains(kubernetesVersions, version):
		return invalidParameter("unsupported Kubernetes version %s; supported are %s", version, strings.Join(kubernetesVersions, ", "))
	case role == nil || !trusts(role, "Service", "eks.amazonaws.com", "sts:AssumeRole"):
		return invalidParameter("Role with arn: %s, could not be assumed because it does not exist or the trusted entity is not correct",
			in.str("roleArn"))
	case !m.attached(role, "AmazonEKSClusterPolicy"):
		return invalidParameter("The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the "+
			"following policies [arn:%s:iam::aws:policy/AmazonEKSClusterPolicy] are attached", m.Partition())
	}
	if err := m.clusterSubnets(o); err != nil {
		return err
	}
	if err := m.clusterEndpoints(in); err != nil {
		return err
	}
	// EKS makes a grant in the caller's name (kubernetes-sigs/cluster-api-provider-aws#2432).
	if key := m.usableKey(in.str("encryptionConfig.provider.keyArn")); key != nil && !m.tagsCount(key, o) {
		return refuse("InvalidRequestException", "User not authorized to perform kms:CreateGrant operation")
	}
	vpc := m.objects[tVPC][m.objects[tSubnet][in.strs("vpcConfig.subnetIds")[0]].in.str("vpcId")]
	if cidr := in.str("kubernetesNetworkConfig.serviceIpv4Cidr"); cidr != "" {
		if within := vpc.in.str("cidrBlock"); netip.MustParsePrefix(cidr).Overlaps(netip.MustParsePrefix(within)) {
			return invalidParameter("The service CIDR %s overlaps with the VPC CIDR %s", cidr, within)
		}
	}

	name := o.name()
	o.id = name
	sg := m.made(tSG, m.newID(name, "sg-"), AWS, map[string]any{
		"name": fmt.Sprintf("eks-cluster-sg-%s-%d", name, 100000000+m.seq), "vpcId": vpc.id,
		"description": "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any " +
			"managed workloads.",
		"tags": map[string]any{"kubernetes.io/cluster/" + name: "owned", "aws:eks:cluster-name": name},
	})
	sg.out.set("owner", name)
	zones := map[string]bool{}
	for _, id := range in.strs("vpcConfig.subnetIds") {
		s := m.objects[tSubnet][id]
		if zone := s.out.str("availabilityZoneId"); !zones[zone] && len(zones) < 2 {
			zones[zone] = true
			m.addENI(s, name, "Amazon EKS "+name, []string{sg.id})
		}
	}
	m.ensureSLR("eks.amazonaws.com")
	// The creator's entry: https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html
	if in.flag("accessConfig.bootstrapClusterCreatorAdminPermissions", true) {
		m.entry(name, m.Caller(), "STANDARD")
	}
	m.ensureLogGroup(o)
	return nil
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
	for _, id := range o.in.strs("vpcConfig.subnetIds") {
		s := m.objects[tSubnet][id]
		zone := s.out.str("availabilityZoneId")
		zones[zone] = true
		if slices.Contains(refusedZones, zone) {
			return refuse("UnsupportedAvailabilityZoneException", "Cannot create cluster '%s' because %s, the targeted availability "+
				"zone, does not currently have sufficient capacity to support the cluster. Retry and choose from these availability "+
				"zones: %s",
				o.name(), s.out.str("availabilityZone"), m.eksZones())
		}
	}
	if len(zones) < 2 {
		return invalidParameter("Subnets specified must be in at least two different AZs")
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
	if v.flag("endpointPublicAccess", true) {
		v.setDefault("publicAccessCidrs", []any{"0.0.0.0/0"})
	}
	o.out.set("vpcConfig", vpc)
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

func updateCluster(m *Model, o *object, before props) error {
	from, to := before.str("version"), o.in.str("version")
	a, b := slices.Index(kubernetesVersions, from), slices.Index(kubernetesVersions, to)
	if b < 0 || b < a || b > a+1 {
		return invalidParameter("Unsupported Kubernetes minor version update from %s to %s", from, to)
	}
	// https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateClusterVersion.html; the words are of
	// https://github.com/hashicorp/terraform-provider-aws/issues/19478.
	for _, g := range m.where(tNodeGroup, "clusterName", o.id) {
		if b > a && g.out.str("version") != from {
			return invalidParameter("Nodegroups %s must be updated to match cluster version %s before updating cluster version", g.name(),
				from)
		}
	}
	if err := m.clusterSubnets(o); err != nil {
		return err
	}
	zones := func(p props) []string {
		var out []string
		for _, id := range p.strs("vpcConfig.subnetIds") {
			out = append(out, m.objects[tSubnet][id].out.str("availabilityZoneId"))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if was, is := zones(before), zones(o.in); !slices.Equal(was, is) {
		return invalidParameter("Provided subnets belong to the AZs '%s'. But they should belong to the exact set of AZs '%s' in which "+
			"subnets were provided during cluster creation.", strings.Join(is, ","), strings.Join(was, ","))
	}
	if err := m.clusterEndpoints(o.in); err != nil {
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
	for _, typ := range []string{tAddon, tAccessEntry, tAccessPolicy, tPodIdentity, tSignIn} {
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
