#!/bin/sh
# Fetches the renderer of /docs again and writes vendor/ and vendor.txt, from the top of the
# source tree: make docs-vendor. To take another version, change it here, run this, read the
# diff of vendor.txt, and look at the page in a browser: its console has to stay empty.
set -eu
package=redoc version=2.5.4 licence=MIT
# The one change to the bundle. It loads its maker's logo from another host; ours loads nothing
# from anywhere else, so an empty picture stands in for the logo.
logo='https://cdn.redoc.ly/redoc/logo-mini.svg'
empty="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
tarball=$(npm pack --silent "$package@$version")
tar xzf "$tarball"
cd package/bundles
grep -q "$logo" redoc.standalone.js
sed "s#$logo#$empty#g" redoc.standalone.js >served.js

mkdir -p "$here/vendor"
gzip -9nc served.js >"$here/vendor/redoc.standalone.js.gz"
cp redoc.standalone.js.LICENSE.txt "$here/vendor/redoc.standalone.js.LICENSE.txt"
cp ../LICENSE "$here/vendor/LICENSE"
sum() { sha256sum | cut -d' ' -f1; }
{
	echo "# What others wrote and /docs serves. vendor.sh writes this, docs_test.go holds it."
	echo "# file, package, version, licence, then the SHA-256 of the tarball, of the file in it,"
	echo "# and of the file in vendor/ (unpacked, if it is a .gz)."
	t=$(sum <"$work/$tarball")
	echo "LICENSE $package $version $licence $t $(sum <../LICENSE) $(sum <../LICENSE)"
	echo "redoc.standalone.js.LICENSE.txt $package $version $licence $t $(sum <redoc.standalone.js.LICENSE.txt) $(sum <redoc.standalone.js.LICENSE.txt)"
	echo "redoc.standalone.js.gz $package $version $licence $t $(sum <redoc.standalone.js) $(sum <served.js)"
} >"$here/vendor.txt"
