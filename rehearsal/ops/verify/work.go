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
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
)

const (
	// RunLabel is on all that a run makes or changes in the cluster. Its value is the run's ID.
	RunLabel = "expense-verify/run"
	// leaseName is the lease, in the namespace of the workloads, that one run at a time holds while it touches the stack.
	leaseName = "expense-verify"
	// leaseTerm is how long the lease of a run that died keeps others away. A run that lives renews its own before that.
	leaseTerm = 45 * time.Minute
	// undoTime is how long one step back may take.
	undoTime = 3 * time.Minute
)

// LeaseAccess is what a run that touches needs beside its checks.
var LeaseAccess = []string{
	"get leases", "create leases", "update leases", "patch leases", "delete leases", "deletecollection jobs", "deletecollection pods",
	"deletecollection configmaps", "deletecollection persistentvolumeclaims", "deletecollection networkpolicies", "list nodes", "patch nodes",
}

// Work is what one run does to a stack, and how it is undone.
type Work struct {
	// ID is the run's, a part of the names of what it makes.
	ID string

	stack *Stack
	steps []step
	// lease is held while it is set, and renewed until stop.
	lease  *coordinationv1.Lease
	stop   func()
	probes int
	// atEnd, if a check sets it, adds to what the check saw when all have ended.
	atEnd func(context.Context) string
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
		var err error
		_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
			err = s.back(ctx)
			return err == nil || !unreached(err) && !apierrors.IsConflict(err), nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			// As text: a right that is missing here leaves something behind.
			errs = append(errs, fmt.Errorf("%s is not undone: %v", s.what, err))
		}
		cancel()
	}
	w.steps = nil
	return errors.Join(errs...)
}

// lock takes the lease, and sweeps what a dead run left. While another run holds it, nothing is seen.
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
		lease, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	case err != nil:
	case !expired(lease.Spec):
		return notSeen("run %s holds the lease %s until %s: wait for its end or, if it is dead, delete the lease with: "+
			"kubectl delete lease %[2]s -n %[4]s", *lease.Spec.HolderIdentity, leaseName, ends(lease.Spec).UTC().Format(time.TimeOnly),
			lease.Namespace)
	default:
		lease.Spec = spec
		lease, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return notSeen("another run has taken the lease %s just now: wait for its end", leaseName)
	}
	if err != nil {
		return fmt.Errorf("lease %s: %w", leaseName, err)
	}
	w.lease = lease
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go wait.UntilWithContext(renewing, w.renew, leaseTerm/3)
	return w.sweep(ctx)
}

// renew keeps the lease. One that fails leaves two more times.
func (w *Work) renew(ctx context.Context) {
	patch := fmt.Sprintf(`{"spec":{"renewTime":%q}}`, time.Now().UTC().Format(metav1.RFC3339Micro))
	_, _ = w.stack.Kubernetes.CoordinationV1().Leases(w.lease.Namespace).Patch(
		ctx, leaseName, types.MergePatchType, []byte(patch), metav1.PatchOptions{},
	)
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
	if w.lease == nil {
		return nil
	}
	w.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	err := w.stack.Kubernetes.CoordinationV1().Leases(w.lease.Namespace).Delete(ctx, leaseName, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(w.lease.UID)),
	})
	w.lease = nil
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
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
