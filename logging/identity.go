package logging

import (
	"path"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	tokenDir  = "/var/run/secrets/aws"
	tokenFile = "token"
	// tokenSeconds is a day, as EKS's own webhook asks for; the kubelet renews the token long before.
	tokenSeconds = 86400
)

// identity is what one container needs to assume a role with its pod's service account: the token that IAM accepts, in a
// volume for this container alone, and the variables by which AWS's SDKs find it. EKS's webhook would add the same to every
// container of the pod, and leave it out when it is down.
func identity(volume, region string, roleARN pulumi.StringInput) (corev1.VolumeArgs, corev1.VolumeMountArgs, corev1.EnvVarArray) {
	token := mount(volume, tokenDir)
	token.ReadOnly = pulumi.Bool(true)
	return corev1.VolumeArgs{
			Name: pulumi.String(volume),
			Projected: corev1.ProjectedVolumeSourceArgs{Sources: corev1.VolumeProjectionArray{corev1.VolumeProjectionArgs{
				ServiceAccountToken: corev1.ServiceAccountTokenProjectionArgs{
					Audience:          pulumi.String("sts.amazonaws.com"),
					ExpirationSeconds: pulumi.Int(tokenSeconds),
					Path:              pulumi.String(tokenFile),
				},
			}}},
		}, token, corev1.EnvVarArray{
			variable("AWS_REGION", pulumi.String(region)),
			// The regional endpoint is in the VPC; the global one is not.
			variable("AWS_STS_REGIONAL_ENDPOINTS", pulumi.String("regional")),
			variable("AWS_ROLE_ARN", roleARN),
			variable("AWS_WEB_IDENTITY_TOKEN_FILE", pulumi.String(path.Join(tokenDir, tokenFile))),
		}
}
