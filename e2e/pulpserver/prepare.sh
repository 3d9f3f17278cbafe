#!/usr/bin/env bash
# Prepares a Pulp 3 server for the tests of e2e/sync: PostgreSQL from Debian's packages, Pulp from PyPI, in a virtual environment of its
# own. It prints the environment's directory. Where PyPI cannot be reached, or Debian's packages cannot, it prints why and exits with 3:
# the tests that need Pulp are skipped then.
#
#   e2e/pulpserver/prepare.sh CACHE
set -euo pipefail
cd "$(dirname "$0")"

cache=$1
key=$({ python3 --version 2>/dev/null || true; cat requirements.txt; } | sha256sum | cut -c1-16)
dir=$cache/pulp-$key

unavailable() { # WHAT LOG
    printf '%s: %s\n' "$1" "$(grep -Ei 'error|failed|unable' "$2" | tail -n 1)"
    exit 3
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
        unavailable "Debian's packages ${missing[*]} cannot be installed" "$log"
    # Debian starts a server of its own with the package; the tests have theirs.
    service postgresql stop >/dev/null 2>&1 || true
fi
if [ ! -e "$dir/complete" ]; then
    rm -rf "$dir"
    mkdir -p "$cache"
    { python3 -m venv "$dir" && "$dir/bin/pip" install --quiet --disable-pip-version-check --no-input --retries 2 --timeout 30 -r requirements.txt; } >"$log" 2>&1 || {
        rm -rf "$dir"
        unavailable "Pulp cannot be installed from PyPI" "$log"
    }
    touch "$dir/complete"
fi
printf '%s\n' "$dir"
