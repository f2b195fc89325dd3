package awsmodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What may be configured of an add-on. EKS checks the values against the JSON schema of the add-on's version, which
// `aws eks describe-addon-configuration` shows, and takes nothing that is not in it.

// keys are the properties of an object: each with the name of a JSON type or with keys of its own. "*" is any other.
type keys map[string]any

// addonKeys are the keys that the program sets. Other add-ons are not looked at. The sources have all keys of a version:
// https://awscli.amazonaws.com/v2/documentation/api/latest/reference/eks/describe-addon-configuration.html of vpc-cni,
// https://github.com/aws/amazon-vpc-cni-k8s/issues/2272 and charts/aws-ebs-csi-driver/values.schema.json of
// kubernetes-sigs/aws-ebs-csi-driver of the other.
var addonKeys = map[string]keys{
	"vpc-cni":            {"enableNetworkPolicy": "string"},
	"aws-ebs-csi-driver": {"controller": keys{"extraVolumeTags": keys{"*": "string"}}},
}

// addonValues checks an add-on's configuration values in EKS's words: "nodeSelector" as in a real answer to CreateAddon
// for the EBS driver, "boolean found" as in one for vpc-cni's enableNetworkPolicy.
func addonValues(addon, text string) error {
	const refused = "ConfigurationValue provided in request is not supported: "
	var values any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil { // EKS takes YAML too, and JSON is YAML
		return invalidParameter(refused + "not valid JSON or YAML")
	}
	schema, known := addonKeys[addon]
	if !known || text == "" {
		return nil
	}
	if problems := mismatches("$", schema, values); len(problems) > 0 {
		return invalidParameter(refused+"Json schema validation failed with error: [%s]", strings.Join(problems, ", "))
	}
	return nil
}

func mismatches(path string, schema, value any) (out []string) {
	properties, isObject := schema.(keys)
	want := "object"
	if !isObject {
		want = schema.(string)
	}
	if found := jsonType(value); found != want {
		return []string{fmt.Sprintf("%s: %s found, %s expected", path, found, want)}
	}
	object, _ := value.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + key
		next, known := properties[key]
		if !known {
			next = properties["*"]
		}
		if next == nil {
			out = append(out, at+": is not defined in the schema and the schema does not allow additional properties")
			continue
		}
		out = append(out, mismatches(at, next, object[key])...)
	}
	return out
}

func jsonType(v any) string {
	switch v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case bool:
		return "boolean"
	}
	return fmt.Sprintf("%T", v)
}
