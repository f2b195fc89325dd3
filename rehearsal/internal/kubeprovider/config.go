package kubeprovider

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// The provider's arguments that the stand-in takes. The engine adds its own two.
const (
	kubeconfigKey = "kubeconfig"
	identifierKey = "clusterIdentifier"
	serverSideKey = "enableServerSideApply" // true, its default
)

// checkConfig refuses arguments with which the real provider behaves otherwise than the stand-in.
func checkConfig(news resource.PropertyMap) (failures []*pulumirpc.CheckFailure) {
	taken := []resource.PropertyKey{kubeconfigKey, identifierKey, serverSideKey, "version", "pluginDownloadURL"}
	for _, key := range slices.Sorted(maps.Keys(news)) {
		reason := ""
		switch value := news[key]; {
		case value.IsNull():
		case !slices.Contains(taken, key):
			reason = fmt.Sprintf("%q is not modelled by the kubernetes stand-in: leave it out", key)
		case key == serverSideKey && fmt.Sprint(value.V) == "false": // from an SDK it is text
			reason = "client-side apply is not modelled by the kubernetes stand-in: leave the argument out or set it to true"
		}
		if reason != "" {
			failures = append(failures, &pulumirpc.CheckFailure{Property: string(key), Reason: reason})
		}
	}
	return failures
}

// diffConfig tells which changes of the arguments replace the provider, and with it every object: another cluster identifier,
// or without one another cluster in the kubeconfig. An unknown kubeconfig may be that of another cluster. To add or remove the
// identifier replaces nothing (DiffConfig of the real provider).
func diffConfig(olds, news resource.PropertyMap) (*pulumirpc.DiffResponse, error) {
	diff := olds.Diff(news)
	if diff == nil {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}
	for _, key := range diff.ChangedKeys() {
		response.Diffs = append(response.Diffs, string(key))
	}
	switch {
	case diff.Updated(identifierKey):
		response.Replaces = []string{identifierKey}
	case diff.Same(identifierKey) && news.HasValue(identifierKey):
	case news[kubeconfigKey].IsComputed():
		response.Replaces = []string{kubeconfigKey}
	default:
		before, err1 := clusterOf(olds)
		after, err2 := clusterOf(news)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("failed to parse kubeconfig: %w", err)
		}
		if before != nil && after != nil && !reflect.DeepEqual(before, after) {
			response.Replaces = []string{kubeconfigKey}
		}
	}
	return response, nil
}

func kubeconfig(args resource.PropertyMap) []byte {
	text, _ := args[kubeconfigKey].V.(string)
	return []byte(text)
}

// clusterOf is the cluster of the kubeconfig's current context, nil if there is none.
func clusterOf(args resource.PropertyMap) (*api.Cluster, error) {
	config, err := clientcmd.Load(kubeconfig(args))
	if err != nil || config.Contexts[config.CurrentContext] == nil {
		return nil, err
	}
	return config.Clusters[config.Contexts[config.CurrentContext].Cluster], nil
}

// cluster is what a configured provider talks to.
type cluster struct {
	dynamic dynamic.Interface
	clients kubernetes.Interface
	mapper  meta.ResettableRESTMapper
	// unreachable is why there is nothing to talk to, nil if there is.
	unreachable error
}

// connect takes the provider's arguments. As in the real provider, a cluster that does not answer is an error only when
// something is asked of it. aws is what runs for `aws`.
func connect(args resource.PropertyMap, aws string) (*cluster, error) {
	text := kubeconfig(args)
	if len(text) == 0 {
		// The real provider takes the user's own kubeconfig, of whatever cluster.
		return nil, errors.New("the kubernetes provider has no kubeconfig: the stand-in does not use the ambient one")
	}
	config, err := clientcmd.Load(text)
	if err != nil {
		return &cluster{unreachable: fmt.Errorf("failed to parse kubeconfig data: %w", err)}, nil
	}
	if err := checkKubeconfig(config); err != nil {
		return nil, err
	}
	for _, user := range config.AuthInfos {
		if user.Exec != nil {
			user.Exec.Command = aws
		}
	}
	c := &cluster{}
	if err := c.dial(config); err != nil {
		c.unreachable = fmt.Errorf("unable to load schema information from the API server: %w", err)
	}
	return c, nil
}

// ofTheComponent are the variables that the component's kubeconfig sets for `aws eks get-token`
// (https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/cluster/cluster.ts, generateKubeconfig). Others, such as
// LD_PRELOAD, could make it run anything.
var ofTheComponent = []string{"KUBERNETES_EXEC_INFO", "AWS_PROFILE"}

// checkKubeconfig refuses what the component never writes: commands other than `aws`, and names of files, which the stand-in
// would read as its user. The real provider takes both from everybody who reaches its port.
func checkKubeconfig(config *api.Config) error {
	files := map[string]string{}
	for name, user := range config.AuthInfos {
		files[fmt.Sprintf("user %q", name)] = user.TokenFile + user.ClientCertificate + user.ClientKey
		if user.Exec == nil {
			continue
		}
		if user.Exec.Command != "aws" {
			return fmt.Errorf("kubeconfig: user %q runs %q; the kubernetes stand-in runs `aws` only", name, user.Exec.Command)
		}
		for _, variable := range user.Exec.Env {
			if !slices.Contains(ofTheComponent, variable.Name) {
				return fmt.Errorf("kubeconfig: user %q sets %s for `aws`; the kubernetes stand-in allows: %s",
					name, variable.Name, strings.Join(ofTheComponent, ", "))
			}
		}
	}
	for name, cluster := range config.Clusters {
		files[fmt.Sprintf("cluster %q", name)] = cluster.CertificateAuthority
	}
	for who, file := range files {
		if file != "" {
			return fmt.Errorf("kubeconfig: %s names a file; the kubernetes stand-in reads none: put its contents in", who)
		}
	}
	return nil
}

func (c *cluster) dial(kubeconfig *api.Config) error {
	config, err := clientcmd.NewDefaultClientConfig(*kubeconfig, nil).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 50, 120 // the real provider's
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "pulumi-kubernetes/" + Version
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if c.clients, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.clients.Discovery()))
	_, err = c.clients.Discovery().ServerVersion()
	return err
}

// resource is the client for objects of o's kind in o's namespace.
func (c *cluster) resource(o *object) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapping(o)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(cmp.Or(o.GetNamespace(), metav1.NamespaceDefault)), nil
}

func (c *cluster) mapping(o *object) (*meta.RESTMapping, error) {
	kind := o.GroupVersionKind()
	return c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
}
