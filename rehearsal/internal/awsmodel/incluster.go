package awsmodel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What controllers inside a cluster do to the account. It stays when the cluster goes.

// CreateVolume makes an EBS volume, as the EBS CSI driver does for a claim. zone is a zone name, sizeGiB at least 1. Asked
// again for a volume with the tag CSIVolumeName it returns the first, as a driver has to
// (https://github.com/container-storage-interface/spec/blob/master/spec.md#createvolume).
func (m *Model) CreateVolume(cluster, zone string, sizeGiB int, encrypted bool, tags map[string]string) (id string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	const nameTag = "CSIVolumeName"
	for _, v := range m.where(tVolume, "cluster", cluster) {
		if name := tags[nameTag]; name != "" && v.out.strMap("tags")[nameTag] == name {
			return v.id, nil
		}
	}
	all := toAny(tags)
	all["kubernetes.io/cluster/"+cluster] = "owned"
	for _, addon := range m.where(tAddon, "addonName", "aws-ebs-csi-driver") {
		if addon.in.str("clusterName") == cluster {
			maps.Copy(all, extraVolumeTags(addon.in.str("configurationValues")))
		}
	}
	v := m.made(tVolume, m.newID(zone, "vol-"), InCluster,
		map[string]any{"cluster": cluster, "availabilityZone": zone, "size": sizeGiB, "encrypted": encrypted, "tags": all})
	return v.id, nil
}

// extraVolumeTags are those that the add-on's values give to each volume.
func extraVolumeTags(values string) map[string]any {
	var set struct {
		Controller struct {
			ExtraVolumeTags map[string]any `yaml:"extraVolumeTags"`
		} `yaml:"controller"`
	}
	_ = yaml.Unmarshal([]byte(values), &set) // EKS has checked them, see addonValues.
	return set.Controller.ExtraVolumeTags
}

// DeleteVolume removes a volume; one that is gone already is no error, as for the CSI driver.
func (m *Model) DeleteVolume(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.objects[tVolume][id]; v != nil {
		m.drop(v)
	}
	return nil
}

// AddonActive tells whether any cluster has the add-on in service.
func (m *Model) AddonActive(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.where(tAddon, "addonName", name) {
		if a.status == active {
			return true
		}
	}
	return false
}

