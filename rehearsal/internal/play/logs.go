package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/ops/verify"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// loggingNamespace is where the set-up of the domain and the dashboards' proxy run.
const loggingNamespace = "logging"

const (
	stsAudience         = "sts.amazonaws.com"
	podIdentityAudience = "pods.eks.amazonaws.com"
)

// setupDocument is the part of what the set-up sends to the domain that the checks look at.
type setupDocument struct {
	Endpoint string `json:"endpoint"`
	Requests []struct {
		Name      string          `json:"name"`
		Method    string          `json:"method"`
		Path      string          `json:"path"`
		Body      json.RawMessage `json:"body"`
		EachIndex bool            `json:"each_index"`
	} `json:"requests"`
}

// body decodes the body of the request to a path.
func (d setupDocument) body(path string, into any) error {
	for _, r := range d.Requests {
		if r.Path == path {
			return json.Unmarshal(r.Body, into)
		}
	}
	return fmt.Errorf("the set-up has no request to %s", path)
}

// dataStream is the name of the data stream that the set-up makes. Everything for logs in the domain has this name.
func (d setupDocument) dataStream() (string, error) {
	for _, r := range d.Requests {
		if name, found := strings.CutPrefix(r.Path, "/_data_stream/"); found {
			return name, nil
		}
	}
	return "", errors.New("the set-up makes no data stream")
}

// setup returns the only Job of the set-up and what it sends.
func (c *checks) setup(ctx context.Context) (*batchv1.Job, setupDocument, error) {
	var document setupDocument
	jobs, err := c.client.BatchV1().Jobs(loggingNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=log-setup"})
	if err != nil {
		return nil, document, err
	}
	if len(jobs.Items) != 1 {
		return nil, document, fmt.Errorf("found %d set-up Jobs, expected 1", len(jobs.Items))
	}
	job := &jobs.Items[0]
	config, err := c.client.CoreV1().ConfigMaps(loggingNamespace).Get(ctx, job.Name, metav1.GetOptions{})
	if err != nil {
		return nil, document, err
	}
	if config.Immutable == nil || !*config.Immutable || config.Data["setup.rb"] == "" {
		return nil, document, fmt.Errorf("config map %s: expected an immutable one with setup.rb", config.Name)
	}
	return job, document, json.Unmarshal([]byte(config.Data["setup.json"]), &document)
}

// logging returns the pods that have a sidecar. No such pod is an error.
func (c *checks) logging(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return verify.Sidecar(pod.Spec) == nil })
	if len(pods) == 0 {
		return nil, errors.New("there is no pod that logs")
	}
	return pods, nil
}

// audiences are the tokens of a pod's service account that its volumes hold, by volume.
func audiences(pod *corev1.Pod) map[string]string {
	out := map[string]string{}
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				out[volume.Name] = source.ServiceAccountToken.Audience
			}
		}
	}
	return out
}

// domain is the domain that a set-up speaks to: its ARN and its inputs.
func (c *checks) domain(endpoint string) (arn string, inputs map[string]any, err error) {
	for _, item := range c.stage.Model.Inventory() {
		if item.Type != "aws:opensearch/domain:Domain" {
			continue
		}
		in, out, found := c.stage.Model.Read(item.Type, item.ID)
		if found && "https://"+out["endpoint"].StringValue() == endpoint {
			return out["arn"].StringValue(), in.Mappable(), nil
		}
	}
	return "", nil, fmt.Errorf("no domain has the endpoint %s", endpoint)
}

// question is a call, and whether it must be allowed.
type question struct {
	action, path string
	allowed      bool
}

