package awsmodel

import (
	"cmp"
	"slices"
	"strings"
)

// peers are whom a rule can let in. The provider wants exactly one:
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/vpc_security_group_ingress_rule
var peers = []string{"cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId"}

func securityGroupRows() rows {
	return of("EC2", rows{
		tSG: {
			ops: "CreateSecurityGroup AuthorizeSecurityGroupIngress DeleteSecurityGroup", keeps: "vpcId", name: named, idPrefix: "sg-",
			arn: "ec2|security-group/{id}", tagged: true, owned: true, defaults: map[string]any{"description": "Managed by Pulumi"},
			refs: []ref{vpcRef}, times: took(3*seconds, 2*seconds, 1*seconds),
			create: createSG, remove: removeSG,
		},
		tIngress: {
			ops:      "AuthorizeSecurityGroupIngress ModifySecurityGroupRules RevokeSecurityGroupIngress",
			required: "ipProtocol securityGroupId", idPrefix: "sgr-", arn: "ec2|security-group-rule/{id}", tagged: true,
			refs:  []ref{sgRef("securityGroupId"), sgRef("referencedSecurityGroupId")},
			times: took(1*seconds, 1*seconds, 1*seconds),
			check: checkRule, create: createRule, update: again(createRule),
			fill: func(_ *Model, o *object) { o.out.setDefault("securityGroupRuleId", o.id) },
		},
	})
}

func createSG(m *Model, o *object) error {
	for _, other := range m.where(tSG, "name", o.name()) {
		if other.out.str("vpcId") == o.in.str("vpcId") {
			return refuse("InvalidGroup.Duplicate", "The security group '%s' already exists for VPC '%s'", o.name(), o.in.str("vpcId"))
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
	for _, r := range m.where(tIngress, "referencedSecurityGroupId", id) {
		if r.in.str("securityGroupId") != id {
			return inUse
		}
	}
	return nil
}

func checkRule(c *checker) {
	c.exactlyOne(peers...)
	p := c.str("ipProtocol")
	if p != "tcp" && p != "udp" || c.unknown("fromPort") || c.unknown("toPort") {
		return
	}
	switch from, to := c.num("fromPort"), c.num("toPort"); {
	case !c.has("fromPort") || !c.has("toPort"):
		c.fail("fromPort", "fromPort and toPort are required for %s", p)
	case from > to:
		c.fail("fromPort", "invalid port range %v-%v: from is above to", from, to)
	}
}

func createRule(m *Model, o *object) error {
	rule := func(p props) (all []string) {
		for _, path := range append([]string{"ipProtocol", "fromPort", "toPort"}, peers...) {
			all = append(all, p.value(path).String())
		}
		return all
	}
	for _, other := range m.where(o.typ, "securityGroupId", o.in.str("securityGroupId")) {
		if other.id != o.id && slices.Equal(rule(other.in), rule(o.in)) {
			return refuse("InvalidPermission.Duplicate", `the specified rule "peer: %s, %s, from port: %v, to port: %v, ALLOW" already exists`,
				cmp.Or(o.in.str("cidrIpv4"), o.in.str("referencedSecurityGroupId")), strings.ToUpper(o.in.str("ipProtocol")),
				o.in.num("fromPort"), o.in.num("toPort"))
		}
	}
	return nil
}
