// Package renew renews what rules.yaml has of AWS's machine-readable models, and leaves what people wrote in it alone.
package renew

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"expense/rehearsal/internal/awsrules"

	"go.yaml.in/yaml/v3"
)

// Table renews the table in a file from the wheels of botocore and cfn-lint in a folder, which is as `pip download --no-deps botocore
// cfn-lint` makes it. It runs nothing of them: a wheel is a zip file with JSON in it.
func Table(wheels, rules string) error {
	botocore, err := open(wheels, "botocore")
	if err != nil {
		return err
	}
	cfnlint, err := open(wheels, "cfn_lint")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	var table awsrules.Table
	if err := yaml.Unmarshal(text, &table); err != nil {
		return fmt.Errorf("%s: %w", rules, err)
	}
	var errs []error
	for typ, rows := range table.Arguments {
		for argument, row := range rows {
			if err := renewRow(botocore, cfnlint, row); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", typ, argument, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var schemas struct {
		Date string `json:"schema_date"`
	}
	if err := cfnlint.read("cfnlint/data/schemas/version.json", &schemas); err != nil {
		return err
	}
	table.Versions = awsrules.Versions{Botocore: botocore.version, CfnLint: cfnlint.version, Schemas: schemas.Date}
	head, _, _ := strings.Cut(string(text), "versions:")
	out := bytes.NewBufferString(head)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(table); err != nil {
		return err
	}
	return os.WriteFile(rules, out.Bytes(), 0o644)
}

// renewRow sets what the two models say of one argument. A rule of CloudFormation counts only where the API's model and AWS's words
// have none of its kind: at times the two differ, and the API decides.
func renewRow(botocore, cfnlint *wheel, row *awsrules.Argument) error {
	typ, api, err := botocore.member(row.Call)
	if err != nil {
		return err
	}
	schema := map[string]any{}
	if row.Property != "" {
		if schema, err = cfnlint.property(row.Property); err != nil {
			return err
		}
	}
	if row.Stale != "" {
		delete(api, "enum")
		delete(schema, "enum")
	}
	documented := map[string]any{}
	if err := convert(row.Documented, &documented); err != nil {
		return err
	}
	for key := range schema {
		if api[key] != nil || documented[key] != nil {
			delete(schema, key)
		}
	}
	if len(api)+len(documented) > 0 || row.Free != "" || schema["min"] == 0.0 {
		// A text of at least one character needs no rule; and AWS takes an empty tag, against the schemas of some types.
		delete(schema, "min")
	}
	row.Type, row.Botocore, row.CloudFormation = typ, nil, nil
	if len(api) > 0 {
		err = convert(api, &row.Botocore)
	}
	if len(schema) > 0 {
		err = errors.Join(err, convert(schema, &row.CloudFormation))
	}
	return err
}

// convert gives a rule the form of a map, or a map that of a rule.
func convert(from, into any) error {
	text, err := yaml.Marshal(from)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(text, into)
}

// wheel is a Python package as the registry has it.
type wheel struct {
	version string
	files   map[string]*zip.File
	parsed  map[string]map[string]any
}

func open(folder, name string) (*wheel, error) {
	found, err := filepath.Glob(filepath.Join(folder, name+"-*.whl"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("%s: found %d wheels of %s, expected one: pip download --no-deps -d FOLDER botocore cfn-lint",
			folder, len(found), name)
	}
	archive, err := zip.OpenReader(found[0])
	if err != nil {
		return nil, err
	}
	w := &wheel{version: strings.Split(filepath.Base(found[0]), "-")[1], files: map[string]*zip.File{}, parsed: map[string]map[string]any{}}
	for _, f := range archive.File {
		w.files[f.Name] = f
	}
	return w, nil
}

func (w *wheel) read(name string, out any) error {
	f, ok := w.files[name]
	if !ok {
		return fmt.Errorf("no file %s", name)
	}
	reader, err := f.Open()
	if err != nil {
		return err
	}
	defer reader.Close()
	var plain io.Reader = reader
	if strings.HasSuffix(name, ".gz") {
		if plain, err = gzip.NewReader(reader); err != nil {
			return err
		}
	}
	return json.NewDecoder(plain).Decode(out)
}

func (w *wheel) object(name string) (map[string]any, error) {
	if w.parsed[name] == nil {
		out := map[string]any{}
		if err := w.read(name, &out); err != nil {
			return nil, err
		}
		w.parsed[name] = out
	}
	return w.parsed[name], nil
}

// member finds "eks CreateCluster resourcesVpcConfig.subnetIds[]" in the newest model of the service. A call without a member is a
// switch.
func (w *wheel) member(call string) (typ string, rule map[string]any, err error) {
	parts := strings.Fields(call)
	if len(parts) == 2 {
		return "boolean", nil, nil
	}
	if len(parts) != 3 {
		return "", nil, fmt.Errorf("call %q: expected service, operation and member", call)
	}
	newest := ""
	for name := range w.files {
		if ok, _ := path.Match("botocore/data/"+parts[0]+"/*/service-2.json.gz", name); ok && name > newest {
			newest = name
		}
	}
	model, err := w.object(newest)
	if err != nil {
		return "", nil, fmt.Errorf("service %s: %w", parts[0], err)
	}
	shapes, _ := model["shapes"].(map[string]any)
	operation := dig(model, "operations", parts[1])
	shape := dig(shapes, fmt.Sprint(dig(operation, "input")["shape"]))
	for _, step := range regexp.MustCompile(`\[\]|\{key\}|\{value\}|[^.\[{]+`).FindAllString(parts[2], -1) {
		var next map[string]any
		switch step {
		case "[]":
			next = dig(shape, "member")
		case "{key}", "{value}":
			next = dig(shape, strings.Trim(step, "{}"))
		default:
			next = dig(shape, "members", step)
		}
		if next == nil {
			return "", nil, fmt.Errorf("call %q: no %s", call, step)
		}
		shape = dig(shapes, fmt.Sprint(next["shape"]))
	}
	switch typ = fmt.Sprint(shape["type"]); typ {
	case "string":
		typ = ""
	case "long":
		typ = "integer"
	}
	return typ, ruleOf(shape, map[string]string{"pattern": "pattern", "min": "min", "max": "max", "enum": "enum"}), nil
}

// property finds "AWS::EKS::Cluster ResourcesVpcConfig.SubnetIds[]" in the schemas of us-east-1.
func (w *wheel) property(name string) (map[string]any, error) {
	typ, at, _ := strings.Cut(name, " ")
	types, err := w.object("cfnlint/data/schemas/providers/us-east-1.json")
	if err != nil {
		return nil, err
	}
	schema, err := w.object(fmt.Sprintf("cfnlint/data/schemas/resources/%v.json", types[typ]))
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", typ, err)
	}
	follow := func(node map[string]any) map[string]any {
		for {
			ref, ok := node["$ref"].(string)
			if !ok {
				return node
			}
			node = dig(schema, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	node := schema
	for _, step := range regexp.MustCompile(`\[\]|\{\}|[^.\[{]+`).FindAllString(at, -1) {
		switch step {
		case "[]":
			node = follow(dig(node, "items"))
		case "{}":
			var values map[string]any
			for _, v := range dig(node, "patternProperties") {
				values, _ = v.(map[string]any)
			}
			node = follow(values)
		default:
			node = follow(dig(node, "properties", step))
		}
		if node == nil {
			return nil, fmt.Errorf("property %q: no %s", name, step)
		}
	}
	return ruleOf(node, map[string]string{"pattern": "pattern", "minLength": "min", "maxLength": "max", "minimum": "min", "maximum": "max",
		"enum": "enum", "format": "format"}), nil
}

// ruleOf takes over the constraints of a shape or a schema, patterns in Go's syntax.
func ruleOf(from map[string]any, keys map[string]string) map[string]any {
	out := map[string]any{}
	for key, as := range keys {
		switch v := from[key].(type) {
		case nil:
		case string:
			v = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`).ReplaceAllString(v, `\x{$1}`)
			out[as] = strings.ReplaceAll(v, `\Z`, `\z`)
		default:
			out[as] = v
		}
	}
	return out
}

func dig(from map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		from, _ = from[key].(map[string]any)
	}
	return from
}
