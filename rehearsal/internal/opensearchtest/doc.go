// Package opensearchtest is a managed OpenSearch domain on loopback: a real OpenSearch (package opensearch) behind what AWS has before
// it. It checks signatures as AWS does and asks the domain's access policy. OpenSearch's own roles, whose backend roles are ARNs, say
// what an IAM role may do. Beside it answers EKS's Pod Identity agent, which hands out the credentials.
//
// Stand-ins answer for the parts that this OpenSearch lacks, each with its source:
//   - Index State Management (ism.go): the routes of policies, and which index has which; it rolls over and deletes nothing. An index
//     has its policy from its first moment on and not from the next sweep, and a changed policy holds at once instead of after the
//     current action.
//   - OpenSearch Dashboards (dashboards.go): the import of saved objects, and a search. Only the master may import.
//   - the three fields of the audit configuration that AWS only lets read.
package opensearchtest
