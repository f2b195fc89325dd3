package config

import "fmt"

// WebSurgePercent is the percentage of the pods of web, and of each app, that an update may add. Kubernetes rounds up.
const WebSurgePercent = 25

// use is what pods take of the namespace's quota: requests of CPU in thousandths of a core, and limits of memory.
type use struct {
	pods        int
	cpu, memory int64
}

func (u use) plus(more ...use) use {
	for _, m := range more {
		u = use{u.pods + m.pods, u.cpu + m.cpu, u.memory + m.memory}
	}
	return u
}

func (u use) times(n int) use { return use{u.pods * n, u.cpu * int64(n), u.memory * int64(n)} }

// What the program's own containers ask for. A test compares them with what it sends.
var (
	nginxUse   = use{cpu: 100, memory: 128 * mib}
	almaUse    = use{cpu: 10, memory: 64 * mib}
	sidecarUse = use{cpu: 50, memory: 384 * mib}
	// initUse is the largest of the init containers, which take the application's share before it starts.
	initUse = use{cpu: 10, memory: 64 * mib}
	// spareUse is a pod beside the program's, with the namespace's defaults.
	spareUse = use{pods: 1, cpu: 50, memory: 256 * mib}
	onePod   = use{pods: 1}
)

// need is the quota that all workloads take at their largest, while an update adds pods and release commands run.
func (w Workloads) need() Quota {
	// The former pods count until they have stopped, and an update does not wait for that
	// (https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/quota/v1/evaluator/core/pods.go, QuotaV1Pod).
	rollout := func(most int) int { return 2*most + ceil(most*WebSurgePercent, 100) }
	nginx := onePod.plus(nginxUse, sidecarUse)
	all := nginx.plus(nginx.plus(almaUse), nginx.times(rollout(w.Web.MaxReplicas)), spareUse)
	for _, app := range w.Apps {
		all = all.plus(app.use().times(rollout(app.Replicas.Max)))
		if len(app.Release) > 0 {
			all = all.plus(app.use())
		}
	}
	return Quota{
		Pods: all.pods, CPU: int((all.cpu + 999) / 1000), MemoryGiB: int((all.memory + gib - 1) / gib), StorageGiB: w.VolumeSizeGiB,
	}
}

// use is that of one pod. A quantity that is not one counts nothing.
func (a App) use() use {
	cpu, _ := milliCPU(a.Resources.CPU)
	memory, _ := memoryBytes(a.Resources.MemoryLimit)
	one := use{1, max(cpu, initUse.cpu), max(memory, initUse.memory)}
	if a.Logs.From == LogsNone {
		return one
	}
	return one.plus(sidecarUse)
}

// atLeast raises what is below the need.
func (q Quota) atLeast(need Quota) Quota {
	return Quota{
		Pods: max(q.Pods, need.Pods), CPU: max(q.CPU, need.CPU), MemoryGiB: max(q.MemoryGiB, need.MemoryGiB),
		StorageGiB: max(q.StorageGiB, need.StorageGiB),
	}
}

// quota refuses a quota that stops the workloads below the largest size that the settings allow them. What the stack does not set is
// raised instead.
func (r *report) quota(w Workloads) {
	const path = "workloads.quota"
	r.between(path+".cpu", w.Quota.CPU, 1, 10000, " cores")
	r.between(path+".memoryGiB", w.Quota.MemoryGiB, 1, 100000, " GiB")
	need := w.need()
	least := func(name string, set, need int, of string) {
		if at := path + "." + name; r.given[at] && set < need {
			r.add(at, fmt.Sprint(set), fmt.Sprintf("%d or more: %s", need, of), "or leave it out")
		}
	}
	if r.clean("workloads.web", appsPath) {
		const pods = "nginx, multi-container, web and apps at their most, while an update adds a quarter, the former pods stop and release " +
			"commands run, and one more pod"
		least("pods", w.Quota.Pods, need.Pods, pods)
		least("cpu", w.Quota.CPU, need.CPU, "the requests of "+pods)
		least("memoryGiB", w.Quota.MemoryGiB, need.MemoryGiB, "the limits of "+pods)
	}
	if r.ok("workloads.volumeSizeGiB") {
		least("storageGiB", w.Quota.StorageGiB, need.StorageGiB, "workloads.volumeSizeGiB")
	}
}
