package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/state"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Whom tokens are for: IAM, and the pod identity agent (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html). The API
// server's own audience is empty in a pod.
const (
	stsAudience         = "sts.amazonaws.com"
	podIdentityAudience = "pods.eks.amazonaws.com"
)

var identityChecks = []Check{
	{
		Name:    "tokens",
		Promise: "Each token is mounted into the one container that needs it, and none is for the API server.",
		Access:  []string{"list pods"},
		Takes:   time.Second,
		Run:     tokens,
	},
	{
		Name:    "credentials",
		Promise: "Each pod of the program that has a role finds its credentials, and they are of the role made for it.",
		Access:  []string{"list pods"},
		Takes:   time.Second,
		Run:     credentials,
	},
	{
		Name:    "credentials-injected",
		Promise: "EKS has put credentials into each pod of an add-on and of the node autoscaler that has a role.",
		Access:  []string{"list pods"},
		Needs:   []Ability{Webhooks},
		Takes:   time.Second,
		Run:     injected,
	},
	{
		Name:    "autoscaler-rights",
		Promise: "The node autoscaler may do in Kubernetes what adding and removing nodes takes, and no more.",
		Access:  []string{"create subjectaccessreviews", "get serviceaccounts"},
		Takes:   2 * time.Second,
		Run:     autoscalerRights,
	},
}

