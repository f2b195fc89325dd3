package awsapi

import (
	"fmt"
	"maps"
	"reflect"
	"strings"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
)

const noResource = "ResourceNotFoundException"

var clusterRows = []row{
	on((*eks.Client).ListClusters, func(c *call) (obj, error) { return obj{"Clusters": c.named(clusters, "", "", "name")}, nil }),
	on((*eks.Client).DescribeCluster, func(c *call) (obj, error) {
		o, err := c.find(clusters, c.text("Name"), noResource)
		return obj{"Cluster": showCluster(o)}, err
	}),
	on((*eks.Client).DeleteCluster, deletion(clusters, "Name", noResource)),

	on((*eks.Client).ListNodegroups, listMembers(nodeGroups, "nodeGroupName")),
	on((*eks.Client).DescribeNodegroup, describeMember(nodeGroups, "NodegroupName", "Nodegroup", showNodeGroup)),
	on((*eks.Client).DeleteNodegroup, deleteMember(nodeGroups, "NodegroupName")),
	// Nothing in the model makes an insight: a test plants it.
	on((*eks.Client).ListInsights, func(c *call) (obj, error) {
		cluster := c.text("ClusterName")
		return c.show(insights, "Id", func(o awsmodel.Object) obj {
			if text(o, "clusterName") != cluster {
				return nil
			}
			return with(whole[types.InsightSummary](o), obj{"LastRefreshTime": o.Properties["lastRefreshTime"]})
		}), nil
	}),
	on((*eks.Client).ListAddons, listMembers(addons, "addonName")),
	on((*eks.Client).DescribeAddon, describeMember(addons, "AddonName", "Addon", func(c *call, o awsmodel.Object) obj {
		associations := list{}
		for _, one := range c.addonIdentities(o) {
			associations = append(associations, one["AssociationArn"])
		}
		return with(whole[types.Addon](o), obj{"Status": o.Status, "AddonArn": text(o, "arn"), "PodIdentityAssociations": associations})
	})),
	on((*eks.Client).DeleteAddon, deleteMember(addons, "AddonName")),
	on((*eks.Client).ListAccessEntries, listMembers(accessEntries, "principalArn")),
	on((*eks.Client).DeleteAccessEntry, deleteMember(accessEntries, "PrincipalArn")),
	on((*eks.Client).ListPodIdentityAssociations, func(c *call) (obj, error) {
		cluster := c.text("ClusterName")
		return c.show(podIdentities, "AssociationId", func(o awsmodel.Object) obj {
			if text(o, "clusterName") != cluster {
				return nil
			}
			return obj{}
		}), nil
	}),
	on((*eks.Client).DescribePodIdentityAssociation, func(c *call) (obj, error) {
		cluster, id := c.text("ClusterName"), c.text("AssociationId")
		for _, addon := range c.Model.Objects(addons) {
			for _, one := range c.addonIdentities(addon) {
				if one["ClusterName"] == cluster && one["AssociationId"] == id {
					return obj{"Association": one}, nil
				}
			}
		}
		o, err := c.find(podIdentities, id, noResource)
		return obj{"Association": whole[types.PodIdentityAssociation](o)}, err
	}),
	on((*eks.Client).DeletePodIdentityAssociation, deleteMember(podIdentities, "AssociationId")),
	on((*eks.Client).ListIdentityProviderConfigs, func(c *call) (obj, error) {
		cluster, all := c.text("ClusterName"), list{}
		_, err := c.find(clusters, cluster, noResource)
		for _, o := range c.Model.Objects(signIns) {
			if name, within := strings.CutPrefix(o.ID, cluster+":"); within {
				all = append(all, obj{"Type": "oidc", "Name": name})
			}
		}
		return obj{"IdentityProviderConfigs": all}, err
	}),
	on((*eks.Client).DescribeIdentityProviderConfig, func(c *call) (obj, error) {
		o, err := c.find(signIns, c.signIn(), noResource)
		oidc, _ := o.Properties["oidc"].(map[string]any)
		return obj{"IdentityProviderConfig": obj{"Oidc": with(like(reflect.TypeFor[types.OidcIdentityProviderConfig](), oidc), obj{
			"IdentityProviderConfigArn": text(o, "arn"), "ClusterName": text(o, "clusterName"), "Status": o.Status, "Tags": o.Tags,
		})}}, err
	}),
	on((*eks.Client).DisassociateIdentityProviderConfig, func(c *call) (obj, error) {
		return obj{}, c.delete(signIns, c.signIn(), noResource)
	}),
}

