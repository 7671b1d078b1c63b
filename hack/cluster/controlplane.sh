# The control plane and the registry. Every process listens on loopback; with a
# node the API server and the registry are also there for the pods.
# shellcheck shell=bash
# shellcheck disable=SC2154 # tools, run_dir and what is in the state are the caller's

start_control_plane() {
  local pki=$run_dir/pki
  step "issuing certificates" issue_certificates "$pki"
  start_registry
  start_etcd "$pki"
  start_api_server "$pki"
  step "waiting for the API server (about 5 seconds)" await 90 kube-apiserver api_ready
  start_controllers "$pki"
  # Without its service account no pod can be made in a namespace.
  step "waiting for the controllers (about 5 seconds)" await 60 kube-controller-manager \
    cluster_kubectl get serviceaccount default --namespace default
}

issue_certificates() {
  local args=(-dir "$1" -server "https://127.0.0.1:$api_port" -api-hosts "$service_ip")
  if [[ $node == true ]]; then
    args=(-dir "$1" -server "https://127.0.0.1:$api_port" -api-hosts "$service_ip,$host_ip"
      -node "$node_name" -node-hosts "$host_ip")
  fi
  "$run_dir/bin/cluster" certs "${args[@]}"
}

start_registry() {
  local listen=127.0.0.1:$registry_port
  [[ $node == false ]] || listen+=,$host_ip:$registry_port
  mkdir -p "$run_dir/registry/data"
  launch registry "$run_dir/bin/cluster" registry -listen "$listen" -blobs "$run_dir/registry/data"
  await 10 registry "$run_dir/bin/cluster" image -ref "$base_image"
}

start_etcd() {
  local client=https://127.0.0.1:$etcd_port peer=https://127.0.0.1:$etcd_peer_port
  # Nothing in it is worth a sync to the disk: a cluster that crashes is made anew.
  launch etcd "$tools/etcd" --name connaisseur --data-dir "$run_dir/etcd/data" --unsafe-no-fsync \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "connaisseur=$peer" \
    --cert-file "$1/etcd.crt" --key-file "$1/etcd.key" --trusted-ca-file "$1/ca.crt" --client-cert-auth \
    --peer-cert-file "$1/etcd.crt" --peer-key-file "$1/etcd.key" --peer-trusted-ca-file "$1/ca.crt" \
    --peer-client-cert-auth --log-level warn
}

start_api_server() {
  # A loopback address cannot be the kubernetes Service's endpoint; without a node
  # nobody looks for one.
  local address=(--bind-address 127.0.0.1 --advertise-address 127.0.0.1 --endpoint-reconciler-type none)
  [[ $node == false ]] || address=(--bind-address 0.0.0.0 --advertise-address "$host_ip")
  launch kube-apiserver "$tools/kube-apiserver" "${address[@]}" --secure-port "$api_port" \
    --etcd-servers "https://127.0.0.1:$etcd_port" --etcd-cafile "$1/ca.crt" \
    --etcd-certfile "$1/etcd.crt" --etcd-keyfile "$1/etcd.key" \
    --tls-cert-file "$1/kube-apiserver.crt" --tls-private-key-file "$1/kube-apiserver.key" \
    --client-ca-file "$1/ca.crt" --authorization-mode Node,RBAC --allow-privileged \
    --service-cluster-ip-range "$service_cidr" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$1/sa.pub" --service-account-signing-key-file "$1/sa.key" \
    --kubelet-certificate-authority "$1/ca.crt" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$1/kubelet-client.crt" --kubelet-client-key "$1/kubelet-client.key"
}

api_ready() { "$run_dir/bin/cluster" probe -ca "$run_dir/pki/ca.crt" "https://127.0.0.1:$api_port/readyz"; }

start_controllers() {
  # The only ones of their kind: nobody to elect a leader from.
  launch kube-controller-manager "$tools/kube-controller-manager" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$controllers_port" \
    --kubeconfig "$1/kube-controller-manager.kubeconfig" --use-service-account-credentials \
    --tls-cert-file "$1/kube-controller-manager.crt" --tls-private-key-file "$1/kube-controller-manager.key" \
    --root-ca-file "$1/ca.crt" --service-account-private-key-file "$1/sa.key" \
    --cluster-signing-cert-file "$1/ca.crt" --cluster-signing-key-file "$1/ca.key"
  launch kube-scheduler "$tools/kube-scheduler" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$scheduler_port" --kubeconfig "$1/kube-scheduler.kubeconfig" \
    --tls-cert-file "$1/kube-scheduler.crt" --tls-private-key-file "$1/kube-scheduler.key"
}

cluster_kubectl() { "$tools/kubectl" --kubeconfig "$run_dir/pki/admin.kubeconfig" "$@"; }