// audiences are the tokens of a pod's service account that its volumes hold, by volume.
func audiences(spec corev1.PodSpec) map[string]string {
	out := map[string]string{}
	for _, volume := range spec.Volumes {
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

// holders are the containers that need a token, with its audience, by namespace.
func (s *Stack) holders() map[string]map[string]string {
	of := map[string]string{sidecarName: stsAudience}
	for name, app := range s.Settings.Workloads.Apps {
		if len(app.IAM) > 0 {
			of[name] = podIdentityAudience
		}
	}
	return map[string]map[string]string{
		s.Settings.Workloads.Namespace: of,
		config.LoggingNamespace:        {"proxy": stsAudience, "setup": podIdentityAudience},
	}
}

func tokens(ctx context.Context, s *Stack, _ *Work) (string, error) {
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	var f findings
	held, needed := 0, s.holders()
	for _, pod := range sorted(live) {
		count, problems := heldTokens(pod.Spec, needed[pod.Namespace])
		held += count
		for _, problem := range problems {
			f.add(Object{"Pod", pod.Namespace, pod.Name}, "%s", problem)
		}
	}
	if held == 0 && len(f.problems) == 0 {
		f.add(Object{Kind: "Namespace", Name: s.Settings.Workloads.Namespace}, "no container has a token, so no line gets to the domain")
	}
	return plural(held, "container"), f.err()
}

// heldTokens counts the tokens that a pod's containers mount, and finds those in the wrong hands and those that are missing.
func heldTokens(spec corev1.PodSpec, holders map[string]string) (held int, problems []string) {
	of := audiences(spec)
	for _, c := range containers(spec) {
		needed, needs := holders[c.Name]
		has := false
		for _, m := range c.VolumeMounts {
			audience, isToken := of[m.Name]
			switch {
			case !isToken:
			case !needs || audience != needed:
				problems = append(problems, fmt.Sprintf("container %s mounts a token for %q, expected %s", c.Name, audience, orNone(needed)))
			case !m.ReadOnly:
				problems = append(problems, fmt.Sprintf("container %s may write where its token is", c.Name))
			default:
				has = true
				held++
			}
		}
		if needs && !has {
			problems = append(problems, fmt.Sprintf("container %s has no token for %q", c.Name, needed))
		}
	}
	return held, problems
}

func orNone(audience string) string {
	if audience == "" {
		return "none"
	}
	return fmt.Sprintf("one for %q", audience)
}

// credentials looks at what is in the pods' own specifications.
func credentials(ctx context.Context, s *Stack, _ *Work) (string, error) {
	live, err := s.livePods(ctx)
	if err != nil {
		return "", err
	}
	roles, err := s.trusted()
	if err != nil {
		return "", err
	}
	associated := s.associated()
	var f findings
	found := 0
	for _, pod := range sorted(live) {
		o := Object{"Pod", pod.Namespace, pod.Name}
		account := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Spec.ServiceAccountName}
		if associated[account] {
			if !fromAgent(pod.Spec) {
				f.add(o, "service account %s has a role by pod identity, and no container has the variables and the token for it", account.Name)
			} else {
				found++
			}
		}
		for _, c := range containers(pod.Spec) {
			role := variable(c, "AWS_ROLE_ARN")
			switch subjects, ours := roles[role]; {
			case role == "" && c.Name == sidecarName:
				f.add(o, "container %s has no variable AWS_ROLE_ARN", c.Name)
			case role == "":
			case !ours:
				f.add(o, "container %s has the role %s, which is none of the stack's", c.Name, role)
			case !slices.ContainsFunc(subjects, matching("system:serviceaccount:"+account.Namespace+":"+account.Name)):
				f.add(o, "container %s has the role %s, which does not trust service account %s", c.Name, role, account)
			case !tokenAt(pod.Spec, c, variable(c, "AWS_WEB_IDENTITY_TOKEN_FILE"), stsAudience):
				f.add(o, "container %s: AWS_WEB_IDENTITY_TOKEN_FILE is %q, and no token for %s is mounted there", c.Name,
					variable(c, "AWS_WEB_IDENTITY_TOKEN_FILE"), stsAudience)
			default:
				found++
			}
		}
	}
	if found == 0 && len(f.problems) == 0 {
		f.add(Object{Kind: "Namespace", Name: s.Settings.Workloads.Namespace}, "no container has credentials, so no line gets to the domain")
	}
	return plural(found, "container") + " with a role", f.err()
}

// associated are the service accounts that get a role from EKS Pod Identity, those of add-ons too.
func (s *Stack) associated() map[types.NamespacedName]bool {
	out := map[types.NamespacedName]bool{}
	for _, r := range s.resources(typeAssociation) {
		namespace, _ := r.Inputs["namespace"].(string)
		account, _ := r.Inputs["serviceAccount"].(string)
		out[types.NamespacedName{Namespace: namespace, Name: account}] = true
	}
	for _, r := range s.resources(typeAddon) {
		all, _ := r.Inputs["podIdentityAssociations"].([]any)
		for _, one := range all {
			account, _ := state.At(one, "serviceAccount").(string)
			out[types.NamespacedName{Namespace: system, Name: account}] = true
		}
	}
	return out
}

// trusted are the patterns of the service accounts that the stack's roles trust, by the role's ARN.
func (s *Stack) trusted() (map[string][]string, error) {
	out := map[string][]string{}
	for name, r := range s.resources(typeRole) {
		var trust struct {
			Statement []struct {
				Condition map[string]map[string]any
			}
		}
		text, _ := state.At(r.Inputs, "assumeRolePolicy").(string)
		if err := json.Unmarshal([]byte(text), &trust); err != nil {
			return nil, fmt.Errorf("state, trust policy of role %s: %w", name, err)
		}
		arn := output(r, "arn")
		out[arn] = nil
		for _, statement := range trust.Statement {
			for _, conditions := range statement.Condition {
				for key, value := range conditions {
					if text, ok := value.(string); ok && strings.HasSuffix(key, ":sub") {
						out[arn] = append(out[arn], text)
					}
				}
			}
		}
	}
	return out, nil
}

// matching compares as IAM's StringLike does with names that have no slash
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
func matching(subject string) func(pattern string) bool {
	return func(pattern string) bool {
		ok, err := path.Match(pattern, subject)
		return ok && err == nil
	}
}

// fromAgent tells whether a container of a pod finds the pod identity agent and has a token for it.
func fromAgent(spec corev1.PodSpec) bool {
	return slices.ContainsFunc(containers(spec), func(c corev1.Container) bool {
		return variable(c, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != "" &&
			tokenAt(spec, c, variable(c, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), podIdentityAudience)
	})
}

// tokenAt tells whether a container has a token for an audience in the folder of a file.
func tokenAt(spec corev1.PodSpec, c corev1.Container, file, audience string) bool {
	of := audiences(spec)
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return of[m.Name] == audience && strings.HasPrefix(file, strings.TrimSuffix(m.MountPath, "/")+"/")
	})
}

