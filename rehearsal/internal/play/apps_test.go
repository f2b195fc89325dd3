package play

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/internal/stage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// appsOfEachKind have an app of each kind. shop has its release command later.
const appsOfEachKind = `
shop: # with a role, a secret and a load balancer
  {image: shop:1, command: [/shop], port: 8080, user: 1000, secrets: {TOKEN: env}, inbound: [worker],
   iam: [{actions: [s3:GetObject], resources: ["arn:aws:s3:::shop/*"]}],
   public: {certificateArn: "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012", from: [203.0.113.0/24]}}
worker: # without a port
  {image: worker:1, command: [/worker], user: 1000, replicas: 1}
ledger: # gRPC, and logs in files
  {image: ledger:1, port: 9000, user: 1000, health: {grpc: true}, logs: {dir: /var/log/ledger, files: [ledger.log]}}
bare: # an image without a shell
  {image: bare:1, command: [/bare], port: 8080, user: 1000, logs: {capture: static, fields: {user_id: keyword}}}
quiet: # no logs
  {image: quiet:1, port: 8080, user: 1000, logs: none, inbound: ["*"]}
later: # not built yet
  {build: {dir: images/later}}
`

// setApps puts apps into the stage's copy of the stack's file.
func setApps(t *testing.T, s *stage.Stage, apps string) {
	path := filepath.Join(s.Dir, "project", "Pulumi.dev.yaml")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var file, added map[string]any
	require.NoError(t, yaml.Unmarshal(data, &file))
	require.NoError(t, yaml.Unmarshal([]byte(apps), &added))
	settings := file["config"].(map[string]any)
	settings["expense:workloads"].(map[string]any)["apps"] = added
	settings["expense:logging"].(map[string]any)["captureImage"] = "capture:1"
	// No node more, so that what is cordoned below stays so.
	settings["expense:cluster"].(map[string]any)["nodeGroups"].(map[string]any)["expense"].(map[string]any)["maxSize"] = 3
	data, err = yaml.Marshal(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// An app of each kind lives in the cluster. A release command that fails keeps the version before, and the next `up` runs it again.
func TestAppsOfEachKind(t *testing.T) {
	s, play, out := newPlay(t)
	ctx := t.Context()
	setApps(t, s, appsOfEachKind)
	require.NoError(t, s.Pulumi(ctx, "config", "set", "--path", "--secret", "expense:secrets.shop.TOKEN", "mine-alone"))
	require.NoError(t, play.Up(ctx))
	// The CLI shows it once as it comes, and once among the diagnostics.
	said := regexp.MustCompile(`(?m)^ +warning: workloads\.apps\.later is left out: `).FindAllString(out.String(), -1)
	assert.Len(t, said, 3, "one line in a preview and in each update, of the whole stack")
	repository, _, there := s.Model.Read("aws:ecr/repository:Repository", "expense/later")
	assert.True(t, there, "make image needs it: %v", repository)
	require.NoError(t, play.verify(ctx))
	checks, err := newChecks(ctx, s)
	require.NoError(t, err)
	for _, check := range checks.all() {
		if strings.HasPrefix(check.name, "logs:") {
			require.NoError(t, play.do(ctx, check.name, check.run))
		}
	}

	client, err := kubernetes.NewForConfig(s.ControlPlane.RESTConfig())
	require.NoError(t, err)
	shop := func() string {
		d, err := client.AppsV1().Deployments("project").Get(ctx, "shop", metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, d.Status.Replicas, d.Status.AvailableReplicas)
		return d.Spec.Template.Spec.Containers[0].Image
	}
	assert.Equal(t, "shop:1", shop())
	cordon(t, client, true)
	for _, setting := range []string{"image=shop:2", "release[0]=/shop", "release[1]=migrate"} {
		path, value, _ := strings.Cut(setting, "=")
		require.NoError(t, s.Pulumi(ctx, "config", "set", "--path", "expense:workloads.apps.shop."+path, value))
	}
	ended, stop := context.WithCancel(ctx)
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		endRelease(ended, client)
	}()
	require.Error(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview"))
	stop()
	<-failed
	assert.Contains(t, out.String(), "DeadlineExceeded")
	assert.Equal(t, "shop:1", shop(), "the version before serves on")

	cordon(t, client, false)
	require.NoError(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview"))
	assert.Equal(t, "shop:2", shop())
	require.NoError(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview", "--expect-no-changes"))

	// An app that is removed takes its objects with it and nobody else's.
	before := objects(t, client)
	require.NoError(t, s.Pulumi(ctx, "config", "rm", "--path", "expense:workloads.apps.bare"))
	require.NoError(t, s.Pulumi(ctx, "up", "--yes", "--skip-preview"))
	after := objects(t, client)
	for name := range before {
		_, there := after[name]
		assert.Equal(t, !strings.HasSuffix(name, "/bare"), there, name)
	}
	assert.Len(t, after, len(before)-2)

	files, err := os.ReadDir(filepath.Join(s.Dir, "state"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.NoError(t, filepath.WalkDir(filepath.Join(s.Dir, "state"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		assert.NotContains(t, string(data), "mine-alone", path)
		return err
	}))
	assert.NotContains(t, out.String(), "mine-alone")
	require.NoError(t, play.Destroy(ctx))
}

// cordon keeps new pods off all nodes, or lets them on again.
func cordon(t *testing.T, client *kubernetes.Clientset, unschedulable bool) {
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, nodes.Items)
	for _, node := range nodes.Items {
		patch := []byte(`{"spec": {"unschedulable": null}}`)
		if unschedulable {
			patch = []byte(`{"spec": {"unschedulable": true}}`)
		}
		_, err := client.CoreV1().Nodes().Patch(t.Context(), node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		require.NoError(t, err)
	}
}

// endRelease lets the Job of a release fail: its pod has no node, and its time is over. The reason is the Job controller's own.
func endRelease(ctx context.Context, client *kubernetes.Clientset) {
	for ctx.Err() == nil {
		jobs, err := client.BatchV1().Jobs("project").List(ctx, metav1.ListOptions{})
		if err == nil && len(jobs.Items) > 0 {
			_, err = client.BatchV1().Jobs("project").Patch(ctx, jobs.Items[0].Name, types.MergePatchType,
				[]byte(`{"spec": {"activeDeadlineSeconds": 1}}`), metav1.PatchOptions{})
			if err == nil {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// objects are the namespace's Deployments and Services by kind and name.
func objects(t *testing.T, client *kubernetes.Clientset) map[string]bool {
	out := map[string]bool{}
	deployments, err := client.AppsV1().Deployments(corev1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, d := range deployments.Items {
		out["deployment/"+d.Name] = true
	}
	services, err := client.CoreV1().Services("project").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, s := range services.Items {
		out["service/"+s.Name] = true
	}
	return out
}
