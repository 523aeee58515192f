#!/bin/sh
# libreeve as a stranger meets it: installed, found by pkg-config, linked shared and static, from C
# and C++, in protobuf and JSON, against a real cluster. Ends with "N passed, N failed, N skipped".
# BUILD=build: the build folder. REEVE: the binary, if it is elsewhere.
set -u
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
reeve=${REEVE:-$build/src/cli/bin/reeve}
passed=0
failed=0

check() { # what, then a command
    what=$1
    shift
    if "$@" >"$folder/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        tail -n 20 "$folder/output"
    fi
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/reeve-e2e-libreeve-XXXXXX")
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

# ---- installed ----
check "it installs" env DESTDIR="$folder/root" meson install -C "$build" --no-rebuild --quiet
pc=$(find "$folder/root" -name reeve.pc)
check "there is a pkg-config file" [ -n "$pc" ]
libdir=$(dirname "$(dirname "$pc")")
prefix=$(sed -n 's/^prefix=//p' "$pc")
check "the installed program runs" "$folder/root$prefix/bin/reeve" --version
flags() {
    PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$folder/root$prefix" "$@" \
        reeve
}
check "the library has a name with a version" \
    sh -c 'readelf -d "$0/libreeve.so" | grep -q "soname: \[libreeve.so.0\]"' "$libdir"
check "only reeve_ is visible in the shared library" \
    sh -c '! nm -D --defined-only "$0/libreeve.so" | grep -v " reeve_"' "$libdir"
check "and in the static one" \
    sh -c '! nm -g --defined-only "$0/libreeve.a" | grep "^[0-9a-f]" | grep -v " reeve_"' "$libdir"
check "everything of the header is there" sh -c '
    sed -n "s/^REEVE_API.*[ *]\(reeve_[a-z_]*\)(.*/\1/p" src/framework/reeve.h | sort >"$1/declared"
    nm -D --defined-only "$0/libreeve.so" | sed -n "s/.* T \(reeve_[a-z]*[a-z_]*\)\(@.*\)\{0,1\}$/\1/p" |
        grep -v "reeve__" | sort >"$1/defined"
    diff "$1/declared" "$1/defined"' "$libdir" "$folder"

# ---- linked ----
sed 's/\.ctx = &job}/.ctx = \&job, .encoding = REEVE_JSON}/' examples/hello.c >"$folder/json.c"
check "JSON is asked for" grep -q REEVE_JSON "$folder/json.c"
cat >"$folder/plus.cc" <<'END'
#include <reeve.h>
#include <cstring>
int main() {
    reeve_scheduler_config config = {};
    reeve_error err = {};
    return reeve_scheduler_new(&config, &err) || err.code != REEVE_ERR_INVALID ||
           strcmp(reeve_version(), REEVE_VERSION);
}
END
# shellcheck disable=SC2046 # flags are words
{
    check "C, shared" gcc -Wall -Werror -o "$folder/shared" examples/hello.c \
        $(flags --cflags --libs)
    check "C, JSON" gcc -Wall -Werror -o "$folder/json" "$folder/json.c" $(flags --cflags --libs)
    check "C, static" gcc -Wall -Werror -o "$folder/static" examples/hello.c \
        $(flags --cflags) "$libdir/libreeve.a" \
        $(flags --static --libs | tr ' ' '\n' | grep -v -e -lreeve)
    check "C, a loop of its own" gcc -Wall -Werror -o "$folder/own_loop" \
        tests/e2e/libreeve/own_loop.c $(flags --cflags --libs) $(pkg-config --cflags --libs libuv)
    check "C++" "$(command -v g++ || command -v clang++)" -Wall -Wextra -Werror -o "$folder/plus" "$folder/plus.cc" \
        $(flags --cflags --libs)
}
LD_LIBRARY_PATH=$libdir
export LD_LIBRARY_PATH
check "C++ runs" "$folder/plus"
check "the static one needs no libreeve.so" sh -c '! ldd "$0" | grep libreeve' "$folder/static"

# ---- running ----
"$reeve" local --port=0 --agents=1 --work_dir="$folder/cluster" >"$folder/out" 2>"$folder/log" &
cluster=$!
for _ in $(seq 300); do
    grep -q '^agent at ' "$folder/out" && break
    sleep 0.1
done
master=$(sed -n 's|^master at http://||p' "$folder/out")
for program in shared json static; do
    check "$program runs tasks" timeout 60 "$folder/$program" "$master" 3 true
done
check "a loop of the caller's" timeout 60 "$folder/own_loop" "$master"
check "nothing is left of it" sh -c '
    curl -fsS "http://$0/state" | grep -q "\"frameworks\":\[\]"' "$master"
check "nobody there: it keeps trying" \
    sh -c 'timeout 3 "$0" 127.0.0.1:1 1 true; [ $? = 124 ]' "$folder/shared"

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
