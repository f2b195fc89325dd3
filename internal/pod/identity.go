package pod

import "path"

const (
	// IdentityAgent is the address of each node's pod identity agent, and identityURL where it hands out credentials
	// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
	IdentityAgent = "169.254.170.23"
	identityURL   = "http://" + IdentityAgent + "/v1/credentials"
	// identityAudience is whom its tokens are for.
	identityAudience = "pods.eks.amazonaws.com"
	// TokenFile is the name of a token in its folder.
	TokenFile = "token"
)

// Identity is what one container needs to get a role from EKS Pod Identity. EKS's webhook would add the same to every container of the
// pod, but only after it knows of the association. Of a pod with the volume, Template keeps the webhook away from the containers that do
// not mount it. The token is in dir and valid for the given seconds, at least 600
// (https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/).
func Identity(volume, dir string, seconds int) (Volume, Mount, []Variable) {
	source, token := AudienceToken(volume, dir, identityAudience, seconds)
	return source, token, []Variable{
		{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Text: identityURL},
		{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Text: path.Join(dir, TokenFile)},
	}
}

// AudienceToken is a volume with a token of the pod's service account for one audience, and its mount.
func AudienceToken(volume, dir, audience string, seconds int) (Volume, Mount) {
	return Volume{Name: volume, Token: &Token{Audience: audience, Seconds: seconds, File: TokenFile}},
		Mount{Volume: volume, Path: dir, ReadOnly: true}
}
