package cluster

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	storagev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/storage/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// KubernetesProviderArgs describe the provider.
type KubernetesProviderArgs struct {
	Kubeconfig  pulumi.StringOutput
	ClusterName string
	Region      string
	// DependsOn is everything that pods need.
	DependsOn []pulumi.Resource
}

// NewKubernetesProvider makes the provider of everything inside the cluster. Its resources wait for everything that pods need, and
// are deleted first. Without nodes and add-ons, namespaces would keep terminating, and volumes and load balancers would have nobody
// to delete them.
func NewKubernetesProvider(ctx *pulumi.Context, name string, args *KubernetesProviderArgs) (*kubernetes.Provider, error) {
	if args == nil {
		return nil, fmt.Errorf("kubernetes provider %q: no arguments", name)
	}
	provider, err := kubernetes.NewProvider(ctx, name, &kubernetes.ProviderArgs{
		Kubeconfig: args.Kubeconfig,
		// A constant, so that a preview with an unknown kubeconfig does not replace the provider and every object.
		ClusterIdentifier:     pulumi.String(args.ClusterName + "." + args.Region),
		EnableServerSideApply: pulumi.Bool(true),
	}, pulumi.DependsOn(args.DependsOn))
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	return provider, nil
}

// StorageClassName is the class of encrypted gp3 volumes, the cluster's default.
const StorageClassName = "gp3"

// StorageClassArgs describe the class.
type StorageClassArgs struct {
	// Driver is the EBS CSI add-on. It must outlive the class's claims.
	Driver pulumi.Resource
}

// NewStorageClass makes the default class. A change of its parameters replaces it. Existing volumes keep theirs.
func NewStorageClass(
	ctx *pulumi.Context, name string, args *StorageClassArgs, opts ...pulumi.ResourceOption,
) (*storagev1.StorageClass, error) {
	if args == nil {
		return nil, fmt.Errorf("storage class %q: no arguments", name)
	}
	class, err := storagev1.NewStorageClass(ctx, name, &storagev1.StorageClassArgs{
		Metadata: metav1.ObjectMetaArgs{
			Name:        pulumi.String(StorageClassName),
			Annotations: pulumi.StringMap{"storageclass.kubernetes.io/is-default-class": pulumi.String("true")},
		},
		Provisioner: pulumi.String("ebs.csi.aws.com"),
		Parameters:  pulumi.StringMap{"type": pulumi.String("gp3"), "encrypted": pulumi.String("true")},
		// A volume is in one zone. It is made in the zone that its pod was scheduled to.
		VolumeBindingMode:    pulumi.String("WaitForFirstConsumer"),
		ReclaimPolicy:        pulumi.String("Delete"),
		AllowVolumeExpansion: pulumi.Bool(true),
	}, slices.Concat(opts, []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{args.Driver})})...)
	if err != nil {
		return nil, fmt.Errorf("storage class %s: %w", StorageClassName, err)
	}
	return class, nil
}
