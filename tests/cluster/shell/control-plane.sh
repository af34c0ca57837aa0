# shellcheck shell=bash
# The first tier: a bridge, etcd, the API server and the controllers. Workloads make pods.

make_bridge() {
    if ip link show "$bridge" >/dev/null 2>&1; then
        local owner
        owner=$(bridge_owner)
        die "the network device $bridge is in use${owner:+ by the cluster in $owner: end that with \
ESC_CLUSTER_STATE=$owner tests/cluster/down}"
    fi
    undo "ip link delete $bridge"
    ip link add "$bridge" type bridge
    ip link set "$bridge" alias "$state"
    ip address add "$gateway/${network#*/}" dev "$bridge"
    ip link set "$bridge" up
    # One for each replica of a webhook that a test may start.
    local last
    for last in {11..19}; do ip address add "${replicas}$last/32" dev "$bridge"; done
}

# Bodies of all that our webhooks see or write: the suite searches them for values that must not be there. Secrets
# without: the one with the authority's key is written by design, and no sensible policy logs it.
write_audit_policy() {
    cat >"$state/audit.yaml" <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete]
  resources: [{group: "", resources: [secrets, serviceaccounts/token]}]
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources:
  - {group: "", resources: [pods, configmaps, events, namespaces]}
  - {group: apps}
  - {group: batch}
  - {group: admissionregistration.k8s.io}
- level: None
EOF
}

start_control_plane() {
    write_audit_policy
    start etcd etcd --name cluster --data-dir "$state/etcd" --logger zap \
        --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
        --listen-peer-urls "$etcd_peers" --initial-advertise-peer-urls "$etcd_peers" \
        --initial-cluster "cluster=$etcd_peers"
    # Aggregator routing: a Service is dialled by its endpoints, so that each of our processes on its own address is
    # a replica. PodNodeSelector: a namespace can say that its pods stay Pending.
    start kube-apiserver "$tools/kube-apiserver" --etcd-servers="$etcd" --cert-dir="$state/apiserver" \
        --bind-address="$gateway" --advertise-address="$gateway" --secure-port=6443 \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --client-ca-file="$pki/ca.crt" --kubelet-certificate-authority="$pki/ca.crt" \
        --kubelet-client-certificate="$pki/apiserver-kubelet.crt" \
        --kubelet-client-key="$pki/apiserver-kubelet.key" --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
        --service-cluster-ip-range="$services" --authorization-mode=Node,RBAC \
        --enable-admission-plugins=NodeRestriction,PodNodeSelector --enable-aggregator-routing=true \
        --allow-privileged=true \
        --audit-policy-file="$state/audit.yaml" --audit-log-path="$state/logs/audit.log" --profiling=false
    wait_for 'the API server' 90 kube-apiserver kubectl get --raw=/readyz
    # It reads its configuration from the API server once, and ends if nobody answers.
    # The default rate of 20 requests a second would take five seconds to make a namespace's ServiceAccount.
    start kube-controller-manager "$tools/kube-controller-manager" --kubeconfig="$state/controllers.kubeconfig" \
        --authentication-kubeconfig="$state/controllers.kubeconfig" \
        --authorization-kubeconfig="$state/controllers.kubeconfig" --bind-address=127.0.0.1 \
        --cert-dir="$state/controllers" --service-account-private-key-file="$pki/sa.key" \
        --root-ca-file="$pki/ca.crt" --cluster-signing-cert-file="$pki/ca.crt" \
        --cluster-signing-key-file="$pki/ca.key" --use-service-account-credentials=true --leader-elect=false \
        --kube-api-qps=500 --kube-api-burst=1000
    wait_for "the default namespace's ServiceAccount" 60 kube-controller-manager \
        kubectl -n default get serviceaccount default
}

kubectl() { "$tools/kubectl" --kubeconfig="$state/admin.kubeconfig" --cache-dir="$state/kubectl" "$@"; }
