package record

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Difference is one place in which AWS and the model differ.
type Difference struct {
	// Type and Name are the resource's.
	Type string `json:"type"`
	Name string `json:"name"`
	// Path leads to the member; [] stands for each item of a list.
	Path string `json:"path"`
	// Model and AWS are what each has, nil for nothing.
	Model any `json:"model"`
	AWS   any `json:"aws"`
	// Call is where it was seen.
	Call string `json:"call"`
}

// Lack is a member that the model does not have at all.
type Lack struct {
	Type string `json:"type"`
	Path string `json:"path"`
	// Times is how many resources have it.
	Times int `json:"times"`
}

// Known is a difference that is known and stays for a reason.
type Known struct {
	Type   string `yaml:"type"`
	Path   string `yaml:"path"`
	Reason string `yaml:"reason"`
	// Date is the day on which it was seen, Versions are those of the record's header that matter.
	Date     string            `yaml:"date"`
	Versions map[string]string `yaml:"versions"`
}

func (k Known) String() string { return k.Type + " " + k.Path }

//go:embed known.yaml
var knownFile []byte

// KnownDifferences are those of the list.
func KnownDifferences() ([]Known, error) {
	var list []Known
	decoder := yaml.NewDecoder(strings.NewReader(string(knownFile)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("known.yaml: %w", err)
	}
	return list, nil
}

// Comparison is what two records have in common and what not.
type Comparison struct {
	Differences []Difference
	// Known are differences of the list, Stale entries of the list that no longer differ.
	Known []Difference
	Stale []Known
	// Lacks are the members that the model does not have, the most frequent first.
	Lacks []Lack
	// Unseen are calls to AWS without an answer.
	Unseen []string
	// Compared counts the values that were compared.
	Compared int
}

// Err names what may not be: a difference that is not known, and an entry of the list that is out of date. Nothing compared is an error.
func (c *Comparison) Err() error {
	var problems []string
	for _, d := range c.Differences {
		problems = append(problems, fmt.Sprintf("%s %s: %s: the model has %s, AWS %s (%s)", d.Type, d.Name, d.Path, show(d.Model), show(d.AWS),
			d.Call))
	}
	for _, k := range c.Stale {
		problems = append(problems, fmt.Sprintf("known difference %s: nothing differs there any more: remove it from known.yaml", k))
	}
	if c.Compared == 0 {
		problems = append(problems, "nothing was compared")
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%d problems:\n  %s", len(problems), strings.Join(problems, "\n  "))
}

// Compare compares what AWS answered with what the model does. Tokens have other numbers on both sides: they are the same if each always
// stands where the other does.
func Compare(aws, model *Record, list []Known) *Comparison {
	c := &comparer{out: &Comparison{}, pairs: pairs{to: map[string]string{}, from: map[string]string{}}, lacks: map[Lack]int{}}
	byKey := map[string]Thing{}
	for _, t := range model.Things {
		byKey[t.key()] = t
	}
	both := map[string]bool{}
	for _, a := range aws.Things {
		for _, text := range a.Unseen {
			c.out.Unseen = append(c.out.Unseen, a.key()+": "+text)
		}
		if m, has := byKey[a.key()]; has { // first of all: who is who
			c.pairs.equal(a.Name, m.Name)
			c.pairs.equal(a.ID, m.ID)
		}
	}
	for _, a := range aws.Things {
		m, has := byKey[a.key()]
		if !has {
			c.differ(a, "", "", nil, "the resource")
			continue
		}
		delete(byKey, a.key())
		both[a.Type] = true
		for _, name := range slices.Sorted(maps.Keys(m.Answer)) {
			value, has := a.Answer[name]
			switch {
			case has:
				c.value(a, name, a.Calls[name], value, m.Answer[name])
			case answered(a, m.Calls[name]):
				c.differ(a, name, m.Calls[name], m.Answer[name], nil)
			}
		}
		for name := range a.Answer {
			if _, has := m.Answer[name]; !has {
				c.lacks[Lack{Type: a.Type, Path: name}]++
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		c.differ(byKey[key], "", "", "the resource", nil)
	}
	c.times(aws.Operations, both)
	c.know(list, both)
	for lack, times := range c.lacks {
		lack.Times = times
		c.out.Lacks = append(c.out.Lacks, lack)
	}
	slices.SortFunc(c.out.Lacks, func(a, b Lack) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Path, b.Path))
	})
	return c.out
}

// answered tells whether AWS answered a call about a thing.
func answered(a Thing, call string) bool {
	return !slices.ContainsFunc(a.Unseen, func(text string) bool { return strings.HasPrefix(text, call+":") })
}

type comparer struct {
	out   *Comparison
	pairs pairs
	lacks map[Lack]int
}

func (c *comparer) differ(t Thing, path, call string, model, aws any) {
	c.out.Differences = append(c.out.Differences, Difference{t.Type, t.Name, path, model, aws, call})
}

// value compares all that the model has.
func (c *comparer) value(t Thing, path, call string, aws, model any) {
	switch m := model.(type) {
	case map[string]any:
		a, is := aws.(map[string]any)
		if !is {
			c.differ(t, path, call, model, aws)
			return
		}
		used := map[string]bool{}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			other, has := c.name(a, name)
			if !has {
				c.differ(t, path+"."+name, call, m[name], nil)
				continue
			}
			used[other] = true
			c.value(t, path+"."+name, call, a[other], m[name])
		}
		for name := range a {
			if !used[name] {
				c.lacks[Lack{Type: t.Type, Path: path + "." + withoutNumbers(name)}]++
			}
		}
	case []any:
		a, is := aws.([]any)
		if !is {
			c.differ(t, path, call, model, aws)
			return
		}
		c.list(t, path, call, a, m)
	case string:
		c.out.Compared++
		if a, is := aws.(string); !is || !c.pairs.equal(a, m) {
			c.differ(t, path, call, model, aws)
		}
	default:
		if c.out.Compared++; !reflect.DeepEqual(aws, model) {
			c.differ(t, path, call, model, aws)
		}
	}
}

