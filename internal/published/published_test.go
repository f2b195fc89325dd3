package published

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The numbers are AWS's: misc/eni-max-pods.txt of https://github.com/aws/amazon-vpc-cni-k8s, and what EKS makes of them.
func TestPodsOfANode(t *testing.T) {
	for name, pods := range map[string]int{
		"t3.small": 11, "t3.medium": 17, "m5.large": 29, "m5.xlarge": 58, "m5.4xlarge": 110, "m5.12xlarge": 234, "m5.24xlarge": 250, "no.such": 0,
	} {
		assert.Equal(t, pods, InstanceTypes()[name].Pods(), name)
	}
}

// The numbers are those of addons.csv, which has their sources.
func TestPodsOfTheAddons(t *testing.T) {
	assert.Equal(t, Addon{OnEach: 1, Replicas: 2}, Addons()["aws-ebs-csi-driver"])
	assert.Equal(t, Addon{OnEach: 0, Replicas: 2}, Addons()["coredns"])
	assert.Equal(t, Addon{OnEach: 1, Replicas: 0}, Addons()["kube-proxy"])
}
