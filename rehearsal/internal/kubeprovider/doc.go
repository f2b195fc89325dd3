// Package kubeprovider stands in for the pulumi-kubernetes provider 4.33.0 in a rehearsal: a thin client of a real API
// server that speaks the Pulumi provider protocol. What it keeps in the state, when it replaces an object, what it waits
// for and what it ignores in a preview are the real provider's rules, read from its source
// (https://github.com/pulumi/pulumi-kubernetes, provider/pkg/provider and provider/pkg/await); whether an object is
// acceptable is for the API server to say. NotModelled lists what is left out.
package kubeprovider

// Version is the version of the kubernetes provider that the stand-in reports: that of the SDK which the program is built
// with.
const Version = "4.33.0"

// NotModelled lists what the real provider does and the stand-in does not, for the reader of a rehearsal's result.
var NotModelled = []struct{ Area, What string }{
	{"settings", "client-side apply, upserts, rendering to YAML, strict mode, skipUpdateUnreachable and Helm settings: refused"},
	{"resources", "Helm releases and charts, Kustomize and YAML files, lists, *Patch resources, import, .get, metadata.generateName: refused"},
	{"annotations", "pulumi.com/waitFor and pulumi.com/replaceUnready: refused"},
	{"readiness", "Ingress, ReplicationController and service account token Secrets are not waited for, nor ten seconds for the endpoints of a Service to settle"},
	{"words", "four hints after `already exists`; of what holds up StatefulSets and DaemonSets; live lines about progress and events"},
	{"updates", "ignoreChanges of a field that another field manager owns: the field keeps the value of the old inputs"},
	{"inputs", "the real provider drops misspelt fields, the stand-in refuses them; warnings about old API versions are not given"},
}
