#!/usr/bin/env bash
# Shows what of docs/ci.md is set up on GitHub, and what is left open. Needs REPOSITORY, and gh signed in as an administrator of it.
set -euo pipefail
cd "$(dirname "$0")/../.."

open=0
ok() { echo "ok    $1"; }
open() {
    echo "OPEN  $1"
    open=1
}

# ask PATH FILTER prints what GitHub says, or nothing where it refuses: what a plan does not have is an error, with a text of its own.
ask() {
    local said
    if said=$(gh api "repos/$REPOSITORY/$1" --jq "$2" 2>/dev/null) && [ -n "$said" ]; then
        printf '%s\n' "$said"
    fi
}

private=$(gh api "repos/$REPOSITORY" --jq .private)

# What main requires, by a ruleset or by classic branch protection.
required=$(
    ask rules/branches/main '.[] | .parameters | values |
        (select(.required_approving_review_count > 0) | "review"), (select(.require_code_owner_review) | "owners"),
        (select(.dismiss_stale_reviews_on_push) | "anew"), (select(.require_last_push_approval) | "another"),
        (.required_status_checks[]? | select(.integration_id) | .context)'
    ask branches/main/protection '(.required_pull_request_reviews | values |
        (select(.required_approving_review_count > 0) | "review"), (select(.require_code_owner_reviews) | "owners"),
        (select(.dismiss_stale_reviews) | "anew"), (select(.require_last_push_approval) | "another")),
        (.required_status_checks.checks[]? | select(.app_id) | .context)'
)
plans='Needs a public repository, or Pro, Team or Enterprise.'
for rule in 'review:a review' 'check:the check named check, of GitHub Actions' "owners:a code owner's review" \
    'anew:a new review after a push' 'another:a review by somebody else than who pushed last'; do
    if grep -qx "${rule%%:*}" <<<"$required"; then
        ok "main requires ${rule#*:}"
    else
        open "main does not require ${rule#*:}: one person alone changes what is deployed. $plans"
    fi
done
if [ "$(ask codeowners/errors '.errors | length')" = 0 ]; then
    ok "main has a CODEOWNERS"
else
    open "main has no CODEOWNERS, or one with errors: any reviewer will do for the workflows and the guard."
fi

if [ "$(ask actions/permissions/workflow .can_approve_pull_request_reviews)" = false ]; then
    ok "no workflow approves pull requests"
else
    open "workflows may approve pull requests: with one of his own, whoever may push a branch approves what he wrote."
fi

deployed=$(ask actions/variables/AWS_DEPLOY_STACKS '.value | fromjson[]')
for stack in $(printf '%s\n' Pulumi.*.yaml | cut -d . -f 2); do
    environment=$(ask "environments/$stack" .name)
    if [ -z "$environment" ]; then
        if grep -qx "$stack" <<<"$deployed"; then
            open "$stack: is deployed and has no environment. The first run makes one without any rule."
        else
            ok "$stack: no environment, and not deployed"
        fi
        continue
    fi
    if [ -n "$(ask "environments/$stack" '.protection_rules[] | select(.type == "required_reviewers") | .reviewers[]')" ]; then
        ok "$stack: has reviewers"
        [ "$(ask "environments/$stack" '.protection_rules[] | select(.type == "required_reviewers") | .prevent_self_review')" = true ] ||
            open "$stack: who starts a deployment may approve it."
    else
        open "$stack: nobody has to approve a deployment. Needs a public repository, or Enterprise."
    fi
    branches=$(ask "environments/$stack/deployment-branch-policies" '.branch_policies[].name')
    if [ "$(ask "environments/$stack" .deployment_branch_policy.protected_branches)" = true ]; then
        branches="each protected branch"
    fi
    if [ "$branches" = main ]; then
        ok "$stack: from main only"
    else
        open "$stack: is deployed from ${branches:-any branch}, expected main only. Needs a public repository, or Pro, Team or Enterprise."
    fi
    if [ "$(ask "environments/$stack" .can_admins_bypass)" = true ]; then
        open "$stack: administrators pass by its rules."
    fi
    variables=$(ask "environments/$stack/variables?per_page=30" '.variables[].name')
    for variable in AWS_DEPLOY_ROLE_ARN AWS_REGION PULUMI_BACKEND_URL; do
        grep -qx "$variable" <<<"$variables" ||
            open "$stack: its environment has no $variable, so the repository's is taken, which whoever has write access may set."
    done
done

if [ "$private" = false ]; then
    policy=$(ask actions/permissions/fork-pr-contributor-approval .approval_policy)
    if [ "$policy" = all_external_contributors ]; then
        ok "workflows of outside contributors wait for approval"
    else
        open "workflows of outside contributors: the policy is ${policy:-unknown}, expected all_external_contributors."
    fi
    runners=$(ask actions/runners .total_count)
    [ "${runners:-0}" = 0 ] || open "$runners runners of your own in a public repository: any fork's pull request can run code on them."
elif [ "$(ask actions/permissions/fork-pr-workflows-private-repos .send_write_tokens_to_workflows)" = true ]; then
    open "workflows of forks get tokens that write: whoever may read the repository can have one of them run."
fi
echo "Not looked at: who may pass by a ruleset, and an organization's own rules and runners."
exit "$open"
