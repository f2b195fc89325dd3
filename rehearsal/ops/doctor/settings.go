package doctor

import (
	"encoding/json"
	"errors"
	"strings"

	"expense/internal/config"
)

// accessPath is the one setting that nobody can choose for the user; anyAddress stands in for it, so that all else can be
// looked at before it is set. It is an address for documentation (RFC 5737).
const (
	accessPath = "cluster.publicAccessCidrs"
	anyAddress = "203.0.113.7/32"
)

// Settings reads a stack's file as the CLI does and checks it with the program's own rules. Settings are nil if more is wrong
// with them than that nobody may reach the cluster; problems are all that is wrong.
func Settings(project, stack string) (settings *config.Config, problems config.Problems, err error) {
	values, encrypted, err := config.File(project, stack)
	if err != nil {
		return nil, nil, err
	}
	settings, err = config.Read(values, encrypted)
	if errors.As(err, &problems) {
		err = nil
	}
	if len(problems) == 1 && problems[0].Path == accessPath {
		if values["expense:cluster"], err = admit(values["expense:cluster"]); err == nil {
			settings, err = config.Read(values, encrypted)
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
