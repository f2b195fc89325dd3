package awsmodel

import "slices"

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
			check: checkRule,
			fill:  func(_ *Model, o *object) { o.out.setDefault("securityGroupRuleId", o.id) },
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