// permissions: IAM allows each role its calls and no others, and only the role's service account can assume it.
func (c *checks) permissions(ctx context.Context) (string, error) {
	job, document, err := c.setup(ctx)
	if err != nil {
		return "", err
	}
	arn, _, err := c.domain(document.Endpoint)
	if err != nil {
		return "", err
	}
	pods, err := c.logging(ctx)
	if err != nil {
		return "", err
	}
	model, cluster, asked := c.stage.Model, c.settings.Cluster.Name, 0
	ask := func(role string, questions []question) error {
		for _, q := range questions {
			asked++
			if _, err := model.Allowed(awsmodel.Call{Role: role, Action: q.action, Resource: arn + q.path}); (err == nil) != q.allowed {
				return fmt.Errorf("%s, %s on %s: allowed is %v, expected %v", role, q.action, q.path, err == nil, q.allowed)
			}
		}
		return nil
	}
	assume := func(role string, token awsmodel.Token, allowed bool) error {
		asked++
		if err := model.AssumeWithToken(role, token); (err == nil) != allowed {
			return fmt.Errorf("%s with the token of %s/%s: %v, expected allowed to be %v", role, token.Namespace, token.ServiceAccount, err, allowed)
		}
		return nil
	}

	writer := environment(verify.Sidecar(pods[0].Spec), "AWS_ROLE_ARN")
	stream, err := document.dataStream()
	if err != nil {
		return "", err
	}
	if err := errors.Join(
		ask(writer, []question{
			{"es:ESHttpGet", "/", true}, {"es:ESHttpPost", "/_bulk", true},
			{"es:ESHttpGet", "/" + stream + "/_search", false}, {"es:ESHttpPost", "/" + stream + "/_delete_by_query", false},
			{"es:ESHttpDelete", "/_data_stream/" + stream, false}, {"es:ESHttpPost", "/" + stream + "/_rollover", false},
			{"es:ESHttpPut", "/_plugins/_security/api/roles/x", false},
			{"es:ESHttpGet", "/_dashboards", false},
		}),
		assume(writer, awsmodel.Token{Cluster: cluster, Namespace: c.namespace, ServiceAccount: "fluentd", Audience: stsAudience}, true),
		assume(writer, awsmodel.Token{Cluster: cluster, Namespace: c.namespace, ServiceAccount: "default", Audience: stsAudience}, false),
		assume(writer, awsmodel.Token{Cluster: cluster, Namespace: "default", ServiceAccount: "fluentd", Audience: stsAudience}, false),
	); err != nil {
		return "", err
	}

	master, err := c.master(ctx)
	if err != nil {
		return "", err
	}
	account := job.Spec.Template.Spec.ServiceAccountName
	if other, err := model.AssumeByPodIdentity(
		awsmodel.Token{Cluster: cluster, Namespace: c.namespace, ServiceAccount: account, Audience: podIdentityAudience},
	); err == nil {
		return "", fmt.Errorf("a pod of %s gets the role %s", c.namespace, other)
	}
	questions := []question{
		{"es:ESHttpGet", "/" + stream + "/_search", false}, {"es:ESHttpDelete", "/_data_stream/" + stream, false},
		{"es:ESHttpPost", "/_bulk", false},
	}
	for _, r := range document.Requests {
		file, _, _ := strings.Cut(r.Path, "?")
		if r.EachIndex {
			questions = append(
				questions, question{"es:ESHttpGet", file, true}, question{"es:ESHttp" + r.Method[:1] + strings.ToLower(r.Method[1:]), file, false},
			)
			file = "/.ds-" + stream + "-000001/_settings"
		}
		questions = append(questions, question{"es:ESHttp" + r.Method[:1] + strings.ToLower(r.Method[1:]), file, true})
	}
	if err := ask(master, questions); err != nil {
		return "", err
	}

	proxies, err := c.client.AppsV1().Deployments(loggingNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	reader, on, err := c.reader(ctx)
	if err != nil {
		return "", err
	}
	for _, proxy := range proxies.Items {
		if role := environment(&proxy.Spec.Template.Spec.Containers[0], "AWS_ROLE_ARN"); role != reader {
			return "", fmt.Errorf("the proxy has the role %s, expected %s", role, reader)
		}
	}
	token := dashboardsToken(cluster)
	token.Namespace = c.namespace
	if err := errors.Join(
		ask(reader, []question{
			{"es:ESHttpGet", "/_dashboards/app/home", true}, {"es:ESHttpPost", "/_dashboards/internal/search/opensearch", true},
			{"es:ESHttpDelete", "/_dashboards/api/saved_objects/x", false}, {"es:ESHttpPost", "/_bulk", false},
			{"es:ESHttpGet", "/" + stream + "/_search", false}, {"es:ESHttpPut", "/_plugins/_security/api/roles/x", false},
		}),
		assume(reader, token, false),
	); err != nil {
		return "", err
	}
	var mapping struct {
		BackendRoles []string `json:"backend_roles"`
	}
	if err := document.body("/_plugins/_security/api/rolesmapping/"+stream+"-reader", &mapping); err != nil {
		return "", err
	}
	if slices.Contains(mapping.BackendRoles, reader) != on || len(mapping.BackendRoles) > 1 {
		return "", fmt.Errorf("with dashboards %v the domain knows %v as the reader", on, mapping.BackendRoles)
	}
	if !on {
		if _, err := c.client.CoreV1().ServiceAccounts(loggingNamespace).Get(ctx, "dashboards", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("a service account for the dashboards' proxy without a proxy: %v", err)
		}
	}
	known := []string{writer, master, reader}
	others := 0
	for _, role := range roles(model) {
		if slices.Contains(known, role) {
			continue
		}
		others++
		if err := ask(
			role, []question{{"es:ESHttpGet", "/", false}, {"es:ESHttpPost", "/_bulk", false}, {"es:ESHttpGet", "/_dashboards/app/home", false}},
		); err != nil {
			return "", err
		}
	}
	if others == 0 {
		return "", errors.New("there is no other role that could be kept out")
	}
	return fmt.Sprintf("%d questions, %d of the stack's roles kept out", asked, others), nil
}

// master is the role that the set-up's pod has.
func (c *checks) master(ctx context.Context) (string, error) {
	job, _, err := c.setup(ctx)
	if err != nil {
		return "", err
	}
	return c.stage.Model.AssumeByPodIdentity(awsmodel.Token{
		Cluster: c.settings.Cluster.Name, Namespace: loggingNamespace,
		ServiceAccount: job.Spec.Template.Spec.ServiceAccountName, Audience: podIdentityAudience,
	})
}

// reader is the role of the dashboards' proxy, and whether there is a proxy. The role is there without one; then no pod can
// become it, and the domain knows nobody as the reader.
func (c *checks) reader(ctx context.Context) (string, bool, error) {
	proxies, err := c.client.AppsV1().Deployments(loggingNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", false, err
	}
	var readers []string
	for _, role := range roles(c.stage.Model) {
		if c.stage.Model.AssumeWithToken(role, dashboardsToken(c.settings.Cluster.Name)) == nil {
			readers = append(readers, role)
		}
	}
	if len(readers) != 1 {
		return "", false, fmt.Errorf("%d roles open to the dashboards' proxy, expected one: %v", len(readers), readers)
	}
	return readers[0], len(proxies.Items) > 0, nil
}

// dashboardsToken is the token of the proxy's service account.
func dashboardsToken(cluster string) awsmodel.Token {
	return awsmodel.Token{Cluster: cluster, Namespace: loggingNamespace, ServiceAccount: "dashboards", Audience: stsAudience}
}

// roles are the ARNs of the account's roles.
func roles(model *awsmodel.Model) (arns []string) {
	for _, item := range model.Inventory() {
		if item.Type == "aws:iam/role:Role" {
			_, out, _ := model.Read(item.Type, item.ID)
			arns = append(arns, out["arn"].StringValue())
		}
	}
	return arns
}

func environment(container *corev1.Container, name string) string {
	for _, variable := range container.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// link is one step of a line's way, with what allows it.
type link struct{ step, by string }

// linePath prints the way of one line of web, and of each app that logs, as the registered resources allow it. A step that nothing allows
// is an error.
func (c *checks) linePath(ctx context.Context) (string, error) {
	_, document, err := c.setup(ctx)
	if err != nil {
		return "", err
	}
	pods, err := c.logging(ctx)
	if err != nil {
		return "", err
	}
	policies, err := c.client.NetworkingV1().NetworkPolicies(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	workloads := []string{"web"}
	for _, name := range slices.Sorted(maps.Keys(c.settings.Workloads.Apps)) {
		if app := c.settings.Workloads.Apps[name]; app.Image != "" && app.Logs.From != config.LogsNone {
			workloads = append(workloads, name)
		}
	}
	steps := 0
	for _, name := range workloads {
		i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.Labels["app.kubernetes.io/name"] == name })
		if i < 0 {
			return "", fmt.Errorf("found no pod of %s with a sidecar", name)
		}
		links, err := c.links(ctx, &pods[i], policies.Items, document)
		writeLinks(c.stage.Out, links)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		steps += len(links)
	}
	return fmt.Sprintf("%d steps of %s, see above", steps, strings.Join(workloads, ", ")), nil
}

// links are the steps of a line of a pod, up to the first that nothing allows.
func (c *checks) links(
	ctx context.Context, pod *corev1.Pod, policies []networkingv1.NetworkPolicy, document setupDocument,
) (links []link, err error) {
	for _, part := range []func() ([]link, error){
		func() ([]link, error) { return inPod(pod) },
		func() ([]link, error) { return c.identity(pod) },
		func() ([]link, error) { return c.network(pod, policies, document) },
		func() ([]link, error) { return c.inDomain(pod, document) },
		func() ([]link, error) { return c.found(ctx, pod, document) },
	} {
		more, err := part()
		links = append(links, more...)
		if err != nil {
			return links, err
		}
	}
	return links, nil
}

// writeLinks writes each step with what allows it below.
func writeLinks(out io.Writer, links []link) {
	fmt.Fprintln(out)
	for i, l := range links {
		fmt.Fprintf(out, "%3d. %s\n     by %s\n", i+1, wrap(l.step, 5), wrap(l.by, 8))
	}
	fmt.Fprintln(out)
}

// wrap breaks a text into lines that start in a column and end before column 100.
func wrap(text string, column int) string {
	var out strings.Builder
	at := column
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > 100:
			out.WriteString("\n" + strings.Repeat(" ", column))
			at = column
		default:
			out.WriteString(" ")
			at++
		}
		out.WriteString(word)
		at += len(word)
	}
	return out.String()
}

