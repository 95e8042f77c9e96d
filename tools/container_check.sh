#!/usr/bin/env bash
# Build the CPU image and use it: buildah with chroot isolation, so that no engine has to run. A
# sample is transcribed by a command and by the API that the image serves.
#
#     tools/container_check.sh [options of `buildah build`]
#
# Needs buildah, curl, and the right to chroot (root). The base is pulled; where no registry answers,
# it is made by debootstrap. Everything lies in a temporary folder, which is removed at the end
# (about 15 GB, because this storage copies every layer). A proxy that signs is passed on by, for instance,
#     --volume /etc/ssl/certs:/etc/ssl/certs:ro
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/var/tmp}/kb-container.XXXXXX")
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
server=
# End what runs in the image: buildah ends after it, but hangs if it gets the signal itself.
end_server() {
    pkill --pgroup "$server" --uid 10001 || true
    for _ in $(seq 30); do
        pgrep --pgroup "$server" >/dev/null || break
        sleep 1
    done
    kill -KILL -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
clean_up() {
    if [ -n "$server" ]; then end_server; fi
    buildah "${store[@]}" rm --all >/dev/null 2>&1 || true
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
base=docker.io/library/debian:bookworm-slim

if ! buildah "${store[@]}" pull "$base"; then
    echo "No registry answers; the base is made by debootstrap." >&2
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/base" \
        "${MIRROR:-http://deb.debian.org/debian}"
    from=$(buildah "${store[@]}" from scratch)
    buildah "${store[@]}" add --quiet "$from" "$work/base" /
    buildah "${store[@]}" commit --quiet --rm "$from" "$base"
    rm -rf "$work/base"
fi
# The format of Docker: the other one has no health check.
buildah "${store[@]}" build --isolation chroot --format docker --network host --pull-never \
    --tag kb-ingest "$@" .
image=$(buildah "${store[@]}" from --pull-never kb-ingest)
in_image() {
    buildah "${store[@]}" run --isolation chroot --network host "$image" -- "$@"
}

test "$(in_image id -u)" = 10001
in_image sh -c 'touch /data/x /models/x && rm /data/x /models/x'
if in_image sh -c 'touch /app/x' 2>/dev/null; then
    echo "The code can be changed in the image." >&2
    exit 1
fi
in_image kb --version
words=$(in_image sh -c 'KB_MODEL=demo kb transcribe "/app/samples/Midnight on the railway.mp4" --format plain')
echo "$words"
case "$words" in *railway*) ;; *) echo "The sample's words are missing." >&2; exit 1 ;; esac
echo "The image is built, and transcribes as user 10001."

# What the image runs without a command: the API on PORT, which needs a key.
in_image_api() {
    buildah "${store[@]}" run --isolation chroot --network host --env PORT="$port" \
        --env KB_API_KEYS="$key" --env KB_MODEL=demo "$image" -- "$@"
}
mapfile -t command < <(buildah "${store[@]}" inspect --type image --format \
    '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}{{range .Docker.Config.Cmd}}{{println .}}{{end}}' \
    kb-ingest | sed '/^$/d')
key=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "In the image: ${command[*]}"
set -m # a process group of its own, so that all of it can be ended
in_image_api "${command[@]}" >"$work/serve.log" 2>&1 &
server=$!
set +m
ask() {
    curl --silent --show-error --fail --max-time 120 --header "Authorization: Bearer $key" "$@"
}
ready=
for _ in $(seq 120); do
    if ready=$(ask "http://127.0.0.1:$port/health/ready" 2>/dev/null); then break; fi
    kill -0 "$server" 2>/dev/null || break
    sleep 1
done
if [ -z "$ready" ]; then
    echo "The server is not ready:" >&2
    cat "$work/serve.log" >&2
    exit 1
fi
echo "$ready"
in_image_api kb health --ready # the image's health check
answer=$(ask --form model=whisper-1 --form "file=@samples/Midnight on the railway.mp4" \
    "http://127.0.0.1:$port/v1/audio/transcriptions")
echo "$answer"
case "$answer" in *railway*) ;; *) echo "The answer has no words of the sample." >&2; exit 1 ;; esac
if [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/v1/models")" != 401 ]; then
    echo "The server answers without a key." >&2
    exit 1
fi
pgrep --pgroup "$server" --uid 10001 --full 'kb serve --host' >/dev/null # its user
end_server
echo "The image serves the API as user 10001: ready, and it transcribes a sample."
