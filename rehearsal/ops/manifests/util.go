package manifests

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// counts are the numbers of fields by what is done with them, and of all.
func (g *gathering) counts() map[string]int {
	out := map[string]int{}
	for _, o := range g.objects {
		for _, f := range o.fields {
			if !f.empty {
				d, _ := decide(o.root(), f)
				out[d.is]++
				out[""]++
			}
		}
	}
	return out
}

func (o *object) json() ([]byte, error) {
	var value any
	if err := o.node.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=-]+$`)

// visible is a text on one line, without what a terminal would obey.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// shell is a word for a shell.
func shell(word string) string {
	if bare.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// settingPath is a path for pulumi config set.
func settingPath(first string, keys ...string) string {
	for _, key := range keys {
		if plainKey.MatchString(key) {
			first += "." + key
		} else {
			first += fmt.Sprintf("[%q]", key)
		}
	}
	return first
}