// injected: EKS's webhook changes a pod when it is made, and one that was made before the webhook knew of the association stays without
// (https://github.com/aws/eks-pod-identity-agent/issues/52).
func injected(ctx context.Context, s *Stack, _ *Work) (string, error) {
	list, err := s.Kubernetes.CoreV1().Pods(system).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var f findings
	found, accounts := 0, s.associated()
	maps.DeleteFunc(accounts, func(account types.NamespacedName, _ bool) bool { return account.Namespace != system })
	for _, pod := range list.Items {
		switch {
		case !accounts[types.NamespacedName{Namespace: system, Name: pod.Spec.ServiceAccountName}]:
		case fromAgent(pod.Spec):
			found++
		default:
			f.add(Object{"Pod", system, pod.Name}, "service account %s has a role by pod identity, and the pod has no credentials: delete the pod, "+
				"and its successor gets them", pod.Spec.ServiceAccountName)
		}
	}
	if found == 0 && len(f.problems) == 0 {
		return "", notSeen("no pod of kube-system has a service account with a role, expected those of %d accounts", len(accounts))
	}
	return plural(found, "pod"), f.err()
}

// autoscalerRights: without an autoscaler, nobody has its rights.
func autoscalerRights(ctx context.Context, s *Stack, _ *Work) (string, error) {
	account := Object{"ServiceAccount", system, autoscalerAccount}
	_, err := s.Kubernetes.CoreV1().ServiceAccounts(system).Get(ctx, autoscalerAccount, metav1.GetOptions{})
	exists, on := err == nil, s.Settings.Cluster.Autoscaler.Enabled
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	var f findings
	switch {
	case !exists && !on:
		return "off in this stack, and its service account is not there", nil
	case exists != on:
		f.add(account, "cluster.autoscaler.enabled is %v, and that it is there is %v: run `pulumi up --refresh`", on, exists)
		return "", f.err()
	}
	asked := 0
	for _, q := range []struct {
		group, resource, subresource, verb, namespace, name string
		allowed                                             bool
	}{
		{"", "pods", "", "list", "", "", true},
		{"", "nodes", "", "watch", "", "", true},
		{"", "nodes", "", "update", "", "", true},
		{"", "nodes", "", "delete", "", "", false},
		{"", "pods", "eviction", "create", s.Settings.Workloads.Namespace, "", true},
		{"policy", "poddisruptionbudgets", "", "list", "", "", true},
		{"storage.k8s.io", "csinodes", "", "watch", "", "", true},
		{"resource.k8s.io", "resourceclaims", "", "list", "", "", true},
		{"coordination.k8s.io", "leases", "", "update", system, autoscalerAccount, true},
		{"coordination.k8s.io", "leases", "", "update", system, "another", false},
		{"", "secrets", "", "get", system, "", false},
		{"", "pods", "", "create", system, "", false},
		{"", "pods", "exec", "create", s.Settings.Workloads.Namespace, "", false},
		{"rbac.authorization.k8s.io", "clusterrolebindings", "", "create", "", "", false},
	} {
		review, err := s.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + system + ":" + autoscalerAccount,
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Group: q.group, Resource: q.resource, Subresource: q.subresource, Verb: q.verb, Namespace: q.namespace, Name: q.name,
				},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return "", f.with(err)
		}
		asked++
		if review.Status.Allowed != q.allowed {
			f.add(account, "%s: allowed is %v, expected %v",
				strings.Join(strings.Fields(strings.Join([]string{q.verb, q.group, q.resource, q.subresource, q.name}, " ")), " "),
				review.Status.Allowed, q.allowed)
		}
	}
	return plural(asked, "question"), f.err()
}
