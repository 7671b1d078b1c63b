#!/usr/bin/env bash
# Writes what installs Connaisseur without ko: release.yaml, and a Helm chart.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'USAGE'
usage: hack/release.sh [--image REF | --ko] [--version VERSION] [-o DIR]

Writes release.yaml and the chart, a folder connaisseur, to DIR (default
bin/release), both from the manifests in config/.

  --image REF        the webhook's image, with registry and tag or digest
  --ko               the image is built and pushed by ko, as KO_DOCKER_REPO and
                     other settings of ko's say (default)
  --version VERSION  the chart's version (default 0.0.0)
USAGE
}

image='' version=0.0.0 out=$root/bin/release
while (($# > 0)); do
  case $1 in
    --ko) image='' ;;
    --image | --version | -o)
      (($# > 1)) || { usage >&2 && exit 2; }
      case $1 in
        --image) image=$2 ;;
        --version) version=$2 ;;
        -o) out=$2 ;;
      esac
      shift
      ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
if [[ -z $image ]]; then
  ko=$(command -v ko || hack/tools.sh ko)
  image=$("$ko" build ./cmd/webhook)
fi
go run ./hack/release -image "$image" -version "$version" -o "$out"
echo "$out"
