#!/bin/bash
# Whole builds and pushes beside umoci, skopeo and docker-registry (all of them in Debian), in turn on one machine.
#
#   benches/peers.sh ROOTFS [RUNS]        ROOTFS: a folder, such as a node_modules or what debootstrap made
#
# Prints a table in Markdown: medians of wall seconds and of peak memory, and the median of the ratios pair by pair.
# Each round has registries of its own, on other ports each time, so that nobody has sent anything to them before.
# `DOCKLESS=PATH` names the binary (default: the one of profile `dist`).
set -euo pipefail

root=$(realpath "${1:?usage: benches/peers.sh ROOTFS [RUNS]}")
runs=${2:-5}
dockless=${DOCKLESS:-$(cd "$(dirname "$0")/.." && pwd)/target/dist/dockless}
for tool in umoci skopeo docker-registry "$dockless" /usr/bin/time; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing" >&2; exit 2; }
done

scratch=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$scratch"' EXIT
cd "$scratch"
export DOCKLESS_CACHE_DIR=$scratch/cache

# measure NAME COMMAND...: appends "seconds kilobytes" to NAME.
measure() {
    local name=$1
    shift
    /usr/bin/time -q -o "$name.one" -f '%e %M' "$@" >/dev/null 2>"$name.err" || { cat "$name.err" >&2; exit 2; }
    tail -n 1 "$name.one" >>"$name"
}

median() { sort -n | awk '{ value[NR] = $1 } END { print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'; }

# row TITLE OURS THEIRS
row() {
    local ratio
    ratio=$(paste -d ' ' "$2" "$3" | awk '$3 > 0 { printf "%.3f\n", $1 / $3 }' | median)
    printf '| %s | %s s | %s s | %.2f | %s MiB |\n' "$1" "$(cut -d ' ' -f 1 "$2" | median)" \
        "$(cut -d ' ' -f 1 "$3" | median)" "$ratio" "$(cut -d ' ' -f 2 "$2" | median | awk '{ printf "%d", $1 / 1024 }')"
}

cat >umoci.sh <<'EOF'
set -e
rm -rf umoci
umoci init --layout umoci
umoci new --image umoci:v1
umoci insert --rootless --image umoci:v1 "$1" /
EOF
port=$((20000 + RANDOM % 10000))
# Another registry, empty, on a port of its own: skopeo remembers by host and port where it has sent a blob, and has the
# registry take it over from there.
fresh() {
    [ -z "$registry" ] || { kill "$registry"; wait "$registry" 2>/dev/null || true; }
    port=$((port + 1))
    tag=127.0.0.1:$port/bench
    rm -rf stored
    mkdir stored
    cat >registry.yml <<YML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $scratch/stored }, delete: { enabled: true } }
http: { addr: 127.0.0.1:$port }
YML
    docker-registry serve registry.yml >registry.log 2>&1 &
    registry=$!
    sleep 1
}
layer=(build --layer "$root" -p linux/amd64 -q)

for run in $(seq 0 "$runs"); do
    # The first round warms the page cache and does not count.
    if [ "$run" = 1 ]; then rm -f cold peer zstd warm both peer-both push peer-push; fi
    rm -rf oci
    measure cold "$dockless" "${layer[@]}" --no-cache
    measure peer sh umoci.sh "$root"
    rm -rf oci-zstd
    measure zstd "$dockless" "${layer[@]}" --no-cache --compression zstd -o oci-zstd
    "$dockless" "${layer[@]}" >/dev/null 2>&1
    measure warm "$dockless" "${layer[@]}"
    # Both begin with nothing: neither what was built nor what was sent is known.
    fresh
    rm -rf oci-pushed umoci
    measure both "$dockless" "${layer[@]}" --no-cache -o oci-pushed -t "$tag/ours-both-$run:v1" --push
    measure peer-both sh -c 'sh umoci.sh "$1" && skopeo copy -q --dest-tls-verify=false oci:umoci:v1 "docker://$2"' \
        sh "$root" "$tag/theirs-both-$run:v1"
    fresh
    measure push "$dockless" push oci "$tag/ours-$run:v1" -q
    measure peer-push skopeo copy -q --dest-tls-verify=false oci:umoci:v1 "docker://$tag/theirs-$run:v1"
done

size() { du -sb "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'; }
echo "$(find "$root" | wc -l) entries, $(du -sb --apparent-size "$root" | awk '{ printf "%.0f MB", $1 / 1e6 }'), $(nproc) cores, medians of $runs; umoci makes $(size umoci), dockless $(size oci), with zstd $(size oci-zstd)"
echo
echo '| work | dockless | peer | ratio | memory |'
echo '|---|---|---|---|---|'
row 'build, gzip (umoci)' cold peer
row 'build, zstd (umoci, gzip)' zstd peer
row 'build, nothing changed (umoci)' warm peer
row 'build and push (umoci, skopeo)' both peer-both
row 'push of a layout (skopeo)' push peer-push
