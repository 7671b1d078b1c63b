#!/usr/bin/env bash
# Measures everything that README.md's table lists, and prints the table.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
hack=$root/hack
seconds=10
only=
work=
served=

usage() {
  cat <<'USAGE'
usage: test/bench/run.sh [--seconds N] [--only process | go | installed]

Starts a control plane and the webhook as processes of this machine, with ports
and folders of their own, measures, ends all of it, and prints a Markdown table
on standard output. What goes on is said on standard error.

  --seconds N       how long each load lasts, 1 to 30 (default 10)
  --only process    measure the webhook's process only
  --only go         run the Go benchmarks only
  --only installed  measure it as installed, on a node, only; for that this must be
                    root on Debian, and is left out where it is not
USAGE
}

say() { echo "$*" >&2; }

parse() {
  while (($#)); do
    case $1 in
      --seconds) seconds=${2:?} && shift ;;
      --only) only=${2:?} && shift ;;
      -h | --help) usage && exit ;;
      *) usage >&2 && exit 2 ;;
    esac
    shift
  done
  [[ $seconds =~ ^[0-9]+$ ]] && ((seconds >= 1 && seconds <= 30)) || { usage >&2 && exit 2; }
  [[ $only =~ ^(process|go|installed)?$ ]] || { usage >&2 && exit 2; }
}

settings() {
  work=$(mktemp -d)
  # One's own, beside whatever else runs here.
  export CONNAISSEUR_CLUSTER_DIR=$work/cluster
  export CONNAISSEUR_API_PORT=${BENCH_API_PORT:-7543} CONNAISSEUR_REGISTRY_PORT=${BENCH_REGISTRY_PORT:-5052}
  export WEBHOOK_PORT=${BENCH_WEBHOOK_PORT:-9543} HEALTH_PORT=${BENCH_HEALTH_PORT:-9181} METRICS_PORT=${BENCH_METRICS_PORT:-9191}
  webhook=$work/cluster/webhook # where hack/webhook.sh has its files
}

cleanup() {
  local status=$?
  trap - EXIT
  if [[ -n $served ]]; then kill "$served" 2>/dev/null || true; fi
  if [[ -d ${webhook-} ]]; then "$hack/webhook.sh" down >&2 || true; fi
  if [[ -d ${CONNAISSEUR_CLUSTER_DIR-} ]]; then "$hack/cluster.sh" down || true; fi
  if [[ -n $work ]]; then rm -rf "$work"; fi
  exit "$status"
}

# row TARGET LIMIT MEASURED COMMAND adds a line to the table.
row() { printf '| %s | %s | %s | `%s` |\n' "$@" >>"$work/table"; }

table() {
  echo "| what | target | measured | by |"
  echo "|---|---|---|---|"
  cat "$work/table"
  echo
  echo "$(date -u +%Y-%m-%d), $(nproc) × $(sed -n 's/^model name\s*: //p;T;q' /proc/cpuinfo | head -n 1), $(go version | cut -d' ' -f3), load average before: $load_before"
}

