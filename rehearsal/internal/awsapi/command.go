package awsapi

import (
	"cmp"
	"fmt"
	"strings"
)

// packages are the SDK's for the services to which the aws CLI gives other names.
var packages = map[string]string{"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancingv2", "logs": "cloudwatchlogs"}

// Command does to the model what a command of the aws CLI does to an account, by the same rows. The CLI writes operations and members
// in lower case with hyphens (https://docs.aws.amazon.com/cli/latest/reference/).
func (a *API) Command(words []string) error {
	if len(words) < 3 || words[0] != "aws" {
		return fmt.Errorf("no command of the aws CLI: %q", words)
	}
	for _, r := range rows {
		if r.service() != cmp.Or(packages[words[1]], words[1]) || !says(words[2], r.operation()) {
			continue
		}
		input := map[string]any{}
		for rest := words[3:]; len(rest) > 0; {
			option, value := rest[0], "true"
			if rest = rest[1:]; len(rest) > 0 && !strings.HasPrefix(rest[0], "--") {
				value, rest = rest[0], rest[1:]
			}
			field, known := r.in.FieldByNameFunc(func(name string) bool { return says(strings.TrimPrefix(option, "--"), name) })
			switch {
			case known:
				input[field.Name] = value
			case option != "--region" && option != "--profile":
				return fmt.Errorf("the model does not read %s of %s", option, strings.Join(words[:3], " "))
			}
		}
		_, err := a.do(r, input)
		return err
	}
	return fmt.Errorf("the model does not know %s", strings.Join(words[:3], " "))
}

func says(word, name string) bool { return strings.EqualFold(strings.ReplaceAll(word, "-", ""), name) }
