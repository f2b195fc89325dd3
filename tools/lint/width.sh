#!/bin/sh
# Finds lines of more than 140 characters in code, pages and scripts. A tab counts as one. Left out are
# - rows of tables in Markdown, which cannot be wrapped, and files of data: testdata, *.csv, *.json;
# - files that are shipped into pods: another byte of them is another ConfigMap, and rolls the pods. Wrap them when they change anyway.
set -eu
cd "$(dirname "$0")/../.."

# In bytes, without those that go on with a character.
git ls-files Makefile .ci/run '*.go' '*.md' '*.sh' '*.yaml' '*.yml' '*.rb' '*.conf' '*.tmpl' '*.css' |
	grep -v -e /testdata/ -e '^logging/files/\(fluent\.conf\|filter_expense\.rb\|in_expense\.rb\)$' |
	LC_ALL=C awk '{
		file = $0
		for (n = 1; (getline line <file) > 0; n++) {
			gsub(/[\200-\277]/, "", line)
			if (length(line) <= 140 || file ~ /\.md$/ && line ~ /^ *\|/) continue
			print file ":" n ": " length(line) " characters, allowed: 140"
			failed = 1
		}
		close(file)
	} END { exit failed }'
