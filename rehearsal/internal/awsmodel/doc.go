// Package awsmodel is a stand-in for AWS behind the Pulumi aws provider: one account in one region, in memory.
//
// It catches a program that AWS would refuse, before that costs money. It knows the resource types that the program and the eks
// component register. A file of a service has its rows, one for each type (required arguments, forms of IDs
// and ARNs, references, typical durations), and beside them, as functions, the service's rules. It answers with AWS's error codes
// in the words in which the AWS SDK prints them. What a single argument may be is in package awsrules.
//
// It has rules for the arguments that the program sends, those of internal/awsrules/rules.yaml, and for a few that a mistake in package
// mutations adds. A test refuses an argument without a row in rules.yaml. A rehearsal, a mistake in package mutations or a case of the
// tests here reaches each rule, and its name says what the rule catches.
//
// A new type of resource gets a row and its rules in the file of its service, its habits in package awsprovider, its arguments in
// rules.yaml and a price in package estimate: a test of each names what is missing.
//
// It also does what AWS does unasked: the cluster's security group and interfaces, access entries, log groups, Auto
// Scaling groups, service-linked roles. What stays is in Inventory, and blocks deletions as in AWS.
//
// Package awsprovider is the provider in front of it: names, differences, repeated requests and their wording.
package awsmodel

// NotModelled lists what a rehearsal cannot show, for the reader of its result.
var NotModelled = []struct{ Area, What string }{
	{"credentials", "who the caller is, IAM permissions of the caller, service control policies, permission boundaries"},
	{"arguments", "what AWS makes of an argument that the program does not send"},
	{"IAM", "evaluation of policies while resources are made: only the trust and the managed policies that a service insists on are " +
		"looked at; managed policies outside a short list are refused"},
	{"IAM", "evaluation of policies for pods (Allowed, AssumeWithToken, AssumeByPodIdentity): AWS's managed policies, session " +
		"policies, policy variables, condition keys outside trust policies, operators other than StringEquals and StringLike; " +
		"NotAction, NotResource, NotPrincipal and the conditions of statements that deny (they deny without); resource " +
		"policies of anything but OpenSearch domains, and of VPC endpoints where pods and nodes call"},
	{"IAM", "what a change of an existing role or policy needs to spread, and policies attached seconds ago; the delays of new roles " +
		"are assumed to be 20 seconds"},
	{"KMS", "permissions that depend on a key's tags, unless a test says that the caller's do"},
	{"time", "what a command makes is as old as the command: only what follows within seconds in any order is refused as too early. " +
		"Nothing takes time: custom timeouts never end, and a deletion that is refused is not asked for again"},
	{"IAM", "certificates and thumbprints of OIDC issuers; IAM itself accepts an OIDC URL that is no cluster's, the model does not"},
	{"network", "more than one VPC, network ACLs, prefix lists, IPv6, peering, transit gateways, DHCP options; security group rules are " +
		"kept but no packet is tested against them"},
	{"network", "which endpoint services a region or a zone lacks, but for ec2messages and eks and what a test takes away"},
	{"network", "free addresses of a subnet, and the size of interfaces' address pools"},
	{"EC2", "which zone offers which instance type, spot prices, on-demand quotas; spot capacity and interruptions only when a test " +
		"takes them away, without the minutes that they take"},
	{"EC2", "AMIs, user data and what a node runs at boot; disk use; an instance type that is not in " +
		"internal/published/instance-types.csv is taken, and its nodes are those of m5 in its size"},
	{"EKS", "add-on versions (only their form), keys of add-ons' configurations that the program does not set, version skew between " +
		"add-ons and cluster"},
	{"EKS", "support of versions: what upgradePolicy says is taken, also for a version past its standard support"},
	{"EKS", "upgrade insights, upgrades by AWS unless a test makes them, a version's way back within 7 days (it is refused), EKS Auto " +
		"Mode, Fargate, Outposts, hybrid nodes"},
	{"EKS", "the check of public access from where the program runs; access of API callers by their entries; authentication modes: " +
		"entries are always taken"},
	{"EKS", "labels and taints changed on a running node group reach new nodes only; update strategies: a roll launches all new nodes " +
		"before it drains the old"},
	{"EKS", "node repair"},
	{"OpenSearch", "indices, security plugin, blue/green deployments, storage in use, what upgrades AWS offers while a domain changes, " +
		"the exact size from which a gp3 volume must have 250 MiB/s (170 GiB, as AWS's price calculator; published answers leave 128 " +
		"to 256 open), limits of performance of or1, or2 and om2"},
	{"KMS", "grants, key material, use of a disabled key by what was encrypted with it"},
	{"ECR", "pushes, pulls, scans, expiry by a lifecycle policy, the grammar of such a policy, repositories that a cache rule makes, the " +
		"secret of an upstream registry"},
	{"CloudWatch and SNS", "metrics, alarm states, delivery; confirmation of e-mail subscriptions"},
	{"quotas", "all but those of VPCs, Elastic IP addresses and spot vCPUs"},
	{"provider", "that its preview refuses less: forms of arguments that only AWS checks, in `up`, are checked in the preview here"},
	{"provider", "values that its schema fills in (the list __defaults has only the automatic name), and updates of computed " +
		"properties that it shows without details (pulumi/pulumi-aws#6602)"},
	{"provider", "requests that AWS really throttles; import and lookup of existing resources; functions other than getPartition"},
}
