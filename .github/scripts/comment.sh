#!/usr/bin/env bash
# Creates or edits the one comment with the preview of a pull request. What its run left is the pull request's author's
# to choose: it is read as text, cut to size, and decides nothing. Who the pull request is comes from GitHub.
# Needs GH_TOKEN, REPOSITORY, RUN_ID, RUN_URL, HEAD_SHA, HEAD_OWNER and HEAD_BRANCH of the run.
set -euo pipefail

readonly marker='<!-- preview-diff -->'
# GitHub takes 65536 characters (https://github.com/orgs/community/discussions/27190); the rest is for what we say.
readonly most=60000
# Of the packed artifact. A preview has some ten kilobytes.
readonly most_packed=20000000
readonly unseen=$'\xe2\x80\x8b' # U+200B

notice() {
    echo "::notice::$1"
    exit 0
}

# A run of a fork's does not say which pull request it was for; the branch that it came from does. A head that has moved on
# gets its comment from its own run, and of two pull requests with one head nobody can tell which it was.
number=$(gh api --method GET "repos/$REPOSITORY/pulls" -f state=open -f head="$HEAD_OWNER:$HEAD_BRANCH" |
    jq --arg sha "$HEAD_SHA" '.[] | select(.head.sha == $sha) | .number')
[[ $number =~ ^[0-9]+$ ]] || notice "No comment: expected one open pull request with the commit $HEAD_SHA as its head."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
size=$(gh api "repos/$REPOSITORY/actions/runs/$RUN_ID/artifacts" |
    jq '[.artifacts[] | select(.name == "preview") | .size_in_bytes] | max // 0')
if [ "$size" -gt "$most_packed" ]; then
    notice "No comment: the artifact has $size bytes, more than $most_packed."
elif [ "$size" -gt 0 ]; then
    gh run download "$RUN_ID" --repo "$REPOSITORY" --name preview --dir "$folder/artifact"
fi

readonly preview=$folder/artifact/preview.md
if [ -f "$preview" ] && [ ! -L "$preview" ]; then
    # In the bot's name nobody is to be notified, no other issue named, no picture shown and no link followed but ours. A
    # character that nobody sees goes into what would begin one. GitHub reads &#64; as an @, so entities are broken too.
    # https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
    # A carriage return ends a line for GitHub, and none for sed.
    head -c "$most" "$preview" | tr -d '\000-\010\013-\037\177' | LC_ALL=C sed -E \
        -e "s,[@&<\\]|[Gg][Hh]-,&$unseen,g" -e "s,(!)(\[)|(#)([0-9])|([Ww]{3})(\.)|([Hh][Tt][Tt][Pp][Ss]?)(:),\1\3\5\7$unseen\2\4\6\8,g" \
        -e "s,//,/$unseen/,g" -e "s,//,/$unseen/,g" -e "s,\]\(,]$unseen(,g" -e "s,^([[:blank:]>*+0-9.)-]*)\[,\1${unseen}[," \
        -e "s,([Mm][Aa][Ii][Ll][Tt][Oo]|[Xx][Mm][Pp][Pp]):,\1$unseen:,g" \
        -e "s,<$unseen(/?(details|summary)|br)>,<\1>,g" -e "s,\\\\$unseen\|,\\\\|,g" \
        -e "s,\]$unseen\(https$unseen:/$unseen/((docs\.aws\.amazon\.com|kubernetes\.io)/),](https://\1,g" >"$folder/text"
else
    echo 'There is no preview of this change: the run says why.' >"$folder/text"
fi
{
    printf '%s\n<sub>By [the run](%s) of %s, with the code of this pull request.</sub>\n\n' "$marker" "$RUN_URL" "$HEAD_SHA"
    head -c "$most" "$folder/text" # jq puts a character for what is no text, as half a letter at the end
} >"$folder/body"
jq -n --rawfile body "$folder/body" '{body: $body}' >"$folder/request"

# Anyone may write the marker; only our own comment is edited.
comment=$(gh api --paginate "repos/$REPOSITORY/issues/$number/comments" | jq -r --arg marker "$marker" \
    '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith($marker))) | .id')
if [ -n "$comment" ]; then
    gh api --method PATCH "repos/$REPOSITORY/issues/comments/${comment%%$'\n'*}" --input "$folder/request" >/dev/null
else
    gh api --method POST "repos/$REPOSITORY/issues/$number/comments" --input "$folder/request" >/dev/null
fi
