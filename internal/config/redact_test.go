package config

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fluentd is written in Ruby. An allowed expression must match the same in Go and Ruby, or a secret is shipped that the settings redact.
// The test tries expressions of random parts in both, without the parts that Logging.Redact excludes.
func TestExpressionsOfRedactMeanTheSameToRuby(t *testing.T) {
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not installed: nothing to compare with")
	}
	parts := []string{
		"a", "b", "A", "é", "0", " ", "=", "#", "&", "&&", "-", "]", "}", "{", ".", "|", "*", "+", "?", "*?", "{2}", "{1,}", "{1,2}", "{,2}",
		"(", "(?:", "(?i)", "(?i:", "(?s)", "(?m:", "(?P<n>", "(?<n>", ")", "[", "[^", `\A`, `\z`, `\Z`, `\d`, `\D`, `\w`, `\W`, `\S`, `\h`,
		`\H`, `\R`,
		`\.`, `\[`, `\]`, `\-`, `\/`, `\_`, `\<`, `\'`, "\\`", `\x41`, `\x{41}`, `\101`, `\7`, `\0`, `\1`, `\a`, `\n`, `\pL`, `\p{L}`, `\p{Han}`,
		`\p{^L}`, `\P{Han}`,
		"[0-9]{2}", "){2}", "){1,3}", `\Q`, `\E`, `\C`, `\G`, `\K`, "[:xdigit:]", "[:^digit:]", "[[:digit:]_]",
		`[\w-z`, `[\d-`, "[a-", "[+--", "-z]", "[-", "-]", "a-z", `\x7f`, `\x80`, `\xff`, `[\xe0-\xff]`, `\xc3\xa9`, `\p{Lu}`, `\P{Ll}`, `\p{C}`,
		`\p{Cn}`, `\p{Zs}`, `\p{Greek}`, `\p{Kawi}`,
		`\p{Any}`,
	}
	texts := []string{"aab AB b1", "a&b-c]d[}{", "aa  aabb 1 2=3", "é a.b/c#d 漢", `x_<>'\~`, "A101 7\x00\a", "zé-É αΩ \x7f~+,", "\u0378 w-z"}
	random := rand.New(rand.NewPCG(1, 2))
	var questions [][2]string
	var want []any
	ask := func(expression string, texts ...string) {
		compiled, err := regexp.Compile(expression)
		if err != nil || !readAlike(expression) || countsInside(expression) || matchesNothing(compiled) {
			return
		}
		for _, text := range texts {
			matches := []any{}
			for _, match := range compiled.FindAllString(text, -1) {
				matches = append(matches, match)
			}
			questions, want = append(questions, [2]string{expression, text}), append(want, matches)
		}
	}
	for len(questions) < 5000*len(texts) {
		var expression string
		for range 1 + random.IntN(6) {
			expression += parts[random.IntN(len(parts))]
		}
		ask(expression, texts...)
	}
	// Of these an older Ruby is only asked to take them: a match could be without end there.
	for range 20000 {
		ask(nested(random, 3), "")
	}
	input, err := json.Marshal(questions)
	require.NoError(t, err)
	command := exec.Command(ruby, "testdata/matches.rb")
	command.Stdin = bytes.NewReader(input)
	output, err := command.Output()
	require.NoError(t, err)
	var got []any
	require.NoError(t, json.Unmarshal(output, &got))
	require.Len(t, got, len(want))
	different := 0
	for i, q := range questions {
		if !assert.Equal(t, want[i], got[i], "%q in %q", q[0], q[1]) {
			if different++; different > 10 {
				t.Fatal("and more")
			}
		}
	}
}

// The sidecar moves what loggers write by these names to fields of its own, so a field of such a name would stay empty.
func TestNoIndexedFieldIsOneThatTheSidecarMoves(t *testing.T) {
	filter, err := os.ReadFile("../../logging/files/filter_expense.rb")
	require.NoError(t, err)
	lists := regexp.MustCompile(`(?m)^ +(?:LEVELS|MESSAGES|TIMES) = %w\[(.*)\]`).FindAllStringSubmatch(string(filter), -1)
	require.Len(t, lists, 3)
	for _, list := range lists {
		for _, name := range strings.Fields(list[1]) {
			assert.Len(t, problems(t, settings(t, edit{"logging/indexedFields", `{"` + name + `": "keyword"}`})), 1, name)
		}
	}
}

// nested is an expression of groups in groups, with all that may stand behind one.
func nested(random *rand.Rand, depth int) string {
	var out string
	for range 1 + random.IntN(3) {
		part := []string{"a", "[ab]", `\d`, "=", "."}[random.IntN(5)]
		if depth > 0 && random.IntN(3) > 0 {
			part = []string{"(", "(?:"}[random.IntN(2)] + nested(random, depth-1) + []string{")", ")", "|b)", "|1a)"}[random.IntN(4)]
		}
		out += part + []string{"", "", "", "?", "*", "+", "??", "+?", "{2}", "{1,3}", "{2,}", "{0,1}"}[random.IntN(12)]
	}
	return out
}
