#!/usr/bin/env bash
# Install KB Ingest in an empty Debian as the documents tell, and use it from another folder.
#
#     tools/install_check.sh [--keep FOLDER] [--bind FOLDER]... [readme] [wheel] [pipx] [uv]
#
# readme  the two commands of README from a clone of the last commit
# wheel   a wheel, `pip install` of it, and the dashboard, away from the clone
# pipx    the same by `pipx install`
# uv      the same by `uv tool install`
#
# Without a name all four. The root is made by debootstrap in a temporary folder, or in FOLDER, where
# it stays for the next time. --bind makes a folder of this machine readable at the same place in
# the root: certificates of a proxy, or wheels that PIP_FIND_LINKS names. Variables of pip, uv and
# certificates are passed on. MIRROR and SUITE choose Debian's archive and release.
#
# Needs debootstrap and the rights to chroot and mount (root). It downloads about 1 GB a way, with
# the builds of PyTorch that PyPI has (CUDA) far more.
set -euo pipefail
if [ -z "${KB_CHECK_MOUNTS:-}" ]; then # mounts of this script are seen by it alone, and end with it
    exec env KB_CHECK_MOUNTS=1 unshare --mount --propagation private bash "$0" "$@"
fi
cd "$(dirname "$0")/.."
keep= binds=() ways=()
while [ $# -gt 0 ]; do
    case "$1" in
    --keep) keep=$2 && shift 2 ;;
    --bind) binds+=("$2") && shift 2 ;;
    readme | wheel | pipx | uv) ways+=("$1") && shift ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2 && exit 2 ;;
    esac
done
[ ${#ways[@]} -gt 0 ] || ways=(readme wheel pipx uv)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/kb-install.XXXXXX")
root=$(realpath -m "${keep:-$work/root}")
page=
# End what still runs in the root: a worker outlives the command that started it.
end_all() {
    local signal process
    for signal in TERM KILL; do
        for _ in $(seq 100); do
            local found=()
            for process in /proc/[0-9]*; do
                [ "$(readlink "$process/root")" != "$root" ] || found+=("${process#/proc/}")
            done
            [ ${#found[@]} -gt 0 ] || return 0
            kill "-$signal" "${found[@]}" 2>/dev/null || true
            sleep 0.1
        done
    done
}
clean_up() {
    if [ -n "$page" ]; then kill -- "-$page" 2>/dev/null || true; fi
    end_all
    for folder in "${binds[@]}" /dev /proc; do umount "$root$folder" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT

if [ ! -x "$root/usr/bin/pipx" ]; then
    debootstrap --variant=minbase \
        --include=ca-certificates,git,make,python3,python3-venv,pipx \
        "${SUITE:-bookworm}" "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$work/log" ||
        { tail -n 20 "$work/log" >&2 && exit 1; }
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for folder in "${binds[@]}"; do
    mkdir -p "$root$folder"
    mount --bind --read-only "$folder" "$root$folder"
done
# A user who has nothing yet.
end_all
if chroot "$root" id newcomer >/dev/null 2>&1; then
    chroot "$root" userdel --remove newcomer 2>"$work/log" || { cat "$work/log" >&2 && exit 1; }
fi
chroot "$root" useradd --create-home --shell /bin/bash newcomer
home=/home/newcomer
passed=("HOME=$home" "USER=newcomer" "LANG=C.UTF-8" "PATH=$home/.local/bin:/usr/bin:/bin")
for name in $(compgen -e | grep -E '^(PIP_|UV_|SSL_CERT|REQUESTS_CA|CURL_CA|(https?|no)_proxy$)'); do
    passed+=("$name=${!name}")
done

# Run a command of the shell as that user, in a folder of the root.
as_user() {
    chroot --userspec newcomer:newcomer "$root" env -i "${passed[@]}" \
        bash -c 'cd "$1" && eval "$2"' - "$1" "$2"
}

# Use a program that is installed: words of a sample, and the dashboard, from an empty folder and
# with an empty library, so that no worker or item of another way stands in.
use() {
    local kb=$1 port words
    end_all
    as_user "$home" 'rm -rf elsewhere library && mkdir elsewhere library'
    as_user "$home/elsewhere" "$kb --version"
    words=$(as_user "$home/elsewhere" "$kb transcribe '$home/talk.mp4' --model demo --format plain")
    echo "$words"
    case "$words" in *railway*) ;; *) echo "The sample's words are missing." >&2 && exit 1 ;; esac
    as_user "$home/elsewhere" "KB_HOME=$home/library KB_MODEL=demo KB_STEPS=none $kb ingest '$home/talk.mp4' --wait"
    words=$(as_user "$home/elsewhere" "KB_HOME=$home/library $kb search railway")
    case "$words" in *ailway*) ;; *) echo "The search finds nothing." >&2 && exit 1 ;; esac
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    set -m # a process group of its own, so that all of it can be ended
    as_user "$home/elsewhere" "KB_HOME=$home/library KB_APP_WORKER=false $kb app --no-browser --port $port" >"$work/app" 2>&1 &
    page=$!
    set +m
    python3 - "$port" "$page" <<'ASK' || { cat "$work/app" >&2 && exit 1; }
import os, sys, time, urllib.request
port, page = sys.argv[1:]
while True:
    os.kill(int(page), 0)  # an error once it has ended
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).read()
        break
    except OSError:
        time.sleep(0.2)
html = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
sys.exit(0 if b"<title>" in html else "The page has no title.")
ASK
    kill -- "-$page" && wait "$page" 2>/dev/null || true
    page=
    echo "$kb works away from the clone: words, search and dashboard."
}

