package eksctl

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const people = "identityProviders:\n- name: people\n  type: oidc\n  issuerURL: https://login.example.com\n  clientID: kubernetes\n"

func TestAnIdentityProviderIsCarried(t *testing.T) {
	const begin = "    identityProvider:\n      name: people\n      issuerUrl: https://login.example.com\n      clientId: kubernetes\n"
	for _, c := range []struct{ text, want string }{
		{people, begin + "    logRetentionDays"},
		{
			people + "  usernameClaim: email\n  usernamePrefix: 'u:'\n  groupsClaim: groups\n  groupsPrefix: 'g:'\n  requiredClaims: {b: c, a: b}\n",
			begin + "      usernameClaim: email\n      usernamePrefix: 'u:'\n      groupsClaim: groups\n      groupsPrefix: 'g:'\n" +
				"      requiredClaims:\n        a: b\n        b: c\n    logRetentionDays",
		},
	} {
		written, _, err := fromText(t, seven+c.text, nil)
		require.NoError(t, err, c.text)
		assert.Contains(t, written, c.want)
		assert.NotContains(t, written, "Changed: groups")
	}
	// The table and the file tell of the prefix that the file does not have.
	written, said, err := fromText(t, seven+people+"  groupsClaim: groups\n", nil)
	require.NoError(t, err)
	assert.Contains(t, written, "    # Changed: groups have the prefix oidc: (line ")
	assert.Contains(t, said, `cluster.identityProvider.groupsPrefix: "oidc:"`)
}

func TestAnIdentityProviderIsCarriedOnlyWhole(t *testing.T) {
	for _, c := range [][2]string{
		{people + "- name: more\n  type: oidc\n  issuerURL: https://example.org\n  clientID: a\n", "identityProviders[1]: EKS takes one"},
		{people + "  tags: {a: b}\n", "identityProviders[0].tags: no tags for one part"},
		{"identityProviders:\n- {name: a, type: saml, issuerURL: 'https://example.com', clientID: a}\n", "identityProviders[0].type: EKS knows"},
	} {
		written, _, err := fromText(t, seven+c[0], nil)
		assert.ErrorContains(t, err, c[1], c[0])
		assert.Empty(t, written)
	}
	for _, c := range [][2]string{
		{"identityProviders:\n- {usernameClaim: email}\n", "identityProviders[0].issuerURL: found nothing"},
		{"identityProviders:\n- {usernameClaim: email}\n", "identityProviders[0].name: found nothing"},
		{
			"identityProviders:\n- {name: a, type: oidc, issuerURL: 'http://example.com', clientID: a}\n",
			"identityProviders[0].issuerURL, here cluster.identityProvider.issuerUrl: found \"http://example.com\"",
		},
		{people + "  groupsClaim: groups\n  groupsPrefix: 'system:'\n", "identityProviders[0].groupsPrefix, here"},
	} {
		written, _, err := fromText(t, seven+c[0], func(o *Options) { o.Anyway = true })
		assert.ErrorContains(t, err, c[1], c[0])
		assert.Empty(t, written)
	}
}