// CreateLoadBalancer makes a load balancer for a Service of type LoadBalancer. scheme is internet-facing or internal.
// It takes one subnet per zone of the cluster's VPC that has the scheme's tag, kubernetes.io/role/elb or
// kubernetes.io/role/internal-elb, and fails without one
// (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html).
// annotations are the Service's; the type, the listeners' and the tags are read from them. ports are the Service's too. One that is there
// keeps its tags.
//
// The controller also makes a target group for each port of a network load balancer, and a security group for a
// classic one (https://github.com/kubernetes/cloud-provider-aws/blob/master/docs/nlb_security_groups.md: a network load
// balancer has a security group only if the cloud's configuration says so).
func (m *Model) CreateLoadBalancer(cluster, name, scheme string, annotations map[string]string, ports ...int32) (hostname string,
	err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.objects[tCluster][cluster]
	if c == nil {
		return "", fmt.Errorf("cluster %s does not exist in the account", cluster)
	}
	tag := "kubernetes.io/role/elb"
	if scheme == "internal" {
		tag = "kubernetes.io/role/internal-elb"
	}
	vpc := vpcOf(c)
	var subnets []*object
	zones := map[string]bool{}
	for _, s := range m.where(tSubnet, "vpcId", vpc) {
		value, tagged := s.out.strMap("tags")[tag]
		if zone := s.out.str("availabilityZoneId"); tagged && (value == "1" || value == "") && !zones[zone] {
			via, _ := m.egress(s.id)
			if scheme == "internal" || via == "igw" {
				zones[zone] = true
				subnets = append(subnets, s)
			}
		}
	}
	if len(subnets) == 0 {
		return "", fmt.Errorf("ensuring load balancer %s: could not find any suitable subnets for creating the ELB (no subnet of %s with "+
			"tag %s=1%s)", name, vpc, tag,
			map[bool]string{true: " and a route to an internet gateway", false: ""}[scheme == "internet-facing"])
	}
	listeners := listenersOf(annotations, ports)
	if existing := m.objects[tLoadBalancer][name]; existing != nil {
		had := existing.out.strMap("listeners")
		for port, protocol := range listeners {
			// The controller makes a port's listener for the new protocol before it deletes that for the old one
			// (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_loadbalancer.go, ensureLoadBalancerv2).
			if before, taken := had[port]; taken && before != protocol {
				return "", errors.New(`error creating load balancer listener: "DuplicateListener: A listener already exists on this port for this ` +
					`load balancer"`)
			}
		}
		existing.out.set("listeners", listeners)
		return existing.out.str("dnsName"), nil
	}
	m.ensureSLR("elasticloadbalancing.amazonaws.com")
	kind := "classic"
	if slices.Contains([]string{"nlb", "external", "nlb-ip"}, annotations["service.beta.kubernetes.io/aws-load-balancer-type"]) {
		kind = "network"
	}
	host := fmt.Sprintf("%s-%s.elb.%s.amazonaws.com", name, m.hex(name)[:16], m.opts.Region)
	if scheme == "internal" {
		host = "internal-" + host
	}
	tags := additionalTags(annotations)
	tags["kubernetes.io/cluster/"+cluster] = "owned"
	m.made(tLoadBalancer, name, InCluster,
		map[string]any{
			"name": name, "cluster": cluster, "vpcId": vpc, "dnsName": host, "scheme": scheme, "loadBalancerType": kind, "tags": tags,
			"listeners": listeners,
		})
	var groups []string
	if kind == "classic" {
		g := m.made(tSG, m.newID(name, "sg-"), InCluster,
			map[string]any{"name": "k8s-elb-" + name, "vpcId": vpc, "loadBalancer": name, "tags": tags})
		groups = append(groups, g.id)
	} else {
		for _, port := range ports {
			m.made(tTargetGroup, fmt.Sprintf("k8s-%.16s-%d", name, port), InCluster,
				map[string]any{"vpcId": vpc, "loadBalancer": name, "tags": tags})
		}
	}
	for _, s := range subnets {
		eni := m.addENI(s, "lb/"+name, "ELB net/"+name, groups)
		eni.origin = InCluster
		if scheme == "internet-facing" {
			eni.out.set("publicIp", fmt.Sprintf("203.0.113.%d", 2+m.seq%250))
		}
	}
	return strings.ToLower(host), nil
}

// additionalTags are those that the annotations ask for, as the controller reads them: it splits at each comma and "="
// (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_loadbalancer.go,
// getKeyValuePropertiesFromAnnotation).
func additionalTags(annotations map[string]string) map[string]any {
	tags := map[string]any{}
	for _, pair := range strings.Split(annotations["service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags"], ",") {
		parts := append(strings.Split(strings.TrimSpace(pair), "="), "")
		if parts[0] != "" {
			tags[parts[0]] = parts[1]
		}
	}
	return tags
}

// listenersOf are the protocols of a network load balancer's listeners, by port: TLS for those that the annotations name, or for all with
// a certificate only (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws.go, EnsureLoadBalancer).
func listenersOf(annotations map[string]string, ports []int32) map[string]any {
	const prefix = "service.beta.kubernetes.io/aws-load-balancer-"
	named, only := annotations[prefix+"ssl-ports"]
	out := map[string]any{}
	for _, port := range ports {
		number := strconv.Itoa(int(port))
		out[number] = "TCP"
		if annotations[prefix+"ssl-cert"] != "" && (!only || slices.Contains(strings.Split(named, ","), number)) {
			out[number] = "TLS"
		}
	}
	return out
}

// DeleteLoadBalancer removes a load balancer and its interfaces, as Elastic Load Balancing does; one that is gone already is
// no error. Its groups stay.
func (m *Model) DeleteLoadBalancer(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, eni := range m.where(tENI, "owner", "lb/"+name) {
		m.drop(eni)
	}
	if lb := m.objects[tLoadBalancer][name]; lb != nil {
		m.drop(lb)
	}
	return nil
}

// ReleaseLoadBalancer removes a load balancer with its groups, as the controller does when its Service goes.
func (m *Model) ReleaseLoadBalancer(name string) error {
	m.mu.Lock()
	for _, typ := range []string{tTargetGroup, tSG} {
		for _, group := range m.where(typ, "loadBalancer", name) {
			m.drop(group)
		}
	}
	m.mu.Unlock()
	return m.DeleteLoadBalancer(name)
}