git clone --quiet --no-hardlinks . "$root$home/kb-ingest"
cp "samples/Midnight on the railway.mp4" "$root$home/talk.mp4"
chroot "$root" chown -R newcomer:newcomer "$home"
constraints="$home/kb-ingest/constraints.txt"
for way in "${ways[@]}"; do
    echo "== $way: $(date +%T)"
    case "$way" in
    readme)
        mapfile -t commands < <(sed -n '/^## Install and try/,/^## Five/p' README.md |
            sed -n '/^```/,/^```/{/^```/d;s/ *#.*//;p}')
        [ "${commands[*]}" = "make setup make demo" ] ||
            { echo "README names other commands: ${commands[*]}" >&2 && exit 1; }
        for command in "${commands[@]}"; do as_user "$home/kb-ingest" "$command"; done
        use "$home/kb-ingest/.venv/bin/kb"
        ;;
    wheel | pipx | uv)
        if [ -z "$(ls "$root$home"/dist/*.whl 2>/dev/null)" ]; then
            as_user "$home" 'python3 -m venv build && build/bin/pip wheel --quiet --no-deps -w dist ./kb-ingest'
            chroot "$root" mv "$home/kb-ingest" "$home/gone" # nothing of the clone is found by chance
            as_user "$home" "mkdir -p kb-ingest && cp gone/constraints.txt kb-ingest/"
        fi
        ;;&
    wheel)
        as_user "$home" "python3 -m venv plain && plain/bin/pip install --quiet -c $constraints dist/*.whl"
        use "$home/plain/bin/kb"
        as_user "$home" 'rm -rf plain'
        ;;
    pipx)
        as_user "$home" "pipx install dist/*.whl --pip-args='-c $constraints'"
        use kb
        as_user "$home" 'pipx uninstall kb-ingest'
        ;;
    uv)
        as_user "$home" 'build/bin/pip install --quiet uv'
        as_user "$home" "build/bin/uv tool install --quiet dist/*.whl -c $constraints"
        use kb
        as_user "$home" 'build/bin/uv tool uninstall kb-ingest'
        ;;
    esac
done
echo "Installed and used: ${ways[*]}."
