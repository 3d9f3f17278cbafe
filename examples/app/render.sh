#!/bin/sh
# Renders the pages in $1 as HTML into $2, and says on each which base it was built on.
set -eu
mkdir -p "$2"
. /etc/os-release
for page in "$1"/*.txt; do
    name=$(basename "$page" .txt)
    {
        printf '<!doctype html><title>%s</title>\n' "$name"
        sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/.*/<p>&<\/p>/' "$page"
        printf '<footer>built on %s %s</footer>\n' "$NAME" "$VERSION"
    } >"$2/$name.html"
    echo "rendered $name.html on $NAME $VERSION"
done
