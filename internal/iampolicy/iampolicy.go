// Package iampolicy builds IAM policy documents from typed values. It knows the grammar of policies, and no component.
package iampolicy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Statement is one statement that allows. IAM denies what no statement allows.
type Statement struct {
	// Sid names the statement within its document. It has letters and digits only.
	Sid string
	// Principal is empty in a role's own policies, and required in trust and resource policies.
	Principal Principal
	Actions   []string
	// Resources is empty in trust policies only.
	Resources []string
	// Conditions are values by operator and condition key. All of them must match.
	Conditions map[string]map[string]string
}

// Principal is whom a trust or resource policy allows something. Exactly one field is set.
type Principal struct {
	// Service is a service principal, such as eks.amazonaws.com.
	Service string `json:",omitempty"`
	// AWS is the ARN of a role or user.
	AWS string `json:",omitempty"`
	// Federated is the ARN of an OIDC provider.
	Federated string `json:",omitempty"`
	// Anyone is everybody, with or without credentials. It is for VPC endpoints, whose policies grant no rights.
	Anyone bool `json:"-"`
}

// MarshalJSON writes Anyone as "*". A gateway endpoint takes only this form, and it includes callers without credentials
// (https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html).
func (p *Principal) MarshalJSON() ([]byte, error) {
	if p.Anyone {
		return []byte(`"*"`), nil
	}
	type fields Principal
	return json.Marshal((*fields)(p))
}

// Document renders statements as a policy document, in the version 2012-10-17 of the grammar
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
func Document(statements ...Statement) (string, error) {
	type statement struct {
		Sid       string
		Effect    string
		Principal *Principal                   `json:",omitempty"`
		Action    []string                     `json:",omitempty"`
		Resource  []string                     `json:",omitempty"`
		Condition map[string]map[string]string `json:",omitempty"`
	}
	doc := struct {
		Version   string
		Statement []statement
	}{Version: "2012-10-17"}
	for _, s := range statements {
		if s.Sid == "" || len(s.Actions) == 0 {
			return "", fmt.Errorf("policy statement %q: needs a Sid and at least one action", s.Sid)
		}
		out := statement{Sid: s.Sid, Effect: "Allow", Action: s.Actions, Resource: s.Resources, Condition: s.Conditions}
		if s.Principal != (Principal{}) {
			out.Principal = &s.Principal
		}
		doc.Statement = append(doc.Statement, out)
	}
	data, err := json.Marshal(doc)
	return string(data), err
}

// ServiceTrust is the trust policy of a role that an AWS service assumes.
func ServiceTrust(service string) (string, error) {
	return Document(Statement{Sid: "Service", Principal: Principal{Service: service}, Actions: []string{"sts:AssumeRole"}})
}

// PodIdentityTrust is the trust policy of a role that EKS Pod Identity gives to the pods of one service account of one cluster. EKS
// tags the session with cluster, namespace and service account, which needs sts:TagSession. The conditions on these tags keep other
// clusters and accounts from using the role
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html).
func PodIdentityTrust(cluster, namespace, serviceAccount string) (string, error) {
	return Document(Statement{
		Sid:       "PodIdentity",
		Principal: Principal{Service: "pods.eks.amazonaws.com"},
		Actions:   []string{"sts:AssumeRole", "sts:TagSession"},
		Conditions: map[string]map[string]string{"StringEquals": {
			"aws:RequestTag/eks-cluster-name":           cluster,
			"aws:RequestTag/kubernetes-namespace":       namespace,
			"aws:RequestTag/kubernetes-service-account": serviceAccount,
		}},
	})
}

// ServiceAccountTrust is the trust policy of a role for one Kubernetes service account, through the cluster's OIDC provider. Without
// the condition on sub, any pod of the cluster could assume the role
// (https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html).
// The issuer is the provider's URL with or without https://.
//
// Unless pattern is empty, the accounts of the namespace whose names match it are trusted too. A list has no room for hundreds of them: a
// trust policy has 2048 characters (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func ServiceAccountTrust(providerARN, issuer, namespace, serviceAccount, pattern string) (string, error) {
	issuer = strings.TrimPrefix(issuer, "https://")
	accounts := "system:serviceaccount:" + namespace + ":"
	statement := func(sid string, conditions map[string]map[string]string) Statement {
		return Statement{
			Sid: sid, Principal: Principal{Federated: providerARN}, Actions: []string{"sts:AssumeRoleWithWebIdentity"}, Conditions: conditions,
		}
	}
	statements := []Statement{statement("ServiceAccount", map[string]map[string]string{"StringEquals": {
		issuer + ":aud": "sts.amazonaws.com", issuer + ":sub": accounts + serviceAccount,
	}})}
	if pattern != "" {
		statements = append(statements, statement("ServiceAccounts", map[string]map[string]string{
			"StringEquals": {issuer + ":aud": "sts.amazonaws.com"}, "StringLike": {issuer + ":sub": accounts + pattern},
		}))
	}
	return Document(statements...)
}

// Partition is the partition of a region: aws, or aws-us-gov for GovCloud
// (https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html). The settings allow no others.
func Partition(region string) string {
	if strings.HasPrefix(region, "us-gov-") {
		return "aws-us-gov"
	}
	return "aws"
}

// ManagedPolicy is the ARN of a policy that AWS maintains, by name.
func ManagedPolicy(region, name string) string {
	return fmt.Sprintf("arn:%s:iam::aws:policy/%s", Partition(region), name)
}

// Account is the account ID in an ARN. An ARN without one is an error.
func Account(arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || len(parts[4]) != 12 {
		return "", fmt.Errorf("ARN %q: expected arn:partition:service:region:account:resource with a 12-digit account", arn)
	}
	return parts[4], nil
}
