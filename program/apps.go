package program

import (
	"fmt"
	"maps"
	"slices"

	"expense/internal/config"
	"expense/internal/namespace"
	"expense/logging"
	"expense/workloads"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// apps are web and the apps that have an image. One whose image is not built yet is left out, and Config.Warnings says so.
func apps(cfg *config.Config) map[string]config.App {
	out := map[string]config.App{
		workloads.WebName: workloads.Web(cfg.Workloads.Web, cfg.Workloads.Images.Nginx, cfg.Secrets[workloads.WebName]),
	}
	for name, app := range cfg.Workloads.Apps {
		if app.Image != "" {
			out[name] = app
		}
	}
	return out
}

// appsWhere are the names of those that the condition holds for.
func (s *stack) appsWhere(holds func(config.App) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.apps)), func(name string) bool { return !holds(s.apps[name]) })
}

func shipsLogs(app config.App) bool { return app.Logs.From != config.LogsNone }

func hasRole(app config.App) bool { return len(app.IAM) > 0 }

// openings are the network policies of the workloads' namespace that more than one workload shares.
func (s *stack) openings() []namespace.Opening {
	shipping := append([]string{workloads.MultiContainerName, workloads.NginxName}, s.appsWhere(shipsLogs)...)
	out := []namespace.Opening{logging.Opening(s.network.PrivateCIDRs, shipping...)}
	if apps := s.appsWhere(hasRole); len(apps) > 0 {
		out = append(out, workloads.RoleOpening(apps...))
	}
	return out
}

// loadBalancers has the number of ports of each load balancer of the workloads. Each app has room for two: when it changes between plain
// and TLS, the new one comes before the old one goes.
func (s *stack) loadBalancers() (out []int) {
	for range s.appsWhere(func(app config.App) bool { return app.Public.Wanted() }) {
		out = append(out, 1, 1)
	}
	return out
}

func (s *stack) addApps() error {
	for _, name := range slices.Sorted(maps.Keys(s.apps)) {
		if err := s.addApp(name, s.apps[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *stack) addApp(app string, settings config.App) error {
	var role *workloads.Role
	if hasRole(settings) {
		var err error
		role, err = workloads.NewRole(s.ctx, name+"-app-"+app, &workloads.RoleArgs{
			App:         app,
			ClusterName: s.cfg.Cluster.Name,
			Region:      s.cfg.Region,
			Namespace:   s.cfg.Workloads.Namespace,
			Statements:  settings.IAM,
			DependsOn:   s.namespace.Guards,
		}, s.onAWS())
		if err != nil {
			return err
		}
	}
	options := []pulumi.ResourceOption{s.inCluster()}
	if app == workloads.WebName {
		options = append(options, workloads.FormerWeb)
	}
	_, err := workloads.NewApp(s.ctx, app, &workloads.AppArgs{
		App:       settings,
		Namespace: s.namespace.Name,
		Secret:    s.cfg.Secrets[app],
		Role:      role,
		NodeCIDRs: s.network.PrivateCIDRs,
		Tags:      s.tags,
		Ship:      s.sidecar.Add,
		DependsOn: s.readyForPods(),
	}, options...)
	return err
}

// appCommands are the commands for each app, by purpose.
func (s *stack) appCommands() map[string]map[string]string {
	out := map[string]map[string]string{}
	namespace := s.cfg.Workloads.Namespace
	for app, settings := range s.apps {
		commands := map[string]string{
			"logs": fmt.Sprintf("kubectl logs -n %s deployment/%s -c %[2]s --all-pods --follow --max-log-requests=%d", namespace, app,
				2*settings.Replicas.Max), // its own bound is 5 (https://kubernetes.io/docs/reference/kubectl/generated/kubectl_logs/)
		}
		if settings.Logs.Capture != config.CaptureStatic {
			// The others are images without a shell.
			commands["exec"] = fmt.Sprintf("kubectl exec -it -n %s deployment/%s -c %[2]s -- sh", namespace, app)
		}
		if _, port, ok := settings.Checked(); ok {
			commands["portForward"] = fmt.Sprintf("kubectl port-forward -n %s service/%s %[3]d:%[3]d", namespace, app, port)
		}
		if settings.Public.Wanted() {
			commands["address"] = fmt.Sprintf("kubectl get -n %s service/%s -o jsonpath='{.status.loadBalancer.ingress[0].hostname}'", namespace,
				workloads.BalancerName(app, settings.Public))
		}
		out[app] = commands
	}
	return out
}
