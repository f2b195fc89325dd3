package stage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"go.yaml.in/yaml/v3"
)

// imagesOf are the settings that `make image` writes into a stack's file with apps, as far as it has none: a rehearsal pulls no image, and
// without one an app is left out.
func imagesOf(data []byte) (settings []string, err error) {
	var file struct {
		Config struct {
			Region  string `yaml:"aws:region"`
			Cluster struct {
				Name string `yaml:"name"`
			} `yaml:"expense:cluster"`
			Workloads struct {
				Apps map[string]struct {
					Build any    `yaml:"build"`
					Image string `yaml:"image"`
					Logs  any    `yaml:"logs"`
				} `yaml:"apps"`
			} `yaml:"expense:workloads"`
			Logging struct {
				CaptureImage string `yaml:"captureImage"`
			} `yaml:"expense:logging"`
		} `yaml:"config"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("its apps: %w", err)
	}
	c := file.Config
	add := func(path resource.PropertyPath, name, digit string) {
		settings = append(settings, fmt.Sprintf("expense:%s=111122223333.dkr.ecr.%s.amazonaws.com/%s/%s@sha256:%s",
			path, c.Region, cmp.Or(c.Cluster.Name, "expense"), name, strings.Repeat(digit, 64)))
	}
	static := false
	for _, name := range slices.Sorted(maps.Keys(c.Workloads.Apps)) {
		app := c.Workloads.Apps[name]
		if app.Build != nil && app.Image == "" {
			add(resource.PropertyPath{"workloads", "apps", name, "image"}, name, "1")
		}
		logs, _ := app.Logs.(map[string]any)
		static = static || logs["capture"] == "static"
	}
	if static && c.Logging.CaptureImage == "" {
		add(resource.PropertyPath{"logging", "captureImage"}, "capture", "2")
	}
	return settings, nil
}
