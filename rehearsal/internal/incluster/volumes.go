package incluster

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	ebsDriver = "ebs.csi.aws.com"
	ebsAddon  = "aws-ebs-csi-driver"
)

// startVolumes runs the controller of the EBS CSI driver: Kubernetes' own external provisioner, before the account.
func (c *Controllers) startVolumes(ctx context.Context) error {
	ctx = klog.NewContext(ctx, logr.Discard()) // what matters is told by events
	provisioner := controller.NewProvisionController(ctx, c.clients, ebsDriver, ebs{c},
		controller.LeaderElection(false),
		controller.FailedProvisionThreshold(0), // never gives up
		// How often it looks at claims and volumes again: the add-on comes and goes without notice.
		controller.ResyncPeriod(time.Second),
	)
	c.running.Go(func() { provisioner.Run(ctx) })
	return nil
}

// ebs makes and removes volumes while the driver's add-on is active; otherwise claims wait, and volumes stay behind.
type ebs struct{ c *Controllers }

func (e ebs) ShouldProvision(context.Context, *corev1.PersistentVolumeClaim) bool {
	return e.c.aws.AddonActive(ebsAddon)
}

func (e ebs) ShouldDelete(context.Context, *corev1.PersistentVolume) bool {
	return e.c.aws.AddonActive(ebsAddon)
}

// Provision makes the volume in the zone of the node that the scheduler chose. It refuses a class that does not wait for that node:
// the driver takes any zone, and the pod may then never run.
func (e ebs) Provision(
	ctx context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := e.provision(ctx, options)
	return volume, controller.ProvisioningFinished, err
}

func (e ebs) provision(ctx context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, error) {
	if options.SelectedNodeName == "" {
		return nil, fmt.Errorf("storage class %s has volumeBindingMode Immediate: "+
			"an EBS volume must be made in its pod's zone, set WaitForFirstConsumer", options.StorageClass.Name)
	}
	node, err := e.c.clients.CoreV1().Nodes().Get(ctx, options.SelectedNodeName, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("selected node: %w", err)
	}
	zone := node.Labels[corev1.LabelTopologyZone]
	parameters := options.StorageClass.Parameters
	if kind := cmp.Or(parameters["type"], "gp3"); kind != "gp3" { // the driver's default
		return nil, fmt.Errorf("storage class %s: parameter type is %q, the stand-in knows gp3", options.StorageClass.Name, kind)
	}
	encrypted := false
	if text := parameters["encrypted"]; text != "" {
		if encrypted, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("storage class %s: parameter encrypted is %q, allowed are true and false", options.StorageClass.Name, text)
		}
	}
	size := options.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	sizeGiB := int((size.Value() + 1<<30 - 1) >> 30) // EBS sells whole GiB
	id, err := e.c.aws.CreateVolume(e.c.clusterName(), zone, sizeGiB, encrypted, map[string]string{
		// The driver's own tags: https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md
		"ebs.csi.aws.com/cluster":                 "true",
		"CSIVolumeName":                           options.PVName,
		"kubernetes.io/created-for/pv/name":       options.PVName,
		"kubernetes.io/created-for/pvc/name":      options.PVC.Name,
		"kubernetes.io/created-for/pvc/namespace": options.PVC.Namespace,
	})
	if err != nil {
		return nil, err
	}
	size.Set(int64(sizeGiB) << 30)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			MountOptions:                  options.StorageClass.MountOptions,
			VolumeMode:                    options.PVC.Spec.VolumeMode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: ebsDriver, VolumeHandle: id, FSType: cmp.Or(parameters["csi.storage.k8s.io/fstype"], "ext4"),
			}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}},
				},
			}}}},
		},
	}, nil
}

// Delete removes the volume of a claim that is gone.
func (e ebs) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	return e.c.aws.DeleteVolume(volume.Spec.CSI.VolumeHandle)
}
