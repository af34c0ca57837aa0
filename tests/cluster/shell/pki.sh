# shellcheck shell=bash
# Certificates and kubeconfigs of the control plane, made for one cluster and gone with it.

pki="$state/pki"

# leaf NAME SUBJECT USAGE [SUBJECT-ALTERNATIVE-NAMES]
leaf() {
    local name=$1 subject=$2 usage=$3 names=${4:-}
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$subject" \
        -keyout "$pki/$name.key" -out "$pki/$name.csr" 2>/dev/null
    {
        printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$usage"
        [ -z "$names" ] || printf 'subjectAltName=%s\n' "$names"
    } >"$pki/$name.ext"
    openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 \
        -extfile "$pki/$name.ext" -out "$pki/$name.crt" 2>/dev/null
}

# kubeconfig NAME: for the holder of the leaf NAME.
kubeconfig() {
    cat >"$state/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: cluster
clusters:
- name: cluster
  cluster: {server: "https://$gateway:6443", certificate-authority: "$pki/ca.crt"}
users:
- name: user
  user: {client-certificate: "$pki/$1.crt", client-key: "$pki/$1.key"}
contexts:
- name: cluster
  context: {cluster: cluster, user: user}
EOF
}

make_pki() {
    mkdir "$pki"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=esc-cluster \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature \
        -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
    openssl ec -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
    local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
    names+=,DNS:kubernetes.default.svc.cluster.local,DNS:localhost
    leaf apiserver /CN=kube-apiserver serverAuth "$names,IP:127.0.0.1,IP:$gateway,IP:$first_service"
    leaf apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    leaf admin /O=system:masters/CN=admin clientAuth
    leaf controllers /CN=system:kube-controller-manager clientAuth
    leaf scheduler /CN=system:kube-scheduler clientAuth
    leaf kubelet "/O=system:nodes/CN=system:node:$node" clientAuth
    leaf kubelet-serving "/CN=$node" serverAuth "DNS:$node,IP:$gateway"
    local name
    for name in admin controllers scheduler kubelet; do kubeconfig "$name"; done
}
