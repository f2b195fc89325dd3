package record

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// mask puts a token in the place of each text that is not public. The same text becomes the same token, also inside of other texts.
// Tokens of the stack's own resources and settings are known before; the others are numbered in the record's order, see number.
type mask struct {
	public *public
	// known are the texts that have a token already, the longest first.
	known []known
	// seen has the numbers of the other texts by their class.
	seen map[string]map[string]int
}

type known struct{ text, token string }

// A marker stands for a text that is not numbered yet: its class and itself.
const markStart, markMiddle, markEnd = "\x00", "\x01", "\x02"

var marker = regexp.MustCompile("\x00([^\x01]*)\x01([^\x02]*)\x02")

// kinds are the forms of texts that have classes of their own. What a form captures first is the class, if it has none.
var kinds = []struct {
	form  *regexp.Regexp
	class string
}{
	{regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[T _-]\d\d[:-]\d\d(?:[:-]\d\d)?(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?`), "time"},
	{regexp.MustCompile(`\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b`), "uuid"},
	{anInstance, "instance"},
	{aNetwork, "network"},
	{regexp.MustCompile(`\d{4}[-_ ]\d{4}[-_ ]\d{4}`), "account"}, // as the console shows it
	{regexp.MustCompile(`\d{1,3}(?:[-_]\d{1,3}){3}`), "network"}, // as in ip-10-0-0-1.ec2.internal
	{regexp.MustCompile(`\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b`), "mac"},
	{regexp.MustCompile(`(?:\d{1,4}:)?\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?`), "time"},
	{regexp.MustCompile(`\b\d{12}\b`), "account"},
	{regexp.MustCompile(`\b(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-gov)?-[a-z]+-\d[a-z]\b`), "zonename"},
	{regexp.MustCompile(`\b(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-gov)?-[a-z]+-\d\b`), "region"},
	{regexp.MustCompile(`\b[a-z]{3,5}\d-az\d\b`), "zone"},
	{regexp.MustCompile(`\b([a-z]{1,12})-[0-9a-f]{8,17}\b`), ""},
	{aWord, "word"},
}

var (
	email     = regexp.MustCompile(`[^\s"'<>(),:;@/]+@[\w\x{80}-\x{10FFFF}-]+(?:\.[\w\x{80}-\x{10FFFF}-]+)*`)
	partition = regexp.MustCompile(`\barn:(aws[a-z-]*):`)
	data      = regexp.MustCompile(`^[A-Za-z0-9+/\s]{100,}={0,2}\s*$`)
)

// newMask makes the mask of a stack.
func newMask(p *public, settings *config.Config, resources []apitype.ResourceV3) *mask {
	m := &mask{public: p, seen: map[string]map[string]int{}}
	m.knowSettings(settings, resources)
	// A resource's number is its place among those of its type, by names in which nothing depends on the settings.
	order := slices.Clone(resources)
	slices.SortStableFunc(order, func(a, b apitype.ResourceV3) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(m.unnumbered(a.URN.Name()), m.unnumbered(b.URN.Name())),
			cmp.Compare(a.URN.Name(), b.URN.Name()))
	})
	numbers := map[string]int{}
	for _, r := range order {
		class := classOf(string(r.Type))
		numbers[class]++
		property, _ := awsmodel.Name(string(r.Type))
		name, _ := r.Outputs[property].(string)
		m.know(name, fmt.Sprintf("<%s.name:%d>", class, numbers[class]))
		if id := string(r.ID); !strings.ContainsAny(id, ":#") { // the others have parts that are known
			m.know(id, fmt.Sprintf("<%s:%d>", class, numbers[class]))
		}
	}
	m.sort()
	return m
}

// knowSettings gives tokens to what the settings name.
func (m *mask) knowSettings(c *config.Config, resources []apitype.ResourceV3) {
	m.own(c.Cluster.Name, "<cluster.name>")
	m.own(c.Logging.Domain.Name, "<domain.name>")
	m.own(c.Workloads.Namespace, "<namespace>")
	m.own(c.Logging.DataStream, "<data-stream>")
	for i, name := range slices.Sorted(maps.Keys(c.Cluster.NodeGroups)) {
		m.own(name, fmt.Sprintf("<group:%d>", i+1))
	}
	for i, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		m.own(name, fmt.Sprintf("<app:%d>", i+1))
	}
	for i, name := range c.Cluster.Registry.Repositories {
		m.own(name, fmt.Sprintf("<image:%d>", i+1))
	}
	m.always(c.Region, "<region>")
	for i, zone := range c.Network.Zones {
		m.always(zone, fmt.Sprintf("<zone:%d>", i+1))
		for _, r := range resources {
			if id, name := r.Outputs["availabilityZoneId"], r.Outputs["availabilityZone"]; id == zone {
				m.always(fmt.Sprint(name), fmt.Sprintf("<zonename:%d>", i+1))
			}
		}
	}
	if account := accountOf(resources); account != "" {
		m.always(account, "<account>")
		for _, between := range []string{"-", "_", " "} {
			m.always(account[:4]+between+account[4:8]+between+account[8:], "<account>")
		}
	}
	m.sort()
}

