package eksctl

import (
	"strings"
	"testing"

	"expense/internal/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const entry1 = "accessConfig:\n  accessEntries:\n  - principalARN: arn:aws:iam::111122223333:role/a\n"

func TestAccessIsCarriedOnlyWhole(t *testing.T) {
	policy := func(name, scope string) string {
		return "    accessPolicies:\n    - policyARN: arn:aws:eks::aws:cluster-access-policy/" + name + "\n      accessScope: " + scope + "\n"
	}
	for _, c := range [][2]string{
		{entry1 + policy("AmazonEKSClusterAdminPolicy", "{type: cluster}"), "    admins: ['arn:aws:iam::111122223333:role/a']\n"},
		{entry1 + policy("AmazonEKSAdminViewPolicy", "{type: cluster}"), "    readers: ['arn:aws:iam::111122223333:role/a']\n"},
		{
			entry1 + "    type: STANDARD\n" + policy("AmazonEKSAdminViewPolicy", "{type: cluster}"),
			"    readers: ['arn:aws:iam::111122223333:role/a']\n",
		},
		{
			"iamIdentityMappings:\n- {arn: 'arn:aws:iam::111122223333:user/b', groups: [system:masters]}\n",
			"    admins: ['arn:aws:iam::111122223333:user/b']\n",
		},
	} {
		text, want := c[0], c[1]
		written, _, err := fromText(t, seven+text, nil)
		require.NoError(t, err, text)
		assert.Contains(t, written, want)
	}
	// Less than the whole is an error: it would widen or narrow what somebody may do.
	for _, c := range [][2]string{
		{entry1, "accessConfig.accessEntries[0]: an entry is a role or user with"},
		{
			entry1 + policy("AmazonEKSClusterAdminPolicy", "{type: namespace, namespaces: [project]}"),
			"accessConfig.accessEntries[0]: an entry is",
		},
		{entry1 + policy("AmazonEKSEditPolicy", "{type: cluster}"), "accessConfig.accessEntries[0]: an entry is"},
		{
			entry1 + "    kubernetesGroups: [team]\n" + policy("AmazonEKSClusterAdminPolicy", "{type: cluster}"),
			"accessConfig.accessEntries[0]: an entry is",
		},
		{entry1 + "    type: EC2_LINUX\n", "accessConfig.accessEntries[0]: an entry is"},
		{
			"iamIdentityMappings:\n- {arn: 'arn:aws:iam::111122223333:user/b', groups: [system:masters, team]}\n",
			"iamIdentityMappings[0]: access entries only",
		},
		{"iamIdentityMappings:\n- {serviceName: emr-containers, namespace: emr}\n", "iamIdentityMappings[0]: access entries only"},
	} {
		text, want := c[0], c[1]
		written, _, err := fromText(t, seven+text, nil)
		assert.ErrorContains(t, err, want, text)
		assert.Empty(t, written)
		written, _, err = fromText(t, seven+text, func(o *Options) { o.Anyway = true })
		require.NoError(t, err, text)
		assert.NotContains(t, written, "admins:")
		assert.Contains(t, written, "# Not here: ")
	}
}

func TestOneBoundaryForAllRoles(t *testing.T) {
	const first = "iam: {serviceRolePermissionsBoundary: 'arn:aws:iam::111122223333:policy/a'}\n"
	written, _, err := fromText(t, seven+first, nil)
	require.NoError(t, err)
	assert.Contains(t, written, "  expense:iam:\n    permissionsBoundary: arn:aws:iam::111122223333:policy/a\n")
	_, _, err = fromText(t, seven+"    iam: {instanceRolePermissionsBoundary: 'arn:aws:iam::111122223333:policy/b'}\n"+first, nil)
	assert.ErrorContains(t, err, "one boundary for all roles")
}

// A cluster without a public endpoint does not get one, whatever else is left out.
func TestNothingWidensAccess(t *testing.T) {
	for _, c := range [][2]string{
		{"", "    publicAccess: true\n    logRetentionDays"},
		{"privateCluster: {enabled: true}\n", "    publicAccess: false\n"},
		{"privateCluster: {enabled: true, skipEndpointCreation: true}\n", "    publicAccess: false\n"},
		{"vpc: {clusterEndpoints: {publicAccess: false, privateAccess: true}}\n", "    publicAccess: false\n"},
		{"vpc: {clusterEndpoints: {publicAccess: true}}\nprivateCluster: {enabled: true}\n", "    publicAccess: false\n"},
		{"privateCluster: {enabled: true}\nvpc: {clusterEndpoints: {publicAccess: true}}\n", "    publicAccess: false\n"},
		{"privateCluster: {enabled: TRUE}\n", "    publicAccess: false\n"},
		{"vpc: {publicAccessCIDRs: [203.0.113.7/32]}\n", "    publicAccess: true\n    publicAccessCidrs: [203.0.113.7/32]\n"},
	} {
		text, want := c[0], c[1]
		written, _, err := fromText(t, seven+text, func(o *Options) { o.Anyway = true })
		require.NoError(t, err, text)
		assert.Contains(t, written, want, text)
		assert.NotContains(t, written, "0.0.0.0", text)
	}
}

// What a private cluster lacks here is said: only without a way out are there endpoints for more than S3 and STS.
func TestThePrivateClustersEndpointsAreSaid(t *testing.T) {
	_, said, err := fromText(t, seven+
		"privateCluster: {enabled: true, skipEndpointCreation: false, additionalEndpointServices: [autoscaling, logs]}\n", nil)
	require.NoError(t, err)
	assert.Contains(t, said, "endpoints of S3 and STS")
	assert.Contains(t, said, "nodes keep a way out and reach it there")
	assert.Equal(t, []string{"sts"}, config.Network{NAT: config.NATSingle}.EndpointServices(), "with NAT, as here")
}

// A role of aws-auth has lost its path there: with it, EKS would find no such principal.
func TestARolesPathIsAskedFor(t *testing.T) {
	written, said, err := fromText(t, seven+
		"iamIdentityMappings:\n- {arn: 'arn:aws:iam::111122223333:role/AWSReservedSSO_Admin_0', groups: [system:masters], username: a}\n", nil)
	require.NoError(t, err)
	assert.Contains(t, strings.Join(strings.Fields(strings.ReplaceAll(written, "#", "")), " "),
		"aws iam get-role --role-name AWSReservedSSO_Admin_0 --query Role.Arn admins:")
	assert.Contains(t, said, "write a role's path into its ARN")
	written, _, err = fromText(t, seven+"iamIdentityMappings:\n- {arn: 'arn:aws:iam::111122223333:user/b', groups: [system:masters]}\n", nil)
	require.NoError(t, err)
	assert.NotContains(t, written, "get-role --role-name b")
}

// A role that may do more, or has a boundary of its own, is not dropped without an error.
func TestRolesAreDroppedOnlyIfTheStackHasThem(t *testing.T) {
	account := func(namespace, policies string) string {
		return "iam: {serviceAccounts: [{metadata: {name: a, namespace: " + namespace + "}, wellKnownPolicies: " + policies + "}]}\n"
	}
	association := func(rest string) string {
		return "addons: [{name: aws-ebs-csi-driver, podIdentityAssociations: [{serviceAccountName: ebs-csi-controller-sa, " + rest + "}]}]\n"
	}
	const (
		own       = "permissionPolicyARNs: ['arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy']"
		onePolicy = "addons[0].podIdentityAssociations[0]: an add-on has"

		node = "    iam: {attachPolicyARNs: ['arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy', 'arn:aws:iam::aws:policy/"
	)
	for text, want := range map[string]string{
		account("kube-system", "{ebsCSIController: true}"):               "",
		account("kube-system", "{autoScaler: true, certManager: false}"): "",
		account("ci", "{autoScaler: true}"):                              "iam.serviceAccounts[0]: an app gets its role",
		account("kube-system", "{autoScaler: false}"):                    "iam.serviceAccounts[0]: an app gets its role",
		association(own): "",
		association("wellKnownPolicies: {ebsCSIController: true}"):                          "",
		association("roleARN: 'arn:aws:iam::111122223333:role/a'"):                          "",
		association("permissionPolicy: {Version: 2012-10-17, Statement: []}"):               onePolicy,
		association("permissionPolicyARNs: ['arn:aws:iam::aws:policy/PowerUserAccess']"):    onePolicy,
		association(own + ", permissionsBoundaryARN: 'arn:aws:iam::111122223333:policy/a'"): onePolicy,
		node + "AmazonSSMManagedInstanceCore']}\n":                                          "",
		node + "AmazonS3FullAccess']}\n":                                                    "attachPolicyARNs: pods have",
	} {
		_, said, err := fromText(t, seven+text, nil)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		assert.ErrorContains(t, err, want, text)
		assert.Empty(t, said)
	}
}
