package awsmodel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// documentKind says which elements a policy document must and must not have.
type documentKind int

const (
	identityPolicy documentKind = iota // no Principal, needs Resource
	trustPolicy                        // needs Principal, no Resource
	resourcePolicy                     // needs Principal and Resource
)

type document struct {
	Version   string
	Statement oneOrMore[statement]
}

type statement struct {
	Sid                     string
	Effect                  string
	Principal, NotPrincipal json.RawMessage
	Action, NotAction       oneOrMore[string]
	Resource, NotResource   oneOrMore[string]
	Condition               map[string]map[string]oneOrMore[string]
}

// oneOrMore is JSON that is either one value or a list of them.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = oneOrMore[T]{one}
	return nil
}

// principals gives the AWS, Service or Federated principals; "*" stands for everybody.
func (s statement) principals(kind string) []string {
	var all string
	if json.Unmarshal(s.Principal, &all) == nil {
		return []string{all}
	}
	var byKind map[string]oneOrMore[string]
	if json.Unmarshal(s.Principal, &byKind) != nil {
		return nil
	}
	return byKind[kind]
}

// allows tells whether a trust statement lets the principal take the action.
func (s statement) allows(kind, principal, action string) bool {
	return s.Effect == "Allow" && slices.Contains(s.principals(kind), principal) &&
		slices.ContainsFunc(s.Action, func(a string) bool { return a == action || a == "*" || a == "sts:*" })
}

func parse(doc string) document {
	var d document
	_ = json.Unmarshal([]byte(doc), &d) // checked when it came in
	return d
}

func trusts(role *object, kind, principal, action string) bool {
	for _, s := range parse(role.in.str("assumeRolePolicy")).Statement {
		if s.allows(kind, principal, action) {
			return true
		}
	}
	return false
}

// policyDocument checks a document against the grammar
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html) and a size, which IAM counts
// without white space; 0 is one that the table of rules has.
func (c *checker) policyDocument(path string, kind documentKind, limit int) {
	text := c.str(path)
	if text == "" {
		return
	}
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		c.fail(path, "%q contains an invalid JSON policy: %v", path, err)
		return
	}
	if d.Version != "2012-10-17" && d.Version != "2008-10-17" {
		c.fail(path, "MalformedPolicyDocument: Version is %q, allowed are 2012-10-17 and 2008-10-17", d.Version)
	}
	if len(d.Statement) == 0 {
		c.fail(path, "MalformedPolicyDocument: Missing required field Statement")
	}
	for i, s := range d.Statement {
		at := fmt.Sprintf("statement %d", i)
		if s.Effect != "Allow" && s.Effect != "Deny" {
			c.fail(path, "MalformedPolicyDocument: %s: Effect is %q, allowed are Allow and Deny", at, s.Effect)
		}
		if len(s.Action)+len(s.NotAction) == 0 {
			c.fail(path, "MalformedPolicyDocument: Policy statement must contain actions (%s)", at)
		}
		for _, a := range append(slices.Clone(s.Action), s.NotAction...) {
			if a != "*" && !re(`^[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+$`).MatchString(a) {
				c.fail(path, "MalformedPolicyDocument: Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (%s: %q)",
					at, a)
			}
		}
		hasPrincipal, hasResource := len(s.Principal)+len(s.NotPrincipal) > 0, len(s.Resource)+len(s.NotResource) > 0
		if kind == identityPolicy && hasPrincipal {
			c.fail(path, "MalformedPolicyDocument: Policy document should not specify a principal. (%s)", at)
		}
		if kind != identityPolicy && !hasPrincipal {
			c.fail(path, "MalformedPolicyDocument: Missing required field Principal (%s)", at)
		}
		if kind == trustPolicy && hasResource {
			c.fail(path, "MalformedPolicyDocument: Has prohibited field Resource (%s)", at)
		}
		if kind != trustPolicy && !hasResource {
			c.fail(path, "MalformedPolicyDocument: Policy statement must contain resources. (%s)", at)
		}
		for _, r := range append(slices.Clone(s.Resource), s.NotResource...) {
			if r != "*" && !strings.HasPrefix(r, "arn:") {
				c.fail(path, "MalformedPolicyDocument: Resource %s must be in ARN format or \"*\". (%s)", r, at)
			}
		}
	}
	if n := len(strings.Join(strings.Fields(text), "")); limit > 0 && n > limit {
		c.fail(path, "LimitExceeded: Cannot exceed quota for %s: %d, found %d characters", path, limit, n)
	}
}

// principalsExist checks the IAM principals that a document of o's names.
func (m *Model) principalsExist(o *object, doc, code, text string) error {
	for _, s := range parse(doc).Statement {
		for _, p := range s.principals("AWS") {
			if p != "*" && !m.principal(o, p) {
				return refuse(code, "%s: %q", text, p)
			}
		}
	}
	return nil
}
