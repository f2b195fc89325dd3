package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	// RunLabel is on all that a run makes or changes in the cluster. Its value is the run's ID.
	RunLabel = "expense-verify/run"
	// leaseName is the lease, in the namespace of the workloads, that one run at a time holds while it touches the stack.
	leaseName = "expense-verify"
	// leaseTerm is longer than any check takes. Each check that touches renews the lease.
	leaseTerm = 45 * time.Minute
	// undoTime is how long one step back may take.
	undoTime = 3 * time.Minute
)

// Work is what one run does to a stack, and how it is undone.
type Work struct {
	// ID is the run's, a part of the names of what it makes.
	ID string

	stack  *Stack
	steps  []step
	locked bool
	probes int
}

type step struct {
	what string
	back func(context.Context) error
}

func newWork(s *Stack) *Work {
	return &Work{ID: strings.ToLower(rand.Text())[:8], stack: s}
}

// meta is the metadata of an object that the run makes in the namespace of the workloads.
func (w *Work) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: "verify-" + name + "-" + w.ID, Namespace: w.stack.Settings.Workloads.Namespace, Labels: map[string]string{RunLabel: w.ID},
	}
}

// later notes how something is undone when the check ends, however it ends. Note it before it is done: to take away what is not there
// is no error.
func (w *Work) later(what string, back func(context.Context) error) {
	w.steps = append(w.steps, step{what, back})
}

// undo undoes the last steps first. The end of ctx does not stop it.
func (w *Work) undo(ctx context.Context) error {
	var errs []error
	for _, s := range slices.Backward(w.steps) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		if err := s.back(ctx); err != nil && !apierrors.IsNotFound(err) {
			// As text: a right that is missing here leaves something behind.
			errs = append(errs, fmt.Errorf("%s is not undone: %v", s.what, err))
		}
		cancel()
	}
	w.steps = nil
	return errors.Join(errs...)
}

// lock takes the lease or renews it, and sweeps what a dead run left. While another run holds it, nothing is seen.
func (w *Work) lock(ctx context.Context) error {
	leases := w.stack.Kubernetes.CoordinationV1().Leases(w.stack.Settings.Workloads.Namespace)
	now := metav1.NewMicroTime(time.Now())
	spec := coordinationv1.LeaseSpec{
		HolderIdentity: &w.ID, LeaseDurationSeconds: ptr.To(int32(leaseTerm / time.Second)), AcquireTime: &now, RenewTime: &now,
	}
	lease, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: spec}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	case err != nil:
	case ptr.Deref(lease.Spec.HolderIdentity, "") != w.ID && !expired(lease.Spec):
		return notSeen("run %s holds the lease %s until %s: wait for its end or, if it is dead, delete the lease with: "+
			"kubectl delete lease %[2]s -n %[4]s", *lease.Spec.HolderIdentity, leaseName, ends(lease.Spec).UTC().Format(time.TimeOnly),
			lease.Namespace)
	default:
		lease.Spec = spec
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{}) // a conflict is another run's
	}
	if err != nil {
		return fmt.Errorf("lease %s: %w", leaseName, err)
	}
	first := !w.locked
	w.locked = true
	if !first {
		return nil
	}
	return w.sweep(ctx)
}

func ends(l coordinationv1.LeaseSpec) time.Time {
	if l.RenewTime == nil {
		return time.Time{}
	}
	return l.RenewTime.Add(time.Duration(ptr.Deref(l.LeaseDurationSeconds, 0)) * time.Second)
}

func expired(l coordinationv1.LeaseSpec) bool { return time.Now().After(ends(l)) }

// unlock gives the lease back.
func (w *Work) unlock(ctx context.Context) error {
	if !w.locked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	w.locked = false
	err := w.stack.Kubernetes.CoordinationV1().Leases(w.stack.Settings.Workloads.Namespace).Delete(ctx, leaseName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("lease %s: %w", leaseName, err)
	}
	return nil
}

// sweep takes away what runs have left that are dead: only the holder of the lease makes things.
func (w *Work) sweep(ctx context.Context) error {
	namespace, k := w.stack.Settings.Workloads.Namespace, w.stack.Kubernetes
	of := metav1.ListOptions{LabelSelector: RunLabel}
	with := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	err := errors.Join(
		k.BatchV1().Jobs(namespace).DeleteCollection(ctx, with, of),
		k.CoreV1().Pods(namespace).DeleteCollection(ctx, with, of),
		k.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, with, of),
		k.CoreV1().PersistentVolumeClaims(namespace).DeleteCollection(ctx, with, of),
		k.NetworkingV1().NetworkPolicies(namespace).DeleteCollection(ctx, with, of),
	)
	if err != nil {
		return fmt.Errorf("what a dead run left: %w", err)
	}
	nodes, err := k.CoreV1().Nodes().List(ctx, of)
	if err != nil {
		return fmt.Errorf("what a dead run left: %w", err)
	}
	for _, node := range nodes.Items {
		if err := w.schedulable(ctx, node.Name, true); err != nil {
			return fmt.Errorf("what a dead run left: %w", err)
		}
	}
	return nil
}

// schedulable lets a node take pods, or keeps it from it under the run's label.
func (w *Work) schedulable(ctx context.Context, node string, may bool) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}},"spec":{"unschedulable":true}}`, RunLabel, w.ID)
	if may {
		patch = fmt.Sprintf(`{"metadata":{"labels":{%q:null}},"spec":{"unschedulable":null}}`, RunLabel)
	}
	_, err := w.stack.Kubernetes.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}
