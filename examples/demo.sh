#!/usr/bin/env bash
# Builds the two example images on the local instance, then changes the base: `make demo`.
# Usage: demo.sh OSBS DIRECTORY. Everything it makes is in DIRECTORY, which it makes anew.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
osbs=$(realpath "$1")
dir=$(realpath -m "$2")
started=$SECONDS

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

command -v git >/dev/null || { echo "demo: git is needed: apt-get install git" >&2; exit 1; }

# busybox prints a static busybox's path: this machine's, or the one in Debian's package, unpacked and not installed.
busybox() {
    local b
    for b in /bin/busybox /usr/bin/busybox "$dir.busybox/bin/busybox"; do
        if [ -x "$b" ] && ! ldd "$b" >/dev/null 2>&1; then echo "$b"; return; fi
    done
    mkdir -p "$dir.busybox" && cd "$dir.busybox"
    { apt-get -qq -o APT::Sandbox::User=root download busybox-static || { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download busybox-static; }; } >&2
    dpkg-deb -x busybox-static_*.deb . && echo "$dir.busybox/bin/busybox"
}

# repository NAME: a bare git repository with the example's files, and a clone to work in.
repository() {
    git init -q --bare -b main "$dir/git/$1.git"
    git clone -q "$dir/git/$1.git" "$dir/work/$1" 2>/dev/null
    cp -a "$here/$1/." "$dir/work/$1/"
    if [ "$1" = base ]; then cp "$busybox" "$dir/work/base/busybox"; fi
    commit "$1" "Add the $1 image"
}

# commit NAME MESSAGE: commit everything in the clone and push it.
commit() {
    git -C "$dir/work/$1" add -A
    git -C "$dir/work/$1" -c user.name=demo -c user.email=demo@example.com commit -q -m "$2"
    git -C "$dir/work/$1" push -q origin HEAD:main
}

busybox=$(busybox)
rm -rf "$dir"
mkdir -p "$dir/git" "$dir/work"
export OSBS_DATA_DIR=$dir/data

say "Two git repositories, made from examples/: base (FROM scratch) and app (two stages, on base)"
repository base
repository app
ls -1 "$dir/git"

say "Build the base"
run "$osbs" build -g "file://$dir/git/base.git" -b main -u demo

say "What a build of the application would do"
run "$osbs" build -g "file://$dir/git/app.git" -b main -u demo --dry-run

say "Build the application"
run "$osbs" build -g "file://$dir/git/app.git" -b main -u demo

say "Change the base and build it again: the application follows by itself"
sed -i 's/1\.0\.0/1.0.1/' "$dir/work/base/os-release"
sed -i 's/release="1"/release="2"/' "$dir/work/base/Dockerfile"
commit base "Update the base to 1.0.1"
run "$osbs" build -g "file://$dir/git/base.git" -b main -u demo

say "All builds; the last one was started by nobody"
run "$osbs" list-builds

say "Done in $((SECONDS - started)) seconds. To look around:"
short=${osbs#"$PWD"/}
rebuild=$("$osbs" list-builds --columns name | sed -n 2p)
cat <<END
export OSBS_DATA_DIR=$OSBS_DATA_DIR
$short get-build $rebuild     # why it ran, bases, tags, digests
$short build-logs $rebuild    # its log
$short list-build-configs     # what is known about each image
$short serve                  # pull the images with podman or skopeo
$short build --help
END
