// Package config has the stack's settings, their defaults, and every rule that can be checked without AWS. It registers no resource.
// The packages that do get these plain values and trust them.
package config

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Config is one stack's settings, complete and checked.
type Config struct {
	// Region is aws:region, a commercial region or one of GovCloud's. A change replaces every resource.
	Region    string
	Account   Account
	Tags      Tags
	IAM       IAM
	Network   Network
	Cluster   Cluster
	Workloads Workloads
	Logging   Logging
	// Secrets are expense:secrets, by the app's name, web included. Each value is a secret output.
	Secrets map[string]pulumi.StringMap

	// former says that the stack names web's secret by its former key.
	former bool
}

// IAM is expense:iam.
type IAM struct {
	// PermissionsBoundary is the ARN of the IAM policy that is the boundary of each of the stack's roles, the eks component's too. A role
	// can do no more than its boundary allows
	// (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html). Default none. A change is made in place.
	PermissionsBoundary string `json:"permissionsBoundary"`
}

// NAT is how private subnets reach the internet.
type NAT string

const (
	// NATSingle is one NAT gateway in the first zone. It is the cheapest. An outage of the zone disconnects all zones.
	NATSingle NAT = "single"
	// NATPerZone is one NAT gateway in each zone.
	NATPerZone NAT = "perZone"
	// NATNone is no NAT gateway. Nodes reach AWS through interface endpoints, and images must be in a private ECR repository. It is
	// refused in the few regions without an endpoint for EKS.
	NATNone NAT = "none"
)

// Network is expense:network.
type Network struct {
	// CIDR is the VPC's IPv4 range, /16 to /22. Default 192.168.0.0/16. A change replaces the VPC and all in it.
	CIDR string `json:"cidr"`
	// Zones are 2 to 6 availability zones by ID (use1-az1), without those that EKS refuses. Required. The position decides the subnets'
	// ranges: append new zones, do not reorder.
	Zones []string `json:"zones"`
	// NAT is single (default), perZone or none.
	NAT NAT `json:"nat"`
}

// Cluster is expense:cluster.
type Cluster struct {
	// Name is the EKS cluster's name, 1 to 100 letters, digits, - and _. Default "expense". A change replaces the cluster, the old one first.
	Name string `json:"name"`
	// Version is the Kubernetes minor version, as "1.35". Required. Upgrades go one minor at a time, and move no add-on.
	Version string `json:"version"`
	// ServiceCIDR is the range of Service addresses, /12 to /24, private and outside the VPC. Default 172.20.0.0/16. A change
	// replaces the cluster.
	ServiceCIDR string `json:"serviceCidr"`
	// PublicAccess opens the Kubernetes API endpoint to PublicAccessCIDRs. Default false: only the VPC reaches it.
	PublicAccess bool `json:"publicAccess"`
	// PublicAccessCIDRs are the ranges that may reach the public endpoint, at most 40. Required with PublicAccess.
	PublicAccessCIDRs []string `json:"publicAccessCidrs"`
	// Admins are the ARNs of IAM principals with AmazonEKSClusterAdminPolicy. The principal that creates the cluster already is admin
	// and must not be listed.
	Admins []string `json:"admins"`
	// Readers are the ARNs of IAM principals with AmazonEKSAdminViewPolicy. They read everything, Secrets included, and write nothing.
	Readers          []string         `json:"readers"`
	IdentityProvider IdentityProvider `json:"identityProvider"`
	// LogRetentionDays is how long CloudWatch keeps the control plane's logs, one of CloudWatch's values. Default 30.
	LogRetentionDays int `json:"logRetentionDays"`
	// KeyDeletionDays is how long the KMS key stays recoverable after destroy, 7 to 30. Default 30.
	KeyDeletionDays int `json:"keyDeletionDays"`
	// NodeGroups are the managed node groups by name, at least one. Config.Groups are the groups on AWS. A name has at most 25 characters,
	// and 36 if PerZone is false.
	NodeGroups map[string]NodeGroup `json:"nodeGroups"`
	// AddonVersions pins EKS add-ons by name ("vpc-cni": "v1.20.4-eksbuild.1"). Another add-on gets EKS's default version when it is
	// created, and keeps it. An add-on that is no longer listed keeps its version.
	AddonVersions map[string]string `json:"addonVersions"`
	Autoscaler    Autoscaler        `json:"autoscaler"`
	Registry      Registry          `json:"registry"`
}

