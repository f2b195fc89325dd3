// Package controlplane runs a real Kubernetes control plane on the loopback interface: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, with kwok in place of the kubelets. Nodes are whatever Node objects
// somebody creates; containers never run, they are only reported as running.
//
// All processes are children of the caller and end with it, however it ends. All files are in one folder.
package controlplane

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"k8s.io/client-go/rest"

	"expense/rehearsal/internal/port"
)

// Options say what to start and where.
type Options struct {
	// Binary is the path of the kubernetes program that `make tools` builds: .tools/bin/kubernetes. Required.
	Binary string
	// Dir is an existing, empty folder for keys, data and logs. It belongs to the caller, who removes it after Stop.
	// Required.
	Dir string
}

// ControlPlane is a running control plane. Its fields do not change after Start.
type ControlPlane struct {
	// URL is the address of the API server: https://127.0.0.1:PORT.
	URL string
	// CA is the certificate, in PEM, that the API server's certificate is verified against. It also signs the client
	// certificate, named front-proxy-client, with which the API server calls aggregated APIs.
	CA []byte
	// AdminToken is a bearer token of a cluster administrator, for clients that get theirs from a credential plugin
	// such as `aws eks get-token`.
	AdminToken string

	authority  *authority
	ports      []*port.Kept
	components []*component
	failed     chan error
	stop       sync.Once
}

// Start starts the control plane and returns once every component reports itself healthy, which takes about 3
// seconds. If one does not, or ctx ends first, all are stopped and the error quotes the end of that component's log.
// Once Start has returned, ctx has no further effect.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	c, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	if err := c.start(ctx, options); err != nil {
		c.Stop()
		return nil, fmt.Errorf("control plane: %w", err)
	}
	return c, nil
}

func prepare(options Options) (*ControlPlane, error) {
	if _, err := os.Stat(options.Binary); err != nil {
		return nil, fmt.Errorf("kubernetes program: %w; run `make tools`, which builds .tools/bin/kubernetes", err)
	}
	entries, err := os.ReadDir(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder for keys, data and logs: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("folder for keys, data and logs: %s holds %s already, it must be empty", options.Dir, entries[0].Name())
	}
	c := &ControlPlane{}
	if c.authority, err = newAuthority(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	c.CA = c.authority.pem
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, options Options) error {
	// The components run in another folder than the caller.
	binary, err := filepath.Abs(options.Binary)
	if err != nil {
		return fmt.Errorf("kubernetes program %s: %w", options.Binary, err)
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return fmt.Errorf("folder %s: %w", options.Dir, err)
	}
	for range 5 {
		kept, err := port.Keep()
		if err != nil {
			return err
		}
		c.ports = append(c.ports, kept)
	}
	etcd, apiServer, controllerManager, scheduler, kwok := c.ports[0], c.ports[1], c.ports[2], c.ports[3], c.ports[4]
	c.URL = "https://" + apiServer.Address
	if err := c.writeCredentials(dir); err != nil {
		return err
	}
	client, err := c.authority.client()
	if err != nil {
		return fmt.Errorf("health client: %w", err)
	}

	stages := [][]*component{ // each stage needs the one before it
		{newComponent("etcd", etcd, "https", "/readyz", etcdArgs(etcd))},
		{newComponent("kube-apiserver", apiServer, "https", "/readyz", apiServerArgs(apiServer, etcd))},
		{
			newComponent("kube-controller-manager", controllerManager, "https", "/healthz", controllerManagerArgs(controllerManager)),
			newComponent("kube-scheduler", scheduler, "https", "/readyz", schedulerArgs(scheduler)),
			newComponent("kwok", kwok, "http", "/", kwokArgs(kwok)),
		},
	}
	c.failed = make(chan error, 5)
	for _, stage := range stages {
		for _, component := range stage {
			if err := component.start(binary, dir, c.failed); err != nil {
				return err
			}
			c.components = append(c.components, component)
		}
		for _, component := range stage {
			if err := component.await(ctx, client, component.health); err != nil {
				return err
			}
		}
	}
	// The controller manager calls itself healthy before its controllers run, and no pod is admitted to a namespace
	// before one of them has made its service account.
	return stages[2][0].await(ctx, client, c.URL+"/api/v1/namespaces/default/serviceaccounts/default")
}

// Stop ends every component and returns when the last one is gone. Nothing is shut down in an orderly way: the data
// is of no use to anybody afterwards. Stop may be called more than once and from several goroutines.
func (c *ControlPlane) Stop() {
	c.stop.Do(func() {
		// Clients before servers, so that the last lines of a log are not about the loss of a server.
		for _, component := range slices.Backward(c.components) {
			component.kill()
		}
		for _, kept := range c.ports {
			kept.Close()
		}
	})
}

// Failed receives one error, with the end of the log, for each component that ends although nobody called Stop. It is
// never closed.
func (c *ControlPlane) Failed() <-chan error { return c.failed }

// Logs are the paths of the components' log files.
func (c *ControlPlane) Logs() []string {
	var paths []string
	for _, component := range c.components {
		paths = append(paths, component.log)
	}
	return paths
}

// RESTConfig is a client configuration for a cluster administrator. Requests are not throttled on the client's side.
func (c *ControlPlane) RESTConfig() *rest.Config {
	return &rest.Config{
		Host:            c.URL,
		BearerToken:     c.AdminToken,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.CA},
		QPS:             -1,
	}
}

// Kubeconfig is a kubeconfig file for a person. A client certificate in it makes user a cluster administrator, so
// that kubectl needs nothing else.
func (c *ControlPlane) Kubeconfig(user string) ([]byte, error) {
	return c.kubeconfig(user, clusterAdmins)
}
