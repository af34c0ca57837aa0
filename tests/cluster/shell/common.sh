# shellcheck shell=bash disable=SC2034 # those who read this file use the names
# What the scripts of the cluster agree on: places, addresses, and how they speak.
set -euo pipefail

suite="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# All that a running cluster owns lies in this directory; tests find it the same way.
state="${ESC_CLUSTER_STATE:-${TMPDIR:-/tmp}/esc-cluster}"

# Programs that the running cluster has instead of the usual ones. Nobody else's: root starts them.
[ ! -O "$state" ] || PATH="$state/instead:$PATH"
# Each call of ctr would say that control groups of version 1 are on their way out.
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1

bridge=esck0
gateway=10.88.0.1       # of the bridge; the API server listens here
network=10.88.0.0/16
first_pod=10.88.1.1     # and those after it
replicas=10.88.0.       # and 11 to 19: processes of the host that play pods of a webhook
services=10.96.0.0/16
first_service=10.96.0.1 # the API server's own Service
etcd=http://127.0.0.1:23790
etcd_peers=http://127.0.0.1:23800

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Adds what is missing to `missing`: one line for each thing, with what it is for.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$1: $2"); }
die_of_missing() {
    [ ${#missing[@]} = 0 ] && return
    say "${0##*/}: missing on this machine:"
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
}

# The state directory of the cluster that owns the bridge, or nothing.
bridge_owner() { cat "/sys/class/net/$bridge/ifalias" 2>/dev/null || true; }
