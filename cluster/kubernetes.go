package cluster

import (
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NewKubernetesProvider makes the provider of everything inside the cluster. It waits for all that pods need, and so do
// its resources: on destroy they are gone before the first add-on or node is, whose absence would leave namespaces
// terminating, volumes without their driver and load balancers without their controller.
func NewKubernetesProvider(ctx *pulumi.Context, name string, c *ControlPlane, region string, dependsOn []pulumi.Resource) (*kubernetes.Provider, error) {
	provider, err := kubernetes.NewProvider(ctx, name, &kubernetes.ProviderArgs{
		Kubeconfig: c.KubeconfigJSON,
		// A constant: while it does not change, no preview replaces the provider and with it every object, not even one
		// in which the kubeconfig is not known yet.
		ClusterIdentifier:     pulumi.String(c.Name + "." + region),
		EnableServerSideApply: pulumi.Bool(true),
	}, pulumi.DependsOn(dependsOn))
	if err != nil {
		return nil, fmt.Errorf("kubernetes provider: %w", err)
	}
	return provider, nil
}

// StorageClassName is the class of encrypted gp3 volumes, the cluster's default.
const StorageClassName = "gp3"

// NewStorageClass makes the default class; driver is the EBS CSI add-on, which must outlive the class's claims. A change
// of its parameters replaces it, and existing volumes keep theirs.
func NewStorageClass(ctx *pulumi.Context, name string, driver pulumi.Resource, opts ...pulumi.ResourceOption) (*storagev1.StorageClass, error) {
	class, err := storagev1.NewStorageClass(ctx, name, &storagev1.StorageClassArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:        pulumi.String(StorageClassName),
			Annotations: pulumi.StringMap{"storageclass.kubernetes.io/is-default-class": pulumi.String("true")},
		},
		Provisioner: pulumi.String("ebs.csi.aws.com"),
		Parameters:  pulumi.StringMap{"type": pulumi.String("gp3"), "encrypted": pulumi.String("true")},
		// A volume lives in one zone: it is made where its pod was scheduled.
		VolumeBindingMode:    pulumi.String("WaitForFirstConsumer"),
		ReclaimPolicy:        pulumi.String("Delete"),
		AllowVolumeExpansion: pulumi.Bool(true),
	}, with(opts, pulumi.DependsOn([]pulumi.Resource{driver}))...)
	if err != nil {
		return nil, fmt.Errorf("storage class %s: %w", StorageClassName, err)
	}
	return class, nil
}
