#!/bin/sh
# Finds lines of more than 140 characters in code, pages and scripts. A tab counts as one. Left out are
# - rows of tables in Markdown, which cannot be wrapped, and files of data: testdata, *.csv, *.json;
# - the files that tools/lint/wide lists, each of which must still need it.
set -eu
cd "$(dirname "$0")/../.."

# In bytes, without those that go on with a character.
git ls-files Makefile .ci/run '*.go' '*.md' '*.sh' '*.yaml' '*.yml' '*.rb' '*.conf' '*.tmpl' | grep -v /testdata/ | LC_ALL=C awk '
	BEGIN {
		while ((getline line <"tools/lint/wide") > 0) {
			if (line !~ /^(#|$)/) wide[line] = 1
		}
	}
	{
		file = $0
		prefix = ""
		for (path in wide) {
			if (path == file || path ~ /\/$/ && index(file, path) == 1) prefix = path
		}
		for (n = 1; (getline line <file) > 0; n++) {
			gsub(/[\200-\277]/, "", line)
			if (length(line) <= 140 || file ~ /\.md$/ && line ~ /^ *\|/) continue
			if (prefix != "") {
				needed[prefix] = 1
				continue
			}
			print file ":" n ": " length(line) " characters, allowed: 140"
			failed = 1
		}
		close(file)
	}
	END {
		for (path in wide) {
			if (path in needed) continue
			print "tools/lint/wide: " path " has no line of more than 140 characters: take it out"
			failed = 1
		}
		exit failed
	}'