// IdentityProvider is cluster.identityProvider, the OIDC provider whose people the Kubernetes API lets in beside IAM's. EKS takes one for
// a cluster (https://docs.aws.amazon.com/eks/latest/userguide/authenticate-oidc-identity-provider.html). Default none. A change of it
// replaces the association, the old one first, and for that time nobody signs in with it. A change of Admins or Readers is made in place.
type IdentityProvider struct {
	// Name is what EKS calls the association: 1 to 100 letters, digits, - and _. Default "oidc".
	Name string `json:"name"`
	// IssuerURL is the iss of the provider's tokens, on the internet: https:// with neither query nor fragment. Required.
	IssuerURL string `json:"issuerUrl"`
	// ClientID is the aud of the tokens. Required.
	ClientID string `json:"clientId"`
	// UsernameClaim is the claim with the user's name. Default sub, which is EKS's.
	UsernameClaim string `json:"usernameClaim"`
	// UsernamePrefix stands before the name; "-" is none. Default the issuer and #, and nothing before an email, which is EKS's.
	UsernamePrefix string `json:"usernamePrefix"`
	// GroupsClaim is the claim with the user's groups. Default none: users have no groups.
	GroupsClaim string `json:"groupsClaim"`
	// GroupsPrefix stands before the name of each group. Default "oidc:". EKS's default is none, with which the provider could name a group
	// of Kubernetes, such as system:masters.
	GroupsPrefix string `json:"groupsPrefix"`
	// RequiredClaims are claims that a token must have, with their values. Default none.
	RequiredClaims map[string]string `json:"requiredClaims"`
	// Admins and Readers are groups of the provider, without the prefix, that may do in Kubernetes what Cluster.Admins and
	// Cluster.Readers may. Default none.
	Admins  []string `json:"admins"`
	Readers []string `json:"readers"`
}

// Wanted says whether there is a provider.
func (p IdentityProvider) Wanted() bool { return p.Name != "" }

// Registry is cluster.registry, the stack's part of the account's ECR registry.
type Registry struct {
	// Repositories are for images that are no app, by name, beside those of the apps with build. A name is a DNS label of at most 40
	// characters.
	Repositories []string `json:"repositories"`
	// KeepImages is how many of a repository's newest tagged images are kept, 10 to 1000. Default 50. Untagged images go after a day.
	// Expiry knows nothing of what runs.
	KeepImages int `json:"keepImages"`
	// DeleteImages lets `pulumi destroy` delete repositories with their images. Default false: it fails while there are images.
	DeleteImages bool `json:"deleteImages"`
	// Cache makes rules that pull images of public.ecr.aws and registry.k8s.io through the registry. Default false.
	Cache bool `json:"cache"`
	// DockerHubSecretARN is a secret in Secrets Manager with Docker Hub's credentials, of this account and region, with a name that
	// begins with ecr-pullthroughcache/. It adds a rule for Docker Hub. Default none.
	DockerHubSecretARN string `json:"dockerHubSecretArn"`
}

// CapacityType is how EC2 sells a group's instances.
type CapacityType string

const (
	// Spot instances are cheap and may be reclaimed with two minutes' notice.
	Spot CapacityType = "SPOT"
	// OnDemand instances stay until they are stopped.
	OnDemand CapacityType = "ON_DEMAND"
)

// NodeGroup is one entry of cluster.nodeGroups.
type NodeGroup struct {
	// CapacityType is SPOT or ON_DEMAND. Required. A change replaces the group.
	CapacityType CapacityType `json:"capacityType"`
	// InstanceTypes are 1 to 20 EC2 types, all of AMIType's architecture and none nano or micro. Required. A change replaces the group.
	InstanceTypes []string `json:"instanceTypes"`
	// AMIType is the image family. Default AL2023_x86_64_STANDARD. A change replaces the group.
	AMIType string `json:"amiType"`
	// PerZone makes one group on AWS for each zone of the network. false makes one over all zones. Default true: a volume is in one zone,
	// and the autoscaler does not know in which zone a group over several zones gets its next node
	// (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html). A change replaces the group.
	PerZone bool `json:"perZone"`
	// MinSize, DesiredSize and MaxSize are numbers of nodes in all zones: 0 <= min <= desired <= max, and max at least 1 or, with PerZone,
	// the number of zones. Required. With the autoscaler, DesiredSize counts only when the group is created. A change of the other two
	// then also sets the size in Pulumi's state. After a refresh that is the live size.
	MinSize     int `json:"minSize"`
	DesiredSize int `json:"desiredSize"`
	MaxSize     int `json:"maxSize"`
	// DiskSizeGiB is the root volume's size, 20 to 65536. Default 80. A change rolls the nodes.
	DiskSizeGiB int `json:"diskSizeGiB"`
	// MaxPods is how many pods a node holds, up to what EKS allows for the smallest of InstanceTypes, which is the default. A change rolls
	// the nodes. docs/changes.md has the doubts about it.
	MaxPods int `json:"maxPods"`
	// Labels are Kubernetes labels of the group's nodes.
	Labels map[string]string `json:"labels"`
	// Taints are Kubernetes taints of the group's nodes, at most 50.
	Taints []Taint `json:"taints"`
	// MaxUnavailablePercentage is how much of the group an update may take down at once, 1 to 100. Default 33.
	MaxUnavailablePercentage int `json:"maxUnavailablePercentage"`
	// NodeRepair lets EKS replace nodes that stay unhealthy. Default true.
	NodeRepair bool `json:"nodeRepair"`
}

