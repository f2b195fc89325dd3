package preview

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// MergeBase is the commit at which the working tree's branch left main. It prefers origin's main.
func MergeBase(ctx context.Context, repository string) (string, error) {
	for _, branch := range []string{"origin/main", "main"} {
		if base, err := git(ctx, repository, nil, "merge-base", "HEAD", branch); err == nil {
			return base, nil
		}
	}
	return "", errors.New("found no commit that HEAD shares with origin/main or main: fetch main with its history, or name a revision to " +
		"compare with")
}

// Commit describes a revision: its short hash and its subject.
func Commit(ctx context.Context, repository, revision string) (string, error) {
	return git(ctx, repository, nil, "log", "-1", "--format=%h %s", "--end-of-options", revision)
}

// Checkout puts a revision's files into a folder, and leaves the repository as it is. The folder keeps the program that was built there
// before: an equal one is not built again.
func Checkout(ctx context.Context, repository, revision, folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != "bin" {
			if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	index, err := os.MkdirTemp("", "index-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(index)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(index, "index")}
	if _, err := git(ctx, repository, env, "read-tree", "--end-of-options", revision); err != nil {
		return err
	}
	_, err = git(ctx, repository, env, "checkout-index", "--all", "--force", "--prefix="+folder+"/")
	return err
}

func git(ctx context.Context, repository string, env []string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir, command.Env = repository, append(os.Environ(), env...)
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
