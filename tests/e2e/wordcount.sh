#!/bin/sh
# The examples on a real cluster: counts equal to a shell pipeline's, lost executors made good,
# nothing left behind. Ends with "N passed, N failed, N skipped".
# BUILD=build: the build folder. REEVE: the binary, if it is elsewhere.
set -u
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
reeve=${REEVE:-$build/src/cli/bin/reeve}
wordcount=$build/examples/wordcount/wordcount
hello=$build/examples/hello
passed=0
failed=0

check() { # what, then a command
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
    fi
}

for program in "$reeve" "$wordcount" "$hello"; do
    if [ ! -x "$program" ]; then
        echo "$program is not built"
        echo "0 passed, 1 failed, 0 skipped"
        exit 1
    fi
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/reeve-e2e-wordcount-XXXXXX")
cluster=
clean() {
    trap - EXIT
    if [ -n "$cluster" ]; then
        kill -TERM "$cluster" 2>/dev/null
        wait "$cluster" 2>/dev/null
    fi
    rm -rf "$folder"
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

"$reeve" local --port=0 --agents=3 --work_dir="$folder/cluster" >"$folder/out" 2>"$folder/log" &
cluster=$!
url=
for _ in $(seq 300); do
    url=$(sed -n 's/^master at //p' "$folder/out")
    if [ -n "$url" ] && curl -fsS "$url/metrics/snapshot" 2>/dev/null |
        grep -q '"master/slaves_active":3\.'; then
        break
    fi
    sleep 0.1
done
if [ -z "$url" ]; then
    cat "$folder/log"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
master=${url#http://}

# The processes below a folder's cluster, by their working directory, which is their sandbox.
sandboxed() {
    find /proc/[0-9]*/cwd -maxdepth 0 -lname "$folder/cluster/*" -printf '%h\n' 2>/dev/null |
        cut -d/ -f3
}

none_sandboxed() {
    for _ in $(seq 100); do
        [ -n "$(sandboxed)" ] || return 0
        sleep 0.1
    done
    return 1
}

no_framework() {
    curl -fsS "$url/state" | python3 -c '
import json, sys
sys.exit(1 if json.load(sys.stdin)["frameworks"] else 0)'
}

none_unaccounted() { # nothing is allocated or offered any more
    for _ in $(seq 50); do
        curl -fsS "$url/metrics/snapshot" | grep -q '"master/cpus_used":0\.' && return 0
        sleep 0.1
    done
    return 1
}

# ---- counts ----
mkdir "$folder/shared"
"$wordcount" --master="$master" --work_dir="$folder/shared" --list-files="$folder/list" --limit=40 \
    --maps=300 --reduces=8 --check >"$folder/words" 2>"$folder/errors"
check "wordcount ends well: $(tail -n 3 "$folder/errors")" [ $? = 0 ]
check "it says that it checked" grep -q '^checked: ' "$folder/words"
files=$(wc -l <"$folder/list")
check "there are as many maps as files, up to 300" \
    grep -q "^$((files < 300 ? files : 300)) map and 8 reduce tasks" "$folder/words"
while IFS= read -r file; do
    gzip -cdf <"$file"
    echo
done <"$folder/list" | LC_ALL=C tr -cs A-Za-z '\n' | LC_ALL=C tr A-Z a-z | LC_ALL=C sort |
    grep . | uniq -c | sed 's/^ *//' >"$folder/expected"
LC_ALL=C sort -k1,1nr -k2,2 "$folder/expected" | sed 20q >"$folder/expected.top"
sed -n 's/^ *\([0-9][0-9]* [a-z][a-z]*\)$/\1/p' "$folder/words" >"$folder/top"
check "there are words" [ -s "$folder/top" ]
check "the top words are those of a shell pipeline" cmp "$folder/expected.top" "$folder/top"
cat "$folder/shared"/reduce-* | LC_ALL=C sort -k2,2 >"$folder/all"
check "all words are those of a shell pipeline" cmp "$folder/expected" "$folder/all"
check "all three agents took part" \
    [ "$(sed -n 's/^[^ ]*-S[0-9]*  *[^ ]*  *\([1-9][0-9]*\) .*/\1/p' "$folder/words" | wc -l)" = 3 ]
check "nothing runs any more" none_sandboxed
check "the framework is gone" no_framework
check "nothing is used any more" none_unaccounted

# ---- executors that die ----
rm -rf "$folder/shared" && mkdir "$folder/shared"
before=$(echo /tmp/wordcount-*)
"$wordcount" --master="$master" --limit=100 --maps=400 --check >"$folder/words" \
    2>"$folder/errors" &
job=$!
for round in 1 2; do
    for _ in $(seq 100); do
        victim=$(sandboxed | tail -n "$round" | sed 1q)
        [ -z "$victim" ] || break
        sleep 0.1
    done
    sleep 0.5
    [ -z "$victim" ] || kill -KILL "$victim" 2>/dev/null
done
wait $job
check "wordcount survives the death of executors: $(tail -n 3 "$folder/errors")" [ $? = 0 ]
check "it ran tasks again" grep -q ', [1-9][0-9]* run again$' "$folder/words"
check "it removed its folder" [ "$before" = "$(echo /tmp/wordcount-*)" ]

# ---- interrupted ----
"$wordcount" --master="$master" --limit=100 >/dev/null 2>"$folder/errors" &
job=$!
for _ in $(seq 100); do
    [ -n "$(sandboxed)" ] && break
    sleep 0.1
done
kill -TERM $job
wait $job
check "an interrupted job says so" [ $? = 1 ]
check "it takes its executors along" none_sandboxed
check "and its framework" no_framework

# ---- hello ----
check "hello ends well" sh -c '"$0" "$1" 5 true >/dev/null' "$hello" "$master"
check "hello tells of failure" sh -c '! "$0" "$1" 2 false >/dev/null' "$hello" "$master"
check "hello finds the second of two masters" \
    sh -c 'timeout 30 "$0" "127.0.0.1:1,$1" 1 true >/dev/null' "$hello" "$master"

# ---- wrong use ----
check "wordcount wants a master" \
    sh -c 'env -u REEVE_MASTER "$0" 2>/dev/null; [ $? = 2 ]' "$wordcount"
check "and numbers that are numbers" sh -c '"$0" --maps=x 2>/dev/null; [ $? = 2 ]' "$wordcount"

# ---- make run ----
mkdir "$folder/tmp"
check "make run ONCE=1 ends well" env TMPDIR="$folder/tmp" SKIP_BUILD=1 ONCE=1 PORT=0 REEVE="$reeve" \
    WORDCOUNT="$wordcount" scripts/run >"$folder/run" 2>&1
check "make run leaves no folder" rmdir "$folder/tmp"

kill -TERM "$cluster"
wait "$cluster"
check "the cluster ends well" [ $? = 0 ]
cluster=
[ $failed = 0 ] || tail -n 20 "$folder/log"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
