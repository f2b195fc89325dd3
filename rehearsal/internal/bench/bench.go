// Package bench measures how the program grows with the number of apps: the real CLI and program, in front of the stand-ins.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"expense/rehearsal/internal/page"
	"expense/rehearsal/internal/stage"

	"go.yaml.in/yaml/v3"
)

// Options say what to measure.
type Options struct {
	// Project is the folder with the program. Tools is the folder with the CLI and the control plane.
	Project, Tools string
	// Apps are the numbers of apps.
	Apps []int
	// Out receives a line for each command that is measured.
	Out io.Writer
}

// Run is one command with a number of apps.
type Run struct {
	Apps     int
	Command  string
	Duration time.Duration
	// CPU is the processors' time of the CLI, its language host and the program. Other load on the machine changes it little.
	CPU time.Duration
	// PeakMiB is the most memory that the CLI, its language host and the program had together. The stand-ins are not counted.
	PeakMiB int
}

// Measure brings a stack with each number of apps up. It returns what it measured before an error too.
func Measure(ctx context.Context, options Options) ([]Run, error) {
	var runs []Run
	for _, apps := range options.Apps {
		more, err := measure(ctx, options, apps)
		runs = append(runs, more...)
		if err != nil {
			return runs, fmt.Errorf("%d apps: %w", apps, err)
		}
	}
	return runs, nil
}

func measure(ctx context.Context, options Options, apps int) (runs []Run, err error) {
	s, err := stage.New(ctx, stage.Options{
		Project: options.Project, Stack: "dev", Tools: options.Tools, Out: io.Discard, SaveAtEnd: true,
	})
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	if err := addApps(filepath.Join(s.Dir, "project", "Pulumi.dev.yaml"), apps); err != nil {
		return nil, err
	}
	if err := s.Pulumi(ctx, "stack", "init", "dev"); err != nil {
		return nil, err
	}
	if err := s.Configure(ctx); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"preview, nothing there", []string{"preview", "--suppress-progress"}},
		{"up", []string{"up", "--yes", "--skip-preview", "--suppress-progress"}},
		{"preview, all there", []string{"preview", "--suppress-progress", "--expect-no-changes"}},
	} {
		start, spent, peak := time.Now(), cpu(), watch()
		err := s.Pulumi(ctx, c.args...)
		run := Run{apps, c.name, time.Since(start), cpu() - spent, peak()}
		if err != nil {
			return runs, fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(options.Out, "%d apps: %s: %.1f s, %.1f s of CPU, %d MiB\n",
			apps, c.name, run.Duration.Seconds(), run.CPU.Seconds(), run.PeakMiB)
		runs = append(runs, run)
	}
	return runs, nil
}

// addApps adds small apps to a stack's file, and nodes and a quota that hold them.
func addApps(path string, number int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var file struct {
		Config map[string]any `yaml:"config"`
		Rest   map[string]any `yaml:",inline"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return err
	}
	apps := map[string]any{}
	for i := range number {
		// In few words: the engine hands all settings of a stack to the program in one variable, and Linux takes no more than 128 KiB
		// (MAX_ARG_STRLEN, https://man7.org/linux/man-pages/man2/execve.2.html).
		apps[fmt.Sprintf("app-%04d", i)] = map[string]any{
			"image": "busybox:1.37", "command": []string{"httpd"}, "port": 8080, "user": 1000, "replicas": 1,
		}
	}
	file.Config["expense:workloads"].(map[string]any)["apps"] = apps
	nodes := file.Config["expense:cluster"].(map[string]any)["nodeGroups"].(map[string]any)["expense"].(map[string]any)
	// Six of them are within the model's quota of spot vCPUs. An app's pod requests 0.4 GiB of its node's disk.
	nodes["instanceTypes"], nodes["minSize"], nodes["desiredSize"], nodes["maxSize"] = []string{"m5.24xlarge"}, 6, 6, 6
	nodes["diskSizeGiB"] = 500
	out, err := yaml.Marshal(file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, out, 0o600)
}

// Table is what was measured. The last column is what an app costs in seconds, compared with the number of apps before.
func Table(runs []Run) (out page.Page) {
	var rows [][]string
	each := map[string]Run{}
	for _, run := range runs {
		ratio := ""
		if before, ok := each[run.Command]; ok {
			ratio = fmt.Sprintf("%.2f", run.Duration.Seconds()/float64(run.Apps)/(before.Duration.Seconds()/float64(before.Apps)))
		}
		each[run.Command] = run
		rows = append(rows, []string{run.Command, fmt.Sprint(run.Apps), fmt.Sprintf("%.1f", run.Duration.Seconds()),
			fmt.Sprintf("%.1f", run.CPU.Seconds()), fmt.Sprint(run.PeakMiB), ratio})
	}
	out.Table([]page.Column{{Name: "command"}, {Name: "apps", Number: true}, {Name: "seconds", Number: true},
		{Name: "of CPU", Number: true}, {Name: "MiB", Number: true}, {Name: "an app, compared with fewer", Number: true}}, rows)
	return out
}
