package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Account has a stack's aws: keys: which credentials it uses, and which accounts they may belong to. Pulumi passes such keys only to
// default providers (https://github.com/pulumi/pulumi-aws/issues/3259), and this program has none. So the program passes these keys to
// its provider, and make doctor and make leftovers follow them. Other keys are refused. The zero value takes the environment's
// credentials, of any account.
type Account struct {
	// Profile is aws:profile, a profile of the aws CLI's configuration. It wins over the environment's credentials. Everyone who runs
	// Pulumi needs a profile of that name, and so does a workflow. Default none.
	Profile string
	// RoleARN is aws:assumeRole.roleArn, a role that the credentials assume first. Default none.
	RoleARN string
	// AllowedIDs is aws:allowedAccountIds: the provider refuses credentials of any other account. Default all.
	AllowedIDs []string
	// ForbiddenIDs is aws:forbiddenAccountIds: the provider refuses credentials of these accounts. Not together with AllowedIDs.
	ForbiddenIDs []string
}

// ID is the account of the role, or else the first allowed account. It is empty if the settings name no account.
func (a Account) ID() string {
	switch {
	case a.RoleARN != "":
		return strings.Split(a.RoleARN, ":")[4]
	case len(a.AllowedIDs) > 0:
		return a.AllowedIDs[0]
	}
	return ""
}

// Check returns an error if a stack's settings forbid the account of the credentials.
func (a Account) Check(id, stack string) error {
	switch {
	case len(a.AllowedIDs) > 0 && !slices.Contains(a.AllowedIDs, id):
		return fmt.Errorf("the credentials are of account %s; aws:allowedAccountIds allows: %s; use another account's, for example with: %s", id,
			strings.Join(a.AllowedIDs, ", "), a.Remedy(stack))
	case slices.Contains(a.ForbiddenIDs, id):
		return fmt.Errorf("the credentials are of account %s, which is in aws:forbiddenAccountIds; use another account's, for example with: %s",
			id, a.Remedy(stack))
	}
	return nil
}

// excludes says whether the stack cannot be in the account.
func (a Account) excludes(id string) bool {
	return a.Check(id, "") != nil || a.RoleARN != "" && id != a.ID()
}

// Remedy is the command that changes the credentials of a stack.
func (a Account) Remedy(stack string) string {
	switch {
	case a.RoleARN != "":
		return "pulumi config set --path " + keyAssumeRole + ".roleArn ARN --stack " + stack
	case a.Profile != "":
		return "pulumi config set " + keyProfile + " NAME --stack " + stack
	}
	return takeProfile
}

// SignIn says how to get credentials if there are none or they have expired.
func (a Account) SignIn() string {
	if a.Profile != "" {
		return "aws sso login --profile " + a.Profile + ", or aws configure --profile " + a.Profile
	}
	return "aws sso login, or aws configure; then, because keys in the environment win over both: " + takeProfile
}

// takeProfile unsets the environment's keys first, because they win over AWS_PROFILE (resolveCredentialChain in
// https://github.com/aws/aws-sdk-go-v2/blob/config/v1.33.18/config/resolve_credentials.go, and
// https://docs.aws.amazon.com/cli/latest/topic/config-vars.html#precedence).
const takeProfile = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; export AWS_PROFILE=NAME"

// ReadAccount is Read for the aws: keys only. It works for a stack whose other settings are wrong.
func ReadAccount(values map[string]string, encrypted []string) (Account, error) {
	r := &report{given: map[string]bool{}}
	a := r.account(file(values, encrypted))
	return a, r.sorted()
}

const (
	keyProfile    = "aws:profile"
	keyAssumeRole = "aws:assumeRole"
	keyAllowed    = "aws:allowedAccountIds"
	keyForbidden  = "aws:forbiddenAccountIds"

	// passedOn are the keys of the aws provider that the program takes, sorted.
	passedOn = "allowedAccountIds assumeRole forbiddenAccountIds profile region"
)

var (
	// https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-identifiers.html
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	roleARN   = arnOf("role")
	// The name becomes an argument of the aws CLI, and part of commands that people copy.
	profileName = regexp.MustCompile(`^[A-Za-z0-9_.@][A-Za-z0-9_.@+=,:/-]*$`)
)

