# Telling a person what goes on. Everything goes to standard error: standard
# output is for what other programs read.
# shellcheck shell=bash

say() { echo "$*" >&2; }

# step says $1, runs the rest, and adds how long it took. What the command
# prints is shown only when it fails, and then step fails too.
step() {
  local title=$1 output status=0 started=$SECONDS
  shift
  output=$(mktemp)
  printf '%s … ' "$title" >&2
  # In a subshell of its own, with -e: a condition would switch -e off in it.
  set +e
  (set -e; "$@") >"$output" 2>&1
  status=$?
  set -e
  if ((status == 0)); then
    say "$((SECONDS - started)) s"
  else
    say "failed after $((SECONDS - started)) s"
    tail -n 50 "$output" >&2
  fi
  rm -f "$output"
  return "$status"
}
