package why

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"expense/rehearsal/internal/state"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a client of the cluster of a stack, and the namespaces that the stack has made.
func Cluster(export []byte) (kubernetes.Interface, []string, error) {
	config, namespaces, err := Access(export)
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("the kubeconfig in the stack's state: %w", err)
	}
	return client, namespaces, nil
}

// Access is the way to the cluster of a stack, and the namespaces that the stack has made. It reads what `pulumi stack export` prints,
// because an `up` that failed may have left no outputs of the stack.
func Access(export []byte) (*rest.Config, []string, error) {
	deployment, err := state.Read(export)
	if err != nil {
		return nil, nil, err
	}
	var kubeconfig string
	var namespaces []string
	for _, r := range deployment.Resources {
		switch r.Type {
		case "expense:cluster:ControlPlane", "eks:index:Cluster":
			// The first has the account's profile in it. It has none before all of it is made.
			if text, ok := r.Outputs["kubeconfigJson"].(string); ok && (kubeconfig == "" || r.Type == "expense:cluster:ControlPlane") {
				kubeconfig = text
			}
		case "kubernetes:core/v1:Namespace":
			metadata, _ := r.Outputs["metadata"].(map[string]any)
			if name, ok := metadata["name"].(string); ok && !r.Delete {
				namespaces = append(namespaces, name)
			}
		}
	}
	if kubeconfig == "" || len(namespaces) == 0 {
		return nil, nil, errors.New("the stack's state has no cluster with a namespace: `pulumi up` has not come to the workloads, " +
			"and its own error says why")
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		return nil, nil, fmt.Errorf("the kubeconfig in the stack's state: %w", err)
	}
	config.Timeout = 30 * time.Second
	slices.Sort(namespaces)
	return config, slices.Compact(namespaces), nil
}
