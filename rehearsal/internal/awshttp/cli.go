package awshttp

import (
	"fmt"
	"net/url"
	"strings"
)

// cliNames are the services that the aws CLI calls otherwise than their signatures do.
var cliNames = map[string]string{"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing2", "opensearch": "es", "cloudwatch": "monitoring"}

// Command does to the model what a command of the aws CLI does to an account, by the same tables and without HTTP. The CLI
// writes operations and members in lower case with hyphens, and those of EC2's lists in the plural
// (https://docs.aws.amazon.com/cli/latest/reference/).
func (s *Server) Command(words []string) error {
	if len(words) < 3 || words[0] != "aws" {
		return fmt.Errorf("no command of the aws CLI: %q", words)
	}
	c := &call{Server: s, service: words[1], form: url.Values{}}
	if name := cliNames[c.service]; name != "" {
		c.service = name
	}
	var op *operation
	for name, row := range services[c.service].operations {
		if cliSays(words[2], name) {
			op, c.operation = &row, name
		}
	}
	if op == nil {
		return fmt.Errorf("the endpoint does not know %s", strings.Join(words[:3], " "))
	}
	for rest := words[3:]; len(rest) > 0; {
		option, value := rest[0], "true"
		if rest = rest[1:]; len(rest) > 0 && !strings.HasPrefix(rest[0], "--") {
			value, rest = rest[0], rest[1:]
		}
		known := option == "--region" || option == "--profile"
		for member := range strings.FieldsSeq(op.params) {
			if name := strings.TrimPrefix(option, "--"); cliSays(name, member) || cliSays(name, member+"s") {
				c.form.Set(member, value)
				c.form.Set(member+".1", value)
				known = true
			}
		}
		if !known {
			return fmt.Errorf("the endpoint does not read %s of %s", option, strings.Join(words[:3], " "))
		}
	}
	_, err := op.run(c)
	return err
}

func cliSays(word, name string) bool {
	return strings.EqualFold(strings.ReplaceAll(word, "-", ""), name)
}
