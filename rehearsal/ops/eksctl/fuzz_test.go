package eksctl

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"expense/rehearsal/ops/doctor"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// FuzzRun holds that any file leads to an error and no stack's file, or to one that the loader takes.
func FuzzRun(f *testing.F) {
	files, err := filepath.Glob("testdata/*.[yj]*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
		f.Add(data, true)
	}
	program, err := os.ReadFile("../../../Pulumi.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, anyway bool) {
		project, target := t.TempDir(), "Pulumi.expense.yaml"
		file := filepath.Join(project, "eks.yml")
		if err := errors.Join(os.WriteFile(file, data, 0o600), os.WriteFile(filepath.Join(project, "Pulumi.yaml"), program, 0o600)); err != nil {
			t.Fatal(err)
		}
		err := Run(t.Context(), Options{
			Project: project, Stack: "expense", File: file, Anyway: anyway, Out: io.Discard, Today: day,
			SignIn: func(context.Context, string) (aws.Config, error) {
				return aws.Config{}, errors.New("found no credentials")
			},
		})
		_, missing := os.Stat(filepath.Join(project, target))
		if (err == nil) != (missing == nil) {
			t.Fatalf("error %v, file %v", err, missing)
		}
		if err != nil {
			return
		}
		settings, problems, err := doctor.Settings(project, "expense")
		if err != nil || settings == nil {
			t.Fatalf("the loader does not take it: %v %v", problems, err)
		}
	})
}
