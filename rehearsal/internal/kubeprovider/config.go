package kubeprovider

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// settings are the arguments of the provider that the stand-in takes. Those without a comment change nothing here.
var settings = []string{
	"kubeconfig", "context", "cluster", "namespace", "clusterIdentifier", "deleteUnreachable", "enableConfigMapMutable", "enableSecretMutable",
	"enableServerSideApply", // must be true, its default
	"suppressDeprecationWarnings", "suppressHelmHookWarnings", "kubeClientSettings", "version", "pluginDownloadURL",
}

// checkConfig refuses arguments that would make the real provider behave as the stand-in cannot.
func checkConfig(news resource.PropertyMap) (failures []*pulumirpc.CheckFailure) {
	for _, key := range slices.Sorted(maps.Keys(news)) {
		if !slices.Contains(settings, string(key)) && !news[key].IsNull() {
			failures = append(failures, &pulumirpc.CheckFailure{Property: string(key), Reason: fmt.Sprintf("%q is not modelled by the kubernetes stand-in: leave it out", key)})
		}
	}
	if text(news, "enableServerSideApply") == "false" {
		failures = append(failures, &pulumirpc.CheckFailure{Property: "enableServerSideApply", Reason: "client-side apply is not modelled by the kubernetes stand-in: leave the argument out or set it to true"})
	}
	return failures
}

// diffConfig tells which changes of the provider's arguments replace it, and with it every object: another cluster
// identifier or, if there is none, another cluster in the kubeconfig. A kubeconfig that is not known yet may be another
// cluster's. Adding or removing the identifier replaces nothing (DiffConfig of the real provider).
func diffConfig(olds, news resource.PropertyMap) (*pulumirpc.DiffResponse, error) {
	const identifier = "clusterIdentifier"
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	diff := olds.Diff(news)
	if diff == nil {
		return response, nil
	}
	response.Changes = pulumirpc.DiffResponse_DIFF_SOME
	pinned := diff.Same(identifier) && news.HasValue(identifier)
	replace := func(key string) {
		if !pinned {
			response.Replaces = append(response.Replaces, key)
		}
	}
	if diff.Updated(identifier) {
		replace(identifier)
	}
	selectors := []string{"kubeconfig", "context", "cluster"} // what says which cluster it is
	for _, key := range selectors {
		if news[resource.PropertyKey(key)].IsComputed() {
			response.Diffs = []string{key}
			replace(key)
			return response, nil
		}
	}
	for _, key := range diff.ChangedKeys() {
		response.Diffs = append(response.Diffs, string(key))
	}
	before, err := activeCluster(olds)
	if err != nil {
		return nil, err
	}
	after, err := activeCluster(news)
	if err != nil {
		return nil, err
	}
	if before != nil && after != nil && !reflect.DeepEqual(before, after) {
		for _, key := range selectors {
			if slices.Contains(response.Diffs, key) {
				replace(key)
			}
		}
	}
	return response, nil
}

// text reads an argument; the SDKs send those that are no strings as JSON text, the engine may send them as they are.
func text(args resource.PropertyMap, key resource.PropertyKey) string {
	switch v := args[key]; {
	case v.IsString():
		return v.StringValue()
	case v.IsBool():
		return strconv.FormatBool(v.BoolValue())
	}
	return ""
}

// activeCluster is the address and CA that the arguments point at, nil if they point nowhere.
func activeCluster(args resource.PropertyMap) (*api.Cluster, error) {
	config, err := clientcmd.Load([]byte(text(args, "kubeconfig")))
	if err != nil {
		return nil, fmt.Errorf("failed to parse kubeconfig: %w", err)
	}
	current := config.Contexts[cmp.Or(text(args, "context"), config.CurrentContext)]
	if current == nil {
		return nil, nil
	}
	return config.Clusters[cmp.Or(text(args, "cluster"), current.Cluster)], nil
}

