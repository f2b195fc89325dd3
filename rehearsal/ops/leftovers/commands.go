package leftovers

import (
	"regexp"
	"slices"
	"strings"
)

// Commands are the commands of the aws CLI that remove what is left over, in the order in which AWS takes them.
func (r *Report) Commands() [][]string {
	var out [][]string
	for _, k := range kinds {
		goes := func(kind string) []Item {
			return slices.DeleteFunc(r.Of(Leftover), func(i Item) bool { return i.Kind != kind || i.stays != "" })
		}
		if k.with == "" || len(goes(k.with)) == 0 {
			out = append(out, k.commands(r.Stack, goes(k.name))...)
		}
	}
	return out
}

// AllCommands are those of every kind, for an item ID with a part PART. A test checks that the aws CLI has them.
func AllCommands(stack Stack) [][]string {
	var out [][]string
	for _, k := range kinds {
		item := Item{ID: "ID"}
		for range k.before {
			item.parts = append(item.parts, []string{"PART"})
		}
		out = append(out, k.commands(stack, []Item{item})...)
	}
	return out
}

func (k kind) commands(stack Stack, items []Item) [][]string {
	var out [][]string
	each := func(text string, parts func(Item) []string) {
		for _, i := range items {
			for _, part := range parts(i) {
				out = append(out, stack.command(text, i.ID, part))
			}
		}
	}
	for n, text := range k.before {
		each(text, func(i Item) []string {
			if len(i.parts) <= n {
				return nil
			}
			return i.parts[n]
		})
	}
	for _, text := range []string{k.remove, k.wait} {
		if text != "" {
			each(text, func(Item) []string { return []string{""} })
		}
	}
	return out
}

// command fills in a command and adds the region and the profile of the stack's file. With a role there is no profile, which would win
// over the credentials from assume.
func (s Stack) command(text, id, part string) []string {
	words := append([]string{"aws"}, strings.Fields(text)...)
	for n, word := range words {
		if value, found := map[string]string{"ID": id, "PART": part, "CLUSTER": s.Cluster}[word]; found {
			words[n] = value
		}
		if rest, named := strings.CutSuffix(word, ",name=ID"); named { // the aws CLI's shorthand for a map
			words[n] = rest + ",name=" + id
		}
	}
	words = append(words, "--region", s.Region)
	if s.Account.Profile != "" && s.Account.RoleARN == "" {
		words = append(words, "--profile", s.Account.Profile)
	}
	return words
}

// assume is the command that puts the credentials of the stack's role into the shell, "" if there is none.
func (s Stack) assume() string {
	if s.Account.RoleARN == "" {
		return ""
	}
	words := []string{"aws", "sts", "assume-role", "--role-arn", s.Account.RoleARN, "--role-session-name", "leftovers", "--region", s.Region,
		"--output", "text", "--query",
		"join(' ', [join('=', ['AWS_ACCESS_KEY_ID', Credentials.AccessKeyId]), join('=', ['AWS_SECRET_ACCESS_KEY', " +
			"Credentials.SecretAccessKey]), join('=', ['AWS_SESSION_TOKEN', Credentials.SessionToken])])"}
	if s.Account.Profile != "" {
		words = append(words, "--profile", s.Account.Profile)
	}
	return "export $(" + typed(words) + ")"
}

// plain matches a word that a shell does not change.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// typed quotes words for a shell: anyone who may name a thing in the account chooses a word.
func typed(words []string) string {
	var out []string
	for _, word := range words {
		if !plain.MatchString(word) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}
