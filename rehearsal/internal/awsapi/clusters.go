package awsapi

import (
	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/service/eks"
)

const noResource = "ResourceNotFoundException"

var clusterRows = []row{
	on((*eks.Client).ListClusters, func(c *call) (obj, error) { return obj{"Clusters": c.named(clusters, "", "", "name")}, nil }),
	on((*eks.Client).DescribeCluster, func(c *call) (obj, error) {
		o, err := c.find(clusters, c.text("Name"), noResource)
		network, _ := o.Properties["vpcConfig"].(map[string]any)
		return obj{"Cluster": obj{"Status": o.Status, "ResourcesVpcConfig": obj{"VpcId": network["vpcId"]}, "Tags": o.Tags}}, err
	}),
	on((*eks.Client).DeleteCluster, deletion(clusters, "Name", noResource)),

	on((*eks.Client).ListNodegroups, listMembers(nodeGroups, "nodeGroupName")),
	on((*eks.Client).DescribeNodegroup, describeMember(nodeGroups, "NodegroupName", "Nodegroup")),
	on((*eks.Client).DeleteNodegroup, deleteMember(nodeGroups, "NodegroupName")),
	on((*eks.Client).ListAddons, listMembers(addons, "addonName")),
	on((*eks.Client).DescribeAddon, describeMember(addons, "AddonName", "Addon")),
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
	on((*eks.Client).DeletePodIdentityAssociation, deleteMember(podIdentities, "AssociationId")),
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

func describeMember(typ, member, answer string) func(*call) (obj, error) {
	return func(c *call) (obj, error) {
		o, err := c.find(typ, c.memberID(typ, member), noResource)
		return obj{answer: obj{"Tags": o.Tags}}, err
	}
}

func deleteMember(typ, member string) func(*call) (obj, error) {
	return func(c *call) (obj, error) { return obj{}, c.delete(typ, c.memberID(typ, member), noResource) }
}
