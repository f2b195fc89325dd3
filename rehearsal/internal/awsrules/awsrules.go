// Package awsrules is one table of what AWS takes for each argument that the program sends to it: rules.yaml, which
// docs/aws-rules.md explains.
//
// The facts are from AWS's machine-readable models, or else from a page of AWS, which the row names. So these rules do not repeat the
// program's own.
package awsrules

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"go.yaml.in/yaml/v3"
)

//go:embed rules.yaml
var file []byte

// Table is rules.yaml.
type Table struct {
	// Versions are those of the models that the facts were read in.
	Versions Versions `yaml:",flow"`
	// Arguments are by type token, then by path: "a.b[].c", with ".~" for the keys of a map and ".*" for its values.
	Arguments map[string]map[string]*Argument
	// Between are the rules between arguments.
	Between []Between
}

// Versions are those of botocore, cfn-lint and its schemas.
type Versions struct{ Botocore, CfnLint, Schemas string }

// Argument is what is known of one argument. A value keeps the rules of all three sources.
type Argument struct {
	// Call is the AWS call and the member that gets the value: "eks CreateCluster name".
	Call string
	// Property is the same in CloudFormation, where it has one: "AWS::EKS::Cluster Name".
	Property string `yaml:",omitempty"`
	// Type is boolean, integer or double; empty is text.
	Type string `yaml:",omitempty"`
	// Botocore is the rule of the API's model, CloudFormation the addition of the property's schema, and Documented what only a page of
	// AWS or the provider's source says; Source is that page.
	Botocore, CloudFormation, Documented *Rule  `yaml:",omitempty"`
	Source                               string `yaml:",omitempty"`
	// Stale says why the API's own enumeration is left out: the models lag behind some services.
	Stale string `yaml:",omitempty"`
	// Free says why there is no rule.
	Free string `yaml:",omitempty"`
}

// Rule is what a value must be. Min and Max are of a text's length in characters, or of a number.
type Rule struct {
	Pattern string `yaml:",omitempty"`
	// Not is a pattern that must not match.
	Not      string   `yaml:",omitempty"`
	Min, Max *float64 `yaml:",omitempty"`
	Enum     []any    `yaml:",omitempty"`
	// Format is one of formats.
	Format string `yaml:",omitempty"`

	matches, excludes func(string) bool
}

// MarshalYAML writes a rule in one line if that is short.
func (r Rule) MarshalYAML() (any, error) {
	type plain Rule
	var node yaml.Node
	if err := node.Encode(plain(r)); err != nil {
		return nil, err
	}
	node.Style = yaml.FlowStyle
	if line, err := yaml.Marshal(&node); err != nil || len(line) > 120 {
		node.Style = 0
	}
	return &node, nil
}

// Between is a rule between arguments of one resource, or between resources.
type Between struct {
	Type string
	// Order are arguments in ascending order.
	Order []string `yaml:",omitempty,flow"`
	// Rule says what holds, where Order does not say it all. The model has a function for it.
	Rule string `yaml:",omitempty"`
	// Mutation is the name of the mistake that shows the model's answer (package mutations), or Doctor that only an account
	// can tell, which `make doctor` asks.
	Mutation string `yaml:",omitempty"`
	Doctor   bool   `yaml:",omitempty"`
	Source   string
}

// All is the table.
var All = func() *Table {
	table := &Table{}
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(table); err != nil {
		panic(fmt.Errorf("rules.yaml: %w", err))
	}
	for _, rows := range table.Arguments {
		for _, row := range rows {
			for _, rule := range row.Rules() {
				rule.compile(rule.Source != "CloudFormation")
			}
		}
	}
	return table
}()

// Sourced is a rule with its source: botocore, CloudFormation or the page.
type Sourced struct {
	*Rule
	Source string
}

// Rules are the rules of an argument that it has.
func (a *Argument) Rules() []Sourced {
	all := []Sourced{{a.Botocore, "botocore"}, {a.CloudFormation, "CloudFormation"}, {a.Documented, a.Source}}
	return slices.DeleteFunc(all, func(s Sourced) bool { return s.Rule == nil })
}

// Value is one argument of a resource.
type Value struct {
	// Path is the argument's in the table; At is where the value is, as a property path with indices and keys.
	Path, At string
	Value    resource.PropertyValue
}

// Values lists all arguments of a resource, without those that are not known yet.
func Values(typ string, inputs resource.PropertyMap) []Value {
	var out []Value
	walk(All.Arguments[typ], "", "", resource.NewObjectProperty(inputs), &out)
	return out
}

func walk(rows map[string]*Argument, path, at string, v resource.PropertyValue, out *[]Value) {
	switch {
	case v.IsNull() || v.IsComputed() || v.IsOutput() && !v.OutputValue().Known:
	case v.IsSecret():
		walk(rows, path, at, v.SecretValue().Element, out)
	case v.IsOutput():
		walk(rows, path, at, v.OutputValue().Element, out)
	case v.IsArray():
		for i, item := range v.ArrayValue() {
			walk(rows, path+"[]", fmt.Sprintf("%s[%d]", at, i), item, out)
		}
	case v.IsObject():
		for _, key := range slices.Sorted(maps.Keys(v.ObjectValue())) {
			name, value := string(key), v.ObjectValue()[key]
			switch {
			case name == "__defaults": // the provider's own bookkeeping
			case rows[path+".~"] != nil:
				entry := fmt.Sprintf("%s[%q]", at, name)
				*out = append(*out, Value{path + ".~", entry, resource.NewStringProperty(name)})
				walk(rows, path+".*", entry, value, out)
			default:
				walk(rows, strings.TrimPrefix(path+"."+name, "."), strings.TrimPrefix(at+"."+name, "."), value, out)
			}
		}
	default:
		*out = append(*out, Value{path, at, v})
	}
}

