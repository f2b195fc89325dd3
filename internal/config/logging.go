package config

import (
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"expense/internal/iampolicy"
)

var (
	// Names of indices: https://docs.opensearch.org/latest/api-reference/index-apis/create-index/.
	dataStream = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// OpenSearch's own fields begin with "_" (https://docs.opensearch.org/latest/field-types/metadata-fields/index/). Plugins and data
	// streams add more, such as _data_stream_timestamp and _size. OpenSearch refuses documents with such a field.
	fieldName    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)
	indexedField = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	// What mail servers accept in practice (https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address).
	mailAddress = regexp.MustCompile(`^[a-zA-Z0-9.!#$%&'*+/=?^_{|}~-]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$`)
	// A standard topic: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html.
	topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]{1,256}$`)
)

// DocumentFields are the fields that the sidecar sets, with their types in the index. No setting may have a field of such a name.
var DocumentFields = map[string]string{
	// The one field that a data stream requires: exactly one valid date in every line.
	"@timestamp": "date",
	// What else a line holds as JSON. Its names mean something else in each application: it is kept and not searched.
	"json":    "object",
	"level":   "keyword",
	"message": "text",
	"pid":     "integer",

	"cluster": "keyword", "namespace": "keyword", "node": "keyword", "pod": "keyword", "zone": "keyword", "container": "keyword",
	"stream": "keyword",
	// What the filter changed in a line, and the time in it that cannot be true.
	"altered": "keyword", "claimed_time": "keyword",
	// Of nginx's access log.
	"bytes_sent": "long", "connection": "long", "host": "keyword", "method": "keyword", "path": "keyword", "protocol": "keyword",
	"referer": "keyword", "remote_addr": "ip", "request_id": "keyword", "request_time": "float", "status": "short", "user_agent": "keyword",
	// In no document: the input's path and the output's ID, and the name under which a line has its own time.
	"_file": "", "_hash": "", "time": "",
}

// takenFields are names that JSON loggers use, each with the field to which the sidecar moves it.
var takenFields = map[string]string{
	"asctime": "@timestamp", "timestamp": "@timestamp", "ts": "@timestamp", "lvl": "level", "severity": "level", "msg": "message",
}

// indexedTypes are the types that a declared field may have
// (https://docs.opensearch.org/latest/field-types/supported-field-types/index/). flat_object is not among them: a long value would
// refuse its line, and 600 levels of nesting end a node.
var indexedTypes = []string{"boolean", "date", "double", "float", "ip", "keyword", "long", "text"}

// mostFields limits fields and indexedFields. The cluster state holds each field once for each index, and a search over all fields has
// one clause for each.
const mostFields = 50

// levels are the levels of nginx (https://nginx.org/en/docs/ngx_core_module.html#error_log) and other common ones.
var levels = []string{"trace", "debug", "info", "notice", "warn", "warning", "error", "crit", "fatal", "alert", "emerg"}

func (r *report) logging(c *Config) {
	l := c.Logging
	// One shard takes the lines of a day with their overhead of a tenth, if an eighth of the volume is that large: see RolloverMiB. At 40
	// GiB a day these are 44 of its 45 GiB.
	if r.require("logging.gibPerDay", "1 to 40 GiB a day", "when in doubt start with 1 and look at the domain's FreeStorageSpace") {
		r.between("logging.gibPerDay", l.GiBPerDay, 1, 40, " GiB a day")
	}
	if r.require("logging.retentionDays", "1 to 365 days", "") {
		r.between("logging.retentionDays", l.RetentionDays, 1, 365, " days")
	}
	r.domain(c)
	// An account has this role only once, and a second creation fails
	// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html).
	r.require("logging.createServiceLinkedRole", "true or false",
		"false if this command finds the role, true if not: aws iam get-role --role-name AWSServiceRoleForAmazonOpenSearchService")
	r.image(c, "logging.image", l.Image)
	if l.CaptureImage != "" {
		r.ownImage(c, "logging.captureImage", l.CaptureImage)
	}
	if l.Dashboards.Enabled {
		r.image(c, "logging.dashboards.image", l.Dashboards.Image)
	}
	if r.ok("workloads.namespace") {
		// An index's name has 255 bytes at most. The indices of a data stream are .ds-NAME-000001 and so on.
		r.match("logging.dataStream", l.DataStream, dataStream, 255-len(".ds-")-len("-000001"),
			"up to 244 lower-case letters, digits, '-', '_' and '.', starting with a letter or digit")
	}
	oneOf(r, "logging.logRetentionDays", l.LogRetentionDays, logGroupRetentions)

	r.fields(l.Fields)
	r.indexedFields("logging.indexedFields", l.IndexedFields, l.Fields)
	r.oneType(c)
	for i, level := range l.DropLevels {
		oneOf(r, fmt.Sprintf("logging.dropLevels[%d]", i), level, levels)
	}
	r.unique("logging.dropLevels", l.DropLevels)
	r.redact(l.Redact)
	r.alarms(c.Region, l.Alarms)
}

// fields checks the fields that are added to every line.
func (r *report) fields(fields map[string]string) {
	for _, name := range r.fieldNames("logging.fields", fields, fieldName, "1 to 63 letters, digits and '_', starting with a letter") {
		value := fields[name]
		if utf8.RuneCountInString(value) > 256 || strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }) {
			r.add(child("logging.fields", name), quote(value), "up to 256 printable characters", "")
		}
	}
}

// indexedFields checks the fields of one path that can be searched. added are those of every line.
func (r *report) indexedFields(path string, indexed, added map[string]string) {
	const allowed = "1 to 64 lower-case letters, digits and '_', starting with a letter"
	for _, name := range r.fieldNames(path, indexed, indexedField, allowed) {
		if _, twice := added[name]; twice {
			r.add(child(path, name), "a name that logging.fields has too", "a name in one of the two",
				"what is added to every line can be searched without it")
			continue
		}
		if own := takenFields[name]; own != "" {
			r.add(child(path, name), "a name that loggers have for "+own, "a name of the application's own",
				"search "+own+", to which the sidecar moves it")
			continue
		}
		oneOf(r, child(path, name), indexed[name], indexedTypes)
	}
}

// IndexedFields are all fields of the stack that can be searched, with their types: those of logging.indexedFields and of each app. All
// lines go into one index, where a field has one type. A pod's sidecar has only those of its app, so that a new field of one app does not
// roll the pods of the others.
func (c *Config) IndexedFields() map[string]string {
	all := maps.Clone(c.Logging.IndexedFields)
	for _, app := range c.Workloads.Apps {
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, app.Logs.Fields)
	}
	return all
}

// oneType refuses a field with several types, and too many fields in all.
func (r *report) oneType(c *Config) {
	first := map[string]string{}
	types := func(path string, fields map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			at, before := child(path, name), first[name]
			if before == "" {
				first[name] = at + ", " + fields[name]
			} else if where, kind, _ := strings.Cut(before, ", "); kind != fields[name] {
				r.add(at, quote(fields[name]), kind+", as in "+where+": a field has one type in the whole stack", "or give it another name")
			}
		}
	}
	types("logging.indexedFields", c.Logging.IndexedFields)
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		types(child(appsPath, name)+".logs.fields", c.Workloads.Apps[name].Logs.Fields)
	}
	if len(first) > mostFields {
		r.add("logging.indexedFields", fmt.Sprintf("%d names with those of apps", len(first)), fmt.Sprintf("at most %d", mostFields), "")
	}
}

// fieldNames checks names of fields. It returns the right ones, sorted.
func (r *report) fieldNames(path string, fields map[string]string, pattern *regexp.Regexp, allowed string) []string {
	if len(fields) > mostFields {
		r.add(path, fmt.Sprintf("%d names", len(fields)), fmt.Sprintf("at most %d", mostFields), "")
	}
	var right []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch _, taken := DocumentFields[name]; {
		case taken:
			r.add(child(path, name), "a field of the sidecar's own",
				"a name other than "+strings.Join(slices.Sorted(maps.Keys(DocumentFields)), ", "), "")
		case !pattern.MatchString(name):
			r.add(child(path, name), "this name", "a name of "+allowed, "")
		default:
			right = append(right, name)
		}
	}
	return right
}

// redactable matches regular expressions that Go and Ruby read alike, see Logging.Redact. Groups are plain, (?:...) or (?i:...). (?i)
// is only at the start, because Ruby would end an alternative there. In a class, "-" is between two characters, first or last.
var redactable = func() *regexp.Regexp {
	const (
		open   = `\(\?i?:|\(`
		plain  = `[^\\[({?\pC]`
		ascii  = `\\x[0-7][0-9A-Fa-f]` // Beyond it, Go reads a character and Ruby a byte.
		set    = `\\[dDsSwW]|\\[pP]\{(?:` + properties + `)\}`
		escape = `\\[^QEpPxdDsSwW0-9\pC]|` + ascii
		single = `[^\\\[\]&^\pC-]|` + escape
		member = `(?:` + single + `)(?:-(?:` + single + `))?|` + set + `|\[:\^?[a-z]+:\]`
		class  = `\[\^?(?:-?(?:&?(?:` + member + `))+(?:&|-)?|&|-)\]`
		limits = `\{[0-9]+,[0-9]*\}`
		times  = `\{[0-9]+\}` // Ruby reads a "?" behind it as "or not at all".
	)
	return regexp.MustCompile(`^(?:\(\?i\))?(?:(?:` + open + `)*(?:(?:` + plain + `|` + escape + `|` + set + `|` + class + `|` + limits +
		`)\?*|` + times + `))+$`)
}()

// readAlike says whether Ruby reads Go's expression as Go does. With (?i), a property ignores case in Ruby only.
func readAlike(pattern string) bool {
	return redactable.MatchString(pattern) && !(strings.Contains(pattern, "(?i") && strings.Contains(strings.ToLower(pattern), `\p{`))
}

// properties are the character properties that Go and Ruby share: the general categories of assigned characters and the most common
// scripts.
const properties = `L[ulmot]?|M[nce]?|N[dlo]?|P[cdsefio]?|S[mcko]?|Z[slp]?|C[cf]|Arabic|Cyrillic|Devanagari|Greek|Han|Hangul|Hebrew|` +
	`Hiragana|Katakana|Latin|Thai`

// mostSteps limits the size of an expression, in which x{n} counts n times. For each byte of a line of up to 512 KiB, Ruby keeps a bit
// for each place of the expression (https://github.com/ruby/ruby/blob/v3_4_1/regexec.c, count_num_cache_opcodes): at most 32 MiB.
const mostSteps = 512

// redact checks the patterns of secrets.
func (r *report) redact(patterns []string) {
	const allowed = "a regular expression of 1 to 256 characters without look-around, back-references, named groups and flags " +
		`other than (?i) at the start, and without \Q, \x{...}, \x80 and above, \123, \pN, rare scripts, \p with (?i), {n}?, ` +
		"{n} in a group that has {n}, ?, * or + behind it, and &&, [, a first ], a later ^ " +
		"and a - beside a set such as \\d in a character class"
	for i, pattern := range patterns {
		path := fmt.Sprintf("logging.redact[%d]", i)
		expression, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			r.add(path, quote(pattern), allowed, err.Error())
		case !readAlike(pattern) || utf8.RuneCountInString(pattern) > 256:
			r.add(path, quote(pattern), allowed, "")
		case countsInside(pattern):
			r.add(path, quote(pattern)+", in which a group that repeats counts", allowed,
				"write the group or the count out: (?:[0-9]{4}-){2} is [0-9]{4}-[0-9]{4}-, and (?:[0-9]{2}-)+ is (?:[0-9][0-9]-)+")
		case steps(pattern) > mostSteps:
			r.add(path, fmt.Sprintf("%s, of %d steps", quote(pattern), steps(pattern)), fmt.Sprintf("at most %d, of which x{n} is n", mostSteps),
				"write x+ or a smaller number where the exact one is not needed")
		case matchesNothing(expression):
			r.add(path, quote(pattern)+", which matches where nothing is", "an expression that matches one character or more", "")
		}
	}
	r.unique("logging.redact", patterns)
	if len(patterns) > 20 {
		r.add("logging.redact", fmt.Sprintf("a list of %d", len(patterns)), "at most 20", "")
	}
}

// steps is the length of an expression with all its counts written out. It is 0 if the expression does not compile.
func steps(pattern string) int {
	expression, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(expression.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}

// countsInside says whether the expression has {n} in a group that may repeat or be absent. Ruby does not match such expressions in
// linear time (count_num_cache_opcodes_inner in https://github.com/ruby/ruby/blob/v3_4_1/regexec.c), and the filter refuses them.
func countsInside(pattern string) bool {
	expression, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	var counted func(part *syntax.Regexp, inside bool) bool
	counted = func(part *syntax.Regexp, inside bool) bool {
		counts := part.Op == syntax.OpRepeat
		repeats := counts || part.Op == syntax.OpStar || part.Op == syntax.OpPlus || part.Op == syntax.OpQuest
		return counts && inside || slices.ContainsFunc(part.Sub, func(sub *syntax.Regexp) bool { return counted(sub, inside || repeats) })
	}
	return counted(expression, false)
}

// matchesNothing says whether the expression matches an empty text or the edge of a word.
func matchesNothing(expression *regexp.Regexp) bool {
	return slices.ContainsFunc([]string{"", "a"}, func(text string) bool {
		return slices.ContainsFunc(expression.FindAllStringIndex(text, -1), func(at []int) bool { return at[0] == at[1] })
	})
}

// alarms checks the receiver of alarms.
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
	// An alarm's actions must be in its region (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html).
	own := "arn:" + iampolicy.Partition(region) + ":sns:" + region + ":"
	if r.match(topic, a.TopicARN, topicARN, 2048, kind) && r.ok(keyRegion) && !strings.HasPrefix(a.TopicARN, own) {
		r.add(topic, quote(a.TopicARN), "a topic of the stack's region, whose ARN starts with "+own, "")
	}
}
