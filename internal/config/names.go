package config

// What has no tags, or may lose them, is known by its name alone. These are all of the names by which the program's tools know
// something for a stack's.

// DomainLogs are what a domain can write about itself, each with OpenSearch's type for it: what went wrong, what was slow, and
// who asked.
var DomainLogs = map[string]string{
	"application": "ES_APPLICATION_LOGS",
	"index-slow":  "INDEX_SLOW_LOGS",
	"search-slow": "SEARCH_SLOW_LOGS",
	"audit":       "AUDIT_LOGS",
}

// DomainLogGroup is the log group of one of a domain's DomainLogs.
func DomainLogGroup(domain, log string) string {
	return "/aws/OpenSearchService/domains/" + domain + "/" + log
}

// DomainLogPolicy is the log resource policy that lets a domain write. An account has room for ten in a region: the name says
// whose it is.
func DomainLogPolicy(domain string) string { return "opensearch-" + domain }

// ClusterLogGroup is the log group of a cluster's control plane, which EKS fixes
// (https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html).
func ClusterLogGroup(cluster string) string { return "/aws/eks/" + cluster + "/cluster" }

// ClusterKeyAlias is the alias of a cluster's key.
func ClusterKeyAlias(cluster string) string { return "alias/eks/" + cluster }

// LoggingNamespace is the namespace of what belongs to the domain and to no workload. Workloads have another one, because who
// may run pods beside the domain's set-up can become its master.
const LoggingNamespace = "logging"