pid() { cut -d' ' -f1 "$webhook/pid"; }
rss() { awk '$1 == "VmRSS:" { printf "%.1f MB", $2 * 1024 / 1e6 }' "/proc/$(pid)/status"; }
readiness() { exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT" && printf 'GET /readiness HTTP/1.0\r\n\r\n' >&3 && cat <&3; }
ready() { (readiness | grep -q '^ready') 2>/dev/null; }
revision() { readiness | sed -n 's/^ready, policy revision //p'; }
milliseconds() { echo "$(($(date +%s%N) / 1000000))"; }

# age is how long ago the webhook's process was started, in milliseconds.
age() {
  local now started
  read -r now _ </proc/uptime
  started=$(sed 's/.*) //' "/proc/$(pid)/stat" | cut -d' ' -f20)
  awk -v now="$now" -v started="$started" 'BEGIN { printf "%d", now * 1000 - started * 10 }'
}

# start_webhook starts the webhook and measures how soon it is ready.
start_webhook() {
  # Built as ko builds what is released: with C's library, 8 MB more of the
  # program stay in memory.
  "$hack/webhook.sh" up >"$work/up.log" 2>&1 &
  local up=$!
  until [[ -s $webhook/pid ]]; do sleep 0.05; kill -0 "$up" 2>/dev/null || break; done
  until ready; do sleep 0.02; kill -0 "$up" 2>/dev/null || break; done
  local took
  took=$(age)
  wait "$up" || { cat "$work/up.log" >&2 && return 1; }
  row "start to ready, without a certificate or earlier state" "≤ 2 s" "$took ms" "run.sh"
}

serve_signed_image() {
  "$work/signed" --dir "$work" --rules 9998 >"$work/signed.log" 2>&1 &
  served=$!
  until [[ -s $work/image ]]; do
    sleep 0.05
    kill -0 "$served" || { cat "$work/signed.log" >&2 && return 1; }
  done
}

# replace_policy puts a configuration in and waits until it is in force.
replace_policy() {
  local before
  before=$(revision)
  kubectl replace -f "$1" >/dev/null
  local replaced tries
  replaced=$(milliseconds)
  for ((tries = 0; tries < 200; tries++)); do
    [[ $(revision) != "$before" ]] && break
    sleep 0.02
  done
  in_force_after=$(($(milliseconds) - replaced))
}

# load SIZE LABEL RATE CPU measures a load.
load() {
  local line _ rate p50 p99 cpu memory errors
  line=$("$work/load" --url "https://127.0.0.1:$WEBHOOK_PORT/mutate?timeout=10s" --ca "$webhook/ca.pem" --pid-file "$webhook/pid" \
    --image "$(cat "$work/image")" --review-bytes "$1" --connections 16 --duration "${seconds}s" --markdown)
  say "$line"
  IFS='|' read -r _ _ _ rate p50 p99 cpu memory _ errors _ <<<"$line"
  row "cached, $1 bytes$2: rate" "≥ $3/s" "${rate// /}/s, p50${p50% }, p99${p99% },${errors% } errors" "load --review-bytes $1"
  row "cached, $1 bytes$2: CPU each" "≤ $4 µs" "$(xargs <<<"$cpu")" "load --review-bytes $1"
  peak_memory=$(xargs <<<"$memory")
}

measure_process() {
  "$hack/cluster.sh" up
  eval "$("$hack/cluster.sh" env)"
  export WEBHOOK_PORT HEALTH_PORT METRICS_PORT
  go build -C "$root" -o "$work/" ./test/bench/load ./test/bench/signed
  say "the webhook …"
  start_webhook
  sleep 20
  row "idle RSS" "≤ 85 MB" "$(rss), of which its own: $(awk '$1 == "RssAnon:" { printf "%.1f MB", $2 * 1024 / 1e6 }' "/proc/$(pid)/status")" "run.sh"
  serve_signed_image
  replace_policy "$work/policy.yaml"
  say "| bytes | connections | rate | p50 | p99 | CPU each | RSS | RSS at most | errors |"
  load 1024 "" 5,000 130
  load 8192 "" 3,500 400
  row "RSS under that load" "≤ 120 MB" "$(rss), at most $(awk '$1 == "VmHWM:" { printf "%.1f MB", $2 * 1024 / 1e6 }' "/proc/$(pid)/status")" "run.sh"
  replace_policy "$work/policy-many.yaml"
  row "10,000 rules in force after the edit" "≤ 1 s" "$in_force_after ms, of which building $(sed -n 's/.*"rules":10000.*"took":"\([^"]*\)".*/\1/p' "$webhook/log" | tail -n 1)" "run.sh"
  load 1024 ", 10,000 rules" 5,000 130
  row "RSS with 10,000 rules" "" "$(rss)" "run.sh"
}

# metric FILE BENCHMARK UNIT prints a number of a benchmark's line.
metric() {
  awk -v name="$2" -v unit="$3" '$1 ~ "^" name "-[0-9]+$" { for (i = 3; i <= NF; i++) if ($i == unit) print $(i - 1) }' "$1"
}

bench() { go test -C "$root" ./test/bench/ -run '^$' -count 1 "$@" | tee /dev/stderr; }

measure_go() {
  local out=$work/bench ratio
  bench -bench 'Cold|Together|AdmissionNotary' -benchtime 40x >"$out"
  bench -bench 'Cached|Findings|Match|Reload|Verify' -benchtime 2s >>"$out"
  bench -bench 'Memory' -benchtime 1x >>"$out"
  bench -bench 'Replicas|SharedCache' -benchtime 20x >>"$out"
  row "cold tag: requests" "3" "$(metric "$out" BenchmarkCold/tag requests/op)" "-bench Cold/tag"
  row "cold tag, registry at 50 ms: p50" "≤ 165 ms" "$(metric "$out" BenchmarkCold/tag p50-ms) ms" "-bench Cold/tag"
  row "cold digest: requests" "2" "$(metric "$out" BenchmarkCold/digest requests/op)" "-bench Cold/digest"
  row "cold digest, registry at 50 ms: p50" "≤ 110 ms" "$(metric "$out" BenchmarkCold/digest p50-ms) ms" "-bench Cold/digest"
  row "cold tag, keyless, everything switched on: requests" "3" "$(metric "$out" BenchmarkColdKeyless/tag requests/op)" "-bench ColdKeyless/tag"
  row "cold tag, keyless, registry at 50 ms: p50" "≤ 165 ms" "$(metric "$out" BenchmarkColdKeyless/tag p50-ms) ms" "-bench ColdKeyless/tag"
  row "cold bundle, keyless: requests" "4" "$(metric "$out" BenchmarkColdKeyless/bundle requests/op)" "-bench ColdKeyless/bundle"
  row "cold bundle, keyless, registry at 50 ms: p50" "≤ 215 ms" "$(metric "$out" BenchmarkColdKeyless/bundle p50-ms) ms" "-bench ColdKeyless/bundle"
  row "cold tag, Notary Project: requests" "≤ 4" "$(metric "$out" BenchmarkColdNotation/listed requests/op)" "-bench ColdNotation/listed"
  row "cold tag, Notary Project, registry at 50 ms: p50" "≤ 215 ms" "$(metric "$out" BenchmarkColdNotation/listed p50-ms) ms" "-bench ColdNotation/listed"
  row "cold tag, Notary Project, without a referrers API: requests" "≤ 4" "$(metric "$out" BenchmarkColdNotation/tagged requests/op)" "-bench ColdNotation/tagged"
  row "cold tag, Notary V1: requests" "4" "$(metric "$out" BenchmarkAdmissionNotary/targets requests/op)" "-bench AdmissionNotary"
  row "cold tag, Notary V1, server at 50 ms: p50" "≤ 60 ms" "$(metric "$out" BenchmarkAdmissionNotary/targets p50-ms) ms" "-bench AdmissionNotary"
  row "cold tag, Notary V1, targets/releases, server at 50 ms: p50" "≤ 110 ms" "$(metric "$out" BenchmarkAdmissionNotary/releases p50-ms) ms" "-bench AdmissionNotary"
  row "cold tag, Notary V1, 5 delegations: requests" "9" "$(metric "$out" BenchmarkAdmissionNotary/5-delegations requests/op)" "-bench AdmissionNotary"
  row "cold tag, Notary V1, 5 delegations, server at 50 ms: p50" "≤ 110 ms" "$(metric "$out" BenchmarkAdmissionNotary/5-delegations p50-ms) ms" "-bench AdmissionNotary"
  row "cold tag, Notary V1, with a token, server at 50 ms: p50" "≤ 110 ms" "$(metric "$out" BenchmarkAdmissionNotary/targets-with-token p50-ms) ms" "-bench AdmissionNotary"
  row "second tag of a repository, Notary V1: requests" "≤ 1" "$(metric "$out" BenchmarkAdmissionNotary/second-tag requests/op)" "-bench AdmissionNotary"
  row "verification of 500 tags in 50 delegations, Notary V1: CPU" "≤ 12 ms" "$(metric "$out" BenchmarkNotaryVerify/500-tags-in-50-delegations cpu-ms/op) ms" "-bench NotaryVerify"
  row "verification of 25,000 tags in 50 delegations, Notary V1: CPU" "" "$(metric "$out" BenchmarkNotaryVerify/25000-tags-in-50-delegations cpu-ms/op) ms" "-bench NotaryVerify"
  local kind
  for kind in key key-log keyless keyless-rekor-v2 keyless-5-roots keyless-attestation; do
    row "verification of a bundle, $kind: CPU" "" "$(awk -v ns="$(metric "$out" "BenchmarkVerify/$kind" ns/op)" 'BEGIN { printf "%d µs", ns / 1e3 }')" "-bench Verify/$kind"
  done
  for kind in JWS COSE timestamp behind-50-strangers; do
    row "verification of a signature of the Notary Project, $kind: CPU" "" "$(awk -v ns="$(metric "$out" "BenchmarkVerifyNotation/$kind" ns/op)" 'BEGIN { printf "%d µs", ns / 1e3 }')" "-bench VerifyNotation/$kind"
  done
  row "growth of the heap from the 2,000th to the 10,000th different image" "≤ 16 MB" "$(metric "$out" BenchmarkMemory grown-MB) MB" "-bench Memory"
  row "Pod of 10 new images: p50" "that of one" "$(metric "$out" BenchmarkCold/pod-of-10 p50-ms) ms" "-bench Cold/pod-of-10"
  row "64 Pods of one new image at once: verifications" "1" "$(metric "$out" BenchmarkTogether verifications/op), p50 $(metric "$out" BenchmarkTogether p50-ms) ms" "-bench Together"
  ratio=$(awk -v few="$(metric "$out" BenchmarkMatch/10 ns/op)" -v many="$(metric "$out" BenchmarkMatch/10000 ns/op)" 'BEGIN { printf "%.2f × (%d ns, %d ns)", many / few, many, few }')
  local replicas
  for replicas in 1 2 4; do
    row "admissions spread over $replicas replicas: requests per image" "3, shared" "$(metric "$out" "BenchmarkReplicas/$replicas/alone" requests/image) alone, $(metric "$out" "BenchmarkReplicas/$replicas/shared" requests/image) with a shared cache" "-bench Replicas"
  done
  row "image verified by this replica, by another, by none: p50 of Admit" "" "$(metric "$out" BenchmarkSharedCache/own p50-µs) µs, $(metric "$out" BenchmarkSharedCache/shared p50-µs) µs, $(metric "$out" BenchmarkSharedCache/none p50-µs) µs" "-bench SharedCache"
  row "matching with 10,000 rules to that with 10" "≤ 2 ×" "$ratio" "-bench Match"
  row "reload of 10,000 rules" "≤ 1 s" "$(awk -v ns="$(metric "$out" BenchmarkReload/10000 ns/op)" 'BEGIN { printf "%d ms", ns / 1e6 }')" "-bench Reload"
  local sink size
  for sink in no-sink sink dead-sink; do
    row "cached, 1024 bytes, HTTPS with the client, each a finding, ${sink/-/ }" "that without a sink + 20 µs" "$(metric "$out" "BenchmarkFindings/$sink" ns/op) ns" "-bench Findings/$sink"
  done
  for size in 1024 8192; do
    row "cached, $size bytes, Admit alone, two cores" "" "$(metric "$out" "BenchmarkCachedAdmit/$size" ns/op) ns" "-bench CachedAdmit"
    row "cached, $size bytes, HTTPS with the client, two cores" "" "$(metric "$out" "BenchmarkCachedHTTPS/$size" ns/op) ns" "-bench CachedHTTPS"
  done
}

# measure_installed measures what is installed by ko, through the API server.
measure_installed() {
  local out=$work/installed
  "$hack/cluster.sh" up --node
  eval "$("$hack/cluster.sh" env)"
  go test -C "$root" -tags e2e -count 1 -timeout 10m -run '^$' -bench . ./test/e2e | tee /dev/stderr >"$out"
  row "cold install: ko apply to two replicas Ready" "≤ 30 s" "$(sed -n 's/^from nothing to two replicas Ready: //p' "$out")" "--only installed"
  row "edit of the policy to its effect on the API server's answer: p50" "≤ 1 s" "$(metric "$out" BenchmarkReload p50-ms) ms, at most $(metric "$out" BenchmarkReload max-ms) ms" "--only installed"
  row "admissions through the API server, two replicas, 16 clients" "≥ 200/s" "$(metric "$out" BenchmarkAdmission/verified admissions/s)/s, p50 $(metric "$out" BenchmarkAdmission/verified p50-ms) ms" "--only installed"
  row "the same where the webhook is not asked" "" "$(metric "$out" BenchmarkAdmission/exempt admissions/s)/s, p50 $(metric "$out" BenchmarkAdmission/exempt p50-ms) ms" "--only installed"
  "$hack/cluster.sh" down
}

main() {
  parse "$@"
  settings
  trap cleanup EXIT
  load_before=$(cut -d' ' -f1 /proc/loadavg)
  : >"$work/table"
  [[ -n $only && $only != process ]] || measure_process
  [[ -n $only && $only != go ]] || measure_go
  if [[ $only == installed ]] || [[ -z $only && $EUID == 0 && -f /etc/debian_version ]]; then
    if [[ -d $webhook ]]; then "$hack/webhook.sh" down >&2; fi
    if [[ -d $CONNAISSEUR_CLUSTER_DIR ]]; then "$hack/cluster.sh" down; fi
    measure_installed
  fi
  table
}

main "$@"
