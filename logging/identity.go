package logging

import (
	"path"

	"expense/internal/pod"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	tokenDir  = "/var/run/secrets/aws"
	tokenFile = "token"
	// tokenSeconds are a day, as in EKS's own webhooks. The kubelet renews the token long before.
	tokenSeconds = 86400
	// podIdentityAgent is the address of each node's agent, and podIdentityURL where it hands out credentials
	// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
	podIdentityAgent = "169.254.170.23"
	podIdentityURL   = "http://" + podIdentityAgent + "/v1/credentials"
)

// identity is what one container needs to assume a role with its pod's service account: a token that IAM accepts, and the variables by
// which AWS's SDKs find it. EKS's webhook would add the same to every container of the pod, and nothing while it is down.
func identity(volume, region string, roleARN pulumi.StringInput) (pod.Volume, pod.Mount, []pod.Variable) {
	source, token := audienceToken(volume, "sts.amazonaws.com", tokenSeconds)
	return source, token, []pod.Variable{
		{Name: "AWS_REGION", Text: region},
		// The regional endpoint is in the VPC; the global one is not.
		{Name: "AWS_STS_REGIONAL_ENDPOINTS", Text: "regional"},
		{Name: "AWS_ROLE_ARN", Output: roleARN},
		{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Text: path.Join(tokenDir, tokenFile)},
	}
}

// podIdentity is what one container needs to get a role from EKS Pod Identity. EKS's webhook would add the same to every container of
// the pod, but only after it knows of the association. The token is valid for the given seconds, at least 600
// (https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/).
func podIdentity(volume string, seconds int) (pod.Volume, pod.Mount, []pod.Variable) {
	source, token := audienceToken(volume, "pods.eks.amazonaws.com", seconds)
	return source, token, []pod.Variable{
		{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Text: podIdentityURL},
		{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Text: path.Join(tokenDir, tokenFile)},
	}
}

// audienceToken is a volume with a token of the pod's service account for one audience, and its mount.
func audienceToken(volume, audience string, seconds int) (pod.Volume, pod.Mount) {
	return pod.Volume{Name: volume, Token: &pod.Token{Audience: audience, Seconds: seconds, File: tokenFile}},
		pod.Mount{Volume: volume, Path: tokenDir, ReadOnly: true}
}
