package workloads

import (
	"maps"
	"slices"
	"strings"

	"expense/internal/config"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// WebName is the name of the Deployment and its Service.
	WebName = config.WebName
	// typeWeb was the type of web's component before it was an app.
	typeWeb = "expense:workloads:Web"
)

// Web is the program's own app: nginx with its settings as variables and each key of its secret as a file. The whole namespace may connect
// to it, and with Public everybody.
func Web(settings config.Web, image string, secret pulumi.StringMap) config.App {
	web := config.App{
		Image:   image,
		Command: nginxCommand,
		Ports:   map[string]int{portName: Port},
		User:    user,
		Env:     map[string]string{},
		Files:   map[string]config.AppFile{},
		Secrets: map[string]string{},
		Replicas: config.Replicas{
			Min: settings.MinReplicas, Max: settings.MaxReplicas, CPU: settings.TargetCPUPercent,
		},
		Resources:    config.AppResources{CPU: nginxResources.CPU, Memory: nginxResources.Memory, MemoryLimit: nginxResources.MemoryLimit},
		Health:       config.Health{Path: healthPath, Start: nginxStart.String()},
		GraceSeconds: nginxGraceSeconds,
		Inbound:      []string{"*"},
		Logs:         config.Logs{From: config.LogsFiles, Dir: logDir, Files: nginxLogs.Files},
	}
	for name, value := range settings.Settings {
		web.Env[name] = strings.ReplaceAll(value, "$", "$$")
	}
	for path, key := range nginxFiles {
		web.Files[path] = config.AppFile{Content: file(key)}
	}
	// Files, because environment variables end up in crash reports and child processes.
	for _, key := range slices.Sorted(maps.Keys(secret)) {
		web.Secrets[key] = config.SecretAsFile
	}
	if settings.Public {
		web.Public = config.Public{Plain: true, From: []string{"0.0.0.0/0"}}
	}
	return web
}

// FormerWeb keeps what web was made of before it was an app.
var FormerWeb = pulumi.Aliases([]pulumi.Alias{{Type: pulumi.String(typeWeb)}})
