# Takes a node away again, also one that was never complete or has crashed.
# shellcheck shell=bash
# shellcheck disable=SC2154 # the names of what there is are in node.sh

# end_node ends the pods with the node's own processes: containers outlive
# containerd, on purpose.
end_node() {
  end kubelet kube-proxy
  local tries
  for ((tries = 0; tries < 20; tries++)); do
    kill_all KILL "$(pod_pids)"
    # A moment for containerd to notice and to end the shims in good order.
    sleep 0.2
    [[ -n $(pod_pids)$(shim_pids) ]] || break
  done
  end containerd
  kill_all KILL "$(shim_pids)"
}

# kill_all sends the signal $1 to the pids $2.
kill_all() {
  # shellcheck disable=SC2086 # a list of pids
  [[ -z $2 ]] || kill -s "$1" $2 2>/dev/null || true
}

pod_pids() {
  find /sys/fs/cgroup -path "*/$pods_cgroup/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u
}

# shim_pids prints the shims of this cluster's containerd: no other has its socket.
shim_pids() {
  local dir args
  for dir in /proc/[0-9]*; do
    mapfile -d '' -t args 2>/dev/null <"$dir/cmdline" || continue
    [[ ${args[0]:-} == *containerd-shim* && " ${args[*]} " == *" $run_dir/containerd/socket "* ]] && basename "$dir"
  done
  return 0
}

# clear_node puts back what the node has changed outside of its processes. It does
# as much as it can: each part may be absent.
clear_node() {
  unmount_all
  remove_shim_sockets
  remove_packet_rules
  ip link delete "$bridge" 2>/dev/null || true
  remove_cgroups
  remove_hosts_entry
  restore_machine
}

unmount_all() {
  local point
  # The latest first: mounts lie on top of one another.
  awk '{ print $5 }' /proc/self/mountinfo | tac | while read -r point; do
    printf -v point %b "$point" # blanks are octal there
    [[ $point != "$run_dir"/* ]] || umount "$point" 2>/dev/null || umount --lazy "$point" || true
  done
}

remove_shim_sockets() {
  local file address
  for file in "$run_dir"/containerd/state/io.containerd.runtime.v2.task/*/*/address; do
    [[ ! -r $file ]] || { address=$(<"$file") && rm -f "${address#unix://}"; }
  done
}

remove_packet_rules() {
  local table rule tables chain
  "$tools/kube-proxy" --cleanup >/dev/null 2>&1 || true
  # The one chain that kube-proxy makes and does not clean up.
  for tables in iptables ip6tables; do
    for chain in INPUT OUTPUT; do
      "$tables" -w 5 -D "$chain" -j KUBE-FIREWALL 2>/dev/null || true
    done
    { "$tables" -w 5 -F KUBE-FIREWALL && "$tables" -w 5 -X KUBE-FIREWALL; } 2>/dev/null || true
  done
  while read -r table rule; do
    # shellcheck disable=SC2086 # a rule is several words
    iptables -w 5 -t "$table" -D $rule 2>/dev/null || true
  done < <(node_rules)
}

remove_cgroups() {
  local tries
  for ((tries = 0; tries < 25; tries++)); do
    find /sys/fs/cgroup -depth -type d \( -path "*/$pods_cgroup/*" -o -name "$pods_cgroup" \) \
      -exec rmdir {} + 2>/dev/null || true
    [[ -n $(find /sys/fs/cgroup -maxdepth 2 -name "$pods_cgroup" -print -quit) ]] || return 0
    sleep 0.2 # until the kernel has let go of what was just ended
  done
}

# remove_hosts_entry writes into the file instead of replacing it: in a container
# it is mounted.
remove_hosts_entry() {
  local rest
  grep -qF "$hosts_mark" /etc/hosts || return 0
  rest=$(grep -vF "$hosts_mark" /etc/hosts || true)
  printf '%s\n' "$rest" >/etc/hosts
}

restore_machine() {
  local name value folder
  if [[ -r $run_dir/sysctls ]]; then
    while read -r name value; do
      echo "$value" >"/proc/sys/$name" || true
    done <"$run_dir/sysctls" 2>/dev/null
  fi
  if [[ -r $run_dir/folders ]]; then
    while read -r folder; do
      rm -rf --one-file-system "$folder"
    done <"$run_dir/folders"
  fi
}
