#!/usr/bin/env bash
# Build the CPU image and use it: buildah with chroot isolation, so that no engine has to run.
#
#     tools/container_check.sh [options of `buildah build`]
#
# Needs buildah, and the right to chroot (root). The base is pulled; where no registry answers, it is
# made by debootstrap. Everything lies in a temporary folder, which is removed at the end (about
# 15 GB, because this storage copies every layer). A proxy that signs is passed on by, for instance,
#     --volume /etc/ssl/certs:/etc/ssl/certs:ro
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/var/tmp}/kb-container.XXXXXX")
store=(--root "$work/store" --runroot "$work/run" --storage-driver vfs)
trap 'buildah "${store[@]}" rm --all >/dev/null 2>&1 || true; rm -rf --one-file-system "$work"' EXIT
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
