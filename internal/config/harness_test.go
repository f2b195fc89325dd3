package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// edit sets the key at a path, with / between the keys, to a JSON value; an empty value removes it.
type edit struct{ path, value string }

// stack is the shortest stack that is right.
const stack = `{
	"network": {"zones": ["use1-az1", "use1-az2", "use1-az4"]},
	"cluster": {
		"version": "1.35", "publicAccess": true, "publicAccessCidrs": ["203.0.113.7/32"],
		"nodeGroups": {"expense": {"capacityType": "SPOT", "instanceTypes": ["m5.large"], "minSize": 3, "desiredSize": 3, "maxSize": 5}}
	},
	"workloads": {},
	"logging": {
		"gibPerDay": 1, "retentionDays": 3, "createServiceLinkedRole": true,
		"domain": {"instanceType": "t3.small.search", "instanceCount": 1}
	}
}`

// settings are the stack's after the edits. A path may also be a whole key with its namespace, such as aws:region.
func settings(t testing.TB, edits ...edit) source {
	var sections map[string]any
	require.NoError(t, json.Unmarshal([]byte(stack), &sections))
	values := map[string]string{"aws:region": "us-east-1"}
	for _, e := range edits {
		if strings.Contains(e.path, ":") {
			values[e.path] = e.value
			if e.value == "" {
				delete(values, e.path)
			}
			continue
		}
		keys := strings.Split(e.path, "/")
		at := sections
		for _, key := range keys[:len(keys)-1] {
			if at[key] == nil {
				at[key] = map[string]any{}
			}
			at = at[key].(map[string]any)
		}
		if e.value == "" {
			delete(at, keys[len(keys)-1])
			continue
		}
		require.True(t, json.Valid([]byte(e.value)), "%s: %s", e.path, e.value)
		at[keys[len(keys)-1]] = json.RawMessage(e.value)
	}
	for name, section := range sections {
		text, err := json.Marshal(section)
		require.NoError(t, err)
		values[namespace+":"+name] = string(text)
	}
	return plain(values)
}

// plain is a source without secrets.
func plain(values map[string]string) source { return file(values, nil) }

// encrypted marks keys of a source as secret.
func (s source) encrypted(keys ...string) source {
	s.secret = func(key string) bool {
		for _, k := range keys {
			if k == key {
				return true
			}
		}
		return false
	}
	return s
}

// problems are the lines of what parse finds.
func problems(t testing.TB, src source) []string {
	c, err := parse(src)
	if err == nil {
		require.NotNil(t, c)
		return nil
	}
	require.Nil(t, c)
	var ps Problems
	require.True(t, errors.As(err, &ps), "%T", err)
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return lines
}
