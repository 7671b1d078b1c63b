#!/usr/bin/env bash
# Prints the path of a development tool, and builds it first where needed:
#
#   "$(hack/tools.sh golangci-lint)" run ./...
#
# Tools are built from Go modules of their own under hack/tools, with exactly the
# versions of their go.sum, and kept outside the tree. Nothing but Go, git and
# the Go module proxy is needed.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=cluster/report.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster/report.sh"

tools_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/tools" && pwd)

usage() {
  cat <<'USAGE'
usage: hack/tools.sh NAME...

Prints the path of each tool, one a line, and builds what is not built yet.

  kubectl ko                                     use a cluster
  kube-apiserver kube-controller-manager
  kube-scheduler kubelet kube-proxy etcd         are a cluster
  coredns                                        its DNS
  cosign cosign3                                 sign (versions 2 and 3)
  fulcio tesseract                               are Sigstore: certificates and
  rekor-tiles timestamp-server                   their log; signatures' log in its
  rekor-server trillian                          second version; times; the first
                                                 version and where it stores
  notary notary-server                           are Notary V1: client and server
  notation                                       signs, for the Notary Project
  check-rules                                    reads Prometheus's rules
  nats-server                                    takes findings
  helm                                           installs the chart
  certmanager                                    issues certificates
  golangci-lint                                  reads the code

Environment:
  CONNAISSEUR_TOOLS   folder of the built tools
                      (default: connaisseur/tools in the user's cache folder)
USAGE
}

# locate sets module_dir, package, module and takes for the tool named $1.
locate() {
  module_dir=$tools_dir takes="about a minute"
  case $1 in
    kube-apiserver) package=k8s.io/kubernetes/cmd/$1 module=k8s.io/kubernetes takes="about 3 minutes" ;;
    kubectl | kubelet | kube-controller-manager | kube-scheduler | kube-proxy)
      package=k8s.io/kubernetes/cmd/$1 module=k8s.io/kubernetes ;;
    etcd) package=go.etcd.io/etcd/server/v3 module=$package ;;
    ko) package=github.com/google/ko module=$package ;;
    coredns) module_dir+=/coredns package=github.com/coredns/coredns module=$package ;;
    cosign) module_dir+=/cosign module=github.com/sigstore/cosign/v2 package=$module/cmd/cosign takes="about 2 minutes" ;;
    cosign3) module_dir+=/cosign3 module=github.com/sigstore/cosign/v3 package=$module/cmd/cosign takes="about 2 minutes" ;;
    fulcio) module_dir+=/sigstore module=github.com/sigstore/fulcio package=$module ;;
    rekor-tiles) module_dir+=/sigstore module=github.com/sigstore/rekor-tiles/v2 package=$module/cmd/rekor-server/posix ;;
    timestamp-server) module_dir+=/sigstore module=github.com/sigstore/timestamp-authority/v2 package=./$1 ;;
    rekor-server) module_dir+=/rekor module=github.com/sigstore/rekor package=$module/cmd/$1 takes="about 2 minutes" ;;
    trillian) module_dir+=/rekor module=github.com/google/trillian package=./trillian ;;
    tesseract) module_dir+=/sigstore module=github.com/transparency-dev/tesseract package=$module/cmd/tesseract/posix ;;
    notary) module_dir+=/notary module=github.com/theupdateframework/notary package=$module/cmd/$1 ;;
    notary-server) module_dir+=/notary module=github.com/theupdateframework/notary package=./$1 ;;
    notation) module_dir+=/notation module=github.com/notaryproject/notation package=$module/cmd/$1 ;;
    check-rules) module_dir+=/prometheus module=github.com/prometheus/prometheus package=./$1 ;;
    nats-server) module_dir+=/nats module=github.com/nats-io/nats-server/v2 package=$module ;;
    helm) module_dir+=/helm module=helm.sh/helm/v4 package=$module/cmd/$1 ;;
    certmanager) module_dir+=/certmanager module=github.com/cert-manager/cert-manager package=./$1 ;;
    golangci-lint)
      module_dir+=/lint module=github.com/golangci/golangci-lint/v2 package=$module/cmd/golangci-lint takes="about 2 minutes" ;;
    *) return 1 ;;
  esac
}

version_of_module() {
  awk -v module="$module" '$1 == "require" { $0 = $2 " " $3 } $1 == module && $2 ~ /^v/ { print $2; exit }' "$module_dir/go.mod"
}

# link_flags prints what makes the tool know its version $1; an API server that
# says v0.0.0 is refused by others.
link_flags() {
  local base=k8s.io/component-base/version major minor
  IFS=. read -r major minor _ <<<"${1#v}"
  case $module in
    k8s.io/kubernetes)
      echo "-X $base.gitVersion=$1 -X $base.gitMajor=$major -X $base.gitMinor=$minor -X $base.gitTreeState=clean" ;;
    github.com/google/ko) echo "-X github.com/google/ko/pkg/commands.Version=$1" ;;
    github.com/sigstore/cosign/v[23]) echo "-X sigs.k8s.io/release-utils/version.gitVersion=$1" ;;
    github.com/golangci/*) echo "-X main.version=${1#v}" ;;
  esac
}

# cache_dir prints the folder of the located module's tools. Its name depends on
# all that decides what a build makes of them, so that it never holds a stale one.
cache_dir() {
  local key
  key=$({
    go env GOVERSION GOHOSTOS GOHOSTARCH
    declare -f link_flags compile
    cat "$module_dir/go.mod" "$module_dir/go.sum"
    [[ $package != ./* ]] || cat "$module_dir/$package"/*.go # it is ours
  } | git hash-object --stdin)
  echo "${CONNAISSEUR_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/connaisseur/tools}/$(basename "$module_dir")-${key:0:12}"
}

# compile builds the located tool of version $1 to the file $2. The environment's
# own settings for Go builds are for the product, not for these.
compile() {
  cd "$module_dir"
  GOFLAGS='' GOWORK=off CGO_ENABLED=0 GOOS=$(go env GOHOSTOS) GOARCH=$(go env GOHOSTARCH) \
    go build -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w $(link_flags "$1")" -o "$2" "$package"
}

# ensure prints the path of the tool named $1. A tool appears under its name only
# once it is complete, however the build ends.
ensure() {
  local version dir
  locate "$1" || { echo "no tool is called '$1'" >&2; usage >&2; exit 2; }
  version=$(version_of_module)
  dir=$(cache_dir)
  if [[ ! -x $dir/$1 ]]; then
    mkdir -p "$dir/.building"
    find "$dir/.building" -type f -mmin +60 -delete # what interrupted builds left
    step "building $1 $version ($takes the first time)" compile "$version" "$dir/.building/$1.$$"
    mv -f "$dir/.building/$1.$$" "$dir/$1"
  fi
  echo "$dir/$1"
}

main() {
  case ${1:-} in
    -h | --help) usage; exit 0 ;;
    "") usage >&2; exit 2 ;;
  esac
  local name
  for name in "$@"; do
    ensure "$name"
  done
}

main "$@"
