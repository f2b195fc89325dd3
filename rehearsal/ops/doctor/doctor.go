// Package doctor looks at a machine, an AWS account and a stack's settings before the first `pulumi up`, and says what would
// stop it, with the command that mends it. It changes nothing.
//
// It was never run on AWS: the tests run it with the SDK against package awsapi.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"expense/internal/config"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/freetier"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Status is how a check came out.
type Status string

// The outcomes of a check.
const (
	OK        Status = "ok"
	Problem   Status = "problem"
	Unchecked Status = "could not check"
)

// Finding is the outcome of one check.
type Finding struct {
	Status Status
	// Check names it; Says is what was found and, for a problem, what is allowed and the command that mends it.
	Check, Says string
	// Essential is set if nothing can be said without what could not be checked.
	Essential bool
}

// Options are what an examination needs.
type Options struct {
	// Config has the credentials that the stack's file names. Its region is the environment's, "" if that names none.
	Config aws.Config
	// SignedOut is why there is no Config; nil if there is one. Without a Config, AWS is not asked.
	SignedOut error
	// Account is what the file says of the account.
	Account config.Account
	// Stack is the stack's name, Region the file's region, "" if it has none.
	Stack, Region string
	// Settings are the stack's, nil if they are wrong; Problems are what is wrong with them.
	Settings *config.Config
	Problems config.Problems
	// Run runs a command and gives what it prints.
	Run func(ctx context.Context, name string, args ...string) (string, error)
	// HTTP asks registries for images.
	HTTP *http.Client
}

// examination is one run.
type examination struct {
	Options
	ec2        *ec2.Client
	eks        *eks.Client
	iam        *iam.Client
	logs       *cloudwatchlogs.Client
	opensearch *opensearch.Client
	freetier   *freetier.Client
	kms        *kms.Client
	quotas     *servicequotas.Client
	acm        *acm.Client
	balancers  *elasticloadbalancingv2.Client
	ecr        *ecr.Client
	// private are the images in private ECR repositories.
	private []string
	// caller is the ARN of the credentials' user or role.
	caller string
	// up is set if the stack's cluster exists, begun if anything of the stack does.
	up, begun bool
	// notFree are the node groups' types that EC2 does not call free-tier-eligible.
	notFree []string
	// zoneIDs are the IDs of the account's zones, nil if the network's are not among them.
	zoneIDs  zoneIDs
	findings []Finding
}

// Examine makes all checks that are possible. The account comes first: in another account the other checks are of no use.
func Examine(ctx context.Context, options Options) []Finding {
	e := &examination{Options: options}
	signedIn := e.credentials(ctx)
	e.tools(ctx)
	e.settings()
	if e.Settings != nil {
		e.images(ctx)
	}
	environment := e.Config.Region
	if e.Settings != nil {
		e.Config.Region = e.Settings.Region
		e.region(environment)
	}
	cfg := e.Config
	e.ec2, e.eks, e.iam, e.logs = ec2.NewFromConfig(cfg), eks.NewFromConfig(cfg), iam.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	e.opensearch, e.quotas, e.kms = opensearch.NewFromConfig(cfg), servicequotas.NewFromConfig(cfg), kms.NewFromConfig(cfg)
	e.acm, e.ecr, e.balancers = acm.NewFromConfig(cfg), ecr.NewFromConfig(cfg), elasticloadbalancingv2.NewFromConfig(cfg)
	// https://docs.aws.amazon.com/general/latest/gr/billing.html
	e.freetier = freetier.NewFromConfig(cfg, func(o *freetier.Options) { o.Region = "us-east-1" })
	if signedIn && e.Settings != nil {
		for _, check := range []func(context.Context){e.names, e.kubernetes, e.zones, e.engine, e.serviceLinkedRoles, e.boundary, e.offerings,
			e.nodes, e.limits, e.plan, e.volumeKey, e.creator, e.ownImages, e.certificates, e.appLimits} {
			check(ctx)
		}
	} else {
		for _, reference := range e.private {
			e.unchecked("image "+reference, fmt.Errorf("a private repository; look with: %s", parseImage(reference).describe()))
		}
	}
	return e.findings
}