// Taint keeps pods that do not tolerate it off a node.
type Taint struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// Effect is NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE.
	Effect string `json:"effect"`
}

// Autoscaler is cluster.autoscaler, the Cluster Autoscaler that sizes the node groups between their limits.
type Autoscaler struct {
	// Enabled defaults to true.
	Enabled bool `json:"enabled"`
	// Image defaults to the first release for the cluster's minor version. Its maintainers test equal minor versions together.
	Image string `json:"image"`
}

// Workloads is expense:workloads.
type Workloads struct {
	// Namespace is the namespace of all workloads. It is not LoggingNamespace. Default "project". A change replaces all of them.
	Namespace string `json:"namespace"`
	// Environment is the value of the namespace's label "environment". Default "dev".
	Environment string `json:"environment"`
	Images      Images `json:"images"`
	Web         Web    `json:"web"`
	// Apps are the services of one's own, by name. Default none.
	Apps map[string]App `json:"apps"`
	// VolumeSizeGiB is the size of multi-container's volume claim, 1 to 65536. Default 1. It can grow, not shrink.
	VolumeSizeGiB int   `json:"volumeSizeGiB"`
	Quota         Quota `json:"quota"`
}

// Images are the container images of the workloads, each with a tag or a digest.
type Images struct {
	// Nginx defaults to the official nginx image in the public ECR gallery.
	Nginx string `json:"nginx"`
	// Alma defaults to the official AlmaLinux 9 image in the public ECR gallery.
	Alma string `json:"alma"`
}

// Web is workloads.web, the self-healing Deployment.
type Web struct {
	// MinReplicas and MaxReplicas bound the HorizontalPodAutoscaler, 1 <= min <= max <= 100. Defaults 2 and 6.
	MinReplicas int `json:"minReplicas"`
	MaxReplicas int `json:"maxReplicas"`
	// TargetCPUPercent is the CPU use, in percent of the request, that the autoscaler aims at, 1 to 100. Default 60.
	TargetCPUPercent int `json:"targetCpuPercent"`
	// Public adds a Service with an internet-facing network load balancer on port 80. Default false: only the namespace reaches web.
	Public bool `json:"public"`
	// Settings are environment variables of the web container. Variables that its start reads, such as PATH, and PORT are refused. A
	// change rolls the pods.
	Settings map[string]string `json:"settings"`
}

// Quota is workloads.quota, the ceiling of the namespace's ResourceQuota. Each defaults to what the workloads need at their largest
// during an update, and to the number below if that is more. A smaller setting is refused.
type Quota struct {
	// Pods defaults to 40 at least.
	Pods int `json:"pods"`
	// CPU is the sum of all requests in cores. Default 8 at least.
	CPU int `json:"cpu"`
	// MemoryGiB is the sum of all memory limits. Default 24 at least.
	MemoryGiB int `json:"memoryGiB"`
	// StorageGiB is the sum of all volume claims. Default 20 at least.
	StorageGiB int `json:"storageGiB"`
}

