package awshttp

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"expense/rehearsal/internal/awsmodel"
)

// services are by signing name; 2 stands for the second generation of Elastic Load Balancing.
var services = map[string]service{
	"ec2":                   {protocol: ec2Query, next: "NextToken", token: "nextToken", operations: ec2Operations},
	"elasticloadbalancing":  {protocol: awsQuery, next: "Marker", token: "NextMarker", operations: classicOperations},
	"elasticloadbalancing2": {protocol: awsQuery, next: "Marker", token: "NextMarker", operations: balancerOperations},
	"autoscaling":           {protocol: awsQuery, next: "NextToken", token: "NextToken", operations: scalingOperations},
	"iam":                   {protocol: awsQuery, next: "Marker", token: "Marker", more: "IsTruncated", operations: iamOperations},
	"sts":                   {protocol: awsQuery, operations: stsOperations},
	"sns":                   {protocol: awsQuery, next: "NextToken", token: "NextToken", operations: snsOperations},
	"eks":                   {protocol: restJSON, next: "nextToken", token: "nextToken", operations: eksOperations},
	"es":                    {protocol: restJSON, next: "nextToken", token: "NextToken", operations: domainOperations},
	"logs":                  {protocol: json11, next: "nextToken", token: "nextToken", operations: logOperations},
	"kms":                   {protocol: json11, next: "Marker", token: "NextMarker", more: "Truncated", operations: keyOperations},
	"monitoring":            {protocol: cborRPC, action: "cloudwatch", next: "NextToken", token: "NextToken", operations: alarmOperations},
	"servicequotas":         {protocol: json11, operations: quotaOperations},
	"freetier":              {protocol: json11, operations: planOperations}, // JSON 1.0, which differs in the content's type alone
	"tagging":               {protocol: json11, action: "tag", next: "PaginationToken", token: "PaginationToken", operations: taggingOperations},
}

// route is a REST operation. Named groups of the path are parameters.
type route struct {
	service, method string
	path            *regexp.Regexp
	operation       string
}

func rest(service, method, path, operation string) route {
	return route{service, method, regexp.MustCompile("^" + regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(path, `(?P<$1>[^/]+)`) + "$"), operation}
}

var routes = []route{
	rest("eks", "GET", "/clusters", "ListClusters"),
	rest("eks", "GET", "/cluster-versions", "DescribeClusterVersions"),
	rest("eks", "GET", "/clusters/{name}", "DescribeCluster"),
	rest("eks", "GET", "/clusters/{clusterName}/node-groups", "ListNodegroups"),
	rest("eks", "GET", "/clusters/{clusterName}/node-groups/{nodegroupName}", "DescribeNodegroup"),
	rest("eks", "GET", "/clusters/{clusterName}/addons", "ListAddons"),
	rest("eks", "GET", "/clusters/{clusterName}/access-entries", "ListAccessEntries"),
	rest("eks", "GET", "/clusters/{clusterName}/addons/{addonName}", "DescribeAddon"),
	rest("eks", "GET", "/clusters/{clusterName}/access-entries/{principalArn}", "DescribeAccessEntry"),
	rest("eks", "GET", "/clusters/{clusterName}/pod-identity-associations", "ListPodIdentityAssociations"),
	rest("eks", "GET", "/clusters/{clusterName}/pod-identity-associations/{associationId}", "DescribePodIdentityAssociation"),
	rest("es", "GET", "/2021-01-01/opensearch/domain/{DomainName}", "DescribeDomain"),
	rest("es", "GET", "/2021-01-01/tags/?", "ListTags"),
	rest("es", "GET", "/2021-01-01/opensearch/versions", "ListVersions"),
	rest("es", "GET", "/2021-01-01/opensearch/instanceTypeDetails/{EngineVersion}", "ListInstanceTypeDetails"),
	rest("es", "GET", "/2021-01-01/opensearch/instanceTypeLimits/{EngineVersion}/{InstanceType}", "DescribeInstanceTypeLimits"),
}

// arn is the name of something in the model's account.
func (c *call) arn(service, resource string) string {
	account := strings.Split(c.Model.Caller(), ":")[4]
	region := c.Model.Region()
	if service == "iam" {
		region = ""
	}
	return strings.Join([]string{"arn", c.Model.Partition(), service, region, account, resource}, ":")
}

