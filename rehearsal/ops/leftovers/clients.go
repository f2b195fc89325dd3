package leftovers

import (
	"errors"
	"fmt"
	"slices"

	"expense/internal/config"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/opensearch"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// clients are those of one region.
type clients struct {
	autoscaling *autoscaling.Client
	cloudwatch  *cloudwatch.Client
	ec2         *ec2.Client
	ecr         *ecr.Client
	eks         *eks.Client
	classic     *elasticloadbalancing.Client
	balancers   *elasticloadbalancingv2.Client
	iam         *iam.Client
	kms         *kms.Client
	logs        *cloudwatchlogs.Client
	opensearch  *opensearch.Client
	sns         *sns.Client
	sts         *sts.Client
	tagging     *resourcegroupstaggingapi.Client
}

func newClients(cfg aws.Config) *clients {
	return &clients{
		autoscaling: autoscaling.NewFromConfig(cfg), cloudwatch: cloudwatch.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg),
		ecr: ecr.NewFromConfig(cfg), eks: eks.NewFromConfig(cfg),
		classic: elasticloadbalancing.NewFromConfig(cfg), balancers: elasticloadbalancingv2.NewFromConfig(cfg),
		iam: iam.NewFromConfig(cfg), kms: kms.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
		opensearch: opensearch.NewFromConfig(cfg), sns: sns.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg),
		tagging: resourcegroupstaggingapi.NewFromConfig(cfg),
	}
}

var (
	deniedCodes = []string{"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException",
		"UnauthorizedOperation"}
	throttledCodes = []string{"RequestLimitExceeded", "Throttling", "ThrottlingException", "Throttled", "TooManyRequestsException"}
	expiredCodes   = []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
	invalidCodes   = []string{"AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException",
		"InvalidSignatureException"}
)

// explain says what went wrong and what helps, with the credentials of an account.
func explain(err error, account config.Account) string {
	var op *smithy.OperationError
	call := ""
	if errors.As(err, &op) {
		call, err = op.Service()+" "+op.Operation()+": ", op.Err
	}
	c := login.Code(err)
	switch {
	case slices.Contains(deniedCodes, c):
		return call + "not allowed (" + c + "); docs/leftovers.md has a policy with all that is needed"
	case slices.Contains(throttledCodes, c):
		return call + "AWS answered to all attempts that it is asked too often (" + c + "); try again in a few minutes"
	case slices.Contains(expiredCodes, c):
		return call + "the credentials have expired (" + c + "); sign in again, for example with: " + account.SignIn()
	case slices.Contains(invalidCodes, c):
		return call + "AWS does not accept the credentials (" + c + "); see which ones are used with: aws configure list"
	case c == "":
		var canceled interface{ CanceledError() bool }
		if errors.As(err, &canceled) {
			return call + "interrupted"
		}
		return fmt.Sprintf("%s%v", call, err)
	}
	return fmt.Sprintf("%s%s: %v", call, c, message(err))
}

func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return err.Error()
}
