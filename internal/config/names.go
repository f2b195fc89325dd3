package config

// Some resources have no tags or may lose them. The program's tools find them by these names.

// DomainLogs are the logs of a domain about itself, with OpenSearch's types: errors, slow operations, and who asked.
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

// DomainLogPolicy is the log resource policy that lets a domain write. An account may have ten in a region, so the name says which
// domain needs it.
func DomainLogPolicy(domain string) string { return "opensearch-" + domain }

// ClusterLogGroup is the log group of a cluster's control plane. EKS fixes its name
// (https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html).
func ClusterLogGroup(cluster string) string { return "/aws/eks/" + cluster + "/cluster" }

// ClusterKeyAlias is the alias of a cluster's key.
func ClusterKeyAlias(cluster string) string { return "alias/eks/" + cluster }

// LoggingNamespace is the namespace of the domain's set-up and dashboards. Workloads are in another namespace: a person who may run
// pods beside the set-up can become the domain's master.
const LoggingNamespace = "logging"
