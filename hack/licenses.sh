#!/usr/bin/env bash
# Collects the licences of all modules that the programs are linked with.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/third_party/licenses

usage() {
  cat <<'USAGE'
usage: hack/licenses.sh [--check]

Writes third_party/licenses; with --check, only tells whether it is up to date.
USAGE
}

# modules lists the path and the folder of each module but our own.
modules() {
  (cd "$root" && GOOS=linux go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}' ./cmd/...) | sort -u
}

collect() {
  local into=$1 module dir file found
  while read -r module dir; do
    found=false
    for file in "$dir"/{LICENSE,LICENCE,COPYING,NOTICE}*; do
      [[ -f $file && $file != *.go ]] || continue
      mkdir -p "$into/$module"
      install -m 644 "$file" "$into/$module/"
      found=true
    done
    [[ $found == true ]] || { echo "error: $module has no licence" >&2 && return 1; }
  done < <(modules)
}

case ${1-} in
  "")
    rm -rf "$target"
    collect "$target"
    ;;
  --check)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    collect "$fresh"
    diff -r "$fresh" "$target" || { echo "error: third_party/licenses is out of date; run hack/licenses.sh" >&2 && exit 1; }
    ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
