#!/usr/bin/env bash
# panfuse beside `rclone mount`, both over the same local directories, on this machine.
#
#   bench/compare.sh [MiB of the big file, default 256]
#
# Prints ratios only: how many times faster panfuse is (2.0: twice as fast). Absolute numbers say
# more about the machine than about the programs. Skips when rclone is not installed.
#   PANFUSE   the binary (default: target/release/panfuse)      RCLONE   rclone's
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
panfuse=${PANFUSE:-${CARGO_TARGET_DIR:-$here/../target}/release/panfuse}
rclone=${RCLONE:-rclone}
if ! command -v "$rclone" >/dev/null 2>&1; then
  echo "skipped: rclone is not installed (set RCLONE to its path)"
  exit 0
fi
if ! [ -x "$panfuse" ]; then
  echo "no $panfuse: cargo build --release, or set PANFUSE" >&2
  exit 2
fi
panfuse=$(realpath "$panfuse")
work=$(mktemp -d "${TMPDIR:-/tmp}/panfuse-bench-XXXXXX")
cleanup() {
  for point in "$work/ours" "$work/theirs"; do
    mountpoint -q "$point" && { fusermount3 -u -z "$point" || umount -l "$point" || true; }
  done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
timeout --kill-after=30 1200 python3 "$here/against_rclone.py" \
  --panfuse "$panfuse" --rclone "$(command -v "$rclone")" --work "$work" --mib "${1:-256}"
