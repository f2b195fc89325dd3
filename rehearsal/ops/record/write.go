package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// fileOf is the file of a type: ec2-vpc for aws:ec2/vpc:Vpc.
func fileOf(typ string) string {
	module, _, _ := strings.Cut(strings.TrimPrefix(typ, "aws:"), ":")
	return strings.ToLower(strings.ReplaceAll(module, "/", "-"))
}

// Files are those of a record: seen/TYPE.json has what AWS answered, record.json the rest, inputs.json the settings.
func (r *Record) Files(inputs map[string]string) (map[string][]byte, error) {
	out, types := map[string][]byte{}, map[string][]Thing{}
	for _, t := range r.Things {
		types[t.Type] = append(types[t.Type], t)
	}
	for typ, things := range types {
		if err := put(out, filepath.Join("seen", fileOf(typ)+".json"), things); err != nil {
			return nil, err
		}
	}
	if err := put(out, "record.json", r); err != nil {
		return nil, err
	}
	return out, put(out, "inputs.json", inputs)
}

func put(files map[string][]byte, name string, v any) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	files[name] = data.Bytes()
	return nil
}

// Read reads the files of a record.
func Read(folder string) (r *Record, inputs map[string]string, err error) {
	r = &Record{}
	if err := readJSON(filepath.Join(folder, "record.json"), r); err != nil {
		return nil, nil, err
	}
	if err := readJSON(filepath.Join(folder, "inputs.json"), &inputs); err != nil {
		return nil, nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "seen", "*.json"))
	if err != nil {
		return nil, nil, err
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("%s: it has no files seen/*.json: it is no folder of a record", folder)
	}
	for _, file := range files {
		var things []Thing
		if err := readJSON(file, &things); err != nil {
			return nil, nil, err
		}
		r.Things = append(r.Things, things...)
	}
	return r, inputs, nil
}

func readJSON(file string, into any) error {
	data, err := os.ReadFile(file)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Pages are the comparison for people: README.md, the differences first, and differences/TYPE.md for each type that has some.
func (c *Comparison) Pages(r *Record) map[string][]byte {
	out, types := map[string][]byte{}, map[string][]Difference{}
	for _, d := range c.Differences {
		types[d.Type] = append(types[d.Type], d)
	}
	var page strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&page, format+"\n", args...) }
	say("# What AWS answered, %s, %s\n", r.Header.Date, r.Header.Region)
	if r.Header.Target != AnAccount {
		say("It was the model of AWS in a rehearsal that answered: this says nothing about AWS.\n")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header.Versions)) {
		say("- %s %s", name, r.Header.Versions[name])
	}
	say("\nAll names, IDs and addresses are masked. The same token is the same value.")
	say("\n## Differences: %d of %d values\n", len(c.Differences), c.Compared)
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		file := filepath.Join("differences", fileOf(typ)+".md")
		say("- [%s](%s): %d", typ, file, len(types[typ]))
		out[file] = differences(typ, types[typ])
	}
	say("\n%d more are known.", len(c.Known))
	for _, k := range c.Stale {
		say("- %s is in the list of known differences, and nothing differs there any more.", k)
	}
	section(say, "Errors", r.Failures, func(f Failure) string {
		return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s: %s %s: %s", f.Verb, f.Type, f.Name, f.Operation, f.Code, f.Text)), " ")
	})
	section(say, "Calls without an answer", c.Unseen, func(text string) string { return text })
	section(say, "Not in the model, the most frequent first", c.Lacks, func(l Lack) string {
		return fmt.Sprintf("%s %s: %d", l.Type, l.Path, l.Times)
	})
	section(say, "Operations", r.Operations, func(o Operation) string {
		return fmt.Sprintf("%s %s %s: %d s, in the model %d s", o.Verb, o.Type, o.Name, o.Seconds, o.Model)
	})
	out["README.md"] = []byte(page.String())
	return out
}

func section[T any](say func(string, ...any), heading string, all []T, line func(T) string) {
	if len(all) == 0 {
		return
	}
	say("\n## %s: %d\n", heading, len(all))
	for _, each := range all {
		say("- %s", line(each))
	}
}

// differences are pairs of lines, as people post them.
func differences(typ string, all []Difference) []byte {
	var page strings.Builder
	fmt.Fprintf(&page, "# %s\n", typ)
	for _, d := range all {
		fmt.Fprintf(&page, "\n%s `%s` (%s)\n\n```diff\n- model: %s\n+ AWS:   %s\n```\n", d.Name, d.Path, d.Call, show(d.Model), show(d.AWS))
	}
	return []byte(page.String())
}

// show is a value on one line.
func show(v any) string {
	if v == nil {
		return "(none)"
	}
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(data.String())
}

// Write writes files into an empty folder.
func Write(folder string, files map[string][]byte) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for name, data := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Accept puts a record of an account among the accepted ones, in a folder named by its date, region and content, and gives that folder.
// It takes what Files gives, and no other file.
func Accept(from, seen string) (string, error) {
	r, inputs, err := Read(from)
	if err != nil {
		return "", err
	}
	if r.Header.Target != AnAccount {
		return "", fmt.Errorf("%s: it was recorded of %q, and only what %s answered is taken: see docs/model.md", from,
			r.Header.Target, AnAccount)
	}
	files, err := r.Files(inputs)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum.Write(files[name])
	}
	to := filepath.Join(seen, fmt.Sprintf("%s-%s-%x", r.Header.Date, r.Header.Region, sum.Sum(nil)[:4]))
	if _, err := os.Stat(to); err == nil {
		return "", fmt.Errorf("%s is there already: the record is accepted", to)
	}
	return to, Write(to, files)
}
