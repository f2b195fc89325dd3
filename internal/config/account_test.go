package config

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keysOf are the keys of a provider as its SDK lists them: package config of each has a getter for every one.
func keysOf(t *testing.T, importPath, provider string) []string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	pkg, err := build.Import(importPath, dir, 0)
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, "config.go"), nil, 0)
	require.NoError(t, err)
	found := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok {
			if name, ok := strings.CutPrefix(strings.Trim(text.Value, `"`), provider+":"); ok {
				found[name] = true
			}
		}
		return true
	})
	return slices.Sorted(maps.Keys(found))
}

// Pulumi accepts every key of a provider, but passes none to this program's own providers. A key that is neither passed on nor refused
// would silently have no effect.
func TestEachKeyOfAProviderIsPassedOnOrRefused(t *testing.T) {
	visited := 0
	for provider, importPath := range map[string]string{
		"aws":        "github.com/pulumi/pulumi-aws/sdk/v6/go/aws/config",
		"kubernetes": "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/config",
	} {
		names := keysOf(t, importPath, provider)
		if provider == "aws" {
			known := append(strings.Fields(passedOn), slices.Collect(maps.Keys(notPassedOn))...)
			assert.ElementsMatch(t, names, known, "the keys that the program knows are those of the SDK, each once")
		}
		for _, name := range names {
			key := provider + ":" + name
			visited++
			if provider == "aws" && slices.Contains(strings.Fields(passedOn), name) {
				assert.NotEmpty(t, problems(t, settings(t, edit{key, " "})), "%s is not looked at", key)
				continue
			}
			got := problems(t, settings(t, edit{key, sentinel}))
			require.Len(t, got, 1, key)
			assert.Contains(t, got[0], key+": found ")
			assert.Contains(t, got[0], "remove it with: pulumi config rm "+key+"; ")
			assert.NotContains(t, got[0], sentinel)
		}
	}
	assert.Greater(t, visited, 45)
	t.Logf("visited %d keys", visited)
}

// Fields of a role that only the provider takes, and not the kubeconfig, are refused and not lost.
func TestEachFieldOfARoleIsPassedOnOrRefused(t *testing.T) {
	fields := reflect.TypeFor[aws.ProviderAssumeRoleArgs]()
	for i := range fields.NumField() {
		field := fields.Field(i).Tag.Get("pulumi")
		got := problems(t, settings(t, edit{"aws:assumeRole",
			`{"roleArn": "arn:aws:iam::123456789012:role/a/b", "` + field + `": "` + sentinel + `"}`}))
		require.Len(t, got, 1, field)
		assert.Contains(t, got[0], "aws:assumeRole."+field+": found ")
		if field != "roleArn" {
			assert.Regexp(t, "; replace aws:assumeRole by ", got[0])
			assert.NotContains(t, got[0], sentinel)
		}
	}
	assert.Equal(t, len(notOfRole)+1, fields.NumField())
}

func TestTheAccountIsWhatTheKeysSay(t *testing.T) {
	src := settings(t, edit{"aws:profile", "AdministratorAccess-123456789012"},
		edit{"aws:assumeRole", `{"roleArn": "arn:aws:iam::123456789012:role/a/b"}`},
		edit{"aws:allowedAccountIds", `["123456789012", "001234567890"]`})
	c, err := parse(src)
	require.NoError(t, err)
	want := Account{
		Profile: "AdministratorAccess-123456789012", RoleARN: "arn:aws:iam::123456789012:role/a/b",
		AllowedIDs: []string{"123456789012", "001234567890"},
	}
	assert.Equal(t, want, c.Account)

	// The account is known if other settings are wrong, and unknown if it is wrong itself.
	got, err := ReadAccount(map[string]string{"aws:profile": "x", "expense:cluster": "nonsense"}, nil)
	require.NoError(t, err)
	assert.Equal(t, Account{Profile: "x"}, got)
	_, err = ReadAccount(map[string]string{"aws:profil": "x"}, nil)
	assert.ErrorContains(t, err, "did you mean profile?")
	_, err = Read(map[string]string{"aws:profil": "x"}, nil)
	assert.ErrorContains(t, err, "did you mean profile?")
}

