package iampolicy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATrustPolicyNamesOneServiceAccount(t *testing.T) {
	for _, issuer := range []string{"https://oidc.eks.us-east-1.amazonaws.com/id/ABC", "oidc.eks.us-east-1.amazonaws.com/id/ABC"} {
		policy, err := ServiceAccountTrust("arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC", issuer, "project",
			"fluentd", "")
		require.NoError(t, err)
		assert.JSONEq(t, `{
			"Version": "2012-10-17",
			"Statement": [{
				"Sid": "ServiceAccount",
				"Effect": "Allow",
				"Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC"},
				"Action": ["sts:AssumeRoleWithWebIdentity"],
				"Condition": {"StringEquals": {
					"oidc.eks.us-east-1.amazonaws.com/id/ABC:aud": "sts.amazonaws.com",
					"oidc.eks.us-east-1.amazonaws.com/id/ABC:sub": "system:serviceaccount:project:fluentd"
				}}
			}]
		}`, policy)
	}
}

func TestATrustPolicyNamesAPatternOfServiceAccounts(t *testing.T) {
	policy, err := ServiceAccountTrust("arn:aws:iam::111122223333:oidc-provider/issuer", "https://issuer", "project", "fluentd", "app-*")
	require.NoError(t, err)
	assert.JSONEq(t, `{"Version": "2012-10-17", "Statement": [
		{"Sid": "ServiceAccount", "Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/issuer"},
			"Action": ["sts:AssumeRoleWithWebIdentity"],
			"Condition": {"StringEquals": {"issuer:aud": "sts.amazonaws.com", "issuer:sub": "system:serviceaccount:project:fluentd"}}},
		{"Sid": "ServiceAccounts", "Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/issuer"},
			"Action": ["sts:AssumeRoleWithWebIdentity"],
			"Condition": {"StringEquals": {"issuer:aud": "sts.amazonaws.com"}, "StringLike": {"issuer:sub": "system:serviceaccount:project:app-*"}}}
	]}`, policy)
	assert.Less(t, len(policy), 2048)
}

func TestTrustOfServices(t *testing.T) {
	policy, err := ServiceTrust("ec2.amazonaws.com")
	require.NoError(t, err)
	assert.JSONEq(t,
		`{"Version":"2012-10-17","Statement":[{"Sid":"Service","Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},`+
			`"Action":["sts:AssumeRole"]}]}`, policy)
}

// A person who may associate roles in another cluster of the account must not get this role.
func TestPodIdentityTrustsOneServiceAccountOfOneCluster(t *testing.T) {
	policy, err := PodIdentityTrust("expense", "kube-system", "ebs-csi-controller-sa")
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"Version": "2012-10-17",
		"Statement": [{
			"Sid": "PodIdentity",
			"Effect": "Allow",
			"Principal": {"Service": "pods.eks.amazonaws.com"},
			"Action": ["sts:AssumeRole", "sts:TagSession"],
			"Condition": {"StringEquals": {
				"aws:RequestTag/eks-cluster-name": "expense",
				"aws:RequestTag/kubernetes-namespace": "kube-system",
				"aws:RequestTag/kubernetes-service-account": "ebs-csi-controller-sa"
			}}
		}]
	}`, policy)
}

func TestAStatementNeedsANameAndActions(t *testing.T) {
	for _, s := range []Statement{{}, {Sid: "Empty"}, {Actions: []string{"s3:GetObject"}}} {
		_, err := Document(s)
		assert.ErrorContains(t, err, "needs a Sid and at least one action")
	}
}

func TestPartitionsOfRegions(t *testing.T) {
	for region, want := range map[string]string{"us-east-1": "aws", "eu-central-1": "aws", "us-gov-west-1": "aws-us-gov"} {
		assert.Equal(t, want, Partition(region), region)
	}
	assert.Equal(t, "arn:aws-us-gov:iam::aws:policy/AmazonEKSClusterPolicy", ManagedPolicy("us-gov-west-1", "AmazonEKSClusterPolicy"))
}

func TestAccountOfAnARN(t *testing.T) {
	account, err := Account("arn:aws:logs:us-east-1:111122223333:log-group:/aws/eks/expense/cluster")
	require.NoError(t, err)
	assert.Equal(t, "111122223333", account)
	for _, bad := range []string{"", "arn:aws:s3:::bucket", "arn:aws:iam::aws:policy/Some", "i-0123"} {
		_, err := Account(bad)
		assert.ErrorContains(t, err, "expected arn:partition:service:region:account:resource", bad)
	}
}

func TestWhatIsNoARNHasNoAccount(t *testing.T) {
	for _, text := range []string{
		"", "arn:aws:iam::111122223333", "nra:aws:iam::111122223333:role/a", "arn:aws:s3:::bucket", "arn:aws:iam::1111:role/a",
	} {
		account, err := Account(text)
		assert.ErrorContains(t, err, "expected arn:partition:service:region:account:resource", text)
		assert.Empty(t, account)
	}
}
