// Package kubeprovider stands in for the pulumi-kubernetes provider 4.33.0 in a rehearsal: a thin client of a real API server that
// speaks the Pulumi provider protocol. The real provider's rules are read from its source
// (https://github.com/pulumi/pulumi-kubernetes, provider/pkg/provider and provider/pkg/await): what it keeps in the state, when it
// replaces an object, what it waits for, what it ignores in a preview. Whether an object is acceptable, the API server says.
// docs/rehearsal.md lists what is left out.
package kubeprovider

// Version is the version of the kubernetes provider that the stand-in reports: that of the SDK which the program is built
// with.
const Version = "4.33.0"
