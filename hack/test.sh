#!/usr/bin/env bash
# All tests, or some of them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
hack=$root/hack
steps=(lint unit viewer fuzz bench helm demo node e2e integration)
# shellcheck source-path=SCRIPTDIR source=cluster/report.sh
source "$hack/cluster/report.sh"
# shellcheck source-path=SCRIPTDIR source=cluster/packages.sh
source "$hack/cluster/packages.sh"
# A cluster of its own, so that one that is up for development is left alone.
export CONNAISSEUR_CLUSTER_DIR=${CONNAISSEUR_TEST_DIR:-${TMPDIR:-/tmp}/connaisseur-test-$UID}
export CONNAISSEUR_API_PORT=${CONNAISSEUR_API_PORT:-16443}
export CONNAISSEUR_REGISTRY_PORT=${CONNAISSEUR_REGISTRY_PORT:-15050}
export WEBHOOK_PORT=${WEBHOOK_PORT:-18443} HEALTH_PORT=${HEALTH_PORT:-18080} METRICS_PORT=${METRICS_PORT:-19090}

usage() {
  cat <<USAGE
usage: hack/test.sh [STEP…]

Without a step, all of them:
  lint          golangci-lint
  unit          go test, with the race detector where there is a C compiler
  viewer        the event viewer's page in Chromium, where there is one or this is
                root on Debian
  fuzz          each fuzz test with ${FUZZTIME:-10000x} inputs (FUZZTIME)
  bench         each benchmark once, so that they keep working
  helm          release.yaml and the chart, with the real helm, on a real API server
  demo          hack/demo.sh, the webhook as a process of this machine
  node          hack/demo.sh --node, where this is root on Debian
  e2e           what is installed by ko, on a node, under load and with faults; where
                this is root on Debian
  integration   go test -tags integration on a real API server, with images that
                the real clients sign, and a real Redis; runs the unit tests too

Needs Go and git; what else it needs it builds, or installs where it is root on
Debian. The first run builds Kubernetes, a Sigstore and Knative, which takes about half
an hour.
USAGE
}

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# race prints -race where the race detector can be built.
race() { if [[ $(go env CGO_ENABLED) == 1 ]] && command -v "$(go env CC)" >/dev/null; then echo -race; fi; }

root_on_debian() { ((EUID == 0)) && [[ -f /etc/debian_version ]]; }

step_lint() {
  local lint
  lint=$("$hack/tools.sh" golangci-lint)
  "$lint" run --allow-parallel-runners ./... # of somebody else on the machine
  "$hack/licenses.sh" --check
}

step_unit() {
  # shellcheck disable=SC2046 # no flag where there is none
  go test $(race) ./...
}

step_viewer() {
  if ! command -v chromium >/dev/null; then
    root_on_debian || { echo "no Chromium: install it, or be root on Debian" && return; }
    step "installing chromium (about half a minute)" install_packages chromium
  fi
  # shellcheck disable=SC2046 # no flag where there is none
  go test $(race) -tags browser ./cmd/event-viewer
}

# A number of inputs, as a duration now and then ends in "context deadline exceeded"
# though nothing was found (https://github.com/golang/go/issues/75804).
step_fuzz() {
  local package name out
  out=$(mktemp)
  while read -r package name; do
    echo "$package $name"
    if ! go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10000x}" -fuzzminimizetime 1x "$package" >"$out" 2>&1 </dev/null; then
      cat "$out"
      return 1
    fi
    tail -n 1 "$out"
  done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -EHo '^func Fuzz[A-Za-z0-9_]+' |
    sed -E 's|^(.*)/[^/]+:func (.*)$|./\1 \2|')
  rm "$out"
}

step_bench() { go test -run '^$' -bench . -benchtime 1x ./test/bench/... ./pkg/...; }

step_helm() {
  "$hack/tools.sh" helm >/dev/null
  trap stop_cluster EXIT
  "$hack/cluster.sh" up
  eval "$("$hack/cluster.sh" env)"
  go test -tags helm ./test/helm
}

step_demo() { "$hack/demo.sh"; }

step_node() {
  if root_on_debian; then
    "$hack/demo.sh" --node
  else
    echo "no node: that needs root on Debian"
  fi
}

step_e2e() {
  root_on_debian || { echo "no node: that needs root on Debian" && return; }
  "$hack/tools.sh" cosign >/dev/null
  trap stop_cluster EXIT
  "$hack/cluster.sh" up --node
  eval "$("$hack/cluster.sh" env)"
  "$hack/knative.sh" up
  go test -tags e2e -timeout 20m -v -bench . -benchtime 20x ./test/e2e
}

step_integration() {
  if ! command -v redis-server >/dev/null; then
    root_on_debian || { echo "no redis-server: install Redis or Valkey, or be root on Debian" && return 1; }
    step "installing redis-server (about half a minute)" install_packages redis-server
  fi
  # Not while go test's clock runs.
  "$hack/tools.sh" cosign cosign3 fulcio tesseract rekor-tiles timestamp-server rekor-server trillian notary notary-server notation check-rules nats-server >/dev/null
  trap stop_cluster EXIT
  "$hack/cluster.sh" up
  eval "$("$hack/cluster.sh" env)"
  "$hack/webhook.sh" up
  eval "$("$hack/webhook.sh" env)"
  # shellcheck disable=SC2046 # no flag where there is none
  go test $(race) -tags integration ./...
}

# stop_cluster ends a step that has a cluster, and maybe a webhook.
stop_cluster() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then
    echo "the end of the webhook's log:"
    "$hack/webhook.sh" log | tail -n 40 || true
  fi
  {
    "$hack/webhook.sh" down || true
    "$hack/cluster.sh" down || true
  } >/dev/null 2>&1 # the last words are go test's
  exit "$status"
}

main() {
  local step chosen=("$@") started
  if ((${#chosen[@]} == 0)); then chosen=("${steps[@]}"); fi
  for step in "${chosen[@]}"; do
    case $step in
      -h | --help) usage && exit ;;
    esac
    [[ " ${steps[*]} " == *" $step "* ]] || { usage >&2 && exit 2; }
  done
  cd "$root"
  for step in "${chosen[@]}"; do
    title "$step"
    started=$SECONDS
    # In a process of its own, for the sake of its traps.
    (set -euo pipefail && "step_$step")
    [[ $step == integration ]] || echo "-- $step took $((SECONDS - started)) s"
  done
}

main "$@"
