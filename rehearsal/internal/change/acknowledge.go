package change

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AcknowledgementsFile is the committed file, beside Pulumi.yaml, in which people acknowledge what the guard stops.
const AcknowledgementsFile = ".acknowledged-replacements.yaml"

// Acknowledgement lets the guard pass one deletion or replacement, in the change that adds it to the file. The same change a second
// time needs another one.
type Acknowledgement struct {
	// Stack is the name of the stack.
	Stack string `yaml:"stack" json:"stack"`
	// Resource is the resource's type and its name in the program, separated by a space.
	Resource string `yaml:"resource" json:"resource"`
	// Change is what happens, in the guard's words: the operation, the properties that force it, their values.
	Change string `yaml:"change" json:"change"`
	// Reason is why that is wanted.
	Reason string `yaml:"reason" json:"reason"`
}

// Acknowledgements are those that the file has and the base's file has not: the others were for earlier changes. A file that does
// not exist is nil. An acknowledgement names one of the stacks. All problems are reported at once.
func Acknowledgements(file, base []byte, stacks []string) ([]Acknowledgement, error) {
	list, err := parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", AcknowledgementsFile, err)
	}
	earlier, err := parse(base)
	if err != nil {
		return nil, fmt.Errorf("%s of the base: %w", AcknowledgementsFile, err)
	}
	var added []Acknowledgement
	var problems []error
	for i, a := range list {
		if j := slices.Index(earlier, a); j >= 0 {
			earlier = slices.Delete(earlier, j, j+1)
			continue
		}
		added = append(added, a)
		for _, field := range []struct {
			name, found, expected string
			ok                    bool
		}{
			{"stack", a.Stack, "one of " + strings.Join(stacks, ", "), slices.Contains(stacks, a.Stack)},
			{"resource", a.Resource, "a type and a name, as the guard prints them", strings.Contains(a.Resource, " ")},
			{"change", a.Change, "what the guard prints", a.Change != ""},
			{"reason", a.Reason, "why this is wanted", strings.TrimSpace(a.Reason) != ""},
		} {
			if !field.ok {
				problems = append(problems, fmt.Errorf("%s: entry %d: %s: found %q, expected %s",
					AcknowledgementsFile, i+1, field.name, field.found, field.expected))
			}
		}
	}
	return added, errors.Join(problems...)
}

func parse(data []byte) (list []Acknowledgement, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return list, nil
}

// entries let the findings pass once they have reasons.
func entries(findings []Finding) string {
	var list []Acknowledgement
	for _, f := range findings {
		list = append(list, Acknowledgement{Stack: f.Stack, Resource: f.Resource, Change: f.Cause})
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		panic(err) // four strings
	}
	return string(text)
}