// kind is the generation and type of a load balancer: classic, network or application.
func kind(o awsmodel.Object) string { return text(o, "loadBalancerType") }

func (c *call) balancerARN(o awsmodel.Object) string {
	short := map[string]string{"network": "net", "application": "app"}[kind(o)]
	return c.arn("elasticloadbalancing", "loadbalancer/"+short+"/"+o.ID+"/"+balancerSuffix)
}

func (c *call) targetGroupARN(o awsmodel.Object) string {
	return c.arn("elasticloadbalancing", "targetgroup/"+o.ID+"/"+balancerSuffix)
}

var classicOperations = map[string]operation{
	"DescribeLoadBalancers": {list: "LoadBalancerDescriptions", run: func(c *call) (obj, error) {
		return obj{"LoadBalancerDescriptions": c.show(balancers, func(o awsmodel.Object) obj {
			if kind(o) != "classic" {
				return nil
			}
			return obj{"LoadBalancerName": o.ID, "VPCId": text(o, "vpcId"), "DNSName": text(o, "dnsName")}
		})}, nil
	}},
	"DescribeTags": {params: "LoadBalancerNames", run: func(c *call) (obj, error) {
		return c.balancerTags("LoadBalancerName", c.texts("LoadBalancerNames"), func(o awsmodel.Object) string {
			if kind(o) != "classic" {
				return ""
			}
			return o.ID
		})
	}},
	"DeleteLoadBalancer": {params: "LoadBalancerName", run: func(c *call) (obj, error) {
		return obj{}, c.Model.DeleteLoadBalancer(c.text("LoadBalancerName"))
	}},
}

var balancerOperations = map[string]operation{
	"DescribeLoadBalancers": {list: "LoadBalancers", run: func(c *call) (obj, error) {
		return obj{"LoadBalancers": c.show(balancers, func(o awsmodel.Object) obj {
			if kind(o) == "classic" {
				return nil
			}
			return obj{"LoadBalancerArn": c.balancerARN(o), "LoadBalancerName": o.ID, "VpcId": text(o, "vpcId"), "Type": kind(o), "State": obj{"Code": "active"}}
		})}, nil
	}},
	"DescribeTargetGroups": {list: "TargetGroups", run: func(c *call) (obj, error) {
		return obj{"TargetGroups": c.show(targetGroups, func(o awsmodel.Object) obj {
			return obj{"TargetGroupArn": c.targetGroupARN(o), "TargetGroupName": o.ID, "VpcId": text(o, "vpcId")}
		})}, nil
	}},
	"DescribeTags": {params: "ResourceArns", run: func(c *call) (obj, error) {
		return c.balancerTags("ResourceArn", c.texts("ResourceArns"), func(o awsmodel.Object) string {
			switch {
			case o.Type == targetGroups:
				return c.targetGroupARN(o)
			case kind(o) != "classic":
				return c.balancerARN(o)
			}
			return ""
		})
	}},
	"DeleteLoadBalancer": {params: "LoadBalancerArn", run: func(c *call) (obj, error) {
		for _, o := range c.Model.Objects(balancers) {
			if kind(o) != "classic" && c.balancerARN(o) == c.text("LoadBalancerArn") {
				return obj{}, c.Model.DeleteLoadBalancer(o.ID)
			}
		}
		return obj{}, nil
	}},
	"DeleteTargetGroup": {params: "TargetGroupArn", run: func(c *call) (obj, error) {
		for _, o := range c.Model.Objects(targetGroups) {
			if c.targetGroupARN(o) != c.text("TargetGroupArn") {
				continue
			}
			if _, err := c.find(balancers, text(o, "loadBalancer"), ""); err == nil {
				return nil, refuse("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", c.text("TargetGroupArn"))
			}
			c.Model.Uproot(targetGroups, o.ID)
		}
		return obj{}, nil
	}},
}

// balancerTags answers for at most 20 names, as both generations do
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html).
func (c *call) balancerTags(member string, names []string, name func(awsmodel.Object) string) (obj, error) {
	if len(names) == 0 || len(names) > 20 {
		return nil, refuse("ValidationError", "between 1 and 20 names, found %d", len(names))
	}
	all := append(c.Model.Objects(balancers), c.Model.Objects(targetGroups)...)
	out := list{}
	for _, wanted := range names {
		at := slices.IndexFunc(all, func(o awsmodel.Object) bool { return name(o) == wanted })
		if at < 0 {
			return nil, refuse("LoadBalancerNotFound", "%s not found", wanted)
		}
		out = append(out, obj{member: wanted, "Tags": tagList(all[at].Tags, "Key", "Value")})
	}
	return obj{"TagDescriptions": out}, nil
}

