// Package podsecurity is what every pod of the program says about its privileges: none. Together a pod's and its
// containers' contexts meet the level "restricted"
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/), with a root file system that nobody writes to.
package podsecurity

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Pod is the context of a pod whose containers all run as one user and group, by which they share files.
func Pod(user int) corev1.PodSecurityContextArgs {
	return corev1.PodSecurityContextArgs{
		RunAsNonRoot:   pulumi.Bool(true),
		RunAsUser:      pulumi.Int(user),
		RunAsGroup:     pulumi.Int(user),
		FsGroup:        pulumi.Int(user),
		SeccompProfile: corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
	}
}

// Container is the context of each of its containers.
func Container() corev1.SecurityContextArgs {
	return corev1.SecurityContextArgs{
		AllowPrivilegeEscalation: pulumi.Bool(false),
		ReadOnlyRootFilesystem:   pulumi.Bool(true),
		Capabilities:             corev1.CapabilitiesArgs{Drop: pulumi.StringArray{pulumi.String("ALL")}},
	}
}
