package leftovers

import "context"

// kind is one kind of things.
type kind struct {
	name string
	// find lists what is counted. With an error it may list what it got before the error.
	find func(ctx context.Context, f *finder) ([]Item, error)
	// parts finds out what has to be removed before the leftover items, and which of them cannot be removed yet. It is nil if find has done
	// this.
	parts func(ctx context.Context, f *finder, items []*Item) error
	// The commands of the aws CLI: before are for an item's parts, in the same order, remove removes the item, and wait ends when it is gone.
	// ID is the item, PART one of its parts, CLUSTER the stack's cluster. A command is written for all items of a kind before the next one. A
	// kind has no wait if the CLI has none.
	before       []string
	remove, wait string
	// with is the kind that takes it along when it goes. Before that it has no command of its own.
	with string
}

// kinds are in the order of removal: what uses others before what is used.
var kinds = []kind{
	{name: "node group", find: findNodeGroups, remove: "eks delete-nodegroup --cluster-name CLUSTER --nodegroup-name ID",
		wait: "eks wait nodegroup-deleted --cluster-name CLUSTER --nodegroup-name ID"},
	{name: "EKS add-on", find: findAddons, remove: "eks delete-addon --cluster-name CLUSTER --addon-name ID",
		wait: "eks wait addon-deleted --cluster-name CLUSTER --addon-name ID"},
	{name: "EKS access entry", find: findAccessEntries, remove: "eks delete-access-entry --cluster-name CLUSTER --principal-arn ID"},
	{name: "EKS pod identity association", find: findPodIdentities,
		remove: "eks delete-pod-identity-association --cluster-name CLUSTER --association-id ID"},
	// EKS deletes no cluster during an update, as which a disassociation counts, for 20 minutes (aws/containers-roadmap#1511).
	{name: "EKS identity provider", find: findIdentityProviders, with: "EKS cluster",
		remove: "eks disassociate-identity-provider-config --cluster-name CLUSTER --identity-provider-config type=oidc,name=ID"},
	{name: "EKS cluster", find: findClusters, remove: "eks delete-cluster --name ID", wait: "eks wait cluster-deleted --name ID"},
	{name: "OpenSearch domain", find: findDomains, remove: "opensearch delete-domain --domain-name ID"},
	{name: "load balancer", find: findBalancers, remove: "elbv2 delete-load-balancer --load-balancer-arn ID",
		wait: "elbv2 wait load-balancers-deleted --load-balancer-arns ID"},
	{name: "classic load balancer", find: findClassic, remove: "elb delete-load-balancer --load-balancer-name ID"},
	{name: "target group", find: findTargetGroups, remove: "elbv2 delete-target-group --target-group-arn ID"},
	{name: "Auto Scaling group", find: findScalingGroups,
		remove: "autoscaling delete-auto-scaling-group --auto-scaling-group-name ID --force-delete"},
	{name: "instance", find: findInstances, remove: "ec2 terminate-instances --instance-ids ID",
		wait: "ec2 wait instance-terminated --instance-ids ID"},
	{name: "launch template", find: findTemplates, remove: "ec2 delete-launch-template --launch-template-id ID"},
	{name: "NAT gateway", find: findNATs, remove: "ec2 delete-nat-gateway --nat-gateway-id ID",
		wait: "ec2 wait nat-gateway-deleted --nat-gateway-ids ID"},
	{name: "VPC endpoint", find: findEndpoints, remove: "ec2 delete-vpc-endpoints --vpc-endpoint-ids ID"},
	{name: "network interface", find: findInterfaces, remove: "ec2 delete-network-interface --network-interface-id ID"},
	{name: "volume", find: findVolumes, remove: "ec2 delete-volume --volume-id ID"},
	{name: "snapshot", find: findSnapshots, remove: "ec2 delete-snapshot --snapshot-id ID"},
	{name: "Elastic IP address", find: findAddresses, remove: "ec2 release-address --allocation-id ID"},
	{name: "internet gateway", find: findGateways, before: []string{"ec2 detach-internet-gateway --internet-gateway-id ID --vpc-id PART"},
		remove: "ec2 delete-internet-gateway --internet-gateway-id ID"},
	{name: "security group", find: findGroups, parts: rulesBetween, before: []string{
		"ec2 revoke-security-group-ingress --group-id ID --security-group-rule-ids PART",
		"ec2 revoke-security-group-egress --group-id ID --security-group-rule-ids PART",
	}, remove: "ec2 delete-security-group --group-id ID"},
	{name: "route table", find: findRouteTables, before: []string{"ec2 disassociate-route-table --association-id PART"},
		remove: "ec2 delete-route-table --route-table-id ID"},
	{name: "subnet", find: findSubnets, remove: "ec2 delete-subnet --subnet-id ID"},
	{name: "VPC", find: findVPCs, remove: "ec2 delete-vpc --vpc-id ID"},
	{name: "image cache rule", find: findCacheRules, remove: "ecr delete-pull-through-cache-rule --ecr-repository-prefix ID"},
	{name: "image repository", find: findRepositories, remove: "ecr delete-repository --repository-name ID --force"},
	{name: "log group", find: findLogGroups, remove: "logs delete-log-group --log-group-name ID"},
	{name: "log resource policy", find: findLogPolicies, remove: "logs delete-resource-policy --policy-name ID"},
	{name: "alarm", find: findAlarms, remove: "cloudwatch delete-alarms --alarm-names ID"},
	{name: "SNS topic", find: findTopics, remove: "sns delete-topic --topic-arn ID"},
	{name: "role", find: findRoles, parts: inRole, before: []string{
		"iam detach-role-policy --role-name ID --policy-arn PART", "iam delete-role-policy --role-name ID --policy-name PART",
		// A profile holds one role: without it nobody can use it.
		"iam remove-role-from-instance-profile --role-name ID --instance-profile-name PART",
		"iam delete-instance-profile --instance-profile-name PART",
	}, remove: "iam delete-role --role-name ID"},
	{name: "OIDC provider", find: findOIDCProviders, remove: "iam delete-open-id-connect-provider --open-id-connect-provider-arn ID"},
	{name: "KMS alias", find: findAliases, remove: "kms delete-alias --alias-name ID"},
	// The longest waiting time that KMS has. Until its end the key can be restored.
	{name: "KMS key", find: findKeys, parts: keysInUse, remove: "kms schedule-key-deletion --key-id ID --pending-window-in-days 30"},
}
