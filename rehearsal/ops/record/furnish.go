package record

import (
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"
)

// Furnish puts into the model what the settings name and the account has without the stack: the people's roles, and a topic.
func Furnish(m *awsmodel.Model, c *config.Config) {
	for _, arn := range slices.Concat(c.Cluster.Admins, c.Cluster.Readers) {
		if strings.Contains(arn, "::"+m.Account()+":") {
			name := arn[strings.LastIndex(arn, "/")+1:]
			m.Plant("aws:iam/role:Role", name, "", awsmodel.Program, map[string]any{"name": name, "arn": arn})
		}
	}
	if arn := c.Logging.Alarms.TopicARN; arn != "" {
		name := arn[strings.LastIndex(arn, ":")+1:]
		m.Plant("aws:sns/topic:Topic", arn, "", awsmodel.Program, map[string]any{"name": name, "arn": arn})
	}
}
