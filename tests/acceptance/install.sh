#!/usr/bin/env bash
# curl for the how-to that uses it: installed unless there is one; its path is printed. `--find` installs nothing.
# Where there is none in the end: exit code 1 and one line that says what to do; that test then fails.
set -euo pipefail

log=$(dirname "$0")/../../.venv/install-curl.log

is_root_with_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_curl() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || true
  apt-get install -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends curl
}

command -v curl && exit
if [ "${1:-}" != --find ] && is_root_with_apt; then
  echo "Installing curl for the tests: once ..." >&2
  install_curl </dev/null >"$log" 2>&1 || true
  command -v curl && exit
fi
echo "No curl for tests/acceptance/test_use_the_api.py: install it; tests/acceptance/install.sh does so by apt, as root" >&2
exit 1
