// Package opensearchtest is a managed OpenSearch domain on loopback: a real OpenSearch (package opensearch), and before it
// what AWS has there. It checks every signature as AWS does, asks the domain's access policy, and lets each IAM role do what
// OpenSearch's own roles say, whose backend roles are ARNs. Beside it answers EKS's Pod Identity agent, which hands out the
// credentials.
//
// Stand-ins answer for what is no part of that OpenSearch, each with its source:
//   - Index State Management (ism.go): the routes of policies, and which index has which; nothing is rolled over or deleted.
//     An index has its policy from its first moment on and not from the next sweep, and a changed policy holds at once
//     instead of after the current action.
//   - OpenSearch Dashboards (dashboards.go): the import of saved objects, and a search. Only the master may import.
//   - the three fields of the audit configuration that AWS only lets read.
package opensearchtest
