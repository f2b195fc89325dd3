package stage

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"expense/internal/config"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// apps are the words of workloads.apps that name something beside the stack's file. What is wrong with the settings is the program's to
// say.
type apps struct {
	Apps map[string]struct {
		Secrets map[string]string
		Files   map[string]struct{ Source string }
	}
}

// apps reads the stack's copy.
func (s *Stage) apps() (out apps, err error) {
	values, _, err := config.File(s.project(), s.stack)
	if err != nil {
		return out, err
	}
	if json.Unmarshal([]byte(values["expense:workloads"]), &out) != nil {
		return apps{}, nil
	}
	return out, nil
}

// copySources copies the files that the apps get from the project.
func (s *Stage) copySources(project string) error {
	all, err := s.apps()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(project)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, app := range all.Apps {
		for _, file := range app.Files {
			if file.Source == "" || !filepath.IsLocal(file.Source) {
				continue
			}
			data, err := root.ReadFile(file.Source)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			to := filepath.Join(s.project(), file.Source)
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(to, data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// declared are the paths of the secrets that the apps take.
func (a apps) declared() (paths []string) {
	for _, app := range slices.Sorted(maps.Keys(a.Apps)) {
		for _, key := range slices.Sorted(maps.Keys(a.Apps[app].Secrets)) {
			paths = append(paths, "expense:"+resource.PropertyPath{"secrets", app, key}.String())
		}
	}
	return paths
}
