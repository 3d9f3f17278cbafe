#!/usr/bin/env bash
# What `make e2e` does: the suites of e2e/ on a real cluster, from nothing to nothing. Without KUBECONFIG that is the cluster of e2e/cluster, which
# is brought up and taken down again, or with KEEP=1 used if it is up, and left up; with KUBECONFIG the one that it names, which must have what
# docs/e2e.md lists.
#
#   e2e/run.sh [-run PATTERN] [PACKAGE ...]
#   e2e/run.sh -bench
set -euo pipefail
cd "$(dirname "$0")/.."

pattern=. bench=
if [ "${1-}" = -bench ]; then
    bench=yes
    set --
fi
if [ "${1-}" = -run ]; then
    pattern=$2
    shift 2
fi
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(./e2e/registries ./e2e/state ./e2e/install ./e2e/build ./e2e/docs ./e2e/autorebuild ./e2e/rebuild ./e2e/sync ./generator/pipeline)
# Suites that need no cluster, but modules, which cannot be had inside.
alone=()
for package in "${packages[@]}"; do
    [ "$package" != ./e2e/registries ] || alone+=("$package")
done
dir=$PWD/.cache/e2e
cluster=$PWD/.cache/tools/cluster
export CGO_ENABLED=0
# The same tags and paths as ko uses, so that most of what the tests are made of is compiled once.
tags=containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper,e2e
export GOFLAGS="-tags=$tags -trimpath"

say() { printf -- '--- %4d s: %s\n' "$SECONDS" "$*"; }

# programs builds what the suites run, while modules can be had.
programs() {
    mkdir -p "$dir"
    say "building the programs under test"
    go build -ldflags='-s -w -X main.version=e2e' -o "$dir/" ./cmd/osbs ./cmd/imagewatch ./e2e/bench
    (cd e2e/chains && GOFLAGS=-trimpath go build -ldflags='-s -w' -o "$dir/chains" .)
    go test -run '^$' -count=1 -exec true "${packages[@]}" >/dev/null
    export OSBS_E2E_OSBS=$dir/osbs OSBS_E2E_IMAGEWATCH=$dir/imagewatch OSBS_E2E_CHAINS=$dir/chains
}

# pulp installs the server that e2e/sync tests with, if that suite is to run. Where it cannot be had, those tests are skipped, and say why.
pulp() {
    local said code=0
    [[ -z $bench && " ${packages[*]} " == *" ./e2e/sync "* ]] || return 0
    said=$(e2e/pulpserver/prepare.sh "${XDG_CACHE_HOME:-$HOME/.cache}/osbs-e2e") || code=$?
    case $code in
    0) export OSBS_E2E_PULP=$said ;;
    3)
        say "WARNING: no tests with Pulp: $said"
        export OSBS_E2E_PULP_MISSING=$said
        ;;
    *) exit "$code" ;;
    esac
}

# measure runs the benchmark, or with CASE one case of it. Builds are compared with others, which are brought in for it.
measure() {
    case ${CASE-} in
    latency | fan-out | size)
        "$cluster" run "$dir/bench" -case "$CASE" -share "${SHARE:-1}"
        return
        ;;
    esac
    say "bringing in what builds are compared with"
    "$cluster" peers "$dir/peers"
    "$cluster" run "$dir/bench" -peers "$dir/peers" -rounds "${ROUNDS:-3}" -share "${SHARE:-1}" ${CASE:+-case "$CASE"}
}

# suites runs the tests, by a command that enters the cluster's namespaces if it has some of its own. With RETRY=1 the few that have failed are run once
# more: a busy machine can be too slow for what a test waits for. It is said which they were.
suites() {
    local inside=("$@") failed again
    say "running ${running[*]}"
    if tests "$pattern" "${running[@]}"; then
        return
    fi
    failed=$(sed -nE 's/^--- FAIL: (Test[A-Za-z0-9_]+).*/\1/p' "$dir/suites.log" | sort -u)
    again=$(sed -nE 's/^FAIL\t([^ \t]+)\t.*/\1/p' "$dir/suites.log")
    if [ -z "${RETRY-}" ] || [ -z "$failed" ] || [ "$(wc -l <<<"$failed")" -gt 4 ]; then
        return 1
    fi
    failed=$(paste -sd '|' <<<"$failed")
    say "running again what has failed: $failed"
    tests "^($failed)\$" $again
    say "WARNING: failed at first, and passed when run again: $failed"
}

# tests PATTERN PACKAGE ...
tests() {
    "${inside[@]}" go test -p 1 -parallel 4 -count=1 -v -timeout 60m -run "$1" "${@:2}" 2>&1 | tee "$dir/suites.log"
}

own_cluster() {
    mkdir -p "$(dirname "$cluster")"
    (cd e2e/cluster && GOFLAGS= go build -o "$cluster" ./cmd/cluster)
    if [ -z "${KEEP-}" ]; then
        # A name of its own: the cluster of make cluster-up is left alone, and what a killed run has left is in nobody's way.
        OSBS_CLUSTER=$("$cluster" status | awk 'NR == 1 {print $3}')-e2e
        export OSBS_CLUSTER
        "$cluster" down
        trap 'say "taking the cluster down"; "$cluster" down' EXIT
        trap 'exit 130' INT TERM
    fi
    say "bringing the cluster up"
    "$cluster" up
    say "publishing the images of the stages"
    "$cluster" publish -o "$dir/images.yaml"
    export OSBS_E2E_STEP_IMAGES=$dir/images.yaml
    if [ -n "$bench" ]; then
        measure
    else
        suites "$cluster" run
    fi
}

# other_cluster says all that is missing at once.
other_cluster() {
    local missing=() name
    for name in OSBS_E2E_{CA_FILE,REGISTRY,REGISTRY_USER,REGISTRY_PASSWORD,DOCKER_CONFIG,IMAGES,BUSYBOX_IMAGE,GIT_HTTPS,GIT_SSH,GIT_USER,GIT_PASSWORD,GIT_SSH_KEY,GIT_KNOWN_HOSTS,STEP_IMAGES}; do
        [ -n "${!name-}" ] || missing+=("$name")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        printf 'KUBECONFIG is set, so the tests run on that cluster. docs/e2e.md says what they need; not set:\n' >&2
        printf '  %s\n' "${missing[@]}" >&2
        exit 2
    fi
    suites env
}

programs
if [ ${#alone[@]} -gt 0 ] && [ -z "$bench" ]; then
    running=("${alone[@]}")
    suites env
fi
running=()
for package in "${packages[@]}"; do
    [[ " ${alone[*]-} " == *" $package "* ]] || running+=("$package")
done
if [ ${#running[@]} -eq 0 ]; then
    say "done"
    exit
fi
pulp
if [ -n "${KUBECONFIG-}" ] && [ -z "$bench" ]; then
    other_cluster
else
    own_cluster
fi
say "done"
