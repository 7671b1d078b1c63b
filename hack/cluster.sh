#!/usr/bin/env bash
# A Kubernetes cluster for development and tests, without a container engine: the
# real control plane as processes of this user and, with --node, a real node.
set -euo pipefail

hack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/report.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/state.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/process.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/controlplane.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/packages.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/node.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/nodeconfig.sh"
# shellcheck source-path=SCRIPTDIR
source "$hack/cluster/nodedown.sh"

run_dir=${CONNAISSEUR_CLUSTER_DIR:-${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/connaisseur-cluster-$UID}
service_cidr=10.96.0.0/16
service_ip=10.96.0.1
registry_name=registry.localhost

usage() {
  cat <<'USAGE'
usage: hack/cluster.sh up [--node] | down | env | status | restart NAME

  up            start etcd, the API server, the controller-manager, the scheduler
                and an image registry on loopback; pods stay Pending
  up --node     also a node on which pods run, with cluster DNS
                (needs root on Debian, and installs the packages it lacks)
  down          end all of it and remove every trace
  env           print what a shell needs to use it: eval "$(hack/cluster.sh env)"
  status        say what runs; exits with 0 only when everything does
  restart NAME  end one of these processes and start it again, as a fault for tests

The first `up` builds Kubernetes from its Go modules (about 6 minutes on two
cores, and 2 more for a node); the programs are kept outside the tree.
With a KUBECONFIG of your own you need none of this: set KO_DOCKER_REPO to a
registry that your cluster can pull from and use it as it is.

Environment:
  CONNAISSEUR_CLUSTER_DIR     folder of the running cluster, for several at a time
                              (default: connaisseur-cluster-UID in XDG_RUNTIME_DIR
                              or TMPDIR or /tmp); only one of them can have a node
  CONNAISSEUR_API_PORT        port of the API server (default 6443)
  CONNAISSEUR_REGISTRY_PORT   port of the registry (default 5050)
                              a port that is busy is replaced by a free one
  CONNAISSEUR_TOOLS           see hack/tools.sh --help
USAGE
}

up() {
  local want=$1
  [[ $want == false ]] || require_root
  take_lock
  claim_run_dir
  if load_state; then
    if [[ ${node:-} == "$want" || ${node:-} == true ]] && healthy >/dev/null; then
      say "the cluster is already up"
      return
    fi
    step "clearing away what is left of an earlier cluster" tear_down
    claim_run_dir
    node=false
  fi
  [[ $want == false ]] || check_node_machine
  trap abandon EXIT
  : >"$run_dir/state" # from here on the folder is ours to remove
  build_tools "$want"
  write_state "$want"
  [[ $node == false ]] || prepare_node
  start_control_plane
  [[ $node == false ]] || start_node
  touch "$run_dir/ready"
  trap - EXIT
  say "the cluster is up after $SECONDS s; use it with: eval \"\$(${BASH_SOURCE[0]} env)\""
}

build_tools() {
  local names=(kubectl ko etcd kube-apiserver kube-controller-manager kube-scheduler)
  [[ $1 == false ]] || names+=(kubelet kube-proxy coredns)
  # The first one's folder has all that the state's readers need.
  local paths
  mapfile -t paths < <("$hack/tools.sh" "${names[@]}")
  ((${#paths[@]} == ${#names[@]})) || return 1
  tools=$(dirname "${paths[0]}")
  # shellcheck disable=SC2034 # start_node pushes it
  [[ $1 == false ]] || coredns=${paths[-1]}
  step "building the cluster's helper" build_helper "$1"
}

build_helper() {
  mkdir -p "$run_dir/bin"
  cd "$hack/.."
  export GOFLAGS='' GOWORK=off CGO_ENABLED=0
  go build -buildvcs=false -trimpath -o "$run_dir/bin/cluster" ./hack/cluster
  [[ $1 == false ]] || go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$run_dir/bin/pause" ./hack/cluster/pause
}

# abandon ends a start that failed or was interrupted. The logs stay.
abandon() {
  trap '' INT TERM
  trap - EXIT
  say "not started; the logs are in $run_dir"
  end_all
  exit 1
}

end_all() {
  local names
  [[ ${node:-false} == false ]] || end_node
  mapfile -t names < <(launched | tac)
  end "${names[@]}"
  [[ ${node:-false} == false ]] || clear_node
}

tear_down() {
  end_all
  # Never into what is mounted from elsewhere.
  rm -rf --one-file-system "$run_dir"
}

down() {
  take_lock
  if ! load_state; then
    say "no cluster is up in $run_dir"
    return
  fi
  step "ending the cluster" tear_down
}

print_env() {
  if ! load_state || [[ ! -e $run_dir/ready ]]; then
    say "no cluster is up in $run_dir: start one with ${BASH_SOURCE[0]} up"
    echo false # so that the caller's eval fails, too
    exit 1
  fi
  local no_proxy_hosts=localhost,127.0.0.1,.localhost,.svc,.cluster.local,$service_cidr
  cat <<ENV
export KUBECONFIG=$(printf %q "$run_dir/pki/admin.kubeconfig")
export PATH=$(printf %q "$tools"):"\$PATH"
export KO_DOCKER_REPO=$registry
export KO_DEFAULTBASEIMAGE=$base_image
export KO_DEFAULTPLATFORMS=linux/$(go env GOHOSTARCH)
export NO_PROXY="\${NO_PROXY:+\$NO_PROXY,}$no_proxy_hosts"
export CONNAISSEUR_CLUSTER_DIR=$(printf %q "$run_dir")
export CONNAISSEUR_CLUSTER_NODE=$node
export CONNAISSEUR_REGISTRY=$registry
export CONNAISSEUR_WEBHOOK_HOST=127.0.0.1
ENV
}

status() {
  if ! load_state || [[ -z ${node:-} ]]; then
    echo "no cluster is up in $run_dir"
    return 1
  fi
  local name pid
  for name in $(components); do
    if pid=$(alive "$name"); then
      printf '%-24s runs, pid %s\n' "$name" "$pid"
    else
      printf '%-24s does not run\n' "$name"
    fi
  done
  healthy
}

# restart ends a process and starts it again with the same arguments.
restart() {
  local name=$1 pid argv
  take_lock
  load_state && [[ -e $run_dir/ready ]] || { say "no cluster is up in $run_dir"; exit 1; }
  pid=$(alive "$name") || { say "$name does not run; see ${BASH_SOURCE[0]} status"; exit 1; }
  mapfile -d '' -t argv <"/proc/$pid/cmdline"
  end "$name"
  launch "$name" "${argv[@]}"
  step "waiting for the API server (about 5 seconds)" await 90 "$name" api_ready
}

main() {
  case "$*" in
    up) up false ;;
    "up --node") up true ;;
    down) down ;;
    env) print_env ;;
    status) status ;;
    "restart "*) restart "$2" ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

main "$@"
