package awsmodel

import (
	"encoding/json"
	"strings"
)

func snsRows() rows {
	return of("SNS", rows{
		tTopic: {
			ops: "CreateTopic SetTopicAttributes DeleteTopic", name: named,
			id: func(m *Model, o *object) string { return m.arnOf("sns|{name}", o) }, arn: "sns|{name}", tagged: true,
			defaults: map[string]any{"beginningArchiveTime": ""}, times: instant,
			fill: func(m *Model, o *object) {
				o.out.setDefault("owner", m.opts.Account)
				o.out.setDefault("policy", defaultTopicPolicy(m, o))
			},
		},
		tSubscription: {
			ops: "Subscribe SetSubscriptionAttributes Unsubscribe", required: "endpoint protocol topic",
			id:       func(m *Model, o *object) string { return o.in.str("topic") + ":" + m.uuid(o.typ) },
			defaults: map[string]any{"confirmationWasAuthenticated": false},
			refs:     []ref{{"topic", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, times: instant,
			fill: fillSubscription,
		},
		tTopicPolicy: {
			ops: "SetTopicAttributes SetTopicAttributes SetTopicAttributes", required: "arn policy",
			id:   func(_ *Model, o *object) string { return o.in.str("arn") },
			refs: []ref{{"arn", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, times: instant,
			check: func(c *checker) { c.policyDocument("policy", resourcePolicy, 0) },
			create: func(m *Model, o *object) error {
				return m.principalsExist(o, o.in.str("policy"), "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound")
			},
			fill: func(m *Model, o *object) { o.out.setDefault("owner", m.opts.Account) },
		},
	})
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
	o.out.setDefault("pendingConfirmation", strings.HasPrefix(o.in.str("protocol"), "email"))
}
