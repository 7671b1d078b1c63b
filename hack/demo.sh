#!/usr/bin/env bash
# Shows the main job on a real API server: signed images get in, pinned to the
# digest that was verified, and no others; the policy changes while it runs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
hack=$root/hack
namespace=connaisseur-demo
keep=false
node=false
own_cluster=false
own_webhook=false
work=

usage() {
  cat <<'USAGE'
usage: hack/demo.sh [--node] [--keep]

  --node  with a node, so that the webhook and the images run as Pods
          (needs root on Debian)
  --keep  leave the cluster and the webhook running afterwards

Uses the cluster of hack/cluster.sh if that is up, and otherwise starts it. It
puts a policy and a key of its own in the place of those in that cluster.
Ends with 0 only if every outcome was the expected one.
USAGE
}

step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; }
fail() {
  printf '\n\033[31mFAILED: %s\033[0m\n' "$*" >&2
  exit 1
}

# admitted runs a command that must succeed.
admitted() {
  show "$@"
  "$@" || fail "this was expected to be admitted"
}

# denied TEXT COMMAND… runs a command that must fail and say TEXT.
denied() {
  local text=$1 output
  shift
  show "$@"
  if output=$("$@" 2>&1); then
    echo "$output"
    fail "this was expected to be denied"
  fi
  echo "$output"
  [[ $output == *"$text"* ]] || fail "the answer was expected to say: $text"
}

# within_a_second COMMAND… repeats a command until it succeeds.
within_a_second() {
  local start now
  start=$(date +%s%N)
  until "$@" >/dev/null 2>&1; do
    now=$(date +%s%N)
    ((now - start < 1000000000)) || fail "no effect within a second: $*"
    sleep 0.05
  done
  now=$(date +%s%N)
  echo "  took effect after at most $(((now - start) / 1000000)) ms"
}

cleanup() {
  local status=$?
  trap - EXIT
  if [[ $keep == false ]]; then
    kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null 2>&1 || true
    if [[ $own_webhook == true ]]; then "$hack/webhook.sh" down >/dev/null 2>&1 || true; fi
    if [[ $own_cluster == true ]]; then "$hack/cluster.sh" down || true; fi
  fi
  if [[ -n $work ]]; then rm -rf "$work"; fi
  exit "$status"
}

start_cluster() {
  step "A cluster"
  local flags=()
  if [[ $node == true ]]; then flags=(--node); fi
  if ! "$hack/cluster.sh" status >/dev/null 2>&1; then own_cluster=true; fi
  "$hack/cluster.sh" up "${flags[@]}"
  eval "$("$hack/cluster.sh" env)"
  cosign=$("$hack/tools.sh" cosign)
}

start_webhook() {
  step "The webhook"
  if [[ $CONNAISSEUR_CLUSTER_NODE == true ]]; then
    show ko apply -f config/
    (cd "$root" && ko apply --sbom=none -f config/)
    show kubectl -n connaisseur rollout status deployment/webhook
    kubectl -n connaisseur rollout status deployment/webhook --timeout=180s
    own_webhook=false # goes with the cluster
    until [[ $(kubectl get validatingwebhookconfiguration connaisseur -o 'jsonpath={.webhooks[0].rules}') ]]; do sleep 0.2; done
    # The Service leads to the Pods a moment after these are ready.
    local tries=0
    while [[ $(kubectl -n default run probe --image=example.com/probe --dry-run=server 2>&1) == *"failed calling webhook"* ]]; do
      ((++tries < 150)) || fail "the API server does not reach the webhook"
      sleep 0.2
    done
  else
    own_webhook=true
    "$hack/webhook.sh" up
  fi
}

# build_image TAG makes an image unlike the others and prints its reference.
build_image() {
  KO_DOCKER_REPO=$CONNAISSEUR_REGISTRY/demo/app ko build --bare --sbom=none --tags "$1" \
    --image-label "variant=$1" ./hack/cluster/pause 2>"$work/ko.log" || fail "ko could not build: $(cat "$work/ko.log")"
}

sign() {
  show cosign sign --key "$1.key" "$2"
  COSIGN_PASSWORD='' "$cosign" sign --yes --tlog-upload=false --allow-insecure-registry --allow-http-registry \
    --key "$work/$1.key" "$2" >"$work/cosign.log" 2>&1 || fail "cosign could not sign: $(cat "$work/cosign.log")"
}

make_images() {
  step "Three images, two keys: ours and a stranger's"
  local who tag
  for who in ours stranger; do
    show cosign generate-key-pair --output-key-prefix "$who"
    (cd "$work" && COSIGN_PASSWORD='' "$cosign" generate-key-pair --output-key-prefix "$who" >/dev/null 2>&1)
  done
  cd "$root"
  for tag in signed unsigned foreign; do
    digest[$tag]=$(build_image "$tag")
    echo "  $app:$tag is ${digest[$tag]##*@}"
  done
  sign ours "${digest[signed]}"
  sign stranger "${digest[foreign]}"
}

