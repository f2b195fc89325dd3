package awsmodel

import (
	"encoding/json"
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

// allows tells whether a trust statement lets the principal take the action, if its conditions hold.
func (s statement) allows(kind, principal, action string) bool {
	return s.Effect == "Allow" && s.speaksOf(kind, principal) && s.names(action)
}

func parse(doc string) document {
	var d document
	_ = json.Unmarshal([]byte(doc), &d) // checked when it came in
	return d
}

func trusts(role *object, kind, principal, action string) bool {
	return slices.ContainsFunc(parse(role.in.str("assumeRolePolicy")).Statement, func(s statement) bool {
		return s.allows(kind, principal, action)
	})
}

// policyDocument checks a document against the grammar
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html) and a size, which IAM counts
// without white space; 0 is one that the table of rules has.
func policyDocument(path string, kind documentKind, limit int) func(c *checker) {
	return func(c *checker) {
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
		action := re(`^(\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$`)
		for i, s := range d.Statement {
			actions, resources := slices.Concat(s.Action, s.NotAction), slices.Concat(s.Resource, s.NotResource)
			principal := len(s.Principal)+len(s.NotPrincipal) > 0
			for _, problem := range []struct {
				found bool
				text  string
			}{
				{s.Effect != "Allow" && s.Effect != "Deny", "Effect must be Allow or Deny"},
				{len(actions) == 0, "Policy statement must contain actions"},
				{
					slices.ContainsFunc(actions, func(a string) bool { return !action.MatchString(a) }),
					"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
				},
				{kind == identityPolicy && principal, "Policy document should not specify a principal."},
				{kind != identityPolicy && !principal, "Missing required field Principal"},
				{kind == trustPolicy && len(resources) > 0, "Has prohibited field Resource"},
				{kind != trustPolicy && len(resources) == 0, "Policy statement must contain resources."},
				{
					slices.ContainsFunc(resources, func(r string) bool { return r != "*" && !strings.HasPrefix(r, "arn:") }),
					`Resource must be in ARN format or "*".`,
				},
			} {
				if problem.found {
					c.fail(path, "MalformedPolicyDocument: %s (statement %d)", problem.text, i)
				}
			}
		}
		if n := len(strings.Join(strings.Fields(text), "")); limit > 0 && n > limit {
			c.fail(path, "LimitExceeded: Cannot exceed quota for %s: %d, found %d characters", path, limit, n)
		}
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