// signIn is the model's ID of the identity provider that a call names, as the SDK or the CLI's shorthand has it.
func (c *call) signIn() string {
	c.read["IdentityProviderConfig"] = true
	name := ""
	switch asked := c.input["IdentityProviderConfig"].(type) {
	case *types.IdentityProviderConfig:
		name = aws.ToString(asked.Name)
	case string:
		_, name, _ = strings.Cut(asked, "name=")
	}
	return c.text("ClusterName") + ":" + name
}

// memberID is the model's ID of what a cluster has under the name that a member of the input gives.
func (c *call) memberID(typ, member string) string {
	cluster, name := c.text("ClusterName"), c.text(member)
	if typ == podIdentities {
		return name // its ID is the service's
	}
	return cluster + ":" + name
}

// listMembers lists what a cluster has by a property.
func listMembers(typ, property string) func(*call) (obj, error) {
	return func(c *call) (obj, error) {
		cluster := c.text("ClusterName")
		name, _ := c.list(nil)
		_, err := c.find(clusters, cluster, noResource)
		return obj{name: c.named(typ, "clusterName", cluster, property)}, err
	}
}

// describeMember describes what a cluster has. more, if it is not nil, adds what the answer has beside the tags.
func describeMember(typ, member, answer string, more func(c *call, o awsmodel.Object) obj) func(*call) (obj, error) {
	return func(c *call) (obj, error) {
		o, err := c.find(typ, c.memberID(typ, member), noResource)
		one := obj{"Tags": o.Tags}
		if err == nil && more != nil {
			one = more(c, o)
		}
		return obj{answer: one}, err
	}
}

func with(one, more obj) obj {
	maps.Copy(one, more)
	return one
}

// showCluster answers with the members of https://docs.aws.amazon.com/eks/latest/APIReference/API_Cluster.html.
func showCluster(o awsmodel.Object) obj {
	out := with(whole[types.Cluster](o), obj{
		"Status": o.Status, "ResourcesVpcConfig": formed[types.VpcConfigResponse](o, "vpcConfig"), "Tags": o.Tags,
		"Logging": obj{"ClusterLogging": list{obj{"Enabled": true, "Types": o.Properties["enabledClusterLogTypes"]}}},
	})
	if len(part(o, "encryptionConfig")) > 0 {
		out["EncryptionConfig"] = list{formed[types.EncryptionConfig](o, "encryptionConfig")}
	}
	return out
}

// showNodeGroup answers with the members of https://docs.aws.amazon.com/eks/latest/APIReference/API_Nodegroup.html. Instance types are in
// it if the template has none, as the provider reads them back
// (https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/eks/node_group.go). That page says they are null then.
func showNodeGroup(_ *call, o awsmodel.Object) obj {
	return with(whole[types.Nodegroup](o), obj{
		"Status": o.Status, "NodegroupArn": text(o, "arn"), "NodeRole": text(o, "nodeRoleArn"), "Subnets": o.Properties["subnetIds"],
	})
}

// addonIdentities are the associations that an add-on owns, which its description names by their ARNs
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_Addon.html). AWS lists them with the others; the model does not. All of its
// add-ons run in kube-system.
func (c *call) addonIdentities(addon awsmodel.Object) (out []obj) {
	of, _ := addon.Properties["podIdentityAssociations"].([]any)
	for _, a := range of {
		a, _ := a.(obj)
		cluster, id := text(addon, "clusterName"), fmt.Sprintf("a-%.8x", fmt.Sprint(a["serviceAccount"]))
		out = append(out, obj{
			"AssociationId": id, "AssociationArn": c.arn("eks", "podidentityassociation/"+cluster+"/"+id), "ClusterName": cluster,
			"Namespace": "kube-system", "ServiceAccount": a["serviceAccount"], "RoleArn": a["roleArn"], "OwnerArn": text(addon, "arn"),
		})
	}
	return out
}

func deleteMember(typ, member string) func(*call) (obj, error) {
	return func(c *call) (obj, error) { return obj{}, c.delete(typ, c.memberID(typ, member), noResource) }
}
