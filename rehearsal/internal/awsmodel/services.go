package awsmodel

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Rules of AWS KMS, CloudWatch and SNS.

func checkKey(c *checker) {
	c.policyDocument("policy", resourcePolicy, 32768)
}

func createKey(m *Model, o *object) error {
	doc := o.in.str("policy")
	if doc == "" {
		return nil
	}
	if err := m.principalsExist(o, doc, "MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals."); err != nil {
		return err
	}
	// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html: the caller must stay able to change the policy
	for _, s := range parse(doc).Statement {
		caller := slices.ContainsFunc(s.principals("AWS"), func(p string) bool {
			return p == "*" || p == m.opts.Account || p == m.Caller() || strings.HasSuffix(p, ":"+m.opts.Account+":root")
		})
		put := slices.ContainsFunc(s.Action, func(a string) bool { return a == "kms:*" || a == "*" || a == "kms:PutKeyPolicy" || a == "kms:Put*" })
		if s.Effect == "Allow" && caller && put {
			return nil
		}
	}
	if o.in.flag("bypassPolicyLockoutSafetyCheck", false) {
		return nil
	}
	return refuse("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
}

func fillKey(m *Model, o *object) {
	o.out.setDefault("keyId", o.id)
	o.out.setDefault("policy", fmt.Sprintf(`{"Id":"key-default-1","Statement":[{"Action":"kms:*","Effect":"Allow","Principal":{"AWS":"arn:%s:iam::%s:root"},"Resource":"*","Sid":"Enable IAM User Permissions"}],"Version":"2012-10-17"}`, m.Partition(), m.opts.Account))
	if o.in.flag("enableKeyRotation", false) {
		o.out.setDefault("rotationPeriodInDays", 365)
	}
}

// keyUp enables rotation, which is a request of its own, right after the key was made.
func keyUp(_ context.Context, m *Model, o *object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !o.out.flag("enableKeyRotation", false) || m.tagsCount(o, o) {
		return nil
	}
	o.out.set("enableKeyRotation", false)
	return &APIError{Service: "KMS", Operation: "EnableKeyRotation", Status: 400, Code: "AccessDeniedException", Message: fmt.Sprintf(
		"User: %s is not authorized to perform: kms:EnableKeyRotation on resource: %s because no identity-based policy allows the kms:EnableKeyRotation action", m.Caller(), o.arn())}
}

// tagsCount tells whether the caller's permissions know the tags of a key already when o is asked for.
func (m *Model) tagsCount(key, o *object) bool {
	return m.opts.KeyTagDelay == 0 || m.spread(o, key.made, m.opts.KeyTagDelay)
}

func keyGone(_ *Model, o *object) bool {
	days := o.in.num("deletionWindowInDays")
	if days == 0 {
		days = 30
	}
	o.status, o.kept = pending, fmt.Sprintf("KMS deletes a key only after a waiting time, here %v days; it is unusable and free of charge until then", days)
	return true
}

// usableKey finds an enabled key by ID, ARN or alias.
func (m *Model) usableKey(ref string) *object {
	k := m.objects[tKey][ref[strings.LastIndex(ref, "/")+1:]]
	if at := strings.Index(ref, "alias/"); at >= 0 {
		if a := m.objects[tAlias][ref[at:]]; a != nil {
			target := a.in.str("targetKeyId")
			k = m.objects[tKey][target[strings.LastIndex(target, "/")+1:]]
		}
	}
	if k == nil || k.status == pending || !k.in.flag("isEnabled", true) {
		return nil
	}
	return k
}

func createAlias(m *Model, o *object) error {
	if m.usableKey(o.in.str("targetKeyId")) == nil {
		return refuse("NotFoundException", "Key '%s' does not exist", o.in.str("targetKeyId"))
	}
	return nil
}

func fillAlias(m *Model, o *object) {
	if k := m.usableKey(o.in.str("targetKeyId")); k != nil {
		o.out.set("targetKeyArn", k.arn())
	}
}

func createLogGroup(m *Model, o *object) error {
	key := o.in.str("kmsKeyId")
	if key == "" {
		return nil
	}
	k := m.usableKey(key)
	if k == nil {
		return refuse("InvalidParameterException", "The specified KMS key does not exist or is not allowed to be used with LogGroup '%s'", m.arnOf("logs|log-group:{name}", o))
	}
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html: the key's policy must name the service
	service := "logs." + m.opts.Region + ".amazonaws.com"
	for _, s := range parse(k.out.str("policy")).Statement {
		if s.Effect == "Allow" && slices.Contains(s.principals("Service"), service) {
			return nil
		}
	}
	return refuse("AccessDeniedException", "The specified KMS key does not exist or is not allowed to be used with LogGroup '%s' (its policy does not allow %s)", m.arnOf("logs|log-group:{name}", o), service)
}

// logGroupGone: a cluster that still logs makes its group again (terraform-aws-modules/terraform-aws-eks#2763).
func logGroupGone(m *Model, o *object) bool {
	if o.in.flag("skipDestroy", false) {
		o.status, o.kept = active, "skipDestroy is set on the log group"
		return true
	}
	name, ours := strings.CutPrefix(o.id, "/aws/eks/")
	if cluster := m.objects[tCluster][strings.TrimSuffix(name, "/cluster")]; ours && cluster != nil {
		delete(m.objects[tLogGroup], o.id)
		m.ensureLogGroup(cluster)
		return true
	}
	return false
}

func createLogPolicy(m *Model, o *object) error {
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
	if len(m.all(tLogPolicy)) >= 10 {
		return refuse("LimitExceededException", "Resource limit exceeded.")
	}
	return nil
}

func checkAlarm(c *checker) {
	if !c.has("metricQueries") {
		for _, p := range []string{"metricName", "namespace", "period"} {
			if !c.has(p) {
				c.fail(p, "One of `metric_name` (with namespace and period) or `metric_query` must be set for a cloudwatch metric alarm: %s is missing", p)
			}
		}
		c.exactlyOne("statistic", "extendedStatistic")
	}
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	if v := c.value("period"); v.IsNumber() && !slices.Contains([]float64{10, 20, 30}, v.NumberValue()) && int(v.NumberValue())%60 != 0 {
		c.fail("period", "period must be 10, 20, 30 or a multiple of 60, got %v", v.NumberValue())
	}
	if d := c.num("datapointsToAlarm"); d > c.num("evaluationPeriods") && c.num("evaluationPeriods") > 0 {
		c.fail("datapointsToAlarm", "datapoints to alarm (%v) cannot be above evaluation periods (%v)", d, c.num("evaluationPeriods"))
	}
	if c.has("threshold") == c.has("thresholdMetricId") && !c.unknown("threshold") {
		c.fail("threshold", "exactly one of threshold, thresholdMetricId must be specified")
	}
	for _, p := range []string{"alarmActions", "okActions", "insufficientDataActions"} {
		c.arn(p)
		if n := len(c.strs(p)); n > 5 {
			c.fail(p, "at most 5 actions, found %d", n)
		}
	}
}

func createAlarm(m *Model, o *object) error {
	for _, p := range []string{"alarmActions", "okActions", "insufficientDataActions"} {
		for _, a := range o.in.strs(p) {
			if strings.Contains(a, ":sns:") && m.first(tTopic, "arn", a) == nil {
				return refuse("ValidationError", "Invalid arn syntax or topic does not exist: %s", a)
			}
		}
	}
	return nil
}

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
