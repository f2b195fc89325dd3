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
# After a refresh nothing in Pulumi's state tells of an add-on that failed.
addons=$(pulumi stack export --stack "$STACK" | jq -r '.deployment.resources[] | select(.type == "aws:eks/addon:Addon").inputs.addonName')
role=$(jq -r '.users[0].user.exec.args | (index("--role") // empty) as $at | .[$at + 1]' "$KUBECONFIG")
if [ -n "$role" ]; then
    session=$(aws sts assume-role --role-arn "$role" --role-session-name answers --output json)
    eval "$(jq -r '.Credentials | "export " +
        @sh "AWS_ACCESS_KEY_ID=\(.AccessKeyId) AWS_SECRET_ACCESS_KEY=\(.SecretAccessKey) " +
        @sh "AWS_SESSION_TOKEN=\(.SessionToken)"' <<<"$session")"
fi
for addon in $addons; do
    status=$(aws eks describe-addon --cluster-name "$name" --addon-name "$addon" --query addon.status --output text)
    [ "$status" != CREATE_FAILED ] || {
        echo "::error::Add-on $addon of $name is CREATE_FAILED, and stays so. See docs/recovery.md, 'What came up failed'."
        exit 1
    }
done
echo "The cluster $name answers, and the Deployments in $namespace are up." | tee -a "$GITHUB_STEP_SUMMARY"
