package awsmodel

import (
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func securityGroupRows() rows {
	return rows{
		tSG: {
			service: "EC2", ops: operations{"CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DeleteSecurityGroup"},
			keeps: []string{"vpcId"}, name: named, idPrefix: "sg-", arn: "ec2|security-group/{id}", tagged: true, owned: true,
			defaults: map[string]any{"description": "Managed by Pulumi", "revokeRulesOnDelete": false}, refs: []ref{vpcRef},
			times: times{create: 3 * seconds, update: 2 * seconds, remove: 1 * seconds},
			check: checkSG, create: createSG, remove: removeSG,
		},
		tIngress: ruleRow("AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"),
		tEgress:  ruleRow("AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress"),
	}
}

func ruleRow(authorize, revoke string) *row {
	return &row{
		service: "EC2", ops: operations{authorize, "ModifySecurityGroupRules", revoke}, required: []string{"ipProtocol", "securityGroupId"},
		idPrefix: "sgr-", arn: "ec2|security-group-rule/{id}", tagged: true,
		refs:  []ref{sgRef("securityGroupId"), sgRef("referencedSecurityGroupId")},
		times: times{create: 1 * seconds, update: 1 * seconds, remove: 1 * seconds},
		check: checkRule, create: createRule, update: again(createRule),
		fill: func(_ *Model, o *object) { o.out.setDefault("securityGroupRuleId", o.id) },
	}
}

func checkSG(c *checker) {
	for _, side := range []string{"ingress", "egress"} {
		for i, r := range c.objs(side) {
			checkPorts(c, side+"["+itoa(i)+"].", r, "protocol")
		}
	}
}

func createSG(m *Model, o *object) error {
	for _, other := range m.where(tSG, "name", o.name()) {
		if other.out.str("vpcId") == o.in.str("vpcId") {
			return refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", o.name(), o.in.str("vpcId"))
		}
	}
	for _, side := range []string{"ingress", "egress"} {
		for _, r := range o.in.objs(side) {
			for _, g := range r.strs("securityGroups") {
				if m.objects[tSG][g] == nil {
					return refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", g)
				}
			}
		}
	}
	return nil
}

func removeSG(m *Model, o *object) error { return m.groupInUse(o.id) }

func (m *Model) groupInUse(id string) error {
	inUse := refuse("DependencyViolation", "resource %s has a dependent object", id)
	for _, eni := range m.all(tENI) {
		if slices.Contains(eni.out.strs("securityGroups"), id) {
			return inUse
		}
	}
	for _, typ := range []string{tIngress, tEgress} {
		for _, r := range m.where(typ, "referencedSecurityGroupId", id) {
			if r.in.str("securityGroupId") != id {
				return inUse
			}
		}
	}
	for _, g := range m.all(tSG) {
		for _, side := range []string{"ingress", "egress"} {
			for _, r := range g.in.objs(side) {
				if g.id != id && slices.Contains(r.strs("securityGroups"), id) {
					return inUse
				}
			}
		}
	}
	return nil
}

func checkPorts(c *checker, prefix string, r props, protocol string) {
	p := r.str(protocol)
	if p == "" || r.unknown("fromPort") || r.unknown("toPort") {
		return
	}
	if !slices.Contains([]string{"tcp", "udp", "icmp", "icmpv6", "-1", "all", "6", "17", "1", "58"}, p) {
		c.fail(prefix+protocol, "invalid protocol %q: tcp, udp, icmp, icmpv6, a number or -1", p)
	}
	from, to := r.num("fromPort"), r.num("toPort")
	if p != "-1" && (from < -1 || to > 65535 || from > to) {
		c.fail(prefix+"fromPort", "invalid port range %v-%v: -1 to 65535, from not above to", from, to)
	}
	if (p == "tcp" || p == "udp") && (!r.has("fromPort") || !r.has("toPort")) {
		c.fail(prefix+"fromPort", "fromPort and toPort are required for %s", p)
	}
}

func checkRule(c *checker) {
	c.exactlyOne("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
	checkPorts(c, "", c.props, "ipProtocol")
}

func createRule(m *Model, o *object) error {
	peer := func(p props) string {
		return orElse(p.str("cidrIpv4"), orElse(p.str("cidrIpv6"), orElse(p.str("prefixListId"), p.str("referencedSecurityGroupId"))))
	}
	ports := func(p props) resource.PropertyMap {
		return resource.PropertyMap{"f": p.value("fromPort"), "t": p.value("toPort"), "p": p.value("ipProtocol")}
	}
	for _, other := range m.where(o.typ, "securityGroupId", o.in.str("securityGroupId")) {
		if other.id != o.id && peer(other.in) == peer(o.in) && ports(other.in).DeepEquals(ports(o.in)) {
			return refuse("InvalidPermission.Duplicate", `the specified rule "peer: %s, %s, from port: %v, to port: %v, ALLOW" already exists`,
				peer(o.in), strings.ToUpper(o.in.str("ipProtocol")), o.in.num("fromPort"), o.in.num("toPort"))
		}
	}
	return nil
}
