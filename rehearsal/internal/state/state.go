// Package state reads what Pulumi has and says of a stack's resources.
package state

import (
	"encoding/json"
	"fmt"

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
	switch v := v.(type) {
	case string:
		if v == unknown {
			return Unknown
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Plain(e)
		}
		return out
	case map[string]any:
		if v[resource.SigKey] == resource.SecretSig {
			return Secret
		}
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = Plain(e)
		}
		return out
	}
	return v
}
