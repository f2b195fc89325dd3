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

// keys are the properties of an object in an add-on's values: the name of a JSON type, keys of its own, or each with the
// type of every property of a free object. Newer versions of an add-on have more than those of the sources.
type keys map[string]any

// each is an object with any properties, all of one type; empty is any type.
type each string

// addonKeys are the schemas as far as they were published; those of other add-ons are not looked at.
var addonKeys = map[string]keys{
	// v1.15.1: https://awscli.amazonaws.com/v2/documentation/api/latest/reference/eks/describe-addon-configuration.html
	"vpc-cni": {
		"affinity": each(""), "enableNetworkPolicy": "string", "enableWindowsIpam": "string", "eniConfig": each(""),
		"env": each("string"), "init": keys{"env": each("string")}, "livenessProbeTimeoutSeconds": "integer",
		"nodeAgent": keys{
			"enableCloudWatchLogs": "string", "enablePolicyEventLogs": "string", "healthProbeBindAddr": "string",
			"metricsBindAddr": "string",
		},
		"readinessProbeTimeoutSeconds": "integer", "resources": each(""), "tolerations": "array",
	},
	// Of the controller: https://github.com/aws/amazon-vpc-cni-k8s/issues/2272 (it shows this add-on's schema), the rest of
	// it and the node's keys: charts/aws-ebs-csi-driver/values.schema.json of kubernetes-sigs/aws-ebs-csi-driver.
	"aws-ebs-csi-driver": {
		"controller": keys{
			"additionalArgs": "array", "affinity": each(""), "batching": "boolean", "defaultFsType": "string", "enableMetrics": "boolean",
			"env": "array", "extraVolumeTags": each("string"), "k8sTagClusterId": "string", "logLevel": "integer",
			"loggingFormat": "string",
			"nodeSelector":  each("string"), "podAnnotations": each("string"), "podLabels": each("string"), "replicaCount": "integer",
			"resources": each(""), "sdkDebugLog": "boolean", "tolerations": "array", "topologySpreadConstraints": "array",
		},
		"defaultStorageClass": keys{"enabled": "boolean"}, "node": each(""), "sidecars": each(""),
	},
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

func mismatches(path string, schema, value any) []string {
	found := jsonType(value)
	want, named := schema.(string)
	if !named {
		want = "object"
	}
	if want != "" && found != want {
		return []string{fmt.Sprintf("%s: %s found, %s expected", path, found, want)}
	}
	object, _ := value.(map[string]any)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + key
		switch s := schema.(type) {
		case each:
			out = append(out, mismatches(at, string(s), object[key])...)
		case keys:
			if next, ok := s[key]; ok {
				out = append(out, mismatches(at, next, object[key])...)
			} else {
				out = append(out, at+": is not defined in the schema and the schema does not allow additional properties")
			}
		}
	}
	return out
}

func jsonType(v any) string {
	switch v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	}
	return "null"
}
