# shellcheck shell=bash
# What was changed outside the state directory, and how it is taken back: one command a line, written before the change
# is made, carried out last first. A command may find nothing left to do.

# Not in the state directory, which somebody may remove while the changes stand. They end with the machine, as this does.
undo_list="/run/esc-cluster-$(cksum <<<"$state" | cut -d' ' -f1).undo"

undo() { printf '%s\n' "$1" >>"$undo_list"; }

undo_all() {
    [ -s "$undo_list" ] || return 0
    local line
    while read -r line; do
        eval "$line" >/dev/null 2>&1 || true
    done < <(tac "$undo_list")
    rm -f "$undo_list"
}