// accountOf is the account of the resources' ARNs.
func accountOf(resources []apitype.ResourceV3) string {
	for _, r := range resources {
		arn, _ := r.Outputs["arn"].(string)
		if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && len(parts[4]) == 12 {
			return parts[4]
		}
	}
	return ""
}

// classOf is the class of a type's resources: vpc for aws:ec2/vpc:Vpc.
func classOf(typ string) string { return strings.ToLower(typ[strings.LastIndex(typ, ":")+1:]) }

// know gives a text its token, unless it is public, has one or has nothing but such parts.
func (m *mask) know(text, token string) {
	if strings.Contains(m.text(text), markStart) {
		m.always(text, token)
	}
}

// own gives a token to a name of the settings, unless it has words of the source only.
func (m *mask) own(name, token string) {
	if !m.public.name(name) {
		m.always(name, token)
	}
}

func (m *mask) always(text, token string) {
	if text != "" && !slices.ContainsFunc(m.known, func(k known) bool { return k.text == text }) {
		m.known = append(m.known, known{text, token})
	}
}

func (m *mask) sort() {
	slices.SortStableFunc(m.known, func(a, b known) int { return len(b.text) - len(a.text) })
}

// piece is a part of a text: as it was, or done with.
type piece struct {
	text string
	done bool
}

// text puts tokens and markers into a text.
func (m *mask) text(text string) string { return m.cover(text, false) }

// prose does the same to a sentence, and keeps words that are no names by their looks: letters only, with spaces around them.
func (m *mask) prose(text string) string { return m.cover(text, true) }

func (m *mask) cover(text string, prose bool) string {
	if data.MatchString(text) {
		return mark("data", text)
	}
	// An address may have a known name in it.
	pieces := split([]piece{{text, false}}, email, func(found []string) string { return mark("email", found[0]) })
	for _, k := range m.known {
		pieces = each(pieces, func(text string) []piece { return cut(text, k) })
	}
	pieces = each(pieces, cutIPv6)
	pieces = split(pieces, partition, func(found []string) string { return "arn:<partition>:" })
	for _, kind := range kinds {
		if kind.class == "word" && prose {
			pieces = each(pieces, plainWords)
		}
		pieces = split(pieces, kind.form, func(found []string) string {
			class := kind.class
			switch {
			case class == "account":
				return mark(class, digits(found[0]))
			case class == "":
				if m.public.text(found[0]) {
					return found[0]
				}
				class = "word"
				if m.public.name(found[1]) {
					class = found[1]
				}
			case class == "word" && m.public.word(found[0]), m.public.texts[found[0]], found[0] == "0.0.0.0/0":
				return found[0]
			case class == "time":
				return "<time>"
			}
			return mark(class, found[0])
		})
	}
	var out strings.Builder
	for _, p := range pieces {
		out.WriteString(p.text)
	}
	return out.String()
}

func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// colons has addresses of IPv6, and other things with colons.
var colons = regexp.MustCompile(`[0-9A-Za-z.]*(?::[0-9A-Za-z.]*){2,}`)

// cutIPv6 finds addresses of IPv6, whatever is before and after them.
func cutIPv6(text string) (out []piece) {
	for _, at := range colons.FindAllStringIndex(text, -1) {
		for begin := at[0]; begin < at[1]; begin++ {
			for end := at[1]; end > begin && (begin == at[0] || text[begin-1] == ':'); end-- {
				if end < at[1] && text[end] != ':' && text[end] != '.' {
					continue
				}
				if ip, err := netip.ParseAddr(text[begin:end]); err == nil && ip.Is6() && !ip.IsUnspecified() {
					return append([]piece{{text[:begin], false}, {mark("network", ip.String()), true}}, cutIPv6(text[end:])...)
				}
			}
		}
	}
	return []piece{{text, false}}
}

// personal tells whether a text has the form of something that is somebody's: an address, an account, a time.
func personal(text string) bool {
	for _, kind := range kinds {
		if slices.Contains([]string{"time", "uuid", "network", "mac", "account"}, kind.class) && kind.form.MatchString(text) {
			return true
		}
	}
	return len(cutIPv6(text)) > 1
}

func mark(class, text string) string { return markStart + class + markMiddle + text + markEnd }

func each(pieces []piece, by func(string) []piece) (out []piece) {
	for _, p := range pieces {
		if p.done {
			out = append(out, p)
		} else {
			out = append(out, by(p.text)...)
		}
	}
	return out
}

