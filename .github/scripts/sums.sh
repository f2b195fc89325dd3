#!/usr/bin/env bash
# Brings .github/pulumi.sums up to the versions that the go.mod files pin. Each archive is fetched from both places where Pulumi
# puts it, its releases on GitHub and get.pulumi.com, and has to be the same in both: what the releases say of sums is SHA-1 for a
# provider (https://github.com/pulumi/pulumi-eks/blob/master/.github/workflows/publish.yml). About a gigabyte the first time.
# Takes the runner's architecture: amd64, or arm64.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly arch=${1:-amd64} output=.github/pulumi.sums
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
touch "$folder/former"
[ ! -e "$output" ] || cp "$output" "$folder/former"

pin() { awk -v module="$1" '$1 == module { print $2; exit }' "$2"; }

sum() { # REPOSITORY VERSION FOLDER FILE
    local source
    if grep "  $4\$" "$folder/former" >>"$folder/sums"; then
        return
    fi
    for source in "https://github.com/pulumi/$1/releases/download/$2" "https://get.pulumi.com/releases/$3"; do
        echo "$source/$4" >&2
        curl --fail --silent --show-error --location --proto '=https' --retry 5 "$source/$4" |
            { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1 >>"$folder/$4"
    done
    [ "$(sort -u "$folder/$4" | wc -l)" -eq 1 ] || {
        printf '%s differs between GitHub and get.pulumi.com, nothing was written. SHA-256:\n%s\n' "$4" "$(cat "$folder/$4")" >&2
        exit 1
    }
    echo "$(head -n 1 "$folder/$4")  $4" >>"$folder/sums"
}

provider() { # NAME VERSION
    sum "pulumi-$1" "$2" plugins "pulumi-resource-$1-$2-linux-$arch.tar.gz"
}

cli=$(pin github.com/pulumi/pulumi/pkg/v3 tools/pulumi/go.mod)
sum pulumi "$cli" sdk "pulumi-$cli-linux-${arch/amd64/x64}.tar.gz"
provider aws "$(pin github.com/pulumi/pulumi-aws/sdk/v6 go.mod)"
provider eks "$(pin github.com/pulumi/pulumi-eks/sdk/v3 go.mod)"
provider kubernetes "$(pin github.com/pulumi/pulumi-kubernetes/sdk/v4 go.mod)"
# The eks component makes a Kubernetes provider of its own, in the version that it was built with.
provider kubernetes "v$(sed -n 's/.*kubernetesVersion *= "\(.*\)".*/\1/p' rehearsal/internal/eksprovider/provider.go)"
# A refresh and a destruction take the versions that the state names, those of the last deployment.
grep "  pulumi-resource-.*-linux-$arch\.tar\.gz\$" "$folder/former" | grep -vxFf "$folder/sums" >"$folder/older" || true
cat "$folder/older" >>"$folder/sums"
mv "$folder/sums" "$output"
echo "Wrote $output. Lines of older providers can go once no state names them."
