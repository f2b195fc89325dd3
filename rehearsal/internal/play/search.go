package play

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"expense/rehearsal/internal/awsmodel"
	"expense/rehearsal/internal/opensearch"
	"expense/rehearsal/internal/opensearchtest"
	"expense/rehearsal/ops/verify"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// found is the end of a line's way: the domain, a real OpenSearch behind the stack's access policy, is set up by the Job's script,
// a request's line passes the sidecar's filter with the pod's environment, is sent as the writer, and is searched. Where
// OpenSearch or Ruby is missing, it says so in place of that.
func (c *checks) found(ctx context.Context, pod *corev1.Pod, document setupDocument) ([]link, error) {
	const step = "a search finds it"
	archives := filepath.Join(filepath.Dir(c.stage.Tools), "opensearch")
	if reason := missing(ctx, archives); reason != "" {
		return []link{{step, "not tried here. " + reason}}, nil
	}
	node, err := opensearch.Start(ctx, archives)
	if err != nil {
		return nil, err
	}
	defer node.Stop()
	master, err := c.master(ctx)
	if err != nil {
		return nil, err
	}
	domain, err := opensearchtest.New(node, master)
	if err != nil {
		return nil, err
	}
	defer domain.Close()
	domain.Region = c.stage.Model.Region()
	arn, _, err := c.domain(document.Endpoint)
	if err != nil {
		return nil, err
	}
	domain.Policy(func(role, action, path string) error {
		_, err := c.stage.Model.Allowed(awsmodel.Call{Role: role, Action: action, Resource: arn + path})
		return err
	})
	domain.Open()
	if err := c.setUp(ctx, domain); err != nil {
		return nil, err
	}
	stream, err := document.dataStream()
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	record, err := c.filtered(ctx, pod, map[string]any{
		"time": float64(time.Now().UnixMilli()) / 1000, "request_id": id, "method": "GET", "path": "/", "status": 200, "bytes_sent": 615,
		"request_time": 0.001,
	})
	if err != nil {
		return nil, err
	}
	if err := send(domain, environment(verify.Sidecar(pod.Spec), "AWS_ROLE_ARN"), stream, record); err != nil {
		return nil, err
	}
	by, err := c.search(ctx, domain, stream, id)
	return []link{{step, by}}, err
}

// missing names the missing programs without which no line can be found.
func missing(ctx context.Context, archives string) string {
	if reason := opensearch.Missing(archives); reason != "" {
		return reason
	}
	if out, err := exec.CommandContext(ctx, "ruby", "-e", `require "aws-sigv4"`).CombinedOutput(); err != nil {
		return fmt.Sprintf("The set-up's script needs ruby and its gem aws-sigv4 (Debian: ruby, ruby-aws-sigv4): %v %s", err, out)
	}
	return ""
}

// setUp runs the script of the set-up Job against the domain, as the pod of the Job would.
func (c *checks) setUp(ctx context.Context, domain *opensearchtest.Server) error {
	job, _, err := c.setup(ctx)
	if err != nil {
		return err
	}
	config, err := c.client.CoreV1().ConfigMaps(loggingNamespace).Get(ctx, job.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(config.Data["setup.json"]), &document); err != nil {
		return err
	}
	document["endpoint"], document["poll_seconds"] = domain.URL, 0.1
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.stage.Dir, "setup")
	if err := writeFiles(dir, map[string][]byte{
		"setup.rb": []byte(config.Data["setup.rb"]), "setup.json": text, "token": []byte(domain.Agent.Token), "ca.pem": domain.CertificatePEM(),
	}); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "ruby", "setup.rb", "setup.json")
	command.Dir = dir
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "SSL_CERT_FILE=ca.pem", "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + domain.Agent.URL,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=token",
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func writeFiles(dir string, files map[string][]byte) error {
	err := os.MkdirAll(dir, 0o700)
	for name, content := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return err
}

var (
	filterSection = regexp.MustCompile(`(?s)<filter [^>]*>\s*@type expense\n(.*?)</filter>`)
	variableUse   = regexp.MustCompile(`#\{ENV\['([A-Z_]+)'\]\}`)
)

// filtered passes a line of nginx's access log through the sidecar's filter. The filter and its parameters come from the pod's config map;
// the part of fluentd that runs it is the one in the filter's own tests.
func (c *checks) filtered(ctx context.Context, pod *corev1.Pod, line map[string]any) (map[string]any, error) {
	fluentd := verify.Sidecar(pod.Spec)
	config, err := c.sidecarConfig(ctx, pod)
	if err != nil {
		return nil, err
	}
	section := filterSection.FindStringSubmatch(config["fluent.conf"])
	if section == nil {
		return nil, errors.New("fluent.conf has no filter of the type expense")
	}
	parameters := map[string]string{}
	for _, set := range strings.Split(strings.TrimSpace(section[1]), "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(set), " ")
		if name == "" || name[0] == '@' || name[0] == '#' {
			continue
		}
		parameters[name] = variableUse.ReplaceAllStringFunc(strings.Trim(value, `"`), func(use string) string {
			return valueOf(pod, fluentd, variableUse.FindStringSubmatch(use)[1])
		})
	}
	text, err := json.Marshal(line)
	if err != nil {
		return nil, err
	}
	input, err := json.Marshal(map[string]any{"filter": parameters, "messages": []any{map[string]any{
		"path": "/var/log/app/web/access.log", "message": []string{string(text)},
	}}})
	if err != nil {
		return nil, err
	}
	dir, part := filepath.Join(c.stage.Dir, "filter"), filepath.Join(c.stage.Source, "logging", "testdata")
	if err := writeFiles(dir, map[string][]byte{"filter.rb": []byte(config["filter_expense.rb"])}); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "ruby", "-I", part, filepath.Join(part, "fluentd.rb"), filepath.Join(dir, "filter.rb"))
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("filter: %w: %s", err, stderr.String())
	}
	var result struct {
		Events []struct{ Record map[string]any }
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("filter: %w: %s", err, out)
	}
	if len(result.Events) != 1 || result.Events[0].Record == nil {
		return nil, fmt.Errorf("filter: expected one record: %s%s", out, stderr.String())
	}
	return result.Events[0].Record, nil
}

