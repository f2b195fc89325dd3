package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"expense/internal/iampolicy"
)

var (
	// Names of indices: https://docs.opensearch.org/latest/api-reference/index-apis/create-index/.
	indexPrefix = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	fieldName   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	// What mail servers accept in practice (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address).
	mailAddress = regexp.MustCompile(`^[a-zA-Z0-9.!#$%&'*+/=?^_{|}~-]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$`)
	// A standard topic: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html.
	topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]{1,256}$`)
)

// setBySidecar are the fields that every record has already.
var setBySidecar = []string{
	"@timestamp", "_file", "_hash", "cluster", "container", "json", "level", "message", "namespace", "node", "pod", "stream", "time", "zone",
}

// metadataFields are OpenSearch's, which refuses documents that hold them
// (https://docs.opensearch.org/latest/field-types/metadata-fields/index/).
var metadataFields = []string{
	"_doc_count", "_field_names", "_id", "_ignored", "_index", "_meta", "_nested_path", "_primary_term", "_routing", "_seq_no", "_source", "_type", "_version",
}

// levels are those of nginx (https://nginx.org/en/docs/ngx_core_module.html#error_log) and the other common ones.
var levels = []string{"trace", "debug", "info", "notice", "warn", "warning", "error", "crit", "fatal", "alert", "emerg"}

func (r *report) logging(c *Config) {
	l := c.Logging
	// A day's index has one shard, which with its overhead of a tenth should stay below 50 GiB
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/sizing-domains.html).
	if r.require("logging.gibPerDay", "1 to 40 GiB a day", "when in doubt start with 1 and look at the domain's FreeStorageSpace") {
		r.between("logging.gibPerDay", l.GiBPerDay, 1, 40, " GiB a day")
	}
	if r.require("logging.retentionDays", "1 to 365 days", "") {
		r.between("logging.retentionDays", l.RetentionDays, 1, 365, " days")
	}
	r.domain(c)
	// An account has this role once, and a second creation fails
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html).
	r.require("logging.createServiceLinkedRole", "true or false",
		"false if this command finds the role, true if not: aws iam get-role --role-name AWSServiceRoleForAmazonOpenSearchService")
	r.image(c, "logging.image", l.Image)
	if l.Dashboards.Enabled {
		r.image(c, "logging.dashboards.image", l.Dashboards.Image)
	}
	if r.ok("workloads.namespace") {
		// An index's name has 255 bytes; eleven are for the date.
		r.match("logging.indexPrefix", l.IndexPrefix, indexPrefix, 255-len("-2026.11.24"),
			"up to 244 lower-case letters, digits, '-', '_' and '.', starting with a letter or digit")
	}
	oneOf(r, "logging.logRetentionDays", l.LogRetentionDays, retentionDays)

	r.fields(l.Fields)
	for i, level := range l.DropLevels {
		oneOf(r, fmt.Sprintf("logging.dropLevels[%d]", i), level, levels)
	}
	r.unique("logging.dropLevels", l.DropLevels)
	r.redact(l.Redact)
	r.alarms(c.Region, l.Alarms)
}

// fields checks the fields that are added to each record.
func (r *report) fields(fields map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		path, value := child("logging.fields", name), fields[name]
		switch {
		case slices.Contains(setBySidecar, name):
			r.add(path, "a field that each record has", "a name other than "+strings.Join(setBySidecar, ", "), "")
		case slices.Contains(metadataFields, name):
			r.add(path, "a field of OpenSearch's own", "a name other than "+strings.Join(metadataFields, ", "), "")
		case !fieldName.MatchString(name) || len(name) > 63:
			r.add(path, "this name", "a name of 1 to 63 letters, digits and '_', not starting with a digit", "")
		case utf8.RuneCountInString(value) > 256 || strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }):
			r.add(path, quote(value), "up to 256 printable characters", "")
		}
	}
}

// redactable are the regular expressions that Go's and Ruby's libraries read alike; see Logging.Redact. A group's start is
// never followed by "?", which would make it another kind of group, and (?i) is only at the start: further on, Ruby ends an
// alternative there.
var redactable = func() *regexp.Regexp {
	const (
		open   = `\(\?i?:|\(`
		plain  = `[^\\\[({?\pC]`
		escape = `\\[^QEpPx0-9\pC]|\\x[0-9A-Fa-f]{2}|\\[pP]\{[A-Za-z_]+\}`
		member = `[^\\\[\]&^\pC]|` + escape + `|\[:\^?[a-z]+:\]`
		class  = `\[\^?(?:(?:&?(?:` + member + `))+&?|&)\]`
		limits = `\{[0-9]+,[0-9]*\}`
		times  = `\{[0-9]+\}` // To Ruby a "?" behind it is "or not at all".
	)
	return regexp.MustCompile(`^(?:\(\?i\))?(?:(?:` + open + `)*(?:(?:` + plain + `|` + escape + `|` + class + `|` + limits + `)\?*|` + times + `))+$`)
}()

// redact checks the patterns of what must not get into a log.
func (r *report) redact(patterns []string) {
	const allowed = "a regular expression of 1 to 256 characters without look-around, back-references, named groups and flags other than (?i) at the start, " +
		`and without \Q, \x{...}, \123, \pN, {n}?, and &&, [, a first ] or a later ^ in a character class`
	for i, pattern := range patterns {
		path := fmt.Sprintf("logging.redact[%d]", i)
		expression, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			r.add(path, quote(pattern), allowed, err.Error())
		case !redactable.MatchString(pattern) || utf8.RuneCountInString(pattern) > 256:
			r.add(path, quote(pattern), allowed, "")
		case matchesNothing(expression):
			r.add(path, quote(pattern)+", which matches where nothing is", "an expression that matches one character or more", "")
		}
	}
	r.unique("logging.redact", patterns)
	if len(patterns) > 20 {
		r.add("logging.redact", fmt.Sprintf("a list of %d", len(patterns)), "at most 20", "")
	}
}

// matchesNothing says whether the expression has a match without a character, in an empty text or at the edge of a word.
func matchesNothing(expression *regexp.Regexp) bool {
	return slices.ContainsFunc([]string{"", "a"}, func(text string) bool {
		return slices.ContainsFunc(expression.FindAllStringIndex(text, -1), func(at []int) bool { return at[0] == at[1] })
	})
}

// alarms checks where alarms go.
func (r *report) alarms(region string, a Alarms) {
	const email, topic = "logging.alarms.email", "logging.alarms.topicArn"
	if a.Email != "" && a.TopicARN != "" {
		r.add("logging.alarms", "an e-mail address and a topic", "one of them", "subscribe the address to the topic")
		return
	}
	if a.Email != "" {
		// https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3
		r.match(email, a.Email, mailAddress, 254, "an e-mail address such as ops@example.com")
	}
	if a.TopicARN == "" {
		return
	}
	const kind = "the ARN of a standard SNS topic, such as arn:aws:sns:us-east-1:123456789012:NAME"
	// An alarm's actions are in its own region (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html).
	own := "arn:" + iampolicy.Partition(region) + ":sns:" + region + ":"
	if r.match(topic, a.TopicARN, topicARN, 2048, kind) && r.ok(keyRegion) && !strings.HasPrefix(a.TopicARN, own) {
		r.add(topic, quote(a.TopicARN), "a topic of the stack's region, whose ARN starts with "+own, "")
	}
}
