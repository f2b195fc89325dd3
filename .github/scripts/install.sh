#!/usr/bin/env bash
# Installs the Pulumi CLI and the provider plugins that .github/pulumi.sums names, and no byte that has another sum. From then on
# Pulumi downloads nothing: a state can name a plugin and the server that it comes from, and the engine would run it
# (https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/resource/deploy/providers/registry.go). Runs before there are credentials.
# Needs RUNNER_TEMP, GITHUB_ENV and GITHUB_PATH.
set -euo pipefail

sums=$(pwd)/.github/pulumi.sums
[ -s "$sums" ] || {
    echo "::error::.github/pulumi.sums is missing, so nothing can be installed. Run 'make pulumi-sums' and commit the file, see docs/ci.md."
    exit 1
}
# Emptied before each job: what an earlier job left on a runner of one's own is not used.
export PULUMI_HOME=$RUNNER_TEMP/pulumi
mkdir "$PULUMI_HOME"
cd "$PULUMI_HOME"
while read -r _ file; do
    case $file in
    pulumi-resource-*) folder=plugins ;;
    *) folder=sdk ;;
    esac
    curl --fail --silent --show-error --location --proto '=https' --retry 5 --output "$file" "https://get.pulumi.com/releases/$folder/$file"
done <"$sums"
sha256sum --check --strict "$sums"

tar -xzf pulumi-v*.tar.gz # to pulumi/
export PATH=$PULUMI_HOME/pulumi:$PATH
for file in pulumi-resource-*.tar.gz; do
    name=${file#pulumi-resource-} version=${file#*-v}
    pulumi plugin install resource "${name%%-v*}" "${version%-linux-*}" --file "$file"
done
{
    echo "PULUMI_HOME=$PULUMI_HOME"
    echo PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true
    echo PULUMI_SKIP_UPDATE_CHECK=true
} >>"$GITHUB_ENV"
echo "$PULUMI_HOME/pulumi" >>"$GITHUB_PATH"