// sidecarConfig is the content of the config map that a pod's sidecar reads.
func (c *checks) sidecarConfig(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	for _, volume := range pod.Spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		config, err := c.client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, volume.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if config.Data["fluent.conf"] != "" {
			return config.Data, nil
		}
	}
	return nil, fmt.Errorf("pod %s: no volume has fluent.conf", pod.Name)
}

// valueOf is the value of a container's variable.
func valueOf(pod *corev1.Pod, container *corev1.Container, name string) string {
	for _, variable := range container.Env {
		if variable.Name != name {
			continue
		}
		if variable.ValueFrom == nil || variable.ValueFrom.FieldRef == nil {
			return strings.ReplaceAll(variable.Value, "$$", "$") // as the kubelet does
		}
		path := variable.ValueFrom.FieldRef.FieldPath
		if label, is := strings.CutPrefix(path, "metadata.labels['"); is {
			return pod.Labels[strings.TrimSuffix(label, "']")]
		}
		return map[string]string{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "spec.nodeName": pod.Spec.NodeName}[path]
	}
	return ""
}

// send sends a record as the sidecar does.
func send(domain *opensearchtest.Server, writer, stream string, record map[string]any) error {
	operation := map[string]any{"_index": stream}
	if id, has := record["_hash"]; has {
		operation["_id"] = id
		delete(record, "_hash")
	}
	head, err := json.Marshal(map[string]any{"create": operation})
	if err != nil {
		return err
	}
	line, err := json.Marshal(record)
	if err != nil {
		return err
	}
	status, answer, err := domain.Send(
		writer, "POST", "/_bulk", http.Header{"Content-Type": {"application/x-ndjson"}}, fmt.Appendf(nil, "%s\n%s\n", head, line),
	)
	if err != nil {
		return err
	}
	var bulk struct{ Errors bool }
	if json.Unmarshal(answer, &bulk) != nil || status != http.StatusOK || bulk.Errors {
		return fmt.Errorf("POST /_bulk as %s: %d %s", writer, status, answer)
	}
	return nil
}

// search finds the line of a request, as the reader by way of Dashboards where there are dashboards, and says who found it.
func (c *checks) search(ctx context.Context, domain *opensearchtest.Server, stream, id string) (string, error) {
	// A refresh, instead of waiting until the index shows the new line.
	if _, _, err := domain.Node.Do(opensearch.Admin, "POST", "/"+stream+"/_refresh", nil); err != nil {
		return "", err
	}
	query, err := json.Marshal(map[string]any{"query": map[string]any{"term": map[string]any{"request_id": id}}})
	if err != nil {
		return "", err
	}
	reader, on, err := c.reader(ctx)
	if err != nil {
		return "", err
	}
	body := fmt.Appendf(nil, `{"params":{"index":%q,"body":%s}}`, stream, query)
	status, answer, err := domain.Send(
		reader, "POST", "/_dashboards/internal/search/opensearch", http.Header{"Content-Type": {"application/json"}, "Osd-Xsrf": {"true"}}, body,
	)
	if err != nil {
		return "", err
	}
	by := "the search of a browser through OpenSearch Dashboards, as " + reader
	if !on {
		if status != http.StatusForbidden {
			return "", fmt.Errorf("the dashboards are off, and %s searches: %d %s", reader, status, answer)
		}
		by = "OpenSearch's own search; the dashboards are off, and their role is refused"
		if status, answer, err = domain.Node.Do(opensearch.Admin, "POST", "/"+stream+"/_search", query); err != nil {
			return "", err
		}
		answer = fmt.Appendf(nil, `{"rawResponse":%s}`, answer)
	}
	var found struct {
		Response struct {
			Hits struct {
				Hits []struct {
					Source map[string]any `json:"_source"`
				} `json:"hits"`
			} `json:"hits"`
		} `json:"rawResponse"`
	}
	if json.Unmarshal(answer, &found) != nil || status != http.StatusOK {
		return "", fmt.Errorf("search of %s: %d %s", stream, status, answer)
	}
	hits := found.Response.Hits.Hits
	if len(hits) != 1 || hits[0].Source["container"] != "web" {
		return "", fmt.Errorf("search of %s: expected the one line of request %s: %s", stream, id, answer)
	}
	return by, nil
}