// inPod is the way from the application's container through the volume into fluentd.
func inPod(pod *corev1.Pod) ([]link, error) {
	fluentd := verify.Sidecar(pod.Spec)
	logs := mountOf(*fluentd, "logs")
	for _, container := range pod.Spec.Containers {
		for _, mount := range container.VolumeMounts {
			if mount.Name != "logs" {
				continue
			}
			limit := resource.Quantity{}
			for _, volume := range pod.Spec.Volumes {
				if volume.Name == mount.Name && volume.EmptyDir != nil && volume.EmptyDir.SizeLimit != nil {
					limit = *volume.EmptyDir.SizeLimit
				}
			}
			if limit.IsZero() {
				return nil, fmt.Errorf("pod %s: the volume of the logs has no limit", pod.Name)
			}
			return []link{
				{fmt.Sprintf("container %s of pod %s/%s writes a line into %s", container.Name, pod.Namespace, pod.Name, mount.MountPath),
					fmt.Sprintf("volume %s, at most %s; renamed at %s bytes, %s old files stay", mount.Name, limit.String(),
						environment(&container, "LOG_MAX_BYTES"), environment(&container, "LOG_GENERATIONS"))},
				{fmt.Sprintf("container %s reads it in %s", fluentd.Name, path.Join(logs, mount.SubPath)),
					fmt.Sprintf("the same volume, read-only; image %s", fluentd.Image)},
			}, nil
		}
	}
	return nil, fmt.Errorf("pod %s: no container writes into the volume of the logs", pod.Name)
}

