package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeheartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/client"
)

// kubeletLeaseSeconds is how long a node counts as alive without a heartbeat: the kubelet's nodeLeaseDurationSeconds,
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
const kubeletLeaseSeconds = 40

// newKwokCommand is kwok's controller with the stages that its module carries: a node is Ready and keeps its lease, a
// pod that is bound to a node runs at once, a pod that is being deleted goes away at once. A node's addresses stay as
// they were created only if there is one of the type InternalIP and one of the type Hostname: otherwise the node stage
// removes them all.
//
// kwok's own command line is not used: it brings a kubelet API (logs, exec) that compiles against the Kubernetes
// libraries of one minor version only, and these stages need none of it.
func newKwokCommand() *cobra.Command {
	var kubeconfig, healthAddress string
	command := &cobra.Command{
		Use:           "kwok",
		Short:         "Stands in for the kubelet of every node of a cluster",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runKwok(cmd.Context(), kubeconfig, healthAddress)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file with the address of the API server and credentials for it")
	command.Flags().StringVar(&healthAddress, "health-address", "", "host:port that answers 200 once all nodes and pods are watched")
	for _, name := range []string{"kubeconfig", "health-address"} {
		if err := command.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined three lines above
		}
	}
	return command
}

func runKwok(ctx context.Context, kubeconfig, healthAddress string) error {
	ctx = log.NewContext(ctx, log.NewLogger(os.Stderr, log.LevelInfo))

	stages, err := kwokStages()
	if err != nil {
		return err
	}
	conf := controllers.Config{
		LocalStages:               stages,
		ManageAllNodes:            true,
		CIDR:                      "10.0.0.0/16", // pods of a node without a podCIDR
		NodeLeaseDurationSeconds:  kubeletLeaseSeconds,
		NodeLeaseParallelism:      4,
		NodePlayStageParallelism:  4,
		PodPlayStageParallelism:   4,
		PodsOnNodeSyncParallelism: 1,
	}
	if conf.ID, err = controllers.Identity(); err != nil {
		return fmt.Errorf("kwok: identity: %w", err)
	}
	if err := addKwokClients(&conf, kubeconfig); err != nil {
		return fmt.Errorf("kwok: client from %s: %w", kubeconfig, err)
	}
	controller, err := controllers.NewController(conf)
	if err != nil {
		return fmt.Errorf("kwok: controller: %w", err)
	}
	if err := controller.Start(ctx); err != nil {
		return fmt.Errorf("kwok: start: %w", err)
	}
	// What is left to do is to say so: any path answers 200.
	return http.ListenAndServe(healthAddress, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func kwokStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range []string{
		nodefast.DefaultNodeInit, nodeheartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	} {
		stage, err := config.UnmarshalWithType[*internalversion.Stage](text)
		if err != nil {
			return nil, fmt.Errorf("kwok: stage: %w", err)
		}
		stages[stage.Spec.ResourceRef] = append(stages[stage.Spec.ResourceRef], stage)
	}
	return stages, nil
}

func addKwokClients(conf *controllers.Config, kubeconfig string) error {
	clients, err := client.NewClientset("", kubeconfig)
	if err != nil {
		return err
	}
	restConfig, err := clients.ToRESTConfig()
	if err != nil {
		return err
	}
	if conf.RESTClient, err = rest.RESTClientFor(restConfig); err != nil {
		return err
	}
	if conf.RESTMapper, err = clients.ToRESTMapper(); err != nil {
		return err
	}
	if conf.TypedClient, err = kubernetes.NewForConfig(restConfig); err != nil {
		return err
	}
	if conf.DynamicClient, err = clients.ToDynamicClient(); err != nil {
		return err
	}
	conf.ImpersonatingDynamicClient = clients.ToImpersonatingDynamicClient()
	conf.ImpersonatingTypedClient = clients.ToImpersonatingTypedClient()
	return nil
}