func TestCredentialsOfAnotherAccountAreRefused(t *testing.T) {
	role := Account{RoleARN: "arn:aws:iam::123456789012:role/a"}
	assert.Equal(t, "123456789012", role.ID())
	assert.Equal(t, "111122223333", Account{AllowedIDs: []string{"111122223333", "123456789012"}}.ID())
	assert.Empty(t, Account{Profile: "x", ForbiddenIDs: []string{"111122223333"}}.ID())

	for _, a := range []Account{{}, {Profile: "x"}, {AllowedIDs: []string{"123456789012", "111122223333"}},
		{ForbiddenIDs: []string{"123456789012"}}} {
		assert.NoError(t, a.Check("111122223333", "dev"))
	}
	for say, a := range map[string]Account{
		"aws:allowedAccountIds allows: 123456789012; use another account's, for example with: unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY " +
			"AWS_SESSION_TOKEN; export AWS_PROFILE=NAME": {AllowedIDs: []string{"123456789012"}},
		"use another account's, for example with: pulumi config set aws:profile NAME --stack dev": {AllowedIDs: []string{"123456789012"},
			Profile: "x"},
		"which is in aws:forbiddenAccountIds; use another account's, for example with: pulumi config set --path aws:assumeRole.roleArn ARN " +
			"--stack dev": {
			ForbiddenIDs: []string{"111122223333"}, Profile: "x", RoleARN: "arn:aws:iam::123456789012:role/a",
		},
	} {
		err := a.Check("111122223333", "dev")
		require.ErrorContains(t, err, "the credentials are of account 111122223333")
		assert.ErrorContains(t, err, say)
	}
	// The keys in the environment win over all but aws:profile.
	assert.Contains(t, Account{}.SignIn(), "unset AWS_ACCESS_KEY_ID ")
	assert.NotContains(t, Account{Profile: "x"}.SignIn(), "unset")
}

// A role's field that is refused in plain text too is refused at once, and not after the value was set again.
func TestAnEncryptedFieldOfARoleIsRefusedAtOnce(t *testing.T) {
	for field := range notOfRole {
		got := problems(t, settings(t, edit{keyAssumeRole,
			`{"roleArn": "` + sentinel + `", "` + field + `": "` + sentinel + `", "` + sentinel + `": 1}`}).encrypted(keyAssumeRole))
		require.Len(t, got, 1, field)
		assert.Contains(t, got[0], "aws:assumeRole."+field+": found a field that ")
		assert.NotContains(t, got[0], sentinel)
	}
	got := problems(t, settings(t, edit{keyAssumeRole, `{"roleArn": "` + sentinel + `"}`}).encrypted(keyAssumeRole))
	require.Len(t, got, 1)
	assert.Contains(t, got[0], "aws:assumeRole: found an encrypted value")
}

// The CLI sets no path within a value of another kind: the value has to go first.
func TestAValueOfAnotherKindIsRemovedBeforeAPathIsSet(t *testing.T) {
	visited := 0
	for key, right := range map[string]string{keyAssumeRole: "a map", keyAllowed: "a list", keyForbidden: "a list", keySecrets: "a map",
		keyWebSecret: "a map"} {
		for kind, value := range map[string]string{"text": "x", "a map": `{"a": "b"}`, "a list": `[{"a": "b"}]`, "a number": "1"} {
			if kind == right {
				continue
			}
			src := settings(t, edit{key, value})
			if key == keySecrets || key == keyWebSecret {
				src = src.encrypted(key)
			}
			got := problems(t, src)
			require.Len(t, got, 1, "%s: %s", key, value)
			assert.Regexp(t, "; remove it with: pulumi config rm "+key+"; then .*pulumi config set ", got[0])
			visited++
		}
	}
	assert.Equal(t, 15, visited)
}

func TestAnEncryptedKeyOfAWSIsNotShown(t *testing.T) {
	for _, name := range strings.Fields(passedOn) {
		key := "aws:" + name
		got := problems(t, settings(t, edit{key, sentinel}).encrypted(key))
		assert.Equal(t, []string{key + ": found an encrypted value; allowed: plain text; remove it with: pulumi config rm " + key +
			"; then set it without --secret"}, got)
	}
}

// The remedies name variables, and each is one that AWS's tools document.
func TestTheRemediesNameVariables(t *testing.T) {
	variable := regexp.MustCompile(`\b(TF_AWS|AWS|HTTPS?|NO)_[A-Z0-9_]+\b`)
	named := 0
	for key, remedy := range notPassedOn {
		if remedy != nothingInstead && key != "defaultTags" {
			assert.Regexp(t, variable, remedy, key)
			named++
		}
	}
	assert.Greater(t, named, 15)
}
