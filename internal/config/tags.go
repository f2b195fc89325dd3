package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tags is expense:tags, beside those that the program sets. It is what everything takes that has tags in a stack:
//
//   - Up to 39 of them. AWS takes 50 for a resource and keeps aws: to itself, in keys and values
//     (https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html#tag-restrictions). A claim's volume has the most others: 2 of
//     the program, and up to 9 of the EBS CSI driver
//     (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/driver/controller.go, CreateVolume).
//   - A key of up to 127 characters, which is EC2's limit and ECR's, and a value of 1 to 255, which is ECR's
//     (rehearsal/internal/awsrules/rules.yaml).
//   - The characters are IAM's, which has the fewest. Of them, the driver ends a key at "=", and EKS's controller for load balancers ends
//     a value too (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_loadbalancer.go,
//     getKeyValuePropertiesFromAnnotation). Both cut spaces off the ends, so there are none.
//   - Keys differ in more than case: IAM takes Team and team of a role for one
//     (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#case-sensitivity).
//   - None is a key by which AWS, Kubernetes or the program finds its own.
//
// Default none. A change is made in place but rolls the nodes, by a new version of their launch templates. Volumes of claims and load
// balancers that are there keep the tags that they were made with.
type Tags map[string]string

const maxTags = 39

var (
	tagText = regexp.MustCompile(`^[\p{L}\p{N} _.:/+\-@]+$`)
	// The console shows Name, and the program sets it. The driver refuses its own keys and all that start with kubernetes.io
	// (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/driver/validation.go). KubernetesCluster and
	// kubernetes.io/cluster/NAME say which cluster owns a thing
	// (https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/tags.go). The network plugin deletes interfaces by its
	// key below k8s.amazonaws.com (https://github.com/aws/amazon-vpc-cni-k8s/blob/master/pkg/awsutils/awsutils.go).
	reservedTag = regexp.MustCompile(`(?i)^(name|kubernetescluster|csivolumename|csivolumesnapshotname)$|^(aws|eks|pulumi):|` +
		`^kubernetes\.io|^([^/]*\.)?(kubernetes\.io|k8s\.io|k8s\.aws|k8s\.amazonaws\.com)/|^ebs\.csi\.aws\.com/`)
)

const (
	reservedTags = "other keys than Name, KubernetesCluster, CSIVolumeName, CSIVolumeSnapshotName, aws:..., eks:..., pulumi:... and those " +
		"of kubernetes.io, k8s.io, k8s.aws, k8s.amazonaws.com and ebs.csi.aws.com"
	tagCharacters = "letters, digits, spaces within and any of _ . : / + - @"
)

func (r *report) tags(tags Tags) {
	if len(tags) > maxTags {
		r.add("tags", fmt.Sprintf("%d tags", len(tags)), fmt.Sprintf("up to %d", maxTags), "")
		return
	}
	keys := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		at, value := child("tags", key), tags[key]
		if !tagFits(key, 127) {
			r.add(at, "this key", "a key of 1 to 127 "+tagCharacters, "")
		}
		if reservedTag.MatchString(key) {
			r.add(at, "a key that AWS, Kubernetes or the program itself sets", reservedTags, "")
		}
		if other, twice := keys[strings.ToLower(key)]; twice {
			r.add(at, "this key", "a key that differs from "+other+" in more than case", "")
		} else {
			keys[strings.ToLower(key)] = key
		}
		if !tagFits(value, 255) || strings.HasPrefix(strings.ToLower(value), "aws:") {
			r.add(at, quote(value), "a value of 1 to 255 "+tagCharacters+", not starting with aws:", "")
		}
	}
}

// tagFits tells whether a key or a value can be sent.
func tagFits(text string, limit int) bool {
	return tagText.MatchString(text) && utf8.RuneCountInString(text) <= limit && strings.TrimSpace(text) == text
}