// split puts other texts in the place of what has a form.
func split(pieces []piece, form *regexp.Regexp, by func(found []string) string) []piece {
	return each(pieces, func(text string) (out []piece) {
		from := 0
		for _, at := range form.FindAllStringSubmatchIndex(text, -1) {
			found := []string{text[at[0]:at[1]]}
			if len(at) > 2 && at[2] >= 0 {
				found = append(found, text[at[2]:at[3]])
			}
			out = append(out, piece{text[from:at[0]], false}, piece{by(found), true})
			from = at[1]
		}
		return append(out, piece{text[from:], false})
	})
}

// cut finds a known text where no letter or digit is beside it.
func cut(text string, k known) (out []piece) {
	from := 0
	for at := 0; ; {
		i := strings.Index(text[at:], k.text)
		if i < 0 {
			return append(out, piece{text[from:], false})
		}
		i += at
		end := i + len(k.text)
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if i > 0 && alphanumeric(before) || end < len(text) && alphanumeric(after) {
			at = i + 1
			continue
		}
		out = append(out, piece{text[from:i], false}, piece{k.token, true})
		from, at = end, end
	}
}

func alphanumeric(r rune) bool { return r != '_' && aWord.MatchString(string(r)) }

var sentence = regexp.MustCompile(`(?:^|[\s(])([A-Z]?[a-z]+)(?:[.,;:!?)]*(?:\s|$))`)

// plainWords keeps the words of a sentence.
func plainWords(text string) (out []piece) {
	for {
		at := sentence.FindStringSubmatchIndex(text)
		if at == nil {
			return append(out, piece{text, false})
		}
		out = append(out, piece{text[:at[2]], false}, piece{text[at[2]:at[3]], true})
		text = text[at[3]:]
	}
}

// value masks the texts in a value, the names of members that are no names of AWS's too.
func (m *mask) value(v any) any {
	switch v := v.(type) {
	case moment:
		return "<time>"
	case word:
		return string(v)
	case string:
		return m.text(v)
	case float64:
		if v >= 1e9 {
			return "<number>"
		}
	case []any:
		out := make([]any, len(v))
		for i, each := range v {
			out[i] = m.value(each)
		}
		// Services give lists in any order.
		slices.SortStableFunc(out, func(a, b any) int { return cmp.Compare(m.sortKey(a), m.sortKey(b)) })
		return out
	case map[string]any: // AWS's names
		out := map[string]any{}
		for name, each := range v {
			out[name] = m.value(each)
		}
		return out
	case names:
		out := map[string]any{}
		for name, each := range v {
			if name == "Action" || name == "NotAction" {
				each = actions(each)
			}
			out[m.text(name)] = m.value(each)
		}
		return out
	}
	return v
}

// anAction is an action of IAM, or several.
var anAction = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z]+\*?$`)

// actions tells the actions of a policy from other texts.
func actions(v any) any {
	all, _ := v.([]any)
	out := slices.Clone(all)
	for i, each := range out {
		if text, is := each.(string); is && anAction.MatchString(text) {
			out[i] = word(text)
		}
	}
	return out
}

// sortKey is a value without the texts behind markers.
func (m *mask) sortKey(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(bare(v))
	case []any:
		var out []string
		for _, each := range v {
			out = append(out, m.sortKey(each))
		}
		return strings.Join(out, ",")
	case map[string]any:
		var out []string
		for name, each := range v {
			out = append(out, bare(name)+":"+m.sortKey(each))
		}
		slices.Sort(out)
		return strings.Join(out, ",")
	}
	return fmt.Sprint(v)
}

func bare(text string) string { return marker.ReplaceAllString(text, "<$1>") }

// unnumbered is a text with a token without a number for what is not known.
func (m *mask) unnumbered(text string) string { return bare(m.text(text)) }

// number puts numbered tokens in the place of the markers, in the order in which they are met.
func (m *mask) number(v any) any {
	switch v := v.(type) {
	case string:
		return marker.ReplaceAllStringFunc(v, func(found string) string {
			parts := marker.FindStringSubmatch(found)
			of := m.seen[parts[1]]
			if of == nil {
				of = map[string]int{}
				m.seen[parts[1]] = of
			}
			if of[parts[2]] == 0 {
				of[parts[2]] = len(of) + 1
			}
			return fmt.Sprintf("<%s:%d>", parts[1], of[parts[2]])
		})
	case []any:
		out := make([]any, len(v))
		for i, each := range v {
			out[i] = m.number(each)
		}
		return out
	case map[string]any:
		names := slices.SortedFunc(maps.Keys(v), func(a, b string) int { return cmp.Or(cmp.Compare(bare(a), bare(b)), cmp.Compare(a, b)) })
		out := map[string]any{}
		for _, name := range names {
			key, _ := m.number(name).(string)
			out[key] = m.number(v[name])
		}
		return out
	}
	return v
}
