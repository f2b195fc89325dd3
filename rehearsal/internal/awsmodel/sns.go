package awsmodel

import (
	"encoding/json"
	"strings"
)

func createTopic(m *Model, o *object) error {
	if key := o.in.str("kmsMasterKeyId"); key != "" && key != "alias/aws/sns" && m.usableKey(key) == nil {
		return refuse("KMSNotFound", "Key '%s' does not exist", key)
	}
	return nil
}

func defaultTopicPolicy(m *Model, o *object) string {
	b, _ := json.Marshal(map[string]any{"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": []any{map[string]any{
		"Sid": "__default_statement_ID", "Effect": "Allow", "Principal": map[string]any{"AWS": "*"}, "Action": []string{"SNS:Publish"},
		"Resource": o.id, "Condition": map[string]any{"StringEquals": map[string]any{"AWS:SourceOwner": m.opts.Account}}}}})
	return string(b)
}

func fillSubscription(m *Model, o *object) {
	o.out.setDefault("arn", o.id)
	o.out.setDefault("ownerId", m.opts.Account)
	// A person has to answer the mail that AWS sends.
	o.out.setDefault("pendingConfirmation", strings.HasPrefix(o.in.str("protocol"), "email") || strings.HasPrefix(o.in.str("protocol"), "http"))
}