func (e *examination) ok(check, format string, args ...any) {
	e.findings = append(e.findings, Finding{Status: OK, Check: check, Says: fmt.Sprintf(format, args...)})
}

func (e *examination) problem(check, format string, args ...any) {
	e.findings = append(e.findings, Finding{Status: Problem, Check: check, Says: fmt.Sprintf(format, args...)})
}

func (e *examination) unchecked(check string, err error) {
	e.findings = append(e.findings, Finding{Status: Unchecked, Check: check, Says: err.Error()})
}

// Code is the exit code: 1 if something essential could not be checked, 3 with problems, else 0.
func Code(findings []Finding) int {
	code := 0
	for _, f := range findings {
		if f.Essential {
			return 1
		}
		if f.Status == Problem {
			code = 3
		}
	}
	return code
}

// Text writes one line for each check.
func Text(w io.Writer, findings []Finding) error {
	counts := map[Status]int{}
	for _, f := range findings {
		counts[f.Status]++
		if _, err := fmt.Fprintf(w, "%-15s  %s: %s\n", f.Status, f.Check, strings.ReplaceAll(f.Says, "\n", " ")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%d ok, %d problems, %d could not be checked.\n", counts[OK], counts[Problem], counts[Unchecked])
	return err
}

// settings reports what is wrong with the stack's file, and what it says of secrets.
func (e *examination) settings() {
	const check = "settings"
	for _, p := range e.Problems {
		e.problem(check, "%s", p)
	}
	switch {
	case e.Settings == nil:
		e.findings = append(e.findings, Finding{Status: Unchecked, Check: check, Essential: true,
			Says: "nothing that depends on the settings is checked until they are right"})
	case len(e.Problems) == 0:
		e.ok(check, "complete")
	}
	if e.Settings != nil && e.Settings.Secrets[config.WebName] == nil {
		e.ok("web secret", "none, so web gets no secret; set one with: pulumi config set --secret --path 'expense:secrets.web.API_TOKEN' "+
			"'the-token' --stack %s", e.Stack)
	}
}

// region compares with the environment's, which the README's aws commands use.
func (e *examination) region(environment string) {
	const check = "region"
	if environment != "" && environment != e.Settings.Region {
		e.problem(check, "the environment says %s, the settings %s; aws commands would look in the wrong place: export AWS_REGION=%s",
			environment, e.Settings.Region, e.Settings.Region)
		return
	}
	e.ok(check, "%s", e.Settings.Region)
}

// credentials asks for the account of the credentials, and whether the stack's file allows it.
func (e *examination) credentials(ctx context.Context) bool {
	const check = "credentials"
	if e.SignedOut != nil {
		e.findings = append(e.findings, Finding{Status: Unchecked, Check: check, Essential: true, Says: e.SignedOut.Error()})
		return false
	}
	cfg := e.Config
	// In the file's region even if the settings are wrong: another partition does not know the credentials.
	cfg.Region = cmp.Or(e.Region, cfg.Region, "us-east-1")
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		says := err.Error()
		// Other credentials do not help against an error that is no answer of AWS, such as a missing network.
		if api := smithy.APIError(nil); errors.As(err, &api) {
			says += "; sign in with: " + e.Account.SignIn()
		}
		e.findings = append(e.findings, Finding{Status: Unchecked, Check: check, Essential: true, Says: says})
		return false
	}
	e.caller = aws.ToString(caller.Arn)
	if err := e.Account.Check(aws.ToString(caller.Account), e.Stack); err != nil {
		e.problem("account", "%v", err)
		return false
	}
	e.ok(check, "account %s as %s", aws.ToString(caller.Account), aws.ToString(caller.Arn))
	if e.Account.ID() == "" {
		e.ok("account", "the settings name none; if this one is the stack's: pulumi config set --path --type string "+
			"'aws:allowedAccountIds[0]' %s --stack %s", aws.ToString(caller.Account), e.Stack)
	}
	return true
}
