package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.yaml.in/yaml/v3"
)

// throwaway matches the names of stacks that are made for one run and may be destroyed by any later one. A domain's name has at most 28
// characters (https://docs.aws.amazon.com/opensearch-service/latest/APIReference/API_CreateDomain.html).
var throwaway = regexp.MustCompile(`^e2e-[a-z0-9-]{1,24}$`)

// freshCommand writes the file of a stack that is made for one run: the settings of another stack with names of its own, so that nothing
// else in the account is touched. It replaces a file that is there.
func freshCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("fresh", flag.ExitOnError)
	f := fresh{project: project}
	flags.StringVar(&f.stack, "stack", "", "name of the stack, of its cluster and of its domain, as e2e-1")
	flags.StringVar(&f.like, "like", "dev", "stack whose settings are taken")
	flags.StringVar(&f.from, "from", "", "address that may reach the cluster, as 203.0.113.7")
	flags.StringVar(&f.boundary, "boundary", "", "name of the policy that bounds the stack's roles")
	_ = flags.Parse(args) // ends the process
	return 0, f.write(ctx)
}

type fresh struct{ project, stack, like, from, boundary string }

func (f fresh) write(ctx context.Context) error {
	if !throwaway.MatchString(f.stack) {
		return fmt.Errorf("-stack is %q, allowed: e2e- with at most 24 of a-z, 0-9 and - behind it, for each run another", f.stack)
	}
	address, err := netip.ParseAddr(f.from)
	if err != nil || !address.Is4() {
		return fmt.Errorf("-from is %q, allowed: the IPv4 address of this machine, as https://checkip.amazonaws.com says it", f.from)
	}
	like := "Pulumi." + f.like + ".yaml"
	data, err := os.ReadFile(filepath.Join(f.project, like))
	if err != nil {
		return err
	}
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("%s: %w", like, err)
	}
	cfg, err := accounts(ctx, config.Account{}, "")
	if err != nil {
		return err
	}
	if cfg.Region == "" {
		return errors.New("found no region; set AWS_REGION")
	}
	settings := map[string]any{}
	for key, value := range file.Config {
		// The account and the secrets are the other stack's.
		if !strings.HasPrefix(key, "aws:") && key != "expense:secrets" && key != "expense:webSecret" {
			settings[key] = value
		}
	}
	if path := encrypted("", settings); path != "" {
		return fmt.Errorf("%s: %s is encrypted, and no other stack can read it: take a stack without secrets but expense:secrets", like, path)
	}
	logging, err := f.logging(ctx, cfg)
	if err != nil {
		return err
	}
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	settings = merge(settings, map[string]any{
		"aws:region":            cfg.Region,
		"aws:allowedAccountIds": []any{aws.ToString(caller.Account)},
		"expense:cluster": map[string]any{
			"name": f.stack, "publicAccess": true, "publicAccessCidrs": []any{netip.PrefixFrom(address, 32).String()},
		},
		"expense:logging": logging,
	})
	if f.boundary != "" {
		partition := strings.Split(aws.ToString(caller.Arn), ":")[1]
		settings["expense:iam"] = map[string]any{
			"permissionsBoundary": fmt.Sprintf("arn:%s:iam::%s:policy/%s", partition, aws.ToString(caller.Account), f.boundary),
		}
	}
	data, err = yaml.Marshal(map[string]any{"config": settings})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.project, "Pulumi."+f.stack+".yaml"), data, 0o600)
}

// logging has the domain's name, and whether OpenSearch's role is to be made: each account has one, which outlives the stack that made it.
func (f fresh) logging(ctx context.Context, cfg aws.Config) (map[string]any, error) {
	const role = "AWSServiceRoleForAmazonOpenSearchService"
	_, err := iam.NewFromConfig(cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(role)})
	if err != nil && !login.Missing(err) {
		return nil, fmt.Errorf("role %s: %w", role, err)
	}
	return map[string]any{
		"createServiceLinkedRole": err != nil,
		"domain":                  map[string]any{"name": f.stack, "protect": false},
	}, nil
}

// encrypted is the path of a value that Pulumi encrypted, "" if there is none.
func encrypted(path string, value any) string {
	switch value := value.(type) {
	case map[string]any:
		if _, secure := value["secure"].(string); secure && len(value) == 1 {
			return path
		}
		for key, part := range value {
			if found := encrypted(strings.TrimPrefix(path+"."+key, "."), part); found != "" {
				return found
			}
		}
	case []any:
		for i, part := range value {
			if found := encrypted(fmt.Sprintf("%s[%d]", path, i), part); found != "" {
				return found
			}
		}
	}
	return ""
}

// merge puts one map's values over another's, also in maps that both have.
func merge(into, from map[string]any) map[string]any {
	for key, value := range from {
		old, both := into[key].(map[string]any)
		part, nested := value.(map[string]any)
		if both && nested {
			into[key] = merge(old, part)
		} else {
			into[key] = value
		}
	}
	return into
}
