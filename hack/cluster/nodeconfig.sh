# What the node's programs are told in files: all they write, as far as they let
# one choose, is below the run folder.
# shellcheck shell=bash
# shellcheck disable=SC2154 # the names of what there is are in node.sh

write_containerd_config() {
  local dir=$run_dir/containerd
  mkdir -p "$dir/registries/$registry" "$dir/cni" "$dir/data"
  cat >"$dir/config.toml" <<TOML
version = 2
root = "$dir/data"
state = "$dir/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[debug]
level = "warn"
[grpc]
address = "$dir/socket"
[plugins."io.containerd.grpc.v1.cri"]
# Without CAP_SYS_RESOURCE, as in a container, no sandbox would start otherwise.
restrict_oom_score_adj = true
sandbox_image = "$registry/connaisseur-cluster/pause:nonroot"
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$(cni_plugins)"
conf_dir = "$dir/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$dir/registries"
TOML
  cat >"$dir/registries/$registry/hosts.toml" <<TOML
[host."http://127.0.0.1:$registry_port"]
capabilities = ["pull", "resolve"]
TOML
  cat >"$dir/cni/10-connaisseur.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "connaisseur-cluster", "plugins": [{
  "type": "bridge", "bridge": "$bridge", "isDefaultGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$dir/addresses",
    "ranges": [[{"subnet": "$pod_cidr", "gateway": "$host_ip"}]]}
}]}
JSON
}

write_kubelet_config() {
  local dir=$run_dir/kubelet
  mkdir -p "$dir/data"
  cat >"$dir/config.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $host_ip
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $run_dir/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $run_dir/pki/kubelet.crt
tlsPrivateKeyFile: $run_dir/pki/kubelet.key
clusterDomain: cluster.local
clusterDNS: [$dns_ip]
containerRuntimeEndpoint: unix://$run_dir/containerd/socket
cgroupDriver: cgroupfs
cgroupRoot: /$pods_cgroup
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
podLogsDir: $dir/pods
volumePluginDir: $dir/plugins
serializeImagePulls: false
# The machine is somebody's and may be rather full: no pod is to be evicted, and
# no image removed, for what others put on the disk.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
YAML
}