// identity is the way from the pod's token to the writer's role.
func (c *checks) identity(pod *corev1.Pod) ([]link, error) {
	fluentd := verify.Sidecar(pod.Spec)
	role := environment(fluentd, "AWS_ROLE_ARN")
	for volume, audience := range audiences(pod) {
		if mountOf(*fluentd, volume) == "" {
			continue
		}
		token := awsmodel.Token{
			Cluster: c.settings.Cluster.Name, Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName, Audience: audience,
		}
		if err := c.stage.Model.AssumeWithToken(role, token); err != nil {
			return nil, err
		}
		return []link{{
			"fluentd gets credentials of " + role,
			fmt.Sprintf(
				"the token of service account %s/%s for %s, which the role's trust policy names", token.Namespace, token.ServiceAccount, audience,
			),
		}}, nil
	}
	return nil, fmt.Errorf("pod %s: fluentd has no token", pod.Name)
}

// network is the way out of the namespace and into the domain.
func (c *checks) network(pod *corev1.Pod, policies []networkingv1.NetworkPolicy, document setupDocument) ([]link, error) {
	_, inputs, err := c.domain(document.Endpoint)
	if err != nil {
		return nil, err
	}
	host, err := url.Parse(document.Endpoint)
	if err != nil {
		return nil, err
	}
	out, err := wayOut(pod, policies)
	if err != nil {
		return nil, err
	}
	_, cluster, found := c.stage.Model.Read("aws:eks/cluster:Cluster", c.settings.Cluster.Name)
	if !found {
		return nil, fmt.Errorf("cluster %s does not exist", c.settings.Cluster.Name)
	}
	nodes := cluster["vpcConfig"].ObjectValue()["clusterSecurityGroupId"].StringValue()
	options, _ := inputs["vpcOptions"].(map[string]any)
	groups, _ := options["securityGroupIds"].([]any)
	for _, item := range c.stage.Model.Inventory() {
		if item.Type != "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule" {
			continue
		}
		in, _, _ := c.stage.Model.Read(item.Type, item.ID)
		rule := in.Mappable()
		if slices.Contains(groups, rule["securityGroupId"]) && rule["fromPort"] == 443.0 && rule["referencedSecurityGroupId"] == nodes {
			return []link{
				{"it opens a connection to " + host.Host, out},
				{
					"the domain takes the connection",
					fmt.Sprintf("rule of security group %v: TCP 443 from the cluster's group %s", rule["securityGroupId"], nodes),
				},
			}, nil
		}
	}
	return nil, fmt.Errorf("no rule of the domain's security group lets HTTPS in from the cluster's group %s", nodes)
}

