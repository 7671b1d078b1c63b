# The run folder: whose it is, what `up` has chosen for it, and what should run.
# shellcheck shell=bash
# shellcheck disable=SC2154 # run_dir, tools and registry_name are the caller's

# take_lock makes all commands that change something wait for one another, those
# for other folders too: two at a time would choose the same ports.
take_lock() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/connaisseur
  mkdir -p "$cache"
  exec {lock_fd}>"$cache/cluster.lock"
  flock -n "$lock_fd" || step "waiting for another hack/cluster.sh to finish" flock "$lock_fd"
}

# claim_run_dir makes the folder ours. `down` removes it whole, so it must never be
# one that holds anything else.
claim_run_dir() {
  mkdir -p "$run_dir"
  run_dir=$(cd "$run_dir" && pwd -P)
  [[ -O $run_dir ]] || { say "$run_dir belongs to somebody else"; exit 1; }
  if [[ ! -e $run_dir/state && -n $(ls -A "$run_dir") ]]; then
    say "$run_dir is not empty and not a cluster's folder: choose another with CONNAISSEUR_CLUSTER_DIR"
    exit 1
  fi
  chmod 0700 "$run_dir"
  # The path of a Unix socket in it has to fit into 107 bytes.
  ((${#run_dir} <= 70)) || { say "$run_dir is too long a path: choose another with CONNAISSEUR_CLUSTER_DIR"; exit 1; }
}

# load_state reads what `up` has chosen: the variables that write_state lists.
load_state() {
  [[ -r $run_dir/state ]] || return 1
  # shellcheck disable=SC1091
  source "$run_dir/state"
}

write_state() {
  local ports
  mapfile -t ports < <("$run_dir/bin/cluster" ports "${CONNAISSEUR_API_PORT:-6443}" \
    "${CONNAISSEUR_REGISTRY_PORT:-5050}" 2379 2380 10257 10259)
  local address=127.0.0.1:${ports[1]}
  # A name for what has two addresses: loopback here, another one in the pods. Image
  # tools talk plain http to names that end like this.
  [[ $1 == false ]] || address=$registry_name:${ports[1]}
  cat >"$run_dir/state" <<STATE
node=$1
tools=$(printf %q "$tools")
api_port=${ports[0]}
registry_port=${ports[1]}
etcd_port=${ports[2]}
etcd_peer_port=${ports[3]}
controllers_port=${ports[4]}
scheduler_port=${ports[5]}
registry=$address
base_image=$address/connaisseur-cluster/base:nonroot
STATE
  load_state
}

components() {
  echo registry etcd kube-apiserver kube-controller-manager kube-scheduler
  [[ $node == false ]] || echo containerd kubelet kube-proxy
}

# healthy says on standard output what is wrong.
healthy() {
  local name status=0
  [[ -e $run_dir/ready ]] || { echo "it was not started to the end"; status=1; }
  for name in $(components); do
    alive "$name" >/dev/null || { echo "$name does not run"; status=1; }
  done
  if ((status == 0)) && ! api_ready 2>/dev/null; then
    echo "the API server is not ready"
    status=1
  fi
  return "$status"
}
