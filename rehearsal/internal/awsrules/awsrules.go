// Package awsrules is one table of what AWS takes for each argument that the program sends to it: rules.yaml, which
// docs/aws-rules.md explains.
//
// The facts are AWS's own, out of machine-readable models; what no model has is read out of AWS's words, with the page. So a
// value that AWS would refuse is refused here by a rule that nobody of the program wrote.
package awsrules

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
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
	Versions struct{ Botocore, CfnLint, Schemas string }
	// Arguments are by type token, then by path: "a.b[].c", with ".~" for the keys of a map and ".*" for its values.
	Arguments map[string]map[string]*Argument
	// Between are the rules between arguments.
	Between []Between
}

// Argument is what is known of one argument. A value keeps the rules of all three sources.
type Argument struct {
	// Call is the AWS call and the member that gets the value: "eks CreateCluster name".
	Call string
	// Property is the same in CloudFormation, where it has one: "AWS::EKS::Cluster Name".
	Property string
	// Type is boolean, integer or double; empty is text.
	Type string
	// Botocore is the rule of the API's model, CloudFormation what the schema of the property adds to it, and Documented what
	// only AWS's words say, or the provider's source; Source is the page.
	Botocore, CloudFormation, Documented *Rule
	Source                               string
	// Stale says why the API's own enumeration is left out: the models lag behind some services.
	Stale string
	// Free says why there is no rule.
	Free string
}

// Rule is what a value must be. Min and Max are of a text's length in characters, or of a number.
type Rule struct {
	Pattern string
	// Not is a pattern that must not match.
	Not      string
	Min, Max *float64
	Enum     []any
	// Format is one of formats.
	Format string

	matches, excludes func(string) bool
}

// Between is a rule between arguments of one resource, or between resources.
type Between struct {
	Type string
	// Order are arguments none of which may be above the next.
	Order []string
	// Rule says what holds, where Order does not say it all. The model has a function for it.
	Rule string
	// Mutation is the name of the mistake that shows the model's answer (package mutations), or Doctor that only an account
	// can tell, which `make doctor` asks.
	Mutation string
	Doctor   bool
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
			for source, rule := range row.Sources() {
				pattern := rule.Pattern
				if source != "CloudFormation" {
					// The other patterns are of the whole value, a JSON schema's is of a part.
					pattern = "^(?s:" + pattern + ")$"
				}
				rule.matches, rule.excludes = matches(pattern), matches(rule.Not)
			}
		}
	}
	return table
}()

// Sources gives the rules of an argument by where they are from.
func (a *Argument) Sources() map[string]*Rule {
	out := map[string]*Rule{}
	for name, rule := range map[string]*Rule{"botocore": a.Botocore, "CloudFormation": a.CloudFormation, "documented": a.Documented} {
		if rule != nil {
			out[name] = rule
		}
	}
	return out
}

// Value is one argument of a resource, as it is sent.
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
			case strings.HasPrefix(name, "__"):
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

// Check gives what breaks the table in a resource's arguments. Arguments without a row pass: that there are none is a test's
// to say.
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
	for i := 1; i < len(b.Order); i++ {
		low, high := number(inputs, b.Order[i-1]), number(inputs, b.Order[i])
		if low != nil && high != nil && *low > *high {
			out = append(out, Failure{b.Order[i-1], fmt.Sprintf("%s: %v is above %s, which is %v (%s)", b.Order[i-1], *low, b.Order[i], *high, b.Source)})
		}
	}
	return out
}

func number(inputs resource.PropertyMap, path string) *float64 {
	parsed, err := resource.ParsePropertyPath(path)
	if err != nil {
		panic(err)
	}
	if v, ok := parsed.Get(resource.NewObjectProperty(inputs)); ok && v.IsNumber() {
		n := v.NumberValue()
		return &n
	}
	return nil
}

