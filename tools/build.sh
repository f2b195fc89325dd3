#!/bin/sh
# Puts the programs that a rehearsal needs into .tools/bin: pulumi, pulumi-language-go, kubernetes and kubectl; zizmor, which checks
# the workflows; OpenSearch's archives into .tools/opensearch, and the evaluator of IAM documents into .tools/iam.
# Each program is built from the Go module in the folder of its name here, and built again only when that folder, or the way it
# is built, has changed since. What counts is content, not file times, so that a restored CI cache stays valid.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools
mkdir -p "$tools/bin" "$tools/built"
quiet=yes

say() {
	quiet=no
	echo "tools: $*"
}

# pin NAME MODULE prints the version that the go.mod of tool NAME pins MODULE to.
pin() {
	awk -v module="$2" '$1 == module { print $2; exit }' "$root/tools/$1/go.mod"
}

# inputs NAME FLAGS prints everything that decides what a build makes. The Go version is left out on purpose: a newer
# Go is no reason to spend ten minutes.
inputs() {
	uname -sm
	echo "$2"
	for file in "$root/tools/$1"/go.* "$root/tools/$1"/*.go; do
		if [ -e "$file" ]; then
			cat "$file"
		fi
	done
}

is_built() { # NAME FLAGS
	[ -x "$tools/built/$1" ] && inputs "$1" "$2" | cmp -s - "$tools/built/$1.inputs"
}

build() { # NAME PACKAGE VERSION FLAGS TIME
	if is_built "$1" "$4"; then
		return
	fi
	say "building $1 $3, about $5 the first time on two cores ..."
	began=$(date +%s)
	# Half a file never has the real name, and a program that runs is replaced, not written to. With -trimpath nothing that is compiled
	# here would do for the program and its tests, and the other way round. Collecting garbage later saves the compiler's time.
	(cd "$root/tools/$1" && GOGC=400 GOWORK=off go build -ldflags "$4" -o "$tools/built/$1.new" "$2")
	mv -f "$tools/built/$1.new" "$tools/built/$1"
	inputs "$1" "$4" >"$tools/built/$1.inputs"
	say "built $1 $3 in $(($(date +%s) - began)) s"
}

# link NAME TARGET makes bin/NAME lead to TARGET.
link() {
	if [ "$(readlink "$tools/bin/$1" || true)" != "$2" ]; then
		ln -sf "$2" "$tools/bin/$1"
		say ".tools/bin/$1 leads to $2"
	fi
}

# on_path NAME prints where NAME is on PATH, leaving out our own folder.
on_path() (
	PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$tools/bin" | paste -sd: -)
	command -v "$1"
)

# find_pulumi PIN sets cli and host to the pulumi and the Go language host on PATH, if both are there and pulumi fits:
# the same major version as the pin, and not older. Two major versions of pulumi do not share projects and state.
find_pulumi() {
	cli=$(on_path pulumi) && host=$(on_path pulumi-language-go) || return 1
	version=$(PULUMI_SKIP_UPDATE_CHECK=true "$cli" version 2>/dev/null) || return 1
	printf '%s %s\n' "$1" "$version" | tr -d v | awk -F '[ .+-]' '
		{ fits = $4 == $1 && ($5 > $2 || ($5 == $2 && $6 >= $3)) }
		END { exit !fits }'
}

sha512() { # FILE
	{ sha512sum "$1" 2>/dev/null || shasum -a 512 "$1"; } | cut -d ' ' -f 1
}

# fetch runs COMMAND. What is not to be had is left out, with what that means; what has another sum than the pinned one ends the build.
fetch() { # WHAT CONSEQUENCE COMMAND...
	what=$1
	consequence=$2
	shift 2
	say "fetching $what ..."
	said=$("$@" 2>&1) && return
	printf '%s\n' "$said" >&2
	case $said in
	*EINTEGRITY* | *"DO NOT MATCH THE HASHES"*)
		say "$what has another sum than the pinned one"
		exit 1
		;;
	esac
	say "$what is not to be had: $consequence"
	return 1
}

# opensearch fetches the archives that tools/opensearch/artifacts names, from Maven Central, and checks their sums.
opensearch() {
	artifacts=$root/tools/opensearch/artifacts
	if cmp -s "$artifacts" "$tools/opensearch/artifacts"; then
		return
	fi
	for program in java mvn; do
		if ! command -v "$program" >/dev/null; then
			say "found no $program (Debian: default-jre-headless, maven): OpenSearch is not fetched, and what needs it is skipped"
			return
		fi
	done
	rm -rf "$tools/opensearch" "$tools/opensearch.new"
	mkdir "$tools/opensearch.new"
	while read -r name artifact sum; do
		fetch "$artifact" "what needs OpenSearch is skipped" \
			mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
			-Dartifact="$artifact" -DoutputDirectory="$tools/opensearch.new/$name" </dev/null || return 0
		mv "$tools/opensearch.new/$name"/*.zip "$tools/opensearch.new/$name.zip"
		rmdir "$tools/opensearch.new/$name"
		found=$(sha512 "$tools/opensearch.new/$name.zip")
		if [ "$found" != "$sum" ]; then
			say "$artifact has the SHA-512 $found, expected $sum"
			exit 1
		fi
	done <"$artifacts"
	cp "$artifacts" "$tools/opensearch.new"
	mv "$tools/opensearch.new" "$tools/opensearch"
}

# iam puts the evaluator of IAM documents and what it imports, as its lock file has them, into .tools/iam.
iam() {
	folder=$root/tools/iam
	if [ -d "$tools/iam" ] && cat "$folder"/* | cmp -s - "$tools/iam/inputs"; then
		return
	fi
	for program in node npm; do
		if ! command -v "$program" >/dev/null; then
			say "found no $program (Debian: nodejs, npm): the IAM documents are not evaluated"
			return
		fi
	done
	rm -rf "$tools/iam" "$tools/iam.new"
	cp -R "$folder" "$tools/iam.new"
	fetch "the evaluator of IAM documents" "they are not evaluated" \
		npm ci --prefix "$tools/iam.new" --ignore-scripts --no-audit --no-fund --loglevel error || return 0
	cat "$folder"/* >"$tools/iam.new/inputs"
	mv "$tools/iam.new" "$tools/iam"
}

# zizmor fetches zizmor from PyPI, where pip checks the sums that tools/lint/requirements.txt names.
zizmor() {
	requirements=$root/tools/lint/requirements.txt
	if ! cmp -s "$requirements" "$tools/zizmor/requirements.txt"; then
		if ! python3 -m pip --version >/dev/null 2>&1; then
			say "found no pip (Debian: python3-pip): the workflows' safety is not checked"
			return
		fi
		rm -rf "$tools/zizmor"
		fetch zizmor "the workflows' safety is not checked" \
			python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --only-binary :all: \
			--require-hashes --target "$tools/zizmor" --requirement "$requirements" || return 0
		cp "$requirements" "$tools/zizmor"
	fi
	link zizmor ../zizmor/bin/zizmor
}

pulumi=$(pin pulumi github.com/pulumi/pulumi/pkg/v3)
language=$(pin language-host github.com/pulumi/pulumi/sdk/v3)
kubernetes=$(pin kubernetes k8s.io/kubernetes)

pulumi_flags="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$pulumi"
language_flags="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$language"
# An unstamped API server reports v0.0.0-master, which clients refuse. client-go has a version of its own.
major=${kubernetes%%.*}
minor=${kubernetes#*.}
kubernetes_flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	kubernetes_flags="$kubernetes_flags -X $package.gitVersion=$kubernetes -X $package.gitTreeState=clean"
	kubernetes_flags="$kubernetes_flags -X $package.gitMajor=${major#v} -X $package.gitMinor=${minor%%.*}"
done

# What is built already is not asked whether something on PATH would do.
if ! { is_built pulumi "$pulumi_flags" && is_built language-host "$language_flags"; } && find_pulumi "$pulumi"; then
	link pulumi "$cli"
	link pulumi-language-go "$host"
else
	build pulumi github.com/pulumi/pulumi/pkg/v3/cmd/pulumi "$pulumi" "$pulumi_flags" "4 minutes"
	build language-host github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go "$language" "$language_flags" "1 minute"
	link pulumi ../built/pulumi
	# The CLI warns unless the host on PATH is the one beside itself.
	if ! cmp -s "$root/tools/language-host/pulumi-language-go.sh" "$tools/built/pulumi-language-go"; then
		cp "$root/tools/language-host/pulumi-language-go.sh" "$tools/built/pulumi-language-go"
		say "put pulumi-language-go before the language host"
	fi
	link pulumi-language-go ../built/pulumi-language-go
fi
build kubernetes . "$kubernetes" "$kubernetes_flags" "7 minutes"
link kubernetes ../built/kubernetes
link kubectl ../built/kubernetes
zizmor
opensearch
iam

if [ "$quiet" = yes ]; then
	say "all up to date in .tools"
fi
