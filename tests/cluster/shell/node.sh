# shellcheck shell=bash
# The second tier: a scheduler, and a node with containerd and kubelet on which pods run, their network, and the names
# of Services. Everything of the node lives in one private process and mount namespace: it ends, and its dozens of
# mounts with it, when the one process that holds the namespace does.

node=node1
groups=esc-cluster  # the control group of all pods
proxy_tables='ip ip6'
containerd_socket="$state/containerd.sock"

# What kubelet, containerd and the network plugins write to fixed places. The node has its own of each.
node_directories=(/run/containerd /run/netns /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods)
# What kubelet and the network plugins set for the whole machine.
node_sysctls=(kernel.panic kernel.panic_on_oops net.ipv4.ip_forward vm.overcommit_memory)

# What a node needs that no package brings.
check_node() {
    need cargo 'Rust builds the product, and the images of pods'
    [ -d /sys/fs/cgroup/memory ] || missing+=("control groups of version 1: no /sys/fs/cgroup/memory on this machine")
    grep -qw overlay /proc/filesystems || missing+=("the kernel's overlay file system: images are unpacked into it")
    die_of_missing
}

write_node_configuration() {
    mkdir -p "$state/cni" "$state/volume-plugins"
    # Names of Services are answered by our own server, and of nothing else.
    echo "nameserver $gateway" >"$state/resolv.conf"
    cat >"$state/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $gateway
port: 10250
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: 10248
tlsCertFile: $pki/kubelet-serving.crt
tlsPrivateKeyFile: $pki/kubelet-serving.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $pki/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$containerd_socket
cgroupDriver: cgroupfs
cgroupRoot: /$groups
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: $state/resolv.conf
clusterDNS: [$gateway]
clusterDomain: cluster.local
podLogsDir: $state/pod-logs
volumePluginDir: $state/volume-plugins
enforceNodeAllocatable: [pods]
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", nodefs.inodesFree: "1%", imagefs.available: "1%"}
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
maxPods: 200
serializeImagePulls: false
END
    write_containerd_configuration
    # No way out: pods reach each other, Services and this machine's bridge.
    cat >"$state/cni/10-pods.conflist" <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/addresses",
            "ranges": [[{"subnet": "$network", "rangeStart": "$first_pod", "gateway": "$gateway"}]],
            "routes": [{"dst": "$services"}]}}]}
END
}

# Says what will be changed on this machine, so that it is taken back.
prepare_machine() {
    local name directory group family
    for name in "${node_sysctls[@]}"; do undo "sysctl -qw $name=$(sysctl -n "$name")"; done
    for directory in "${node_directories[@]}"; do
        [ -d "$directory" ] || undo "rmdir $directory"
        mkdir -p "$directory"
    done
    for family in $proxy_tables; do
        ! nft list table "$family" kube-proxy >/dev/null 2>&1 ||
            die "a kube-proxy works on this machine already: there is an nftables table $family kube-proxy"
        undo "nft delete table $family kube-proxy"
    done
    undo remove_devices
    for group in $(node_groups); do
        undo "remove_groups $group"
        # In the one of version 2, which has no controller here, the runtime makes its own.
        [ ! -e "${group%/*}/tasks" ] || mkdir -p "$group"
    done
}

start_node() {
    prepare_machine
    write_node_configuration
    start kube-scheduler "$tools/kube-scheduler" --kubeconfig="$state/scheduler.kubeconfig" \
        --authentication-kubeconfig="$state/scheduler.kubeconfig" \
        --authorization-kubeconfig="$state/scheduler.kubeconfig" --bind-address=127.0.0.1 \
        --cert-dir="$state/scheduler" --leader-elect=false --kube-api-qps=500 --kube-api-burst=1000
    start dns "$tools/dns" --listen="$gateway:53" --server="https://$gateway:6443" --ca="$pki/ca.crt" \
        --cert="$pki/admin.crt" --key="$pki/admin.key"
    # A mount in it is seen by the containers in it, and by nobody else.
    start node unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        env ESC_CLUSTER_STATE="$state" "$suite/shell/node-init" \
        "$node" "$gateway" "$tools" "${node_directories[@]}"
    wait_for containerd 30 node containerd_is_up
    import_helpers
    wait_for 'the node' 60 node kubectl wait --for=condition=Ready "node/$node" --timeout=5s
    # Answers come back through the machine, also between two pods of the bridge.
    start kube-proxy "$tools/kube-proxy" --kubeconfig="$state/admin.kubeconfig" --hostname-override="$node" \
        --proxy-mode=nftables --cluster-cidr="$network" --masquerade-all=true --conntrack-max-per-core=0 \
        --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s \
        --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}

containerd_is_up() { ctr --address "$containerd_socket" version; }

# Directories of our control group, one for each hierarchy.
node_groups() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/*/; do
        # Not a link to another one.
        if [ -e "$hierarchy/cgroup.procs" ] && [ ! -L "${hierarchy%/}" ]; then echo "$hierarchy$groups"; fi
    done
}

# Removes a control group and those below it. What was killed leaves it a moment later.
remove_groups() {
    local attempt
    for ((attempt = 0; attempt < 50; attempt++)); do
        [ -d "$1" ] || return 0
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
        sleep 0.1
    done
}

# Removes the network devices of pods. Most go by themselves, with the pods' network namespaces.
remove_devices() {
    local attempt device
    for ((attempt = 0; attempt < 50; attempt++)); do
        [ -n "$(ls "/sys/class/net/$bridge/brif" 2>/dev/null)" ] || return 0
        sleep 0.1
    done
    for device in "/sys/class/net/$bridge/brif"/*; do ip link delete "${device##*/}"; done
}

# One line for each thing of the node that is still on this machine.
left_of_the_node() {
    local path family
    awk -v state="$state/" 'index($5, state) == 1 {print "mount " $5}' /proc/self/mountinfo
    # Whoever has the bridge has these too.
    [ ! -e "/sys/class/net/$bridge" ] || return 0
    for path in $(node_groups); do [ ! -d "$path" ] || echo "control group $path"; done
    for family in $proxy_tables; do
        if nft list table "$family" kube-proxy >/dev/null 2>&1; then echo "nftables table $family kube-proxy"; fi
    done
}
