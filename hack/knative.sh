#!/usr/bin/env bash
# Knative Serving in the cluster of KUBECONFIG, built from its Go modules, with
# Traefik as its ingress: for tests, and to try what Knative makes of things.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=cluster/report.sh
source "$root/hack/cluster/report.sh"

serving_module=$root/hack/tools/knative
ingress_module=$root/hack/tools/traefik

usage() {
  cat <<'USAGE'
usage: hack/knative.sh up | down

  up     install Knative Serving and its ingress, and wait until they are ready
  down   remove them, and every Knative Service

The first `up` builds both (about 5 minutes on two cores); what was built is kept
outside the tree.

Environment:
  KUBECONFIG       the cluster; eval "$(hack/cluster.sh env)" sets both. It must have
                   a node: hack/cluster.sh up --node
  KO_DOCKER_REPO   where the images go; the cluster pulls them from there
USAGE
}

# in_module runs a command in the folder of the module $1. The environment's own
# settings for Go builds are for the product, not for these.
in_module() {
  local dir=$1
  shift
  (cd "$dir" && GOFLAGS='' GOWORK=off "$@")
}

# locate sets the folders of the modules' manifests.
locate() {
  in_module "$serving_module" go mod download
  serving=$(in_module "$serving_module" go list -m -f '{{.Dir}}' knative.dev/serving)/config/core
  # In serving's own tree, symbolic links lead to these. Archives of modules have none.
  networking=$(in_module "$serving_module" go list -m -f '{{.Dir}}' knative.dev/networking)/config
  caching=$(in_module "$serving_module" go list -m -f '{{.Dir}}' knative.dev/caching)/config
}

# resolve builds the images of the manifests $2… with the module $1 and prints the
# manifests with what was pushed. ko does not link again what has not changed.
resolve() {
  local module=$1
  shift
  export KOCACHE=${XDG_CACHE_HOME:-$HOME/.cache}/connaisseur/ko
  mkdir -p "$KOCACHE"
  in_module "$module" ko resolve --sbom=none --recursive "$@"
}

build_serving() { resolve "$serving_module" -f "$serving" >"$work/serving.yaml"; }
build_ingress() { resolve "$ingress_module" -f "$root/hack/knative/traefik.yaml" >"$work/traefik.yaml"; }

# define has the cluster know Knative's kinds, without which nothing of them can be
# applied.
define() {
  kubectl apply -f "$serving/100-namespace.yaml" -f "$serving/300-resources" -f "$networking" -f "$caching"
  local definitions
  mapfile -t definitions < <(kubectl get customresourcedefinitions -o name | grep '\.knative\.dev$')
  kubectl wait --for=condition=Established --timeout=30s "${definitions[@]}"
}

# apply installs what was built with the settings of hack/knative.
apply() {
  cp "$root/hack/knative/settings.yaml" "$networking/config-network.yaml" "$work"
  sed -i "s|@REGISTRY@|${KO_DOCKER_REPO%%/*}|" "$work/settings.yaml"
  cat >"$work/kustomization.yaml" <<'KUSTOMIZATION'
resources: [serving.yaml, config-network.yaml, traefik.yaml]
patches:
  - path: settings.yaml
KUSTOMIZATION
  kubectl kustomize "$work" | kubectl apply -f -
}

await_ready() {
  local name
  for name in webhook controller autoscaler activator; do
    kubectl -n knative-serving rollout status "deployment/$name" --timeout=180s
  done
  kubectl -n traefik rollout status deployment/traefik --timeout=60s
}

# answered tells whether the API server reaches Knative's webhook, which a moment
# after it is ready is not so yet.
answered() { kubectl create --dry-run=server -f "$root/hack/knative/probe.yaml"; }

await_webhook() {
  local tries=0
  until answered >"$work/answer" 2>&1; do
    ((++tries < 150)) || { cat "$work/answer"; return 1; }
    sleep 0.2
  done
}

up() {
  : "${KO_DOCKER_REPO:?names the registry that the images go to; see --help}"
  kubectl get --raw /version >/dev/null
  step "finding Knative's modules" locate
  locate
  step "building Knative Serving" build_serving
  step "building Traefik, its ingress" build_ingress
  step "defining Knative's kinds" define
  step "installing them" apply
  step "waiting until they are ready (about 20 seconds)" await_ready
  step "waiting for Knative's webhook" await_webhook
  say "Knative Serving is up after $SECONDS s"
}

down() {
  step "finding Knative's modules" locate
  locate
  step "removing Knative Services" remove_services
  step "removing Knative Serving" remove_serving
}

# remove_services comes first: what they leave to be done is done by the controller.
remove_services() {
  local kind
  for kind in $(kubectl api-resources --api-group serving.knative.dev -o name | grep -E '^(services|routes|configurations|domainmappings)\.'); do
    kubectl delete "$kind" --all --all-namespaces --timeout=120s
  done
}

remove_serving() {
  local rest=(--ignore-not-found --timeout=120s)
  # Before what they refer to, or nothing could be deleted any more.
  kubectl delete "${rest[@]}" -f "$serving/webhooks"
  kubectl delete "${rest[@]}" -f "$root/hack/knative/traefik.yaml"
  kubectl delete "${rest[@]}" -f "$serving/200-serviceaccount.yaml" -f "$serving/200-roles" -f "$serving/deployments"
  # The activator would wait ten minutes for requests.
  kubectl -n knative-serving delete pods --all --grace-period=1 --timeout=60s
  kubectl delete "${rest[@]}" -f "$serving/300-resources" -f "$networking" -f "$caching"
  kubectl delete "${rest[@]}" -f "$serving/100-namespace.yaml"
}

case ${1-} in
  up | down)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$1"
    ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
