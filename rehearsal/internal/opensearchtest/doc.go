// Package opensearchtest is a managed OpenSearch domain on loopback, for tests of what talks to one: it checks every
// signature as AWS does, keeps what it is told as OpenSearch's APIs do, and lets each IAM role do what its mapping says.
// Beside it answers EKS's Pod Identity agent, which hands out the credentials.
//
// Each rule cites where it comes from. What the real ones do beside:
//   - the domain's access policy, security groups and IAM policies: every signed request arrives. With fine-grained access
//     control AWS's documented access policy lets everybody through, too.
//   - tenants, document and field level security, field masking, users with passwords, default and protected roles.
//   - who may do what in OpenSearch Dashboards: only the master may use it here.
//   - ISM at work: nothing is ever deleted, an index has its policy from its first moment on and not from the next sweep,
//     and a changed policy holds at once instead of after the current action. ISM's answers are read off its source, that of
//     2.19: its plugin cannot be had as a file to run.
//   - searching: every query finds all. Mappings: field types are not checked, no line is refused for its content.
//   - component templates, closed indices, aliases, data streams, shards and replicas.
//   - the nodes behind the endpoint: what was written is seen by the next request.
package opensearchtest