// Failure is one value that breaks the table.
type Failure struct{ At, Reason string }

// Check gives what breaks the table in a resource's arguments. Arguments without a row pass; a test finds them.
func Check(typ string, inputs resource.PropertyMap) []Failure {
	var out []Failure
	for _, v := range Values(typ, inputs) {
		row := All.Arguments[typ][v.Path]
		if row == nil {
			continue
		}
		if why := row.breaks(v.Value); why != "" {
			out = append(out, Failure{v.At, why})
		}
	}
	for _, b := range All.Between {
		if b.Type == typ {
			out = append(out, b.broken(inputs)...)
		}
	}
	return out
}

func (b Between) broken(inputs resource.PropertyMap) []Failure {
	var out []Failure
	highest, at := math.Inf(-1), ""
	for _, path := range b.Order {
		n, known := number(inputs, path)
		if !known {
			continue
		}
		if n < highest {
			out = append(out, Failure{at, fmt.Sprintf("%s: %v is above %s, which is %v (%s)", at, highest, path, n, b.Source)})
		}
		highest, at = n, path
	}
	return out
}

func number(inputs resource.PropertyMap, path string) (n float64, known bool) {
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		panic(err)
	}
	v, _ := parsed.Get(resource.NewObjectProperty(inputs))
	n, err = strconv.ParseFloat(text(v), 64)
	return n, err == nil
}

// text is a value as text.
func text(v resource.PropertyValue) string {
	switch {
	case v.IsString():
		return v.StringValue()
	case v.IsBool():
		return strconv.FormatBool(v.BoolValue())
	case v.IsNumber():
		return strconv.FormatFloat(v.NumberValue(), 'f', -1, 64)
	}
	return ""
}

// breaks says in one sentence which rules a value breaks, or "".
func (a *Argument) breaks(v resource.PropertyValue) string {
	problems := a.Problems(text(v))
	if len(problems) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: value %q: %s", a.Call, text(v), strings.Join(problems, "; "))
}

// Problems are the rules that a value, as text, breaks.
func (a *Argument) Problems(text string) []string {
	var err error
	switch a.Type {
	case "boolean":
		if text != "true" && text != "false" {
			return []string{"must be true or false (botocore)"}
		}
	case "integer":
		_, err = strconv.ParseInt(text, 10, 64)
	case "double":
		_, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		return []string{"must be a number (botocore)"}
	}
	var out []string
	for _, rule := range a.Rules() {
		out = append(out, rule.broken(text, a.Type)...)
	}
	return out
}

// compile prepares the patterns. Those of the API and of pages are for the whole value, those of a JSON schema for a part
// (docs/aws-rules.md).
func (r *Rule) compile(whole bool) {
	pattern := r.Pattern
	if whole {
		pattern = `\A(?s:` + pattern + `)\z`
	}
	r.matches, r.excludes = matches(pattern), matches(r.Not)
}

// broken says what of the rule a value breaks.
func (r Sourced) broken(text, typ string) []string {
	size, unit := float64(utf8.RuneCountInString(text)), " characters"
	if typ == "integer" || typ == "double" {
		size, _ = strconv.ParseFloat(text, 64)
		unit = ""
	}
	var out []string
	says := func(what string) { out = append(out, fmt.Sprintf("%s (%s)", what, r.Source)) }
	limit := func(what string, bound float64) {
		out = append(out, fmt.Sprintf("%s %v%s (%s), found %v", what, bound, unit, r.Source, size))
	}
	if r.Min != nil && size < *r.Min {
		limit("at least", *r.Min)
	}
	if r.Max != nil && size > *r.Max {
		limit("at most", *r.Max)
	}
	if r.Enum != nil && !slices.ContainsFunc(r.Enum, func(e any) bool { return fmt.Sprint(e) == text }) {
		says(fmt.Sprintf("must be one of %v", r.Enum))
	}
	if r.Pattern != "" && !r.matches(text) {
		says("must match " + r.Pattern)
	}
	if r.Not != "" && r.excludes(text) {
		says("must not match " + r.Not)
	}
	if r.Format != "" && !formats[r.Format](text) {
		says("must have the format " + r.Format)
	}
	return out
}

func matches(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

var dnsSubdomain = matches(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// formats are those of cfn-lint (aws-cloudformation/cfn-lint, src/cfnlint/rules/formats and docs/format_keyword.md), and
// Kubernetes' two kinds of names (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
var formats = map[string]func(string) bool{
	"AWS::EC2::SecurityGroup.Id":   matches(`^sg-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"AWS::EC2::SecurityGroup.Name": matches(`^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+$`),
	"AWS::EC2::Subnet.Id":          matches(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"AWS::EC2::VPC.Id":             matches(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"AWS::IAM::Role.Arn":           matches(`^arn:aws[a-zA-Z-]*:iam::\d{12}:role/.+$`),
	"AWS::KMS::Alias.AliasName":    matches(`^alias/[a-zA-Z0-9:/_-]+$`),
	"AWS::Logs::LogGroup.Name":     matches(`^[.\-_/#A-Za-z0-9]{1,512}$`),
	"AWS::SNS::Topic.Arn":          matches(`^arn:aws[a-zA-Z-]*:sns:[a-z0-9-]+:\d{12}:.+$`),
	"dns-label":                    matches(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`),
	"dns-subdomain": func(s string) bool {
		return len(s) <= 253 && dnsSubdomain(s)
	},
	"ipv4-network": func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && p.Addr().Is4() && p == p.Masked()
	},
	"json": func(s string) bool { return json.Valid([]byte(s)) },
}
