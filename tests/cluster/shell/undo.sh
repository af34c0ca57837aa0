# shellcheck shell=bash
# What was changed outside the state directory, and how it is taken back: one command a line, written before the change
# is made, carried out last first. A command may find nothing left to do.

undo() { printf '%s\n' "$1" >>"$state/undo"; }

undo_all() {
    [ -s "$state/undo" ] || return 0
    local line
    while read -r line; do
        eval "$line" >/dev/null 2>&1 || true
    done < <(tac "$state/undo")
}
