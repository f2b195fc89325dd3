package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The EKS API has no rule for the form of these; its limits of required claims are in identityProvider.
var (
	oneWord   = regexp.MustCompile(`^[!-~]+$`)
	groupName = regexp.MustCompile(`^[^\pC\pZ]([^\pC\p{Zl}\p{Zp}]*[^\pC\pZ])?$`)
	// hostOnInternet is a name with a dot.
	hostOnInternet = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
)

// mostIdentityText is a bound of our own: EKS has none for these texts.
const mostIdentityText = 255

// identityProvider checks cluster.identityProvider
// (https://docs.aws.amazon.com/eks/latest/APIReference/API_OidcIdentityProviderConfigRequest.html).
func (r *report) identityProvider(c *Config) {
	const at = "cluster.identityProvider"
	p := c.Cluster.IdentityProvider
	if !r.given[at] || !r.ok(at) {
		return
	}
	r.match(at+".name", p.Name, clusterName, 100, "1 to 100 letters, digits, '-' and '_', starting with a letter or digit")
	if r.require(at+".issuerUrl", "the iss claim of the provider's tokens, such as https://login.example.com", "") {
		r.issuer(at+".issuerUrl", p.IssuerURL)
	}
	const word = "1 to 255 printable characters without spaces"
	if r.require(at+".clientId", "the aud claim of the provider's tokens", "") {
		r.match(at+".clientId", p.ClientID, oneWord, mostIdentityText, word)
	}
	for name, text := range map[string]string{
		"usernameClaim": p.UsernameClaim, "usernamePrefix": p.UsernamePrefix, "groupsClaim": p.GroupsClaim, "groupsPrefix": p.GroupsPrefix,
	} {
		path := at + "." + name
		switch {
		case !r.given[path] || !r.match(path, text, oneWord, mostIdentityText, word) || !strings.HasSuffix(name, "Prefix"):
		// "Don't specify system:, or any portion of that string" (the user guide, as at IdentityProvider). Kubernetes has its own users and
		// groups below it. A beginning of it would let the provider complete it.
		case strings.Contains(text, "system:") || strings.HasPrefix("system:", text):
			r.add(path, quote(text)+", with which a name can begin with system:", "a prefix such as oidc:", "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.RequiredClaims)) {
		path := child(at+".requiredClaims", name)
		if !oneWord.MatchString(name) || len(name) > 63 {
			r.add(path, "this key", "a claim's name of 1 to 63 printable characters without spaces", "")
		}
		r.match(path, p.RequiredClaims[name], groupName, 253, "1 to 253 printable characters")
	}
	for name, groups := range map[string][]string{"admins": p.Admins, "readers": p.Readers} {
		path := at + "." + name
		for i, group := range groups {
			r.match(fmt.Sprintf("%s[%d]", path, i), group, groupName, mostIdentityText, "the name of a group, without groupsPrefix")
		}
		r.unique(path, groups)
	}
	for i, group := range p.Readers {
		if slices.Contains(p.Admins, group) {
			r.add(fmt.Sprintf("%s.readers[%d]", at, i), quote(group)+", which is in "+at+".admins", "each group in one of the two lists", "")
		}
	}
	for _, name := range []string{"groupsPrefix", "admins", "readers"} {
		if r.given[at+"."+name] && p.GroupsClaim == "" && r.ok(at+".groupsClaim") {
			r.add(at+"."+name, "groups, and no groupsClaim", "groups of a provider with groupsClaim",
				"set "+at+".groupsClaim to the claim that has them, such as groups")
		}
	}
}

// issuer checks an issuer's URL. EKS asks it for the keys of its tokens, from the internet.
func (r *report) issuer(path, text string) {
	const allowed = "https:// and a host on the internet, perhaps with a path, without query and fragment"
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || !oneWord.MatchString(text) || len(text) > mostIdentityText || u.User != nil ||
		strings.ContainsAny(text, "?#") {
		r.add(path, quote(text), allowed, "")
		return
	}
	host := u.Hostname()
	if address, err := netip.ParseAddr(host); err == nil && address.Is4() {
		if slices.ContainsFunc(unroutable, func(p netip.Prefix) bool { return p.Contains(address) }) {
			r.add(path, quote(text)+", whose address is not on the internet", allowed, "")
		}
	} else if !hostOnInternet.MatchString(host) {
		r.add(path, quote(text), allowed, "")
	}
	if port := u.Port(); port == "" && strings.HasSuffix(u.Host, ":") {
		r.add(path, quote(text), allowed, "")
	}
}