var scalingOperations = map[string]operation{
	"DescribeAutoScalingGroups": {list: "AutoScalingGroups", run: func(c *call) (obj, error) {
		return obj{"AutoScalingGroups": c.show(scalingGroups, func(o awsmodel.Object) obj {
			tags := tagList(o.Tags, "Key", "Value")
			for _, tag := range tags {
				maps.Copy(tag.(obj), obj{"ResourceId": o.ID, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": true})
			}
			return obj{"AutoScalingGroupName": o.ID, "VPCZoneIdentifier": text(o, "vpcZoneIdentifier"), "Tags": tags}
		})}, nil
	}},
	"DeleteAutoScalingGroup": {params: "AutoScalingGroupName ForceDelete", run: func(c *call) (obj, error) {
		if c.text("ForceDelete") != "true" {
			return nil, refuse("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
		}
		return c.delete(scalingGroups, c.text("AutoScalingGroupName"), "ValidationError")
	}},
}

var stsOperations = map[string]operation{
	"GetCallerIdentity": {run: func(c *call) (obj, error) {
		arn := c.Model.Caller()
		return obj{"Account": strings.Split(arn, ":")[4], "Arn": arn, "UserId": "AIDAEXAMPLE"}, nil
	}},
}

func (c *call) showRole(o awsmodel.Object) obj {
	path := text(o, "path")
	if path == "" {
		path = "/"
	}
	return obj{"RoleName": text(o, "name"), "Arn": c.arn("iam", "role"+path+text(o, "name")), "Path": path, "RoleId": "AROAEXAMPLE",
		"CreateDate": "2026-11-01T00:00:00Z", "AssumeRolePolicyDocument": text(o, "assumeRolePolicy"), "Tags": tagList(o.Tags, "Key", "Value")}
}

var iamOperations = map[string]operation{
	"ListRoles": {list: "Roles", run: func(c *call) (obj, error) {
		return obj{"Roles": append(c.show(roles, c.showRole), c.show(serviceRoles, c.showRole)...)}, nil
	}},
	"GetRole": {params: "RoleName", run: func(c *call) (obj, error) {
		for _, typ := range []string{roles, serviceRoles} {
			for _, o := range c.Model.Objects(typ) {
				if text(o, "name") == c.text("RoleName") {
					return obj{"Role": c.showRole(o)}, nil
				}
			}
		}
		return nil, notFound(refuse("NoSuchEntity", "The role with name %s cannot be found.", c.text("RoleName")))
	}},
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html
	"GetPolicy": {params: "PolicyArn", run: func(c *call) (obj, error) {
		if arn := c.text("PolicyArn"); slices.Contains(c.Region.Policies, arn) {
			return obj{"Policy": obj{"Arn": arn}}, nil
		}
		return nil, notFound(refuse("NoSuchEntity", "Policy %s was not found.", c.text("PolicyArn")))
	}},
	"ListRoleTags": {params: "RoleName", list: "Tags", run: func(c *call) (obj, error) {
		o, err := c.find(roles, c.text("RoleName"), "NoSuchEntity")
		return obj{"Tags": tagList(o.Tags, "Key", "Value")}, err
	}},
	"ListAttachedRolePolicies": {params: "RoleName", list: "AttachedPolicies", run: func(c *call) (obj, error) {
		return obj{"AttachedPolicies": c.show(attachments, func(o awsmodel.Object) obj {
			if text(o, "role") != c.text("RoleName") {
				return nil
			}
			arn := text(o, "policyArn")
			return obj{"PolicyArn": arn, "PolicyName": arn[strings.LastIndex(arn, "/")+1:]}
		})}, nil
	}},
	"DetachRolePolicy": {params: "RoleName PolicyArn", run: func(c *call) (obj, error) {
		for _, o := range c.Model.Objects(attachments) {
			if text(o, "role") == c.text("RoleName") && text(o, "policyArn") == c.text("PolicyArn") {
				c.Model.Uproot(attachments, o.ID)
				return obj{}, nil
			}
		}
		return nil, refuse("NoSuchEntity", "Policy %s was not found.", c.text("PolicyArn"))
	}},
	"ListRolePolicies": {params: "RoleName", list: "PolicyNames", run: func(c *call) (obj, error) {
		names := list{}
		for _, o := range c.Model.Objects(rolePolicies) {
			if text(o, "role") == c.text("RoleName") {
				names = append(names, text(o, "name"))
			}
		}
		return obj{"PolicyNames": names}, nil
	}},
	"DeleteRolePolicy": {params: "RoleName PolicyName", run: func(c *call) (obj, error) {
		return c.delete(rolePolicies, c.text("RoleName")+":"+c.text("PolicyName"), "NoSuchEntity")
	}},
	"ListInstanceProfilesForRole": {params: "RoleName", list: "InstanceProfiles", run: func(c *call) (obj, error) {
		return obj{"InstanceProfiles": c.show(profiles, func(o awsmodel.Object) obj {
			if text(o, "role") != c.text("RoleName") {
				return nil
			}
			return obj{"InstanceProfileName": o.ID, "InstanceProfileId": "AIPAEXAMPLE", "Arn": c.arn("iam", "instance-profile/"+o.ID), "Path": "/", "CreateDate": "2026-11-01T00:00:00Z"}
		})}, nil
	}},
	"RemoveRoleFromInstanceProfile": {params: "RoleName InstanceProfileName", run: func(c *call) (obj, error) {
		if !c.Model.Set(profiles, c.text("InstanceProfileName"), "role", "") {
			return nil, refuse("NoSuchEntity", "Instance Profile %s cannot be found.", c.text("InstanceProfileName"))
		}
		return obj{}, nil
	}},
	"DeleteInstanceProfile": {params: "InstanceProfileName", run: func(c *call) (obj, error) {
		o, err := c.find(profiles, c.text("InstanceProfileName"), "NoSuchEntity")
		if err == nil && text(o, "role") != "" {
			return nil, refuse("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
		}
		return obj{}, withdraw(c, profiles, o.ID, err)
	}},
	"DeleteRole": {params: "RoleName", run: func(c *call) (obj, error) {
		for typ, what := range map[string]string{attachments: "detach all policies", rolePolicies: "delete policies", profiles: "remove roles from instance profile"} {
			for _, o := range c.Model.Objects(typ) {
				if text(o, "role") == c.text("RoleName") {
					return nil, refuse("DeleteConflict", "Cannot delete entity, must %s first.", what)
				}
			}
		}
		return c.delete(roles, c.text("RoleName"), "NoSuchEntity")
	}},
	"ListOpenIDConnectProviders": {run: func(c *call) (obj, error) {
		return obj{"OpenIDConnectProviderList": c.show(oidcProviders, func(o awsmodel.Object) obj { return obj{"Arn": o.ID} })}, nil
	}},
	"ListOpenIDConnectProviderTags": {params: "OpenIDConnectProviderArn", list: "Tags", run: func(c *call) (obj, error) {
		o, err := c.find(oidcProviders, c.text("OpenIDConnectProviderArn"), "NoSuchEntity")
		return obj{"Tags": tagList(o.Tags, "Key", "Value")}, err
	}},
	"DeleteOpenIDConnectProvider": deletion(oidcProviders, "OpenIDConnectProviderArn", "NoSuchEntity"),
}

var snsOperations = map[string]operation{
	"ListTagsForResource": {params: "ResourceArn", run: func(c *call) (obj, error) {
		o, err := c.find(topics, c.text("ResourceArn"), "ResourceNotFound")
		return obj{"Tags": tagList(o.Tags, "Key", "Value")}, err
	}},
	"DeleteTopic": {params: "TopicArn", run: func(c *call) (obj, error) {
		return c.delete(topics, c.text("TopicArn"), "NotFound")
	}},
}

// ofCluster lists the members of a cluster under a property's value.
func ofCluster(member, typ, property string) operation {
	return operation{params: "clusterName", list: member, run: func(c *call) (obj, error) {
		if _, err := c.find(clusters, c.text("clusterName"), "ResourceNotFoundException"); err != nil {
			return nil, notFound(err)
		}
		names := list{}
		for _, o := range c.Model.Objects(typ) {
			if text(o, "clusterName") == c.text("clusterName") {
				names = append(names, text(o, property))
			}
		}
		return obj{member: names}, nil
	}}
}

// describeMember answers with what a cluster has under the name that a parameter gives.
func describeMember(typ, param, member string, show func(awsmodel.Object) obj) operation {
	return operation{params: "clusterName " + param, run: func(c *call) (obj, error) {
		o, err := c.find(typ, c.text("clusterName")+":"+c.text(param), "ResourceNotFoundException")
		if err != nil {
			return nil, notFound(err)
		}
		return obj{member: show(o)}, nil
	}}
}

// deleteMember takes it away.
func deleteMember(typ, param string) operation {
	return operation{params: "clusterName " + param, run: func(c *call) (obj, error) {
		_, err := c.delete(typ, c.text("clusterName")+":"+c.text(param), "ResourceNotFoundException")
		return obj{}, notFound(err)
	}}
}

// notFound gives an error the status that REST services have for it.
func notFound(err error) error {
	if api, ok := err.(*awsmodel.APIError); ok {
		api.Status = 404
	}
	return err
}

var eksOperations = map[string]operation{
	"ListClusters": {list: "clusters", run: func(c *call) (obj, error) {
		names := list{}
		for _, o := range c.Model.Objects(clusters) {
			names = append(names, o.ID)
		}
		return obj{"clusters": names}, nil
	}},
	"DescribeClusterVersions": {params: "clusterVersions", list: "clusterVersions", run: describeVersions},
	"DescribeCluster": {params: "name", run: func(c *call) (obj, error) {
		o, err := c.find(clusters, c.text("name"), "ResourceNotFoundException")
		if err != nil {
			return nil, notFound(err)
		}
		network, _ := o.Properties["vpcConfig"].(map[string]any)
		return obj{"cluster": obj{"name": o.ID, "arn": c.arn("eks", "cluster/"+o.ID), "status": o.Status, "version": text(o, "version"),
			"resourcesVpcConfig": obj{"vpcId": network["vpcId"]}, "tags": o.Tags}}, nil
	}},
	"DeleteCluster": {params: "name", run: func(c *call) (obj, error) {
		_, err := c.delete(clusters, c.text("name"), "ResourceNotFoundException")
		return obj{"cluster": obj{"name": c.text("name"), "status": "DELETING"}}, notFound(err)
	}},
	"ListNodegroups": ofCluster("nodegroups", nodeGroups, "nodeGroupName"),
	"DescribeNodegroup": describeMember(nodeGroups, "nodegroupName", "nodegroup", func(o awsmodel.Object) obj {
		return obj{"nodegroupName": text(o, "nodeGroupName"), "nodegroupArn": text(o, "arn"), "status": o.Status, "tags": o.Tags}
	}),
	"DeleteNodegroup": deleteMember(nodeGroups, "nodegroupName"),
	"ListAddons":      ofCluster("addons", addons, "addonName"),
	"DescribeAddon": describeMember(addons, "addonName", "addon", func(o awsmodel.Object) obj {
		return obj{"addonName": text(o, "addonName"), "addonArn": text(o, "arn"), "status": o.Status, "tags": o.Tags}
	}),
	"DeleteAddon":       deleteMember(addons, "addonName"),
	"ListAccessEntries": ofCluster("accessEntries", accessEntries, "principalArn"),
	"DescribeAccessEntry": describeMember(accessEntries, "principalArn", "accessEntry", func(o awsmodel.Object) obj {
		return obj{"principalArn": text(o, "principalArn"), "accessEntryArn": text(o, "accessEntryArn"), "type": text(o, "type"), "tags": o.Tags}
	}),
	"DeleteAccessEntry": deleteMember(accessEntries, "principalArn"),
	"ListPodIdentityAssociations": {params: "clusterName", list: "associations", run: func(c *call) (obj, error) {
		return obj{"associations": c.show(podIdentities, func(o awsmodel.Object) obj {
			if text(o, "clusterName") != c.text("clusterName") {
				return nil
			}
			return obj{"associationId": o.ID, "associationArn": text(o, "associationArn"), "namespace": text(o, "namespace"), "serviceAccount": text(o, "serviceAccount")}
		})}, nil
	}},
	"DescribePodIdentityAssociation": {params: "clusterName associationId", run: func(c *call) (obj, error) {
		o, err := c.find(podIdentities, c.text("associationId"), "ResourceNotFoundException")
		return obj{"association": obj{"associationId": o.ID, "tags": o.Tags}}, notFound(err)
	}},
	"DeletePodIdentityAssociation": {params: "clusterName associationId", run: func(c *call) (obj, error) {
		_, err := c.delete(podIdentities, c.text("associationId"), "ResourceNotFoundException")
		return obj{}, notFound(err)
	}},
}

// domain finds a domain by its name: its ID is its ARN.
func (c *call) domain(name string) (awsmodel.Object, error) {
	for _, o := range c.Model.Objects(domains) {
		if text(o, "domainName") == name {
			return o, nil
		}
	}
	return awsmodel.Object{}, &awsmodel.APIError{Status: 409, Code: "ResourceNotFoundException", Message: "Domain not found: " + name}
}

var domainOperations = map[string]operation{
	"ListVersions":               {list: "Versions", run: listEngines},
	"ListInstanceTypeDetails":    {params: "EngineVersion instanceType retrieveAZs", list: "InstanceTypeDetails", run: listDomainTypes},
	"DescribeInstanceTypeLimits": {params: "EngineVersion InstanceType", run: describeTypeLimits},
	"DescribeDomain": {params: "DomainName", run: func(c *call) (obj, error) {
		o, err := c.domain(c.text("DomainName"))
		if err != nil {
			return nil, err
		}
		shape, _ := o.Properties["clusterConfig"].(map[string]any)
		network, _ := o.Properties["vpcOptions"].(map[string]any)
		return obj{"DomainStatus": obj{"DomainName": text(o, "domainName"), "ARN": o.ID, "DomainId": "111122223333/" + text(o, "domainName"), "Created": true, "Deleted": text(o, "state") == "deleting",
			"ClusterConfig": obj{"InstanceType": shape["instanceType"], "InstanceCount": shape["instanceCount"]},
			// https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_VPCDerivedInfo.html
			"VPCOptions": obj{"VPCId": network["vpcId"]}}}, nil
	}},
	"ListTags": {params: "arn", run: func(c *call) (obj, error) {
		o, err := c.find(domains, c.text("arn"), "ResourceNotFoundException")
		return obj{"TagList": tagList(o.Tags, "Key", "Value")}, err
	}},
	"DeleteDomain": {params: "DomainName", run: func(c *call) (obj, error) {
		o, err := c.domain(c.text("DomainName"))
		if err != nil {
			return nil, err
		}
		return c.delete(domains, o.ID, "ResourceNotFoundException")
	}},
}

var logOperations = map[string]operation{
	"DescribeLogGroups": {params: "logGroupNamePrefix", list: "logGroups", run: func(c *call) (obj, error) {
		return obj{"logGroups": c.show(logGroups, func(o awsmodel.Object) obj {
			if !strings.HasPrefix(o.ID, c.text("logGroupNamePrefix")) {
				return nil
			}
			arn := c.arn("logs", "log-group:"+o.ID)
			return obj{"logGroupName": o.ID, "logGroupArn": arn, "arn": arn + ":*", "storedBytes": int64(number(o, "storedBytes"))}
		})}, nil
	}},
	"ListTagsForResource": {params: "resourceArn", run: func(c *call) (obj, error) {
		_, name, _ := strings.Cut(c.text("resourceArn"), ":log-group:")
		o, err := c.find(logGroups, name, "ResourceNotFoundException")
		return obj{"tags": o.Tags}, err
	}},
	"DeleteLogGroup": deletion(logGroups, "logGroupName", "ResourceNotFoundException"),
	"DescribeResourcePolicies": {list: "resourcePolicies", run: func(c *call) (obj, error) {
		return obj{"resourcePolicies": c.show(logPolicies, func(o awsmodel.Object) obj {
			return obj{"policyName": o.ID, "policyDocument": text(o, "policyDocument")}
		})}, nil
	}},
	"DeleteResourcePolicy": deletion(logPolicies, "policyName", "ResourceNotFoundException"),
}

var keyOperations = map[string]operation{
	"ListAliases": {list: "Aliases", run: func(c *call) (obj, error) {
		return obj{"Aliases": c.show(aliases, func(o awsmodel.Object) obj {
			return obj{"AliasName": o.ID, "AliasArn": c.arn("kms", o.ID), "TargetKeyId": text(o, "targetKeyId")}
		})}, nil
	}},
	"DescribeKey": {params: "KeyId", run: func(c *call) (obj, error) {
		o, err := c.find(keys, lastPart(c.text("KeyId")), "NotFoundException")
		if err != nil {
			return nil, err
		}
		state := "Enabled"
		if o.Status == "PENDING_DELETION" {
			state = "PendingDeletion"
		}
		return obj{"KeyMetadata": obj{"KeyId": o.ID, "Arn": c.arn("kms", "key/"+o.ID), "KeyState": state, "Description": text(o, "description"), "KeyManager": "CUSTOMER"}}, nil
	}},
	"GetKeyPolicy": {params: "KeyId", run: func(c *call) (obj, error) {
		o, err := c.find(keys, lastPart(c.text("KeyId")), "NotFoundException")
		return obj{"Policy": text(o, "policy"), "PolicyName": "default"}, err
	}},
	"ListGrants": {params: "KeyId GranteePrincipal", list: "Grants", run: func(c *call) (obj, error) {
		o, err := c.find(keys, lastPart(c.text("KeyId")), "NotFoundException")
		grants := list{}
		if slices.Contains(texts(o, "grantees"), c.text("GranteePrincipal")) {
			grants = append(grants, obj{"GrantId": "0", "GranteePrincipal": c.text("GranteePrincipal")})
		}
		return obj{"Grants": grants}, err
	}},
	"ListResourceTags": {params: "KeyId", list: "Tags", run: func(c *call) (obj, error) {
		o, err := c.find(keys, lastPart(c.text("KeyId")), "NotFoundException")
		return obj{"Tags": tagList(o.Tags, "TagKey", "TagValue")}, err
	}},
	"DeleteAlias": deletion(aliases, "AliasName", "NotFoundException"),
	"ScheduleKeyDeletion": {params: "KeyId PendingWindowInDays", run: func(c *call) (obj, error) {
		id := lastPart(c.text("KeyId"))
		_, err := c.delete(keys, id, "NotFoundException")
		return obj{"KeyId": c.text("KeyId"), "KeyState": "PendingDeletion"}, err
	}},
}

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

var alarmOperations = map[string]operation{
	"ListTagsForResource": {params: "ResourceARN", run: func(c *call) (obj, error) {
		for _, o := range c.Model.Objects(alarms) {
			if c.arn("cloudwatch", "alarm:"+o.ID) == c.text("ResourceARN") {
				return obj{"Tags": tagList(o.Tags, "Key", "Value")}, nil
			}
		}
		return nil, &awsmodel.APIError{Status: 404, Code: "ResourceNotFoundException", Message: c.text("ResourceARN") + " does not exist"}
	}},
	"DeleteAlarms": {params: "AlarmNames", run: func(c *call) (obj, error) {
		for _, name := range c.texts("AlarmNames") {
			if _, err := c.delete(alarms, name, "ResourceNotFound"); err != nil {
				return nil, err
			}
		}
		return obj{}, nil
	}},
}

// tagged are the types for which the endpoint answers tag:GetResources; the others it refuses.
var tagged = map[string]string{"kms:key": keys, "sns": topics, "cloudwatch:alarm": alarms}

var taggingOperations = map[string]operation{
	"GetResources": {params: "TagFilters ResourceTypeFilters", list: "ResourceTagMappingList", run: func(c *call) (obj, error) {
		filters, _ := c.body["TagFilters"].([]any)
		out := list{}
		for _, name := range c.texts("ResourceTypeFilters") {
			typ, known := tagged[name]
			if !known {
				return nil, fmt.Errorf("the endpoint does not know resources of type %s", name)
			}
			out = append(out, c.show(typ, func(o awsmodel.Object) obj {
				for _, f := range filters {
					filter, _ := f.(map[string]any)
					values, _ := filter["Values"].([]any)
					value, has := o.Tags[fmt.Sprint(filter["Key"])]
					if !has || !slices.Contains(values, any(value)) {
						return nil
					}
				}
				arn := map[string]string{keys: c.arn("kms", "key/"+o.ID), topics: o.ID, alarms: c.arn("cloudwatch", "alarm:"+o.ID)}[typ]
				return obj{"ResourceARN": arn, "Tags": tagList(o.Tags, "Key", "Value")}
			})...)
		}
		return obj{"ResourceTagMappingList": out}, nil
	}},
}
