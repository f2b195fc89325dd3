package tests

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"expense/program"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const role = "arn:aws:iam::" + account + ":role/Deploy"

// decoded is a setting of a provider, which takes lists and maps as JSON text.
func decoded(t *testing.T, value any) any {
	text, isText := value.(string)
	if !isText || !strings.ContainsAny(text, "[{") {
		return value
	}
	var out any
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	return out
}

// Whoever talks to AWS does it with the credentials that the stack's file names, and nobody hears of what it does not name.
func TestTheAccountOfTheStackReachesEveryProvider(t *testing.T) {
	t.Parallel()
	const eksProfile, eksRole = "profileName", "roleArn"
	for name, c := range map[string]struct {
		settings map[string]string
		provider map[string]any
		eks      map[string]any
		args     []any
		own      bool // the command is to use the stack's own kubeconfig
	}{
		"nothing": {nil, nil, map[string]any{}, nil, false},
		"profile": {
			map[string]string{"aws:profile": "work"}, map[string]any{"profile": "work"},
			map[string]any{eksProfile: "work"}, []any{"--profile", "work"}, true,
		},
		"role": {
			map[string]string{"aws:assumeRole": `{"roleArn": "` + role + `"}`}, map[string]any{"assumeRole": map[string]any{"roleArn": role}},
			map[string]any{eksRole: role}, nil, true,
		},
		"allowed": {
			map[string]string{"aws:allowedAccountIds": `["` + account + `"]`}, map[string]any{"allowedAccountIds": []any{account}}, map[string]any{},
			nil, false,
		},
		"forbidden": {
			map[string]string{"aws:forbiddenAccountIds": `["` + account + `"]`}, map[string]any{"forbiddenAccountIds": []any{account}},
			map[string]any{}, nil, false,
		},
		"all": {
			map[string]string{
				"aws:profile": "work", "aws:assumeRole": `{"roleArn": "` + role + `"}`, "aws:allowedAccountIds": `["` + account + `"]`,
			},
			map[string]any{"profile": "work", "assumeRole": map[string]any{"roleArn": role}, "allowedAccountIds": []any{account}},
			map[string]any{eksProfile: "work", eksRole: role}, []any{"--profile", "work"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings := stackFile(t, "dev")
			for key, value := range c.settings {
				settings[key] = value
			}
			r, commands := withCommands(t, settings)

			provider := map[string]any{}
			for key, value := range one(t, r.all, "pulumi:providers:aws", "expense").Inputs {
				// The SDK always sets the last two, to the provider's defaults.
				if !slices.Contains([]string{"region", "defaultTags", "version", "skipCredentialsValidation", "skipRegionValidation"}, key) {
					provider[key] = decoded(t, value)
				}
			}
			if c.provider == nil {
				c.provider = map[string]any{}
			}
			assert.Equal(t, c.provider, provider)
			assert.Equal(t, c.eks, one(t, r.all, "eks:index:Cluster", "expense").Inputs["providerCredentialOpts"])

			text := one(t, r.all, "pulumi:providers:kubernetes", "expense").Inputs["kubeconfig"].(string)
			if c.args == nil {
				assert.Equal(t, kubeconfig, text, "the component's own, to the letter")
			} else {
				users := decoded(t, text).(map[string]any)["users"].([]any)
				assert.Equal(t, append([]any{"eks", "get-token"}, c.args...), at(users[0], "user.exec.args"))
				assert.Equal(t, "Config", decoded(t, text).(map[string]any)["kind"])
			}
			if c.own {
				assert.Contains(t, commands["kubeconfig"], "pulumi stack output kubeconfig >")
			} else {
				assert.Equal(t, "aws eks update-kubeconfig --name expense --region us-east-1", commands["kubeconfig"])
			}
		})
	}
}

// withCommands runs the program and returns, beside what it registers, what it says that a person does next.
func withCommands(t *testing.T, settings map[string]string) (*recorder, map[string]string) {
	r, commands := &recorder{}, map[string]string{}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program.Run(ctx); err != nil {
			return err
		}
		for key, value := range ctx.GetCurrentExportMap()[program.OutputCommands].(pulumi.StringMap) {
			commands[key] = string(value.(pulumi.String))
		}
		return nil
	}, pulumi.WithMocks("expense", "dev", r), func(info *pulumi.RunInfo) {
		info.Config, info.ConfigSecretKeys = settings, []string{"expense:secrets"}
	}))
	return r, commands
}

// Pulumi counts a subscription as made that nobody has confirmed.
func TestTheOutputsAskToConfirmTheMailOfTheAlarms(t *testing.T) {
	settings := stackFile(t, "dev")
	_, commands := withCommands(t, settings)
	assert.NotContains(t, commands, "alarms")
	set(t, settings, "expense:logging.alarms", map[string]any{"email": "ops@example.com"})
	_, commands = withCommands(t, settings)
	assert.Contains(t, commands["alarms"], "ops@example.com")
}
