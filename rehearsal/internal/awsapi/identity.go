package awsapi

import (
	"cmp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var identityRows = []row{
	on((*sts.Client).GetCallerIdentity, func(c *call) (obj, error) {
		return obj{"Account": c.account(), "Arn": c.Model.Caller()}, nil
	}),

	on((*iam.Client).ListRoles, func(c *call) (obj, error) {
		return join(c.show(roles, "RoleName", c.showRole), c.show(serviceRoles, "RoleName", c.showRole)), nil
	}),
	on((*iam.Client).GetRole, func(c *call) (obj, error) {
		name := c.text("RoleName")
		o, err := c.findBy(roles, "name", name, "")
		if err != nil {
			o, err = c.findBy(serviceRoles, "name", name, "NoSuchEntity")
		}
		if err != nil {
			return nil, err
		}
		one := with(c.showRole(o), obj{"Tags": pairs("", o.Tags), "AssumeRolePolicyDocument": encoded(text(o, "assumeRolePolicy"))})
		if boundary := text(o, "permissionsBoundary"); boundary != "" {
			one["PermissionsBoundary"] = obj{"PermissionsBoundaryArn": boundary}
		}
		return obj{"Role": one}, nil
	}),
	on((*iam.Client).ListRoleTags, tags(roles, "RoleName", "NoSuchEntity")),
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html
	on((*iam.Client).GetPolicy, func(c *call) (obj, error) {
		if arn := c.text("PolicyArn"); !slices.Contains(c.Region.Policies, arn) {
			return nil, refuse("NoSuchEntity", "Policy %s was not found.", arn)
		}
		return obj{}, nil
	}),
	on((*iam.Client).ListAttachedRolePolicies, func(c *call) (obj, error) {
		return c.show(attachments, "PolicyName", c.ofRole()), nil
	}),
	on((*iam.Client).ListRolePolicies, func(c *call) (obj, error) {
		return obj{"PolicyNames": c.named(rolePolicies, "role", c.text("RoleName"), "name")}, nil
	}),
	on((*iam.Client).ListInstanceProfilesForRole, func(c *call) (obj, error) {
		return c.show(profiles, "InstanceProfileName", c.ofRole()), nil
	}),
	on((*iam.Client).DetachRolePolicy, func(c *call) (obj, error) {
		role, arn := c.text("RoleName"), c.text("PolicyArn")
		for _, o := range c.Model.Objects(attachments) {
			if text(o, "role") == role && text(o, "policyArn") == arn {
				c.Model.Uproot(attachments, o.ID)
				return obj{}, nil
			}
		}
		return nil, refuse("NoSuchEntity", "Policy %s was not found.", arn)
	}),
	on((*iam.Client).DeleteRolePolicy, func(c *call) (obj, error) {
		return obj{}, c.delete(rolePolicies, c.text("RoleName")+":"+c.text("PolicyName"), "NoSuchEntity")
	}),
	on((*iam.Client).RemoveRoleFromInstanceProfile, func(c *call) (obj, error) {
		name, role := c.text("InstanceProfileName"), c.text("RoleName")
		if o, err := c.find(profiles, name, "NoSuchEntity"); err != nil || text(o, "role") != role {
			return nil, cmp.Or(err, refuse("NoSuchEntity", "Instance Profile %s does not contain %s.", name, role))
		}
		c.Model.Set(profiles, name, "role", "")
		return obj{}, nil
	}),
	on((*iam.Client).DeleteInstanceProfile, func(c *call) (obj, error) {
		o, err := c.find(profiles, c.text("InstanceProfileName"), "NoSuchEntity")
		if text(o, "role") != "" {
			return nil, refuse("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
		}
		c.Model.Uproot(profiles, o.ID)
		return obj{}, err
	}),
	on((*iam.Client).DeleteRole, func(c *call) (obj, error) {
		role := c.text("RoleName")
		for typ, what := range map[string]string{
			attachments: "detach all policies", rolePolicies: "delete policies", profiles: "remove roles from instance profile",
		} {
			if _, err := c.findBy(typ, "role", role, ""); err == nil {
				return nil, refuse("DeleteConflict", "Cannot delete entity, must %s first.", what)
			}
		}
		return obj{}, c.delete(roles, role, "NoSuchEntity")
	}),
	on((*iam.Client).ListOpenIDConnectProviders, describe(oidcProviders, "Arn", nil)),
	on((*iam.Client).ListOpenIDConnectProviderTags, tags(oidcProviders, "OpenIDConnectProviderArn", "NoSuchEntity")),
	on((*iam.Client).DeleteOpenIDConnectProvider, deletion(oidcProviders, "OpenIDConnectProviderArn", "NoSuchEntity")),
}

func (c *call) showRole(o awsmodel.Object) obj {
	name, path := text(o, "name"), cmp.Or(text(o, "path"), "/")
	return obj{"RoleName": name, "Path": path, "Arn": c.arn("iam", "role"+path+name)}
}

// ofRole leaves out what is not of the role that is asked about.
func (c *call) ofRole() func(awsmodel.Object) obj {
	role := c.text("RoleName")
	return func(o awsmodel.Object) obj {
		if text(o, "role") != role {
			return nil
		}
		return obj{}
	}
}

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
