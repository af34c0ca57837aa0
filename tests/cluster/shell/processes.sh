# shellcheck shell=bash
# Processes of the cluster: each has a directory in $state/processes with its command line and pid, so that it can be
# stopped and started again, and carries a mark in its environment, so that a pid that now belongs to somebody else is
# never touched and a lost child is still found.

mark="ESC_CLUSTER_MEMBER=$state"

is_member() { tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | grep -qxF "$mark"; }

# A dead child that nobody has waited for yet is gone: process 1 may take a second to notice.
is_alive() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    case "${stat##*) }" in Z*) return 1 ;; esac
}

# start NAME COMMAND…
start() {
    local name=$1 directory="$state/processes/$1"
    shift
    mkdir -p "$directory" "$state/logs"
    printf '%q ' "$@" >"$directory/command"
    start_again "$name"
}

start_again() {
    local directory="$state/processes/$1"
    local -a command
    eval "command=($(<"$directory/command"))"
    # A session of its own: what ends the caller does not end the cluster. No open file of the caller is kept.
    env "$mark" setsid "${command[@]}" </dev/null >>"$state/logs/$1.log" 2>&1 9>&- &
    echo $! >"$directory/pid"
}

# stop NAME [SIGNAL]: asks, waits, insists.
stop() {
    local file="$state/processes/$1/pid" pid
    [ -s "$file" ] || return 0
    pid=$(<"$file")
    rm -f "$file"
    is_alive "$pid" && is_member "$pid" || return 0
    end_process "$pid" "${2:-TERM}"
}

# end_process PID [SIGNAL]
end_process() {
    local pid=$1 signal i
    for signal in "${2:-TERM}" KILL; do
        kill "-$signal" "$pid" 2>/dev/null || return 0
        for ((i = 0; i < 100; i++)); do
            is_alive "$pid" || return 0
            sleep 0.05
        done
    done
    say "process $pid can't be ended"
}

# Pids of everything alive that carries the mark.
members() {
    local environ pid
    for environ in /proc/[0-9]*/environ; do
        pid=${environ#/proc/}
        pid=${pid%/environ}
        if is_member "$pid" && is_alive "$pid"; then echo "$pid"; fi
    done
}

# Pids of the members that run this program. Those of the node's own are among them: its process namespace is below ours.
members_running() {
    local pid program
    for pid in $(members); do
        { IFS= read -r -d '' program <"/proc/$pid/cmdline"; } 2>/dev/null || continue
        if [ "$program" = "$1" ]; then echo "$pid"; fi
    done
}

# wait_for WHAT SECONDS PROCESS COMMAND…: until the command succeeds, as long as the process lives.
wait_for() {
    local what=$1 seconds=$2 name=$3 deadline=$((SECONDS + $2))
    shift 3
    until "$@" >/dev/null 2>&1; do
        is_alive "$(<"$state/processes/$name/pid")" ||
            die "$name has ended: $(tail -n 1 "$state/logs/$name.log")"
        [ "$SECONDS" -lt "$deadline" ] || die "$what is not there after ${seconds}s; logs: $state/logs"
        sleep 0.1
    done
}

# Whether everything that was started lives.
all_alive() {
    local file
    for file in "$state"/processes/*/pid; do
        is_alive "$(cat "$file" 2>/dev/null)" || return 1
    done
}
