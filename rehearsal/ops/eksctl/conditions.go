package eksctl

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"expense/internal/published"

	"go.yaml.in/yaml/v3"
)

// conditions are what the table has in brackets.
var conditions = map[string]func(c *conversion, node *yaml.Node) bool{
	"(here)": func(_ *conversion, addon *yaml.Node) bool {
		_, here := published.Addons()[scalar(addon, "name")]
		return here
	},
	"(only one)": func(c *conversion, _ *yaml.Node) bool {
		all := child(c.root, "identityProviders")
		return all != nil && len(all.Content) == 1
	},
	"(administrator or reader)": func(_ *conversion, entry *yaml.Node) bool { return accessList(entry) != "" },
	"(administrator)": func(_ *conversion, mapping *yaml.Node) bool {
		groups := child(mapping, "groups")
		return groups != nil && plain(groups) == "system:masters" && only(mapping, "arn", "groups", "username") &&
			child(mapping, "arn") != nil
	},
	"(network policies)": func(c *conversion, values *yaml.Node) bool {
		var got map[string]any
		return yaml.Unmarshal([]byte(values.Value), &got) == nil && len(got) == 1 && asText(got["enableNetworkPolicy"]) == "true" &&
			scalar(c.addon, "name") == "vpc-cni"
	},
	"(own policy)": func(c *conversion, policies *yaml.Node) bool {
		return managed(policies, ownPolicy[scalar(c.addon, "name")])
	},
	"(own policy alone)": func(c *conversion, association *yaml.Node) bool {
		if policies := child(association, "permissionPolicyARNs"); policies != nil && !managed(policies, ownPolicy[scalar(c.addon, "name")]) {
			return false
		}
		policies := child(association, "wellKnownPolicies")
		return (policies == nil || only(policies, "ebsCSIController")) && only(association, "namespace", "serviceAccountName",
			"createServiceAccount", "roleName", "roleARN", "permissionPolicyARNs", "wellKnownPolicies", "tags")
	},
	// eksctl gives nodes these (pkg/cfn/builder/iam_helper.go); the stack gives the third to vpc-cni alone.
	"(a node's own)": func(_ *conversion, policies *yaml.Node) bool { return managed(policies, nodePolicies...) },
	"(a node's own and sessions)": func(_ *conversion, policies *yaml.Node) bool {
		return managed(policies, append([]string{"AmazonSSMManagedInstanceCore"}, nodePolicies...)...)
	},
	"(autoscaler or EBS driver)": func(_ *conversion, account *yaml.Node) bool {
		policies := child(account, "wellKnownPolicies")
		on := func(policy string) bool {
			return policies != nil && strings.EqualFold(scalar(policies, policy), "true")
		}
		return cmp.Or(scalar(account, "namespace"), scalar(account, "metadata", "namespace")) == "kube-system" &&
			(on("autoScaler") || on("ebsCSIController")) && only(policies, "autoScaler", "ebsCSIController") &&
			only(account, "metadata", "namespace", "serviceAccountName", "wellKnownPolicies", "roleName", "roleOnly", "createServiceAccount")
	},
	// 0 is eksctl's way to leave it to EKS (pkg/nodebootstrap/al2023.go).
	"(what EKS allows)": func(c *conversion, pods *yaml.Node) bool {
		n, err := strconv.Atoi(pods.Value)
		return err == nil && (n == 0 || n == c.allowedPods())
	},
	"(more than EKS allows)": func(c *conversion, pods *yaml.Node) bool {
		n, err := strconv.Atoi(pods.Value)
		return err == nil && c.allowedPods() > 0 && n > c.allowedPods()
	},
	"(in metadata.tags)": func(c *conversion, tags *yaml.Node) bool {
		all, _ := value(tags).(map[string]string)
		for key, text := range all {
			if of := child(c.root, "metadata", "tags", key); of == nil || of.Value != text {
				return false
			}
		}
		return true
	},
	"(all zones)": func(c *conversion, zones *yaml.Node) bool {
		all := child(c.root, "availabilityZones")
		return all != nil && plain(all) == plain(zones)
	},
}

// ownPolicy are AWS's policies of the add-ons that the stack gives roles.
var ownPolicy = map[string]string{"vpc-cni": "AmazonEKS_CNI_Policy", "aws-ebs-csi-driver": "AmazonEBSCSIDriverPolicy"}

var nodePolicies = []string{
	"AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly",
}

// allowedPods is EKS's number for a node of the group that is being read, that of its smallest type. It is 0 if a type is unknown.
func (c *conversion) allowedPods() int {
	var holds []int
	for _, t := range c.types(c.group) {
		holds = append(holds, published.InstanceTypes()[t].Pods())
	}
	return slices.Min(holds)
}

// scalar is the text of a map's entry, "" for none.
func scalar(node *yaml.Node, keys ...string) string {
	if value := child(node, keys...); value != nil {
		return value.Value
	}
	return ""
}

// asText is a value as JSON has it, a text without its quotes.
func asText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	data, _ := json.Marshal(value) // Of what YAML made, only maps with odd keys fail, and these are no text that is asked for.
	return string(data)
}

// only tells that a map has no other entries than these.
func only(node *yaml.Node, keys ...string) bool {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if value := node.Content[i+1]; !slices.Contains(keys, node.Content[i].Value) && plain(value) != "false" && value.Tag != "!!null" {
			return false
		}
	}
	return true
}

// managed tells that a list has no other policies than these of AWS.
func managed(policies *yaml.Node, names ...string) bool {
	return !slices.ContainsFunc(textsOf(policies), func(arn string) bool {
		return !awsPolicy.MatchString(arn) || !slices.Contains(names, path.Base(arn))
	})
}

// accessList is the setting for a principal with an entry's access: admins or readers, "" for neither.
func accessList(entry *yaml.Node) string {
	policies := child(entry, "accessPolicies")
	if policies == nil || len(policies.Content) != 1 || !only(entry, "principalARN", "accessPolicies", "type") ||
		!slices.Contains([]string{"", "STANDARD"}, scalar(entry, "type")) ||
		scalar(policies.Content[0], "accessScope", "type") != "cluster" || child(policies.Content[0], "accessScope", "namespaces") != nil {
		return ""
	}
	switch path.Base(scalar(policies.Content[0], "policyARN")) {
	case "AmazonEKSClusterAdminPolicy":
		return "admins"
	case "AmazonEKSAdminViewPolicy":
		return "readers"
	}
	return ""
}
