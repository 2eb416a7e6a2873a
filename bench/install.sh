#!/usr/bin/env bash
# wrk, which asks over HTTP: installed unless it is there. Where there is none in the end: exit code 1 and one line.
set -euo pipefail

command -v wrk >/dev/null && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq || true
    apt-get install -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends wrk; } </dev/null >&2 || true
elif command -v brew >/dev/null; then
  brew install --quiet wrk >&2 || true
fi
command -v wrk >/dev/null && exit
echo "No wrk for the benchmarks of reading: install it (Debian, Ubuntu: apt install wrk; macOS: brew install wrk)" >&2
exit 1