# policy RULES prints config-policy with the demo's validator and these rules.
policy() {
  cat <<POLICY
apiVersion: v1
kind: ConfigMap
metadata:
  name: config-policy
  namespace: connaisseur
data:
  validators: |
    - name: allow
      type: static
      approve: true
    - name: deny
      type: static
      approve: false
    - name: ours
      type: cosign
      trustRoots:
        - name: default
          key: configmap://config-trust-roots/ours.pub
  registries: |
    - host: $CONNAISSEUR_REGISTRY
      insecure: true
  policy: |
    - pattern: "*:*"
      validator: deny
$1
POLICY
}

signed_only() {
  policy "    - pattern: \"$app:*\"
      validator: ${1:-ours}
      with:
        verifyInTransparencyLog: false"
}

# image_of prints the image that the API server stored for a Pod.
image_of() { kubectl -n "$namespace" get pod "$1" -o 'jsonpath={.spec.containers[0].image}'; }

expect_pinned() {
  local want="$app:signed@${digest[signed]##*@}" got
  got=$1
  [[ $got == "$want" ]] || fail "the stored image is $got, not $want"
  echo "  stored as $got"
}

scenario_pods() {
  step "A signed image is admitted, and pinned to the verified digest"
  admitted "${run[@]}" signed --image="$app:signed"
  expect_pinned "$(image_of signed)"

  step "An unsigned image is denied"
  denied "Unable to find signed digest for image $app:unsigned" "${run[@]}" unsigned --image="$app:unsigned"

  step "An image signed by a stranger is denied"
  denied UntrustedSigner "${run[@]}" foreign --image="$app:foreign"

  step "A tag beside a digest does not help"
  denied NoSignature "${run[@]}" mixed --image="$app:signed@${digest[unsigned]##*@}"
}

scenario_deployment() {
  step "A Deployment is pinned too, and applying it again changes nothing"
  kubectl create deployment web --image="$app:signed" --dry-run=client -o yaml >"$work/web.yaml"
  admitted kubectl -n "$namespace" apply -f "$work/web.yaml"
  expect_pinned "$(kubectl -n "$namespace" get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}')"
  local generation
  generation=$(kubectl -n "$namespace" get deployment web -o 'jsonpath={.metadata.generation}')
  admitted kubectl -n "$namespace" apply -f "$work/web.yaml"
  [[ $(kubectl -n "$namespace" get deployment web -o 'jsonpath={.metadata.generation}') == "$generation" ]] || fail "applying it again changed the Deployment"
  echo "  its generation is still $generation"
  denied NoSignature kubectl -n "$namespace" set image deployment/web "*=$app:unsigned"
  if [[ $CONNAISSEUR_CLUSTER_NODE == true ]]; then
    admitted kubectl -n "$namespace" rollout status deployment/web --timeout=60s
    expect_pinned "$(kubectl -n "$namespace" get pods -l app=web -o 'jsonpath={.items[0].spec.containers[0].image}')"
  fi
}

scenario_reload() {
  step "The policy changes while the webhook runs"
  show "kubectl apply -f - # the demo's images need no signature any more"
  signed_only allow | sed '/with:/,$d' | kubectl apply -f - >/dev/null
  within_a_second "${run[@]}" unsigned --image="$app:unsigned"
  show "kubectl apply -f - # they need one again"
  signed_only | kubectl apply -f - >/dev/null
  within_a_second refused "$app:unsigned"

  step "An edit that is wrong is refused, and the policy stays in force"
  signed_only oursss >"$work/broken.yaml"
  denied 'did you mean "ours"?' kubectl apply -f "$work/broken.yaml"
  denied NoSignature "${run[@]}" still --image="$app:unsigned"
}

# refused tells whether an image is denied, without creating anything.
refused() { ! "${run[@]}" refused --dry-run=server --image="$1"; }

main() {
  while (($#)); do
    case $1 in
      --node) node=true ;;
      --keep) keep=true ;;
      -h | --help) usage && exit ;;
      *) usage >&2 && exit 2 ;;
    esac
    shift
  done
  work=$(mktemp -d)
  trap cleanup EXIT
  declare -gA digest=()
  start_cluster
  declare -g app=$CONNAISSEUR_REGISTRY/demo/app
  declare -ga run=(kubectl -n "$namespace" run)
  make_images
  start_webhook

  step "A policy: the demo's images must be signed by us, everything else is denied"
  kubectl delete namespace "$namespace" --ignore-not-found >/dev/null # of a demo before this one
  kubectl create namespace "$namespace" >/dev/null
  until kubectl -n "$namespace" get serviceaccount default >/dev/null 2>&1; do sleep 0.1; done
  kubectl -n connaisseur create configmap config-trust-roots --from-file="$work/ours.pub" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  signed_only | kubectl apply -f -
  within_a_second refused "$app:unsigned"

  scenario_pods
  scenario_deployment
  scenario_reload
  printf '\n\033[32mEvery outcome was the expected one.\033[0m\n'
}

main "$@"
