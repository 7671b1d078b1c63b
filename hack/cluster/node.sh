# A node on this machine: containerd, the kubelet and kube-proxy, with all they
# write below the run folder where they let one choose. What they change
# elsewhere is noted first, for nodedown.sh to put back.
# shellcheck shell=bash
# shellcheck disable=SC2154 # tools, coredns, run_dir and what is in the state are the caller's

node_name=node1
bridge=cnsr0
pod_cidr=10.244.0.0/24
host_ip=10.244.0.1 # of the bridge: how pods reach this machine
dns_ip=10.96.0.10
pods_cgroup=connaisseur-cluster
hosts_mark="# connaisseur-cluster"

# What the kubelet, kube-proxy and containerd change without asking.
node_sysctls=(
  net/ipv4/ip_forward net/ipv4/conf/all/route_localnet net/bridge/bridge-nf-call-iptables
  vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes
)
# Folders that they make and that have no setting.
node_folders=(/var/lib/kubelet /var/log/containers /var/log/pods /var/lib/cni /run/containerd /opt/containerd)

# node_rules lists the packet-filter rules of the pods' network, without the -A.
node_rules() {
  cat <<RULES
filter FORWARD -i $bridge -j ACCEPT
filter FORWARD -o $bridge -j ACCEPT
nat POSTROUTING -s $pod_cidr ! -o $bridge -j MASQUERADE
RULES
}

require_root() {
  ((EUID == 0)) || { say "a node needs root; without --node nothing does"; exit 1; }
}

# check_node_machine fails where a node cannot be made, before anything is changed.
check_node_machine() {
  if [[ -e /sys/class/net/$bridge ]]; then
    say "the network interface $bridge exists: another cluster has its node here"
    say "(if you are sure that none has: ip link delete $bridge)"
    return 1
  fi
  local package missing=()
  for package in containerd:containerd runc:runc iptables:iptables ip:iproute2 mount:mount; do
    command -v "${package%:*}" >/dev/null || missing+=("${package#*:}")
  done
  [[ -n $(cni_plugins) ]] || missing+=(containernetworking-plugins)
  if ((${#missing[@]} > 0)); then
    step "installing ${missing[*]} (about 10 seconds)" install_packages "${missing[@]}"
  fi
  # kube-proxy cleans up every chain of its kind, whoever's it is.
  if { iptables-save; ip6tables-save; } 2>/dev/null | grep -q '^:KUBE-SERVICES '; then
    say "iptables has the chain KUBE-SERVICES: another Kubernetes has its node here"
    return 1
  fi
}

# cni_plugins prints the folder of the network plugins: Debian's, or everybody's.
cni_plugins() {
  local dir
  for dir in /usr/lib/cni /opt/cni/bin; do
    [[ ! -x $dir/bridge ]] || { echo "$dir"; return; }
  done
}

prepare_node() {
  local name folder
  for name in "${node_sysctls[@]}"; do
    [[ ! -r /proc/sys/$name ]] || echo "$name $(cat "/proc/sys/$name")"
  done >"$run_dir/sysctls"
  for folder in "${node_folders[@]}"; do
    [[ -e $folder ]] || echo "$folder"
  done >"$run_dir/folders"
  step "making the pods' network and cgroups" make_network_and_cgroups
}

make_network_and_cgroups() {
  ip link add "$bridge" type bridge
  ip address add "$host_ip/${pod_cidr#*/}" dev "$bridge"
  ip link set "$bridge" up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  # Without it an answer within the bridge goes past the rules that translate
  # Service addresses. Absent where the module is not loaded.
  modprobe br_netfilter 2>/dev/null || true
  [[ ! -e /proc/sys/net/bridge ]] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
  local table rule
  while read -r table rule; do
    # shellcheck disable=SC2086 # a rule is several words
    iptables -w 5 -t "$table" -A $rule
  done < <(node_rules)
  echo "127.0.0.1 $registry_name $hosts_mark" >>/etc/hosts
  make_cgroups
}

# make_cgroups gives the pods one cgroup of their own, by which `down` finds them.
make_cgroups() {
  local root
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    echo "+cpu +cpuset +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p "/sys/fs/cgroup/$pods_cgroup"
    return
  fi
  for root in /sys/fs/cgroup/*/; do
    mkdir -p "$root$pods_cgroup" || true # not every hierarchy may be ours
  done
}

start_node() {
  start_containerd
  local image=$run_dir/bin/cluster
  step "pushing the node's own images" push_node_images "$image"
  write_kubelet_config
  launch kubelet "$tools/kubelet" --config "$run_dir/kubelet/config.yaml" --root-dir "$run_dir/kubelet/data" \
    --kubeconfig "$run_dir/pki/kubelet.kubeconfig" --hostname-override "$node_name" --node-ip "$host_ip"
  # Zero: leave the machine's own limits of connection tracking as they are.
  launch kube-proxy "$tools/kube-proxy" --kubeconfig "$run_dir/pki/kube-proxy.kubeconfig" \
    --hostname-override "$node_name" --proxy-mode iptables --cluster-cidr "$pod_cidr" \
    --nodeport-addresses 127.0.0.0/8 --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
    --conntrack-tcp-timeout-close-wait 0 --healthz-bind-address 127.0.0.1:10256 --metrics-bind-address 127.0.0.1:10249
  step "waiting for the node (about 15 seconds)" await 120 kubelet \
    cluster_kubectl wait --for=condition=Ready "node/$node_name" --timeout=1s
  step "starting cluster DNS (about 10 seconds)" start_dns
}

start_containerd() {
  write_containerd_config
  launch containerd containerd --config "$run_dir/containerd/config.toml"
  await 30 containerd ctr --address "$run_dir/containerd/socket" version
}

push_node_images() {
  "$1" image -ref "$registry/connaisseur-cluster/pause:nonroot" -program "$run_dir/bin/pause"
  "$1" image -ref "$registry/connaisseur-cluster/coredns:nonroot" -program "$coredns"
}

start_dns() {
  local manifest forward
  manifest=$(<"$hack/cluster/coredns.yaml")
  # What is not the cluster's is asked of the machine's own servers. One on loopback
  # is out of a pod's reach.
  forward=$({ cat /run/systemd/resolve/resolv.conf /etc/resolv.conf 2>/dev/null || true; } |
    awk '$1 == "nameserver" && $2 !~ /^(127\.|::1)/ && !seen[$2]++ { printf " %s", $2 }')
  manifest=${manifest//@FORWARD@/${forward:+forward .$forward}}
  manifest=${manifest//@IMAGE@/$registry/connaisseur-cluster/coredns:nonroot}
  manifest=${manifest//@REGISTRY@/$host_ip $registry_name}
  manifest=${manifest//@DNS_IP@/$dns_ip}
  cluster_kubectl apply -f - <<<"$manifest"
  await 90 kubelet cluster_kubectl rollout status deployment/coredns --namespace kube-system --timeout=1s ||
    { cluster_kubectl get events --namespace kube-system; return 1; }
}
