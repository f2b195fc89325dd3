package login

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Environment is this process's, with the configuration's credentials for the aws CLI. Keys there win over a profile
// (https://docs.aws.amazon.com/cli/latest/topic/config-vars.html#precedence).
func Environment(ctx context.Context, cfg aws.Config) ([]string, error) {
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	// Nor does it wait in a pager (https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-pagination.html).
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
			"AWS_PAGER"}, name)
	})
	env = append(env, "AWS_ACCESS_KEY_ID="+credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey, "AWS_PAGER=")
	if credentials.SessionToken != "" {
		env = append(env, "AWS_SESSION_TOKEN="+credentials.SessionToken)
	}
	return env, nil
}
