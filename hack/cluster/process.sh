# Processes that outlive the script: each has a folder of its own under $run_dir,
# with its pid file, its log and its data. Nothing else is ever ended.
# shellcheck shell=bash
# shellcheck disable=SC2154 # run_dir is the caller's

# birth prints when the process $1 was started, in clock ticks since boot; it
# fails when there is none, or only a zombie. A pid may be used again, a pid with
# its birth is not.
birth() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  # The program's name comes second, in parentheses, and may hold anything.
  read -r -a fields <<<"${stat##*) }"
  [[ ${fields[0]} != [ZX] ]] || return 1
  echo "${fields[19]}"
}

# launch NAME COMMAND... starts a command in a session of its own, so that
# neither an interrupt nor the end of the terminal reaches it. The process writes
# its pid file itself before it becomes the command: no interrupt of this script
# can leave one that nobody knows of.
launch() {
  local name=$1 dir=$run_dir/$1
  shift
  mkdir -p "$dir/data"
  rm -f "$dir/pid"
  (
    exec {lock_fd}>&- </dev/null >>"$dir/log" 2>&1
    trap '' INT # until setsid, an interrupt at the terminal would come here too
    self=$BASHPID # inside $() it would be another one
    echo "$self $(birth "$self")" >"$dir/pid.new"
    mv "$dir/pid.new" "$dir/pid"
    exec setsid "$@"
  ) &
  disown
  until [[ -e $dir/pid ]]; do sleep 0.01; done
}

# alive NAME prints the pid of a process that runs.
alive() {
  local pid born
  { read -r pid born <"$run_dir/$1/pid"; } 2>/dev/null || return 1
  [[ $(birth "$pid") == "$born" ]] && echo "$pid"
}

# launched prints the names of all processes that were started, oldest first.
launched() {
  local file
  # shellcheck disable=SC2012 # the names are ours
  ls -tr "$run_dir"/*/pid 2>/dev/null | while read -r file; do
    basename "$(dirname "$file")"
  done
}

# end NAME... asks one process after the other to stop, and insists after ten
# seconds. The API server, for one, still talks to etcd while it stops.
end() {
  local name pid deadline
  for name in "$@"; do
    pid=$(alive "$name") && { kill -TERM "$pid" 2>/dev/null || true; }
    deadline=$((SECONDS + 10))
    while pid=$(alive "$name"); do
      ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
      sleep 0.1
    done
    rm -f "$run_dir/$name/pid"
  done
}

# await SECONDS NAME COMMAND... repeats the command until it succeeds. It gives up
# when the time is over or when any process has died, and shows the log of the one
# to blame: that which died, or else the one called NAME.
await() {
  local limit=$1 blamed=$2 deadline=$((SECONDS + $1)) name
  shift 2
  until "$@" >"$run_dir/await.out" 2>&1; do
    for name in $(launched); do
      alive "$name" >/dev/null || { say "$name has stopped by itself"; show_log "$name"; return 1; }
    done
    if ((SECONDS >= deadline)); then
      say "not within $limit s; the last answer was:"
      tail -n 5 "$run_dir/await.out" >&2
      show_log "$blamed"
      return 1
    fi
    sleep 0.2
  done
}

show_log() {
  say "the end of $run_dir/$1/log:"
  tail -n 15 "$run_dir/$1/log" | cut -c 1-600 | sed 's/^/  /' >&2
}
