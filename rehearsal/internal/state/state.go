// Package state reads what Pulumi has and says of a stack's resources.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Read reads what `pulumi stack export` prints.
func Read(export []byte) (apitype.DeploymentV3, error) {
	var file struct {
		Deployment apitype.DeploymentV3 `json:"deployment"`
	}
	if err := json.Unmarshal(export, &file); err != nil {
		return file.Deployment, fmt.Errorf("stack export: %w", err)
	}
	return file.Deployment, nil
}

// Events are those of the event log of a command. An error is the last one.
func Events(log io.Reader) iter.Seq2[apitype.EngineEvent, error] {
	return func(yield func(apitype.EngineEvent, error) bool) {
		for decoder := json.NewDecoder(log); ; {
			var event apitype.EngineEvent
			err := decoder.Decode(&event)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("event log: %w", err)
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Secret and Unknown stand for values that are not shown.
const (
	Secret  = "[secret]"
	Unknown = "[unknown]"
)

// unknown is what the engine writes for a value that it does not know before a change is made
// (https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/plugin/rpc.go, UnknownStringValue).
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// Plain puts texts in the place of secrets, so that none is kept, and of unknown values.
func Plain(v any) any {
	return Replace(v, func(v any) (any, bool) {
		switch v := v.(type) {
		case string:
			return Unknown, v == unknown
		case map[string]any:
			return Secret, v[resource.SigKey] == resource.SecretSig
		}
		return nil, false
	})
}

// Replace copies a JSON value, and asks for each value in it what to put in its place.
func Replace(v any, by func(any) (any, bool)) any {
	if other, ok := by(v); ok {
		return other
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Replace(e, by)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = Replace(e, by)
		}
		return out
	}
	return v
}

// At is the plain value at a path of keys and indices, nil if the path leads nowhere. Inside of a secret everything is Secret, inside of an
// unknown value Unknown.
func At(v any, path ...any) any {
	v = Plain(v)
	for _, step := range path {
		switch container := v.(type) {
		case map[string]any:
			key, _ := step.(string)
			v = container[key]
		case []any:
			index, ok := step.(int)
			if !ok || index < 0 || index >= len(container) {
				return nil
			}
			v = container[index]
		default:
			if v == Secret || v == Unknown {
				return v
			}
			return nil
		}
	}
	return v
}