// name finds the member that stands for the model's.
func (c *comparer) name(aws map[string]any, name string) (string, bool) {
	if _, has := aws[name]; has && !aToken.MatchString(name) {
		return name, true
	}
	for _, other := range slices.Sorted(maps.Keys(aws)) {
		if p := c.pairs.clone(); p.equal(other, name) {
			c.pairs = p
			return other, true
		}
	}
	return "", false
}

// list compares items in any order: each of the model's with the one of AWS's from which it differs least.
func (c *comparer) list(t Thing, path, call string, aws, model []any) {
	left := slices.Clone(aws)
	for _, m := range model {
		best, fewest := -1, 0
		for i, a := range left {
			try := &comparer{out: &Comparison{}, pairs: c.pairs.clone(), lacks: map[Lack]int{}}
			try.value(t, path+"[]", call, a, m)
			if n := len(try.out.Differences); best < 0 || n < fewest {
				best, fewest = i, n
			}
		}
		if _, simple := m.(string); best < 0 || simple && fewest > 0 {
			c.differ(t, path+"[]", call, m, nil)
			continue
		}
		c.value(t, path+"[]", call, left[best], m)
		left = slices.Delete(left, best, best+1)
	}
	for _, a := range left {
		c.differ(t, path+"[]", call, nil, a)
	}
}

// know takes the known differences out, and finds the entries of the list that no longer differ. One about a type that neither side has
// is not judged.
func (c *comparer) know(list []Known, both map[string]bool) {
	used := map[string]bool{}
	var rest []Difference
	for _, d := range c.out.Differences {
		i := slices.IndexFunc(list, func(k Known) bool { return k.Type == d.Type && k.Path == withoutNumbers(d.Path) })
		if i < 0 {
			rest = append(rest, d)
			continue
		}
		used[list[i].String()] = true
		c.out.Known = append(c.out.Known, d)
	}
	c.out.Differences = rest
	for _, k := range list {
		if both[k.Type] && !used[k.String()] {
			c.out.Stale = append(c.out.Stale, k)
		}
	}
}

// aToken is a masked text.
var aToken = regexp.MustCompile(`<[a-z][a-z.-]*(?::\d+)?>`)

// withoutNumbers are tokens by their class alone.
func withoutNumbers(text string) string {
	return aToken.ReplaceAllStringFunc(text, func(found string) string {
		class, _, _ := strings.Cut(strings.Trim(found, "<>"), ":")
		return "<" + class + ">"
	})
}

// pairs are the tokens of both sides that stand for the same.
type pairs struct{ to, from map[string]string }

func (p pairs) clone() pairs { return pairs{maps.Clone(p.to), maps.Clone(p.from)} }

// equal compares two texts, and pairs their tokens if they are alike.
func (p pairs) equal(aws, model string) bool {
	if withoutNumbers(aws) != withoutNumbers(model) {
		return false
	}
	as, ms := aToken.FindAllString(aws, -1), aToken.FindAllString(model, -1)
	for i, a := range as {
		m, paired := p.to[a]
		back, taken := p.from[ms[i]]
		if paired && m != ms[i] || taken && back != a {
			return false
		}
	}
	for i, a := range as {
		p.to[a], p.from[ms[i]] = ms[i], a
	}
	return true
}
