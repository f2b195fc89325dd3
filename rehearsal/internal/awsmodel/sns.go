package awsmodel

func snsRows() rows {
	return of("SNS", rows{
		tTopic: {
			ops: "CreateTopic SetTopicAttributes DeleteTopic", name: named,
			id: func(m *Model, o *object) string { return m.arnOf("sns|{name}", o) }, arn: "sns|{name}", tagged: true,
			blank: "beginningArchiveTime owner", times: instant,
		},
		tSubscription: {
			ops: "Subscribe SetSubscriptionAttributes Unsubscribe", required: "endpoint protocol topic",
			id: func(m *Model, o *object) string { return o.in.str("topic") + ":" + m.uuid(o.typ) },
			// A person has to answer the mail that AWS sends.
			defaults: map[string]any{"confirmationWasAuthenticated": false, "pendingConfirmation": true}, owned: true,
			refs: []ref{{"topic", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, times: instant,
			fill: func(_ *Model, o *object) { o.out.setDefault("arn", o.id) },
		},
		tTopicPolicy: {
			ops: "SetTopicAttributes SetTopicAttributes SetTopicAttributes", required: "arn policy",
			id: func(_ *Model, o *object) string { return o.in.str("arn") }, blank: "owner",
			refs: []ref{{"arn", tTopic, "arn", "NotFound", "Topic does not exist: %s"}}, times: instant,
			check: policyDocument("policy", resourcePolicy, 0),
			create: func(m *Model, o *object) error {
				return m.principalsExist(o, o.in.str("policy"), "InvalidParameter", "Invalid parameter: Policy Error: PrincipalNotFound")
			},
		},
	})
}
