package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var volumeChecks = []Check{
	{
		Name:    "claims",
		Promise: "Each volume claim is bound, of its class and size, and its volume is in the zone of its pod.",
		Access:  []string{"get persistentvolumeclaims", "get persistentvolumes", "list pods", "get nodes"},
		Takes:   2 * time.Second,
		Run:     claims,
	},
	{
		Name:    "storage-class",
		Promise: "The one default class makes encrypted gp3 volumes where their pods are.",
		Access:  []string{"list storageclasses"},
		Takes:   time.Second,
		Run:     storageClass,
	},
}

// zoneKeys are what a volume of the EBS CSI driver names its zone by, now and formerly
// (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/driver/driver.go).
var zoneKeys = []string{corev1.LabelTopologyZone, "topology.ebs.csi.aws.com/zone"}

func claims(ctx context.Context, s *Stack, _ *Work) (string, error) {
	want, err := stated[corev1.PersistentVolumeClaim](s, typeClaim)
	if err != nil {
		return "", err
	}
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	least := resource.NewQuantity(int64(s.Settings.Workloads.VolumeSizeGiB)<<30, resource.BinarySI)
	var f findings
	var seen []string
	for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
		o := objectOf("PersistentVolumeClaim", key)
		claim, err := s.Kubernetes.CoreV1().PersistentVolumeClaims(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			f.add(o, "it is not there, and so its data is not: run `pulumi up --refresh`")
			continue
		}
		if err != nil {
			return "", f.with(err)
		}
		if claim.Status.Phase != corev1.ClaimBound {
			f.add(o, "it is %s, expected %s", claim.Status.Phase, corev1.ClaimBound)
			continue
		}
		class := ptr.Deref(claim.Spec.StorageClassName, "")
		if wanted := ptr.Deref(want[key].Spec.StorageClassName, ""); class != wanted {
			f.add(o, "its class is %q, expected %q", class, wanted)
		}
		size := claim.Status.Capacity[corev1.ResourceStorage]
		if size.Cmp(*least) < 0 {
			f.add(o, "it has %s, and workloads.volumeSizeGiB says %s", size.String(), least.String())
		}
		volume, err := s.Kubernetes.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
		if err != nil {
			return "", f.with(err)
		}
		zones := zonesOf(volume)
		if len(zones) == 0 {
			f.add(Object{Kind: "PersistentVolume", Name: volume.Name}, "it names no zone with any of %v", zoneKeys)
		}
		for _, pod := range sorted(live) {
			if pod.Spec.NodeName == "" || !uses(pod, key) {
				continue
			}
			node, err := s.Kubernetes.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
			if err != nil {
				return "", f.with(err)
			}
			if zone := node.Labels[corev1.LabelTopologyZone]; len(zones) > 0 && !slices.Contains(zones, zone) {
				f.add(Object{"Pod", pod.Namespace, pod.Name}, "it runs in zone %s, and its volume is in %s", zone, strings.Join(zones, ", "))
			}
		}
		seen = append(seen, fmt.Sprintf("%s: %s of %s in %s", key.Name, size.String(), class, strings.Join(zones, ", ")))
	}
	if len(want) == 0 {
		return "", notSeen("the state has no volume claim")
	}
	return strings.Join(seen, "; "), f.err()
}

func uses(pod corev1.Pod, claim types.NamespacedName) bool {
	return pod.Namespace == claim.Namespace && slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name
	})
}

func zonesOf(volume *corev1.PersistentVolume) (zones []string) {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return nil
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if slices.Contains(zoneKeys, e.Key) && e.Operator == corev1.NodeSelectorOpIn {
				zones = append(zones, e.Values...)
			}
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

// defaultClass is the annotation of the class of claims that name none
// (https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass).
const defaultClass = "storageclass.kubernetes.io/is-default-class"

func storageClass(ctx context.Context, s *Stack, _ *Work) (string, error) {
	want, err := stated[storagev1.StorageClass](s, typeClass)
	if err != nil {
		return "", err
	}
	list, err := s.Kubernetes.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var f findings
	for _, key := range slices.SortedFunc(maps.Keys(want), byName) {
		o := Object{Kind: "StorageClass", Name: key.Name}
		i := slices.IndexFunc(list.Items, func(c storagev1.StorageClass) bool { return c.Name == key.Name })
		if i < 0 {
			f.add(o, "it is not there: run `pulumi up --refresh`")
			continue
		}
		class := list.Items[i]
		for _, p := range []struct{ what, got, want string }{
			{"annotation " + defaultClass, class.Annotations[defaultClass], "true"},
			{"provisioner", class.Provisioner, "ebs.csi.aws.com"},
			{"parameter type", class.Parameters["type"], "gp3"},
			{"parameter encrypted", class.Parameters["encrypted"], "true"},
			{"volumeBindingMode", string(ptr.Deref(class.VolumeBindingMode, "")), string(storagev1.VolumeBindingWaitForFirstConsumer)},
		} {
			if p.got != p.want {
				f.add(o, "its %s is %q, expected %q", p.what, p.got, p.want)
			}
		}
	}
	for _, class := range list.Items {
		if _, ours := want[types.NamespacedName{Name: class.Name}]; !ours && class.Annotations[defaultClass] == "true" {
			// Of several, the newest is used (the page above).
			f.add(Object{Kind: "StorageClass", Name: class.Name}, "it is a default class too: set its annotation %s to false", defaultClass)
		}
	}
	if len(want) == 0 {
		return "", notSeen("the state has no storage class")
	}
	return fmt.Sprintf("storage classes: %d, one of them the default", len(list.Items)), f.err()
}