// cluster is what a configured provider talks to.
type cluster struct {
	dynamic   dynamic.Interface
	clients   kubernetes.Interface
	mapper    meta.ResettableRESTMapper
	namespace string // of namespaced objects that name none

	// unreachable is why there is nothing to talk to, nil if there is.
	unreachable                       error
	deleteUnreachable                 bool
	mutableConfigMaps, mutableSecrets bool
}

// connect takes the provider's arguments. A cluster that does not answer is no error before something is
// asked of it, as in the real provider. aws is what runs for its `aws`.
func connect(args resource.PropertyMap, aws string) (*cluster, error) {
	enabled := func(key resource.PropertyKey, variable string) bool {
		return cmp.Or(text(args, key), os.Getenv(variable)) == "true"
	}
	c := &cluster{
		deleteUnreachable: enabled("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE"),
		mutableConfigMaps: enabled("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE"),
		mutableSecrets:    enabled("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE"),
	}
	if text(args, "kubeconfig") == "" {
		// The real provider takes the user's own kubeconfig, which may be anybody's cluster.
		return nil, fmt.Errorf("the kubernetes provider has no kubeconfig: the stand-in does not use the ambient one")
	}
	config, err := clientcmd.Load([]byte(text(args, "kubeconfig")))
	if err != nil {
		c.unreachable = fmt.Errorf("failed to parse kubeconfig data: %w", err)
		return c, nil
	}
	if err := checkKubeconfig(config); err != nil {
		return nil, err
	}
	for _, user := range config.AuthInfos {
		if user.Exec != nil {
			user.Exec.Command = aws
		}
	}
	kubeconfig := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{
		CurrentContext: text(args, "context"),
		Context:        api.Context{Cluster: text(args, "cluster"), Namespace: text(args, "namespace")},
	})
	if c.namespace, _, err = kubeconfig.Namespace(); err == nil {
		err = c.dial(kubeconfig)
	}
	if err != nil {
		c.unreachable = fmt.Errorf("unable to load schema information from the API server: %w", err)
	}
	return c, nil
}

// ofTheComponent are the variables that the component's kubeconfig sets for `aws eks get-token`
// (https://github.com/pulumi/pulumi-eks/blob/v3.9.1/nodejs/eks/cluster/cluster.ts, generateKubeconfig). Others, such as
// LD_PRELOAD, could make it run anything.
var ofTheComponent = []string{"KUBERNETES_EXEC_INFO", "AWS_PROFILE"}

// checkKubeconfig refuses what the component never writes: other commands than `aws`, and the names of files, which would be read
// as the user who rehearses. The real provider takes all of it from whoever reaches its port.
func checkKubeconfig(config *api.Config) error {
	for name, user := range config.AuthInfos {
		if user.TokenFile+user.ClientCertificate+user.ClientKey != "" {
			return fmt.Errorf("kubeconfig: user %q names a file; the kubernetes stand-in reads none: put its contents in", name)
		}
		if user.Exec == nil {
			continue
		}
		if user.Exec.Command != "aws" {
			return fmt.Errorf("kubeconfig: user %q runs %q; the kubernetes stand-in runs `aws` only", name, user.Exec.Command)
		}
		for _, variable := range user.Exec.Env {
			if !slices.Contains(ofTheComponent, variable.Name) {
				return fmt.Errorf("kubeconfig: user %q sets %s for `aws`; the kubernetes stand-in allows: %s", name, variable.Name, strings.Join(ofTheComponent, ", "))
			}
		}
	}
	for name, cluster := range config.Clusters {
		if cluster.CertificateAuthority != "" {
			return fmt.Errorf("kubeconfig: cluster %q names a file; the kubernetes stand-in reads none: put its contents in", name)
		}
	}
	return nil
}

func (c *cluster) dial(kubeconfig clientcmd.ClientConfig) error {
	config, err := kubeconfig.ClientConfig()
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
	return c.dynamic.Resource(mapping.Resource).Namespace(cmp.Or(o.GetNamespace(), c.namespace)), nil
}

func (c *cluster) mapping(o *object) (*meta.RESTMapping, error) {
	kind := o.GroupVersionKind()
	return c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
}
