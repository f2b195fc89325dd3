package doctor

import (
	"encoding/json"
	"errors"
	"strings"

	"expense/internal/config"
)

// accessPath is the setting that only the user can choose. anyAddress takes its place until it is set, so that the rest is checked: an
// address for documentation (RFC 5737).
const (
	accessPath = "cluster.publicAccessCidrs"
	anyAddress = "203.0.113.7/32"
)

// Settings reads a stack's file as the CLI does and checks it with the program's own rules. Settings are nil if more is wrong than that
// nobody may reach the cluster. Problems are all that is wrong.
func Settings(project, stack string) (settings *config.Config, problems config.Problems, err error) {
	values, encrypted, err := config.File(project, stack)
	if err != nil {
		return nil, nil, err
	}
	settings, err = config.ReadIn(project, values, encrypted)
	if errors.As(err, &problems) {
		err = nil
	}
	if len(problems) == 1 && problems[0].Path == accessPath {
		if values["expense:cluster"], err = admit(values["expense:cluster"]); err == nil {
			settings, err = config.ReadIn(project, values, encrypted)
		}
	}
	return settings, problems, err
}

// admit adds an address that may reach the cluster.
func admit(cluster string) (string, error) {
	var section map[string]any
	d := json.NewDecoder(strings.NewReader(cluster))
	d.UseNumber()
	if err := d.Decode(&section); err != nil {
		return "", err
	}
	section["publicAccessCidrs"] = []string{anyAddress}
	data, err := json.Marshal(section)
	return string(data), err
}
