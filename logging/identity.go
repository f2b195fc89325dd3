package logging

import (
	"path"

	"expense/internal/pod"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	tokenDir = "/var/run/secrets/aws"
	// tokenSeconds are a day, as in EKS's own webhooks. The kubelet renews the token long before.
	tokenSeconds = 86400
)

// identity is what one container needs to assume a role with its pod's service account: a token that IAM accepts, and the variables by
// which AWS's SDKs find it. EKS's webhook would add the same to every container of the pod, and nothing while it is down.
func identity(volume, region string, roleARN pulumi.StringInput) (pod.Volume, pod.Mount, []pod.Variable) {
	source, token := pod.AudienceToken(volume, tokenDir, "sts.amazonaws.com", tokenSeconds)
	return source, token, []pod.Variable{
		{Name: "AWS_REGION", Text: region},
		// The regional endpoint is in the VPC; the global one is not.
		{Name: "AWS_STS_REGIONAL_ENDPOINTS", Text: "regional"},
		{Name: "AWS_ROLE_ARN", Output: roleARN},
		{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Text: path.Join(tokenDir, pod.TokenFile)},
	}
}
