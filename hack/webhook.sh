#!/usr/bin/env bash
# The webhook as a process of this machine, called by URL by the API server of
# KUBECONFIG: for development and tests, without an image and without a node.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run_dir=${CONNAISSEUR_CLUSTER_DIR:-${TMPDIR:-/tmp}/connaisseur-$UID}/webhook
port=${WEBHOOK_PORT:-8443}
health_port=${HEALTH_PORT:-8080}
metrics_port=${METRICS_PORT:-9090}
host=${CONNAISSEUR_WEBHOOK_HOST:-127.0.0.1}
namespace=connaisseur

usage() {
  cat <<'USAGE'
usage: hack/webhook.sh up | restart | down | env | log

  up       build the webhook, apply config/ but its Deployment, and start it
  restart  end it and start it again; the cluster stays as it is
  down     end it and remove what was applied
  env      print WEBHOOK_URL, WEBHOOK_CA (a file), HEALTH_URL and METRICS_URL as exports
  log      print its log

It runs with the rights of its ServiceAccount and nothing more.

Environment:
  KUBECONFIG                the cluster; eval "$(hack/cluster.sh env)" sets it
  WEBHOOK_PORT              where it listens (default 8443)
  HEALTH_PORT, METRICS_PORT default 8080 and 9090
  CONNAISSEUR_WEBHOOK_HOST  the address by which the API server reaches this
                            machine (default 127.0.0.1)
USAGE
}

# manifests prints config/ without what only makes sense in Pods, and with URLs
# in the place of the Service.
manifests() {
  local file
  for file in "$root"/config/[1-4]*.yaml; do
    printf -- '---\n'
    cat "$file"
  done
  printf -- '---\n'
  awk -v base="https://$host:$port" '
    /- name: [a-z]+\.connaisseur/ { split($3, part, "."); path = part[1] }
    /^      service:$/            { print "      url: " base "/" path; skip = 2; next }
    skip > 0                      { skip--; next }
                                  { print }
  ' "$root"/config/500-webhooks.yaml
}

# kubeconfig_of_webhook writes a kubeconfig with the ServiceAccount's token.
kubeconfig_of_webhook() {
  local token
  token=$(kubectl -n "$namespace" create token webhook --duration 24h)
  (
    umask 077
    kubectl config view --raw --minify --flatten >"$run_dir/kubeconfig"
  )
  kubectl --kubeconfig "$run_dir/kubeconfig" config set-credentials webhook --token "$token" >/dev/null
  kubectl --kubeconfig "$run_dir/kubeconfig" config set-context --current --user webhook >/dev/null
}

running() {
  local pid started
  [[ -f $run_dir/pid ]] || return 1
  read -r pid started <"$run_dir/pid"
  [[ $(started_at "$pid") == "$started" ]]
}

# started_at is when a process was started, so that a pid that was given out
# again is not mistaken for ours.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

build() {
  echo "building the webhook (a minute or two the first time)"
  CGO_ENABLED=0 go build -C "$root" -trimpath -ldflags '-s -w' -o "$run_dir/webhook" ./cmd/webhook # as ko builds it
}

start() {
  SYSTEM_NAMESPACE=$namespace POD_NAME=local-$$ KUBERNETES_MIN_VERSION=v1.29.0 \
    CONFIG_LOGGING_NAME=config-logging CONFIG_OBSERVABILITY_NAME=config-observability \
    CONFIG_LEADERELECTION_NAME=config-leader-election \
    METRICS_PROMETHEUS_PORT=$metrics_port METRICS_PROMETHEUS_HOST=127.0.0.1 \
    WEBHOOK_PORT=$port HEALTH_PORT=$health_port WEBHOOK_EXTRA_HOSTS=$host \
    WEBHOOK_GRACE_PERIOD=${WEBHOOK_GRACE_PERIOD:-1s} \
    KUBECONFIG=$run_dir/kubeconfig \
    setsid "$run_dir/webhook" >>"$run_dir/log" 2>&1 </dev/null &
  echo "$! $(started_at $!)" >"$run_dir/pid"
}

# registered tells whether the API server calls us for all three webhooks.
registered() {
  local kind name
  for kind in mutatingwebhookconfiguration/connaisseur validatingwebhookconfiguration/connaisseur validatingwebhookconfiguration/connaisseur-config; do
    name=$(kubectl get "$kind" -o 'jsonpath={.webhooks[*].rules[0].resources}{.webhooks[*].clientConfig.caBundle}') || return 1
    [[ -n $name ]] || return 1
  done
}

wait_for() {
  local what=$1 tries
  shift
  for ((tries = 0; tries < 150; tries++)); do
    "$@" >/dev/null 2>&1 && return
    running || break
    sleep 0.2
  done
  echo "error: the webhook is not $what; the end of its log:" >&2
  tail -n 20 "$run_dir/log" >&2
  return 1
}

ready() { kubectl get --raw /version && probe; }
probe() { exec 3<>"/dev/tcp/127.0.0.1/$health_port" && printf 'GET /readiness HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 | grep -q ' 200 '; }

up() {
  mkdir -p "$run_dir"
  if running; then
    echo "the webhook is running already"
    return
  fi
  build
  if [[ $(kubectl get namespace "$namespace" -o 'jsonpath={.status.phase}' --ignore-not-found) == Terminating ]]; then
    kubectl wait --for=delete "namespace/$namespace" --timeout=60s >/dev/null # what a down has left
  fi
  manifests | kubectl apply -f - >/dev/null
  kubeconfig_of_webhook
  : >"$run_dir/log"
  start
  wait_for ready ready
  wait_for "registered with the API server" registered
  kubectl -n "$namespace" get secret connaisseur-webhook-certificate -o 'jsonpath={.data.ca-cert\.pem}' | base64 -d >"$run_dir/ca.pem"
  echo "the webhook answers at https://$host:$port; log: $run_dir/log"
}

stop() {
  local pid _
  running || return 0
  read -r pid _ <"$run_dir/pid"
  kill "$pid"
  while running; do sleep 0.1; done
  echo "the webhook has ended"
}

restart() {
  if ! running; then
    echo "error: the webhook does not run" >&2
    return 1
  fi
  build
  stop
  start
  wait_for ready ready
  echo "the webhook answers again at https://$host:$port"
}

down() {
  if kubectl get --raw /version >/dev/null 2>&1; then
    manifests | kubectl delete --ignore-not-found --wait=false -f - >/dev/null
  fi
  stop
  rm -f "$run_dir/pid" "$run_dir/kubeconfig"
}

env_of_webhook() {
  echo "export WEBHOOK_URL=https://$host:$port"
  echo "export WEBHOOK_CA=$run_dir/ca.pem"
  echo "export HEALTH_URL=http://127.0.0.1:$health_port"
  echo "export METRICS_URL=http://127.0.0.1:$metrics_port/metrics"
}

case ${1-} in
  up) up ;;
  restart) restart ;;
  down) down ;;
  env) env_of_webhook ;;
  log)
    [[ -f $run_dir/log ]] || { echo "error: there is no log; hack/webhook.sh up starts the webhook" >&2 && exit 1; }
    cat "$run_dir/log"
    ;;
  -h | --help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
