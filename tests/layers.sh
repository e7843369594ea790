#!/bin/sh
# Fails when an include crosses a layer: common/ uses only common/, server/ and worker/ use common/ and themselves, and only
# server/main.c joins them; the public headers use only each other.
set -eu
cd "$(dirname "$0")/.."
status=0

# allow FILES-PATTERN INCLUDE-REGEX [EXCEPT]
allow() {
    found=$(git ls-files --cached --others --exclude-standard "$1" | grep -v -x -F "${3:-}" | xargs grep -nE '^#include "' /dev/null |
        grep -vE "#include \"($2)" || true)
    if [ -n "$found" ]; then
        echo "layers: $1 may only include $2:" >&2
        echo "$found" >&2
        status=1
    fi
}

allow 'common/*.[ch]' 'common/' -
allow 'server/*.[ch]' 'common/|server/' server/main.c
allow 'worker/*.[ch]' 'common/|worker/' -
allow 'include/prong/*.h' '$^' -
if git ls-files --cached --others --exclude-standard 'include/prong/*.h' 'examples/*' | xargs grep -nE '#include <' |
    grep -E 'libevent|event2|json-c|libpq|hiredis|sodium|curl' >&2; then
    echo "layers: the public headers and the examples must not need another library's headers" >&2
    status=1
fi
exit $status
