// Package state reads what Pulumi has of a stack.
package state

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
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
