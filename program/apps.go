package program

import (
	"fmt"
	"maps"
	"slices"

	"expense/internal/config"
	"expense/internal/namespace"
	"expense/logging"
	"expense/workloads"
)

// apps are the names of the apps that have an image. One whose image is not built yet is left out, and Config.Warnings says so.
func (s *stack) apps() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Workloads.Apps)) {
		if s.cfg.Workloads.Apps[name].Image != "" {
			out = append(out, name)
		}
	}
	return out
}

// appsWhere are the names of those that the condition holds for.
func (s *stack) appsWhere(holds func(config.App) bool) []string {
	return slices.DeleteFunc(s.apps(), func(name string) bool { return !holds(s.cfg.Workloads.Apps[name]) })
}

func shipsLogs(app config.App) bool { return app.Logs.From != config.LogsNone }

func hasRole(app config.App) bool { return len(app.IAM) > 0 }

// logAccounts is the pattern of the service accounts of apps with a sidecar.
func (s *stack) logAccounts() string {
	if len(s.appsWhere(shipsLogs)) == 0 {
		return ""
	}
	return workloads.AppAccounts
}

// openings are the network policies of the workloads' namespace that more than one workload shares.
func (s *stack) openings() []namespace.Opening {
	shipping := append([]string{workloads.MultiContainerName, workloads.NginxName, workloads.WebName}, s.appsWhere(shipsLogs)...)
	out := append(workloads.WebOpenings(s.cfg.Workloads.Web.Public), logging.Opening(s.network.PrivateCIDRs, shipping...))
	if apps := s.appsWhere(hasRole); len(apps) > 0 {
		out = append(out, workloads.RoleOpening(apps...))
	}
	return out
}

// loadBalancers has the number of ports of each load balancer of the workloads. Each app has room for two: when it changes between plain
// and TLS, the new one comes before the old one goes.
func (s *stack) loadBalancers() []int {
	out := workloads.WebLoadBalancers(s.cfg.Workloads.Web.Public)
	for range s.appsWhere(func(app config.App) bool { return app.Public.Wanted() }) {
		out = append(out, 1, 1)
	}
	return out
}

func (s *stack) addApps() error {
	for _, app := range s.apps() {
		if err := s.addApp(app, s.cfg.Workloads.Apps[app]); err != nil {
			return fmt.Errorf("%s: %w", app, err)
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
	_, err := workloads.NewApp(s.ctx, app, &workloads.AppArgs{
		App:       settings,
		Namespace: s.namespace.Name,
		Secret:    s.cfg.Secrets[app],
		Role:      role,
		NodeCIDRs: s.network.PrivateCIDRs,
		Ship:      s.sidecar.Add,
		DependsOn: s.readyForPods(),
	}, s.inCluster())
	return err
}

// appCommands are the commands for each app, by purpose.
func (s *stack) appCommands() map[string]map[string]string {
	out := map[string]map[string]string{}
	namespace := s.cfg.Workloads.Namespace
	for _, app := range s.apps() {
		settings := s.cfg.Workloads.Apps[app]
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
