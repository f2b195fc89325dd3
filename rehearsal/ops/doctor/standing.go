package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"expense/internal/iampolicy"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/freetier"
	freetypes "github.com/aws/aws-sdk-go-v2/service/freetier/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// plan checks whether the account is on the free plan, on which EC2 starts a few types only
// (https://github.com/aws-samples/eks-workshop-v2/issues/1644). Only commercial accounts have plans.
func (e *examination) plan(ctx context.Context) {
	const check = "account's plan"
	if iampolicy.Partition(e.Settings.Region) != "aws" {
		return
	}
	answer, err := e.freetier.GetAccountPlanState(ctx, &freetier.GetAccountPlanStateInput{})
	switch {
	case login.Missing(err):
		e.ok(check, "none")
		return
	case err != nil:
		e.unchecked(check, err)
		return
	case answer.AccountPlanType != freetypes.AccountPlanTypeFree:
		e.ok(check, "%s", answer.AccountPlanType)
		return
	}
	fine := true
	for _, name := range slices.Sorted(maps.Keys(e.Settings.Cluster.NodeGroups)) {
		for at, typ := range e.Settings.Cluster.NodeGroups[name].InstanceTypes {
			if slices.Contains(e.notFree, typ) {
				fine = false
				e.problem(check, "%s: EC2 starts only what is free-tier-eligible, and %s is not; m7i-flex.large, which has the shape of m5.large, is: "+
					"pulumi config set --path 'expense:cluster.nodeGroups.%s.instanceTypes[%d]' TYPE --stack %s; see all with: "+
					"aws ec2 describe-instance-types --filters Name=free-tier-eligible,Values=true --query 'InstanceTypes[].InstanceType'%s",
					answer.AccountPlanType, typ, name, at, e.Stack, e.where())
			}
		}
	}
	if fine {
		e.ok(check, "%s; whether it allows spot instances and domains, AWS does not say", answer.AccountPlanType)
	}
}

// volumeKey checks the account's default key of volumes, which the launch template and the storage class use. Auto Scaling may use a
// customer's key only if the key allows it
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html).
func (e *examination) volumeKey(ctx context.Context) {
	const check = "default key of volumes"
	byDefault, err := e.ec2.GetEbsDefaultKmsKeyId(ctx, &ec2.GetEbsDefaultKmsKeyIdInput{})
	if err != nil {
		e.unchecked(check, err)
		return
	}
	// KMS would make AWS's key if it were asked for an alias that was never used.
	id := aws.ToString(byDefault.KmsKeyId)
	if strings.HasSuffix(id, "alias/aws/ebs") {
		e.ok(check, "AWS's own")
		return
	}
	key, err := e.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		e.unchecked(check, err)
		return
	}
	if key.KeyMetadata.KeyManager != kmstypes.KeyManagerTypeCustomer {
		e.ok(check, "AWS's own")
		return
	}
	const name = "AWSServiceRoleForAutoScaling"
	parts := strings.Split(e.caller, ":")
	role := fmt.Sprintf("arn:%s:iam::%s:role/aws-service-role/autoscaling.amazonaws.com/%s", parts[1], parts[4], name)
	arn := key.KeyMetadata.Arn
	policy, unread := e.kms.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: arn})
	grants, unlisted := e.kms.ListGrants(ctx, &kms.ListGrantsInput{KeyId: arn, GranteePrincipal: &role})
	there, _, err := e.role(ctx, name)
	switch {
	case unread == nil && strings.Contains(aws.ToString(policy.Policy), role), unlisted == nil && len(grants.Grants) > 0:
		e.ok(check, "%s, which Auto Scaling may use; the driver of the claims' volumes needs it too, see docs/recovery.md", aws.ToString(arn))
	case unread != nil || unlisted != nil || err != nil:
		e.unchecked(check, cmp.Or(unread, unlisted, err))
	default:
		first := ""
		if !there {
			first = "aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com" + e.where() + "; "
		}
		e.problem(check, "%s, and neither its policy nor a grant names %s: no node would start: %saws kms create-grant --key-id %s "+
			"--grantee-principal %s --operations %s%s; for the claims' volumes see docs/recovery.md",
			aws.ToString(arn), name, first, aws.ToString(arn), role, volumeGrants, e.where())
	}
}

// volumeGrants are the operations on a key by which encrypted volumes are made
// (https://repost.aws/knowledge-center/kms-launch-ec2-instance).
const volumeGrants = "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey CreateGrant"

// creator looks for the signed-in user or role in the settings' admins and readers. EKS makes the creator an administrator, and refuses a
// second entry (https://github.com/terraform-aws-modules/terraform-aws-eks/issues/2968). The ARN of a role's session lacks the role's path.
func (e *examination) creator(context.Context) {
	if e.up {
		return // and whoever made it is known to EKS alone
	}
	account, role := "", ""
	if session := strings.Split(e.caller, ":"); len(session) == 6 && strings.HasPrefix(session[5], "assumed-role/") {
		account, role = session[4], strings.Split(session[5], "/")[1]
	}
	for _, list := range []struct {
		path string
		arns []string
	}{{"cluster.admins", e.Settings.Cluster.Admins}, {"cluster.readers", e.Settings.Cluster.Readers}} {
		for at, arn := range list.arns {
			same := role != "" && strings.Contains(arn, ":"+account+":role/") && strings.HasSuffix(arn, "/"+role)
			if arn == e.caller || same {
				e.problem(list.path, "%s is who signs in here: EKS makes him an administrator of the cluster that he makes, and refuses a second "+
					"entry: pulumi config rm --path 'expense:%s[%d]' --stack %s",
					arn, list.path, at, e.Stack)
				return
			}
		}
	}
	e.ok("cluster.admins", "not who signs in here, whom EKS makes an administrator of the cluster that he makes")
}
