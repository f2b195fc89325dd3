// Command kubernetes is a Kubernetes control plane and its client in one file, for a machine that has neither
// containers nor a cluster: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl are the upstream
// programs, unchanged and taking their upstream flags; kwok stands in for the kubelet of every node.
//
//	kubernetes kube-apiserver --help
//	kubernetes kubectl get nodes
//
// Called by the name kubectl (a symbolic link will do), it is kubectl.
//
// A server ends as soon as its standard input ends. Whoever starts one holds the other end of a pipe; the operating
// system closes it however the holder dies, so that no server outlives its owner, on Linux and macOS alike.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	_ "time/tzdata" // CronJobs name time zones, and a bare machine has no zone files.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the client metrics on every component's /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info on every component's /metrics
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = "usage: kubernetes etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kwok|kubectl [flag ...]"

func main() {
	// Below, every program finds its own name in os.Args[0], as if it were a file of its own.
	if filepath.Base(os.Args[0]) != "kubectl" {
		if len(os.Args) < 2 {
			fail(2, usage)
		}
		os.Args = os.Args[1:]
	}

	switch name := filepath.Base(os.Args[0]); name {
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	case "etcd":
		endWithStdin()
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		serve(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		serve(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		serve(scheduler.NewSchedulerCommand())
	case "kwok":
		serve(newKwokCommand())
	default:
		fail(2, fmt.Sprintf("unknown command %q\n%s", name, usage))
	}
}

func serve(command *cobra.Command) {
	endWithStdin()
	os.Exit(cli.Run(command))
}

func endWithStdin() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		fail(1, "standard input ended, and with it the owner of this process")
	}()
}

func fail(code int, message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(code)
}