// notPassedOn are the other keys of the aws provider, each with its replacement. The variables are read by the provider
// (go/aws/provider.go of github.com/pulumi/pulumi-aws/sdk/v6 6.83.4), the AWS SDK of make doctor and make leftovers
// (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html) and the aws CLI of the kubeconfig alike.
var notPassedOn = map[string]string{
	"accessKey":                      "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
	"assumeRoleWithWebIdentity":      "export AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE instead",
	"customCaBundle":                 "export AWS_CA_BUNDLE instead",
	"defaultTags":                    "the program tags everything itself, see Tags in program/program.go",
	"ec2MetadataServiceEndpoint":     "export AWS_EC2_METADATA_SERVICE_ENDPOINT instead",
	"ec2MetadataServiceEndpointMode": "export AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE instead",
	"endpoints":                      "export AWS_ENDPOINT_URL_SERVICE instead, as in AWS_ENDPOINT_URL_EC2",
	"httpProxy":                      "export HTTP_PROXY instead",
	"httpsProxy":                     "export HTTPS_PROXY instead",
	"ignoreTags":                     "export TF_AWS_IGNORE_TAGS_KEYS or TF_AWS_IGNORE_TAGS_KEY_PREFIXES instead",
	"insecure":                       "export AWS_CA_BUNDLE with the certificate of whom you trust instead",
	"maxRetries":                     nothingInstead,
	"noProxy":                        "export NO_PROXY instead",
	"retryMode":                      "export AWS_RETRY_MODE instead",
	"s3UsEast1RegionalEndpoint":      nothingInstead,
	"s3UsePathStyle":                 nothingInstead,
	"secretKey":                      "export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead",
	"sharedConfigFiles":              "export AWS_CONFIG_FILE instead",
	"sharedCredentialsFiles":         "export AWS_SHARED_CREDENTIALS_FILE instead",
	"skipCredentialsValidation":      nothingInstead,
	"skipMetadataApiCheck":           "export AWS_EC2_METADATA_DISABLED=true instead, if EC2's own credentials shall not be taken",
	"skipRegionValidation":           nothingInstead,
	"skipRequestingAccountId":        nothingInstead,
	"stsRegion":                      nothingInstead,
	"token":                          "export AWS_SESSION_TOKEN instead",
	"tokenBucketRateLimiterCapacity": nothingInstead,
	"useDualstackEndpoint":           "export AWS_USE_DUALSTACK_ENDPOINT=true instead",
	"useFipsEndpoint":                "export AWS_USE_FIPS_ENDPOINT=true instead",
}

// notOfRole are the fields of aws:assumeRole that the kubeconfig of pulumi-eks cannot pass to `aws eks get-token`
// (https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/cluster/cluster.ts, generateKubeconfig: --role and --profile). Each has
// its replacement: a field of a profile
// (https://docs.aws.amazon.com/cli/latest/topic/config-vars.html#using-aws-iam-roles), or a session's credentials.
var notOfRole = map[string]string{
	"duration":          inProfile + "duration_seconds",
	"externalId":        inProfile + "external_id",
	"policy":            inSession,
	"policyArns":        inSession,
	"sessionName":       inProfile + "role_session_name",
	"sourceIdentity":    inSession,
	"tags":              inSession,
	"transitiveTagKeys": inSession,
}

const (
	nothingInstead = "nothing takes its place"
	inProfile      = "replace aws:assumeRole by aws:profile, with a profile that has role_arn, source_profile and "
	inSession      = "replace aws:assumeRole by credentials of a session, which aws sts assume-role gives: export AWS_ACCESS_KEY_ID, " +
		"AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
)

// account reads the keys that are passed on, and refuses all others of the three providers without showing their values.
func (r *report) account(src source) (a Account) {
	known := strings.Fields(passedOn)
	for _, key := range src.keys {
		provider, name, _ := strings.Cut(key, ":")
		switch instead, exists := notPassedOn[name]; {
		case provider == "eks" || provider == "kubernetes":
			r.add(key, "a key that nothing reads", "no key of "+provider, removeWith(key)+"; the program configures this provider itself")
		case provider == "aws" && exists:
			r.add(key, "a key that is not passed on", strings.Join(known, ", "), removeWith(key)+"; "+instead)
		case provider == "aws" && !slices.Contains(known, name):
			r.unknown(key, name, known)
		}
	}
	// The provider takes one of them (ConflictsWith in hashicorp/terraform-provider-aws internal/provider/provider.go).
	if _, ok := src.get(keyAllowed); ok {
		if _, ok := src.get(keyForbidden); ok {
			r.add(keyForbidden, "this key and "+keyAllowed, "one of the two", removeWith(keyForbidden))
		}
	}
	region, _ := src.get(keyRegion)
	for _, key := range []string{keyRegion, keyProfile, keyAllowed, keyForbidden} {
		if src.secret(key) {
			r.encrypted(key)
		}
	}

	if text, ok := src.get(keyProfile); ok && r.ok(keyProfile) {
		if profileName.MatchString(text) && len(text) <= 128 {
			a.Profile = text
		} else {
			r.add(keyProfile, quote(text),
				"a profile's name of up to 128 ASCII letters, digits and _ . @ + = , : / -, not beginning with any of the last six",
				"rename the profile in ~/.aws/config, or take it from the environment: pulumi config rm "+keyProfile+"; "+takeProfile+" (a name "+
					"with spaces in quotes)")
		}
	}
	a.RoleARN = r.assumeRole(src, region)
	a.AllowedIDs, a.ForbiddenIDs = r.accountIDs(src, keyAllowed), r.accountIDs(src, keyForbidden)
	if a.RoleARN != "" && r.ok(keyAllowed, keyForbidden) && a.Check(a.ID(), "") != nil {
		r.add(keyAssumeRole+".roleArn", "a role of account "+a.ID(), "a role of an account that "+keyAllowed+" and "+keyForbidden+" allow", "")
	}
	return a
}

