#!/bin/sh
# Stands in .tools/bin as pulumi-language-go and runs the language host that is built from this module, having put two
# things right. The CLI starts it in the project's folder.
set -eu
tools=$(cd "$(dirname "$0")/.." && pwd)

# The CLI says what runtime.options in Pulumi.yaml are in its requests. A host of this age wants them as flags, and would
# otherwise link the program anew for every command.
option() {
	sed -n "s/^ *$1: *[\"']\{0,1\}\([^\"' #]*\).*/-$1=\1/p" Pulumi.yaml
}

# To find the plugins that a program needs, the host runs `go list -mod=mod`, which adds lines to go.sum that
# `go mod tidy` takes away again. It may do so to a copy.
if [ -f go.mod ]; then
	for kind in mod sum; do
		cp "go.$kind" "$tools/project.$$.$kind"
		mv -f "$tools/project.$$.$kind" "$tools/project.$kind"
	done
	export GOFLAGS="${GOFLAGS:+$GOFLAGS }'-modfile=$tools/project.mod'"
fi

# The options hold no spaces: each is one word, or none.
# shellcheck disable=SC2046
exec "$tools/built/language-host" $(option buildTarget) $(option binary) "$@"
