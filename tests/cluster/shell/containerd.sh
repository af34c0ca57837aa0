# shellcheck shell=bash
# How containerd is told what the node needs of it: Debian's version 1, or the version 2 of `alternatives`. It means the
# same in both, where version 2 has moved or renamed it.

write_containerd_configuration() {
    local runtime="io.containerd.grpc.v1.cri"
    [ ! -e "$state/instead/containerd" ] || runtime="io.containerd.cri.v1.runtime"
    {
        if [ -e "$state/instead/containerd" ]; then head_of_version_2; else head_of_version_1; fi
        # oom_score_adj below 0 needs a capability that not every machine gives to root; nothing here depends on it.
        cat <<END
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."$runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."$runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
    } >"$state/containerd.toml"
}

# Up to the first lines of the table of the plugin that runs pods, whose further ones follow.
head_of_version_1() {
    cat <<END
version = 2
root = "$state/containerd"
state = "$state/run-containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "$containerd_socket"
[plugins."$runtime".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[plugins."$runtime".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$state/cni"
[plugins."$runtime"]
  sandbox_image = "localhost/pause:1"
END
}

head_of_version_2() {
    cat <<END
version = 3
root = "$state/containerd"
state = "$state/run-containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "localhost/pause:1"
[plugins."$runtime".containerd]
  default_runtime_name = "runc"
[plugins."$runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$state/cni"
[plugins."$runtime"]
END
}