// wayOut is the opening of the network policies by which a pod reaches an address by HTTPS.
func wayOut(pod *corev1.Pod, policies []networkingv1.NetworkPolicy) (string, error) {
	for _, policy := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			return "", fmt.Errorf("network policy %s: %w", policy.Name, err)
		}
		if !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, rule := range policy.Spec.Egress {
			for _, port := range rule.Ports {
				for _, to := range rule.To {
					if to.IPBlock != nil && port.Port != nil && port.Port.IntValue() == 443 && *port.Protocol == corev1.ProtocolTCP {
						return fmt.Sprintf("network policy %s: TCP 443 to %s", policy.Name, to.IPBlock.CIDR), nil
					}
				}
			}
		}
	}
	return "", fmt.Errorf("no network policy lets HTTPS out of pod %s", pod.Name)
}

// inDomain is the way through the domain's two policies into the index.
func (c *checks) inDomain(pod *corev1.Pod, document setupDocument) ([]link, error) {
	role := environment(verify.Sidecar(pod.Spec), "AWS_ROLE_ARN")
	arn, _, err := c.domain(document.Endpoint)
	if err != nil {
		return nil, err
	}
	stream, err := document.dataStream()
	if err != nil {
		return nil, err
	}
	by, err := c.stage.Model.Allowed(awsmodel.Call{Role: role, Action: "es:ESHttpPost", Resource: arn + "/_bulk"})
	if err != nil {
		return nil, err
	}
	links := []link{{"fluentd signs POST /_bulk", strings.Join(by, "; ")}}

	var mapping struct {
		BackendRoles []string `json:"backend_roles"`
	}
	var writer struct {
		Cluster []string `json:"cluster_permissions"`
		Index   []struct {
			Patterns []string `json:"index_patterns"`
			Actions  []string `json:"allowed_actions"`
		} `json:"index_permissions"`
	}
	var template struct {
		Template struct{ Settings map[string]any } `json:"template"`
	}
	var retention struct {
		Policy struct {
			States []struct {
				Transitions []struct {
					Conditions map[string]string `json:"conditions"`
					To         string            `json:"state_name"`
				} `json:"transitions"`
			} `json:"states"`
		} `json:"policy"`
	}
	name := stream + "-writer"
	if err := errors.Join(
		document.body("/_plugins/_security/api/rolesmapping/"+name, &mapping),
		document.body("/_plugins/_security/api/roles/"+name, &writer),
		document.body("/_index_template/"+stream, &template),
		document.body("/_plugins/_ism/policies/"+stream, &retention),
	); err != nil {
		return links, err
	}
	if !slices.Contains(mapping.BackendRoles, role) || len(writer.Index) != 1 {
		return links, fmt.Errorf("the domain's role %s is held by %v, expected %s", name, mapping.BackendRoles, role)
	}
	age := ""
	for _, state := range retention.Policy.States {
		for _, transition := range state.Transitions {
			if transition.To == "delete" {
				for condition, value := range transition.Conditions { // it has one
					age = condition + " is " + value
				}
			}
		}
	}
	if age == "" {
		return links, fmt.Errorf("retention policy %s deletes nothing", stream)
	}
	return append(links,
		link{"the domain knows the role as " + name, "its mapping to that ARN, and " + strings.Join(writer.Cluster, ", ")},
		link{
			"the line is added to the data stream " + stream,
			strings.Join(writer.Index[0].Actions, ", ") + " on " + strings.Join(writer.Index[0].Patterns, ", "),
		},
		link{
			fmt.Sprintf("its index has %v shard and %v replicas",
				template.Template.Settings["index.number_of_shards"], template.Template.Settings["index.number_of_replicas"]),
			"index template " + stream,
		},
		link{"the index is deleted when its " + age, "retention policy " + stream},
	), nil
}
