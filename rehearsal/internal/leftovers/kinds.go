package leftovers

import (
	"context"
	"time"
)

// kind is one kind of things.
type kind struct {
	name string
	// find lists what is counted. With an error it may list what it got before.
	find func(ctx context.Context, f *finder) ([]Item, error)
	// remove takes one away; nil for what goes with something else. settle is how long AWS may take to be done.
	remove func(ctx context.Context, f *finder, i Item) error
	settle time.Duration
	// prepare does what has to be done for all items of the kind before the first is removed.
	prepare func(ctx context.Context, f *finder, items []Item) error
}

// kinds are in the order in which things can be removed: what uses others before what is used.
var kinds = []kind{
	{name: "node group", find: findNodeGroups, remove: removeNodeGroup, settle: 30 * time.Minute},
	{name: "EKS add-on", find: findAddons, remove: removeAddon, settle: 10 * time.Minute},
	{name: "EKS access entry", find: findAccessEntries, remove: removeAccessEntry},
	{name: "EKS pod identity association", find: findPodIdentities, remove: removePodIdentity},
	{name: "EKS cluster", find: findClusters, remove: removeCluster, settle: 30 * time.Minute},
	{name: "OpenSearch domain", find: findDomains, remove: removeDomain, settle: 90 * time.Minute},
	{name: "load balancer", find: findBalancers, remove: removeBalancer, settle: 10 * time.Minute},
	{name: "classic load balancer", find: findClassic, remove: removeClassic, settle: 10 * time.Minute},
	{name: "target group", find: findTargetGroups, remove: removeTargetGroup},
	{name: "Auto Scaling group", find: findScalingGroups, remove: removeScalingGroup, settle: 15 * time.Minute},
	{name: "instance", find: findInstances, remove: removeInstance, settle: 10 * time.Minute},
	{name: "launch template", find: findTemplates, remove: removeTemplate},
	{name: "NAT gateway", find: findNATs, remove: removeNAT, settle: 10 * time.Minute},
	{name: "VPC endpoint", find: findEndpoints, remove: removeEndpoint, settle: 10 * time.Minute},
	{name: "network interface", find: findInterfaces, remove: removeInterface, settle: 10 * time.Minute},
	{name: "volume", find: findVolumes, remove: removeVolume},
	{name: "snapshot", find: findSnapshots, remove: removeSnapshot},
	{name: "Elastic IP address", find: findAddresses, remove: removeAddress},
	{name: "internet gateway", find: findGateways, remove: removeGateway},
	{name: "security group", find: findGroups, remove: removeGroup, prepare: disentangle},
	{name: "subnet", find: findSubnets, remove: removeSubnet},
	{name: "route table", find: findRouteTables, remove: removeRouteTable},
	{name: "VPC", find: findVPCs, remove: removeVPC},
	{name: "log group", find: findLogGroups, remove: removeLogGroup},
	{name: "log resource policy", find: findLogPolicies, remove: removeLogPolicy},
	{name: "alarm", find: findAlarms, remove: removeAlarm},
	{name: "SNS topic", find: findTopics, remove: removeTopic},
	{name: "role", find: findRoles, remove: removeRole},
	{name: "OIDC provider", find: findOIDCProviders, remove: removeOIDCProvider},
	{name: "KMS alias", find: findAliases, remove: removeAlias},
	{name: "KMS key", find: findKeys, remove: removeKey},
}