// breaks says which rule a value breaks, in one sentence; empty is none.
func (a *Argument) breaks(v resource.PropertyValue) string {
	text, isNumber := "", v.IsNumber()
	switch {
	case v.IsString():
		text = v.StringValue()
	case v.IsBool():
		text = strconv.FormatBool(v.BoolValue())
	case isNumber:
		text = strconv.FormatFloat(v.NumberValue(), 'f', -1, 64)
	}
	says := func(what, source string) string {
		return fmt.Sprintf("%s: value %q: %s (%s)", a.Call, text, what, source)
	}
	switch _, err := strconv.ParseFloat(text, 64); {
	case a.Type == "boolean" && text != "true" && text != "false":
		return says("must be true or false", "botocore")
	case (a.Type == "integer" || a.Type == "double") && err != nil, a.Type == "integer" && strings.Contains(text, "."):
		return says("must be a number", "botocore")
	}
	for _, source := range slices.Sorted(maps.Keys(a.Sources())) {
		where := source
		if source == "documented" {
			where = a.Source
		}
		if what := a.Sources()[source].broken(text, a.Type); what != "" {
			return says(what, where)
		}
	}
	return ""
}

// broken says what of the rule a value breaks.
func (r *Rule) broken(text, typ string) string {
	size, unit := float64(utf8.RuneCountInString(text)), " characters"
	if typ == "integer" || typ == "double" {
		size, _ = strconv.ParseFloat(text, 64)
		unit = ""
	}
	switch {
	case r.Min != nil && size < *r.Min:
		return fmt.Sprintf("at least %v%s, found %v", *r.Min, unit, size)
	case r.Max != nil && size > *r.Max:
		return fmt.Sprintf("at most %v%s, found %v", *r.Max, unit, size)
	case r.Enum != nil && !slices.ContainsFunc(r.Enum, func(e any) bool { return fmt.Sprint(e) == text }):
		return fmt.Sprintf("must be one of %v", r.Enum)
	case r.Pattern != "" && !r.matches(text):
		return "must match " + r.Pattern
	case r.Not != "" && r.excludes(text):
		return "must not match " + r.Not
	case r.Format != "" && !formats[r.Format](text):
		return "must have the format " + r.Format
	}
	return ""
}

func matches(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

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
	"dns-subdomain":                matches(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`),
	"ipv4-network": func(s string) bool {
		p, err := netip.ParsePrefix(s)
		return err == nil && p.Addr().Is4() && p == p.Masked()
	},
	"json": func(s string) bool { return json.Valid([]byte(s)) },
}

// Bad gives, for each part of an argument's rules, a value that breaks it and as little else as can be: a value that is sent,
// changed.
func (a *Argument) Bad(sample Value) map[string]resource.PropertyValue {
	out := map[string]resource.PropertyValue{}
	text := func(s string) resource.PropertyValue { return resource.NewStringProperty(s) }
	if a.Type != "" {
		out["type"] = text("many")
	}
	number := a.Type == "integer" || a.Type == "double"
	for source, r := range a.Sources() {
		for name, bound := range map[string]*float64{"min": r.Min, "max": r.Max} {
			over := map[string]float64{"min": -1, "max": 1}[name]
			switch {
			case bound == nil:
			case number:
				out[source+" "+name] = resource.NewNumberProperty(*bound + over)
			case name == "max":
				// Longer by what it has in its middle already, which most patterns take.
				s := sample.Value.StringValue()
				half := len(s) / 2
				more := int(*bound) + 1 - utf8.RuneCountInString(s)
				out[source+" max"] = text(s[:half] + strings.Repeat("a", max(more, 1)) + s[half:])
			case *bound > 0:
				out[source+" min"] = text(strings.Repeat("a", int(*bound)-1))
			}
		}
		for name, rule := range map[string]Rule{
			"pattern": {Pattern: r.Pattern, matches: r.matches}, "not": {Not: r.Not, excludes: r.excludes}, "format": {Format: r.Format}, "enum": {Enum: r.Enum},
		} {
			for _, bad := range []string{"", "'", "a b", "~", "é", "漢", "\x00", "aws:a", "sg-a", "alias/aws/a", ":", "-1", "\n"} {
				if rule.broken(bad, a.Type) != "" {
					out[source+" "+name] = text(bad)
					break
				}
			}
		}
	}
	return out
}
