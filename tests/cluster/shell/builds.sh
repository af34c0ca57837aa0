# shellcheck shell=bash
# Programs that Go builds, once, and that stay in the user's cache. Nothing in here is of a running cluster.

# keep_in KEY: the directory for what is built from now on is `tools`. Its key names all that it is made of.
keep_in() {
    local root="${XDG_CACHE_HOME:-$HOME/.cache}/esc-injector/cluster-tools"
    tools="$root/$1"
    mkdir -p "$tools"
    exec 9>"$root/lock"
    flock 9
    fresh=$(mktemp -d "$root/fresh.XXXXXX")
    heartbeat=
    trap '[ -z "$heartbeat" ] || kill "$heartbeat" 2>/dev/null; rm -rf "$fresh"' EXIT
    export CGO_ENABLED=0
}

# build NAME MINUTES COMMAND…: the command leaves the program in $fresh; only a finished one moves on.
build() {
    local name=$1 minutes=$2 begun=$SECONDS
    shift 2
    [ -x "$tools/$name" ] && return
    say "building $name (about $minutes min on two idle cores when Go has nothing of it yet)"
    (while sleep 60; do say "  still building $name: $(((SECONDS - begun) / 60)) min"; done) 9>&- &
    heartbeat=$!
    "$@" >&2 9>&- || die "$name could not be built: see above"
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    heartbeat=
    mv "$fresh/$name" "$tools/$name"
    say "  $name: $((SECONDS - begun))s"
}

# build_kube MODULE VERSION NAME: charts ask for the version, so it has to be the real one.
build_kube() {
    local flags="-s -w" package version=$2
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*}"
        flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$version") -X $package.gitCommit=0"
        flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
    done
    (cd "$1" && go build -trimpath -ldflags "$flags" -o "$fresh/$3" .)
}

# install_program NAME PACKAGE@VERSION [FLAG…]: Go names the program by the last part of the package.
install_program() {
    local name=$1 package=$2 program
    shift 2
    program=${package%@*}
    [ $# != 0 ] || set -- -ldflags '-s -w'
    GOBIN="$fresh/bin" go install -trimpath "$@" "$package" && mv "$fresh/bin/${program##*/}" "$fresh/$name"
}