// Logging is expense:logging.
type Logging struct {
	// GiBPerDay is the size of all logs of a day before indexing, 1 to 40 GiB. Required. It gives the size of the domain's volumes, with
	// RetentionDays: see VolumeSizeGiB. One shard takes all lines at a time, 45 GiB at most (RolloverMiB). More logs need another design.
	GiBPerDay int `json:"gibPerDay"`
	// RetentionDays is how long every line is kept at least, 1 to 365 days. Required. An index has the lines of a day, and is deleted when
	// its last line is older. A preview warns if that makes more shards than AWS advises: 25 for each
	// GiB of a data node's heap.
	RetentionDays int    `json:"retentionDays"`
	Domain        Domain `json:"domain"`
	// CreateServiceLinkedRole makes AWSServiceRoleForAmazonOpenSearchService, which an account needs before its first domain in a VPC. AWS
	// refuses a second one. Required: true if the account has no such role, false if it has.
	CreateServiceLinkedRole bool `json:"createServiceLinkedRole"`
	// Image is fluentd with the OpenSearch plugin.
	Image string `json:"image"`
	// CaptureImage is the image of the program that copies the output of apps with logs.capture static. `make image NAME=capture` builds
	// it and writes this. Default none.
	CaptureImage string `json:"captureImage"`
	// DataStream is the name of the data stream of all lines, and starts the names of what the set-up makes for it: up to 244 lower-case
	// letters, digits, "-", "_" and ".". Default: the namespace and "-logs". A change begins a new one and rolls the pods. The lines of
	// the former stay for RetentionDays.
	DataStream string `json:"dataStream"`
	// LogRetentionDays is how long CloudWatch keeps the domain's own logs, one of CloudWatch's values. Default 30.
	LogRetentionDays int `json:"logRetentionDays"`
	// Fields are added to every line: up to 50 names with values of up to 256 printable characters. A name has up to 63 letters, digits
	// and _, starts with a letter and is none of DocumentFields. A change rolls the pods.
	Fields map[string]string `json:"fields"`
	// IndexedFields are the fields of every pod's JSON lines that can be searched, with OpenSearch's types: keyword, text, boolean, long,
	// float, double, date or ip. Those of one app are in its entry. There are up to 50 in all. A name has up to 64 lower-case letters,
	// digits and _, starts with a letter and is none of DocumentFields or Fields. It is none of asctime, lvl, msg, severity, timestamp and
	// ts, which become @timestamp, level and message. A value of another type stays below "json" with all other fields, and is not
	// searched. A change rolls the pods, and holds for lines that are written after it.
	IndexedFields map[string]string `json:"indexedFields"`
	// DropLevels are levels whose lines are not shipped, such as debug. A change rolls the pods.
	DropLevels []string `json:"dropLevels"`
	// Redact are up to 20 regular expressions of 1 to 256 characters. What they match is redacted before a line leaves the pod. Go and
	// Ruby must read an expression alike, and Ruby must match it in linear time: fluentd is written in Ruby
	// (docs/decisions/redact-expressions.md). A change rolls the pods.
	Redact     []string   `json:"redact"`
	Alarms     Alarms     `json:"alarms"`
	Dashboards Dashboards `json:"dashboards"`
}

// Alarms is logging.alarms, the receiver of CloudWatch's alarms about the domain. It has at most one of the two. Without either there
// are no alarms.
type Alarms struct {
	// Email is an address that gets a mail for each alarm, after its owner has confirmed AWS's first mail.
	Email string `json:"email"`
	// TopicARN is an existing standard SNS topic in the stack's region that lets CloudWatch publish.
	TopicARN string `json:"topicArn"`
}

// Wanted says whether there are alarms.
func (a Alarms) Wanted() bool { return a != Alarms{} }

// Dashboards is logging.dashboards, a signing proxy through which a person with kubectl reaches OpenSearch Dashboards.
type Dashboards struct {
	// Enabled defaults to false.
	Enabled bool `json:"enabled"`
	// Image is AWS's SigV4 proxy.
	Image string `json:"image"`
}

// Domain is logging.domain, the OpenSearch Service domain.
type Domain struct {
	// Name is 3 to 28 lower-case letters, digits and hyphens, starting with a letter. Default "expense". A change replaces the
	// domain and its data.
	Name string `json:"name"`
	// EngineVersion is OpenSearch_MAJOR.MINOR. Default OpenSearch_2.19. A version AWS cannot upgrade to replaces the domain.
	EngineVersion string `json:"engineVersion"`
	// InstanceType is the data nodes' type, as m7g.large.search. Required.
	InstanceType string `json:"instanceType"`
	// InstanceCount is the number of data nodes, a multiple of ZoneCount, 1 to 80 (10 of t3 or without masters). Required.
	InstanceCount int `json:"instanceCount"`
	// ZoneCount spreads the data nodes over the first 1, 2 or 3 zones of the network. Default 1. A change between 1 and more
	// replaces nothing but moves all data.
	ZoneCount int `json:"zoneCount"`
	// MasterInstanceType is the type of the three dedicated masters. Default empty: there are none.
	MasterInstanceType string `json:"masterInstanceType"`
	// IOPS are those of each data node's volume, within Logging.VolumePerformance. Default 0: the least that AWS takes, see
	// Logging.VolumeIOPS. A change replaces nothing.
	IOPS int `json:"iops"`
	// ThroughputMiB is each volume's throughput in MiB/s, within Logging.VolumePerformance and at most a quarter of IOPS. Default 0: the
	// least that AWS takes, see Logging.VolumeThroughputMiB. A change replaces nothing.
	ThroughputMiB int `json:"throughputMiB"`
	// Protect keeps Pulumi from deleting or replacing the domain until it is false again. Default false.
	Protect bool `json:"protect"`
	// AuditLogs writes to CloudWatch who signed in to the domain and who was denied. Default false.
	AuditLogs bool `json:"auditLogs"`
}
