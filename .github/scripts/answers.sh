#!/usr/bin/env bash
# Checks that the stack's cluster answers and that its Deployments are up. Needs STACK, AWS credentials and a way to the API.
set -euo pipefail

output() { pulumi stack output --stack "$STACK" "$1"; }

name=$(output clusterName)
namespace=$(output namespace)
KUBECONFIG=$(mktemp)
export KUBECONFIG
trap 'rm -f "$KUBECONFIG"' EXIT

# The stack's own, which has the role of aws:assumeRole.
output kubeconfig >"$KUBECONFIG"
kubectl get --raw /readyz --request-timeout 30s >/dev/null || {
    echo "::error::The Kubernetes API of $name does not answer. May this runner reach it? See docs/ci.md."
    exit 1
}
deployments=$(kubectl get deployments --namespace "$namespace" --output name)
[ -n "$deployments" ] || {
    echo "::error::Found no Deployment in $namespace."
    exit 1
}
for deployment in $deployments; do
    kubectl rollout status "$deployment" --namespace "$namespace" --timeout 10m
done
echo "The cluster $name answers, and the Deployments in $namespace are up." | tee -a "$GITHUB_STEP_SUMMARY"
