package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"expense/rehearsal/ops/verify"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// A check that reads needs exactly the rights in the Kubernetes API that it names: with them it passes, and without any one of them it says
// that it did not see.
func TestEachCheckNamesItsRightsInTheCluster(t *testing.T) {
	w := newWorld(t)
	looked := 0
	for _, c := range verify.Checks() {
		if c.Level != verify.Reads || len(c.Access) == 0 || len(c.Needs) > 0 || len(strings.Fields(c.Access[0])) != 2 {
			continue // one that names a document
		}
		looked++
		t.Run(c.Name, func(t *testing.T) {
			for i := range len(c.Access) + 1 {
				rights, without := append([]string{}, c.Access...), ""
				if i < len(c.Access) {
					rights, without = append(rights[:i], rights[i+1:]...), c.Access[i]
				}
				s := as(t, w, fmt.Sprintf("%s-%d", c.Name, i), rights)
				report := verify.Run(t.Context(), s, []verify.Check{c}, verify.Options{})
				want := verify.Unseen
				if without == "" {
					want = verify.OK
				}
				assert.Equal(t, want, report.Results[0].Verdict, "without %q: %s", without, report.Results[0].Seen)
			}
		})
	}
	assert.NotZero(t, looked)
}

// as is the stack seen by a user with some rights only.
func as(t *testing.T, w *world, user string, rights []string) *verify.Stack {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}}
	for _, right := range rights {
		verb, what, _ := strings.Cut(right, " ")
		role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{"*"}, Resources: []string{what}})
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
	}
	rbac := w.Kubernetes.RbacV1()
	_, err := rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = rbac.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, rbac.ClusterRoleBindings().Delete(context.Background(), user, metav1.DeleteOptions{}))
		assert.NoError(t, rbac.ClusterRoles().Delete(context.Background(), user, metav1.DeleteOptions{}))
	})
	for _, rule := range role.Rules { // the API server learns of it a moment later
		eventually(t, func() error { return may(w, user, rule) })
	}
	limited := *w.Stack
	limited.REST = rest.CopyConfig(w.REST)
	limited.REST.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	limited.Kubernetes, err = kubernetes.NewForConfig(limited.REST)
	require.NoError(t, err)
	return &limited
}

func may(w *world, user string, rule rbacv1.PolicyRule) error {
	what, sub, _ := strings.Cut(rule.Resources[0], "/")
	review, err := w.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: "any", Resource: what, Subresource: sub, Verb: rule.Verbs[0],
		}},
	}, metav1.CreateOptions{})
	if err == nil && !review.Status.Allowed {
		err = fmt.Errorf("%s may not %s %s yet", user, rule.Verbs[0], rule.Resources[0])
	}
	return err
}