// policyARN matches ARNs of policies, an account's or AWS's own
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns). A policy's name has up to 128
// characters (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
var policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/(?:[\w+=,.@/-]{1,510}/)?[\w+=,.@-]{1,128}$`)

// iam checks that the boundary is a policy of the stack's account or of AWS. AWS takes no other.
func (r *report) iam(c *Config) {
	const at = "iam.permissionsBoundary"
	arn := c.IAM.PermissionsBoundary
	if arn == "" || !r.ok(at) ||
		!r.match(at, arn, policyARN, 2048, "the ARN of an IAM policy, such as arn:aws:iam::123456789012:policy/NAME") ||
		!r.ownPartition(at, arn, c.Region) {
		return
	}
	owner := policyARN.FindStringSubmatch(arn)[1]
	if owner != "aws" && c.Account.excludes(owner) {
		r.add(at, "a policy of account "+owner, "a policy of the account that the stack's aws: settings allow, or of AWS", "")
	}
}

func removeWith(key string) string { return "remove it with: pulumi config rm " + key }

// encrypted notes an encrypted key. Its value would appear in plain resource properties and in errors.
func (r *report) encrypted(key string) {
	r.add(key, "an encrypted value", "plain text", removeWith(key)+"; then set it without --secret")
}

// assumeRole reads aws:assumeRole.roleArn, the only field that provider, kubeconfig and tools all support.
func (r *report) assumeRole(src source, region string) (arn string) {
	const (
		at      = keyAssumeRole + ".roleArn"
		allowed = "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/NAME"
	)
	text, ok := src.get(keyAssumeRole)
	if !ok {
		return ""
	}
	value, _ := parseJSON(text)
	fields, isMap := value.(map[string]any)
	encrypted, refused := src.secret(keyAssumeRole), false
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if instead, exists := notOfRole[field]; exists {
			r.add(child(keyAssumeRole, field), "a field that `aws eks get-token` does not take", "roleArn", instead)
			refused = true
		} else if field != "roleArn" && !encrypted {
			r.unknown(child(keyAssumeRole, field), field, []string{"roleArn"})
		}
	}
	switch arnText, given := fields["roleArn"]; {
	case encrypted && refused: // It is refused in plain text too.
	case encrypted:
		r.encrypted(keyAssumeRole)
	case !isMap:
		// The CLI sets a path only within a map.
		r.add(keyAssumeRole, "something else than a map", "a map with roleArn",
			removeWith(keyAssumeRole)+"; then set it with: pulumi config set --path "+at+" ARN")
	case !given:
		r.add(at, "nothing", allowed, "")
	default:
		r.decode(at, arnText, reflect.ValueOf(&arn).Elem())
		if r.ok(at) && r.match(at, arn, roleARN, 2048, allowed) && r.ownPartition(at, arn, region) {
			return arn
		}
	}
	return ""
}

// accountIDs reads a list of accounts. It refuses an empty list, which would only look like a safeguard.
func (r *report) accountIDs(src source, key string) (ids []string) {
	const allowed = "an account ID of 12 digits, in quotes"
	text, ok := src.get(key)
	if !ok || !r.ok(key) {
		return nil
	}
	set := func(i int) string {
		return fmt.Sprintf("set it with: pulumi config set --path --type string '%s[%d]' ID", key, i)
	}
	value, _ := parseJSON(text)
	list, isList := value.([]any)
	if !isList || len(list) == 0 {
		r.add(key, quote(text), "a list of account IDs of 12 digits, in quotes", removeWith(key)+"; then "+set(0))
		return nil
	}
	for i, element := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		if id, isText := element.(string); !isText {
			// Without quotes YAML drops leading zeros or reads an octal number, so the value may be another ID.
			r.add(at, kindOf(element), allowed, set(i))
		} else if r.match(at, id, accountID, 12, allowed) {
			ids = append(ids, id)
		}
	}
	return ids
}
