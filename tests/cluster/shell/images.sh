# shellcheck shell=bash
# Images without a registry: written by the project's own tool, and imported into the node's containerd.

# The product, and what the chart has to be told of it.
product=localhost/esc-injector:dev
# A static busybox under the names of its applets.
busybox=localhost/busybox:1
pause=localhost/pause:1

repository="$(cd "$suite/../.." && pwd)"

xtask() { (cd "$repository" && cargo xtask "$@"); }

# image NAME BINARY [OPTION…]: writes the image, and prints where it lies.
image() {
    local name=$1 binary=$2 file
    shift 2
    mkdir -p "$state/images"
    file="$state/images/$(basename "${name%:*}").tar"
    xtask image --binary "$binary" --tag "$name" --output "$file" "$@" >/dev/null
    echo "$file"
}

import() { ctr --address "$containerd_socket" --namespace k8s.io images import "$1" >/dev/null; }

# What pods of the suite consist of, besides the product.
import_helpers() {
    local applet program
    local -a links=()
    program=$(command -v busybox)
    for applet in $("$program" --list); do
        [ "$applet" = busybox ] || links+=(--link "bin/$applet")
    done
    import "$(image "$pause" "$tools/pause" --path pause)"
    import "$(image "$busybox" "$program" --path bin/busybox "${links[@]}")"
}

# The product as its sources stand: the binary that ships.
import_product() {
    local binary
    binary=$(xtask dist)
    import "$(image "$product" "$binary")"
    # The same under another name, as the version that an upgrade begins with.
    ctr --address "$containerd_socket" --namespace k8s.io images tag --force "$product" "${product%:*}:former" >/dev/null
}
