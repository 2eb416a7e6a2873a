#!/usr/bin/env bash
# Chromium for the browser tests: installed unless there is one; its path is printed. `--find` installs nothing.
# Where there is none in the end: exit code 1 and one line that says what to do; the browser tests then fail.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=.venv/bin/python
log=.venv/install-chromium.log
names=(chromium chromium-browser google-chrome google-chrome-stable)
names+=("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium")

find_chromium() {
  local name path
  for name in "${names[@]}"; do
    path=$(command -v "$name") && starts "$path" && echo "$path" && return
  done
  path=$($python -c 'from playwright.sync_api import sync_playwright
with sync_playwright() as playwright: print(playwright.chromium.executable_path)') && starts "$path" && echo "$path"
}

# Ubuntu's chromium-browser may be no more than a hint to install a snap; a download may lack libraries.
starts() { "$1" --version >/dev/null 2>&1; }

is_root_with_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_chromium() {
  if is_root_with_apt; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || true
    apt-get install -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends chromium && return
    # Not every distribution with apt has that package; Playwright's own then needs libraries by apt.
    $python -m playwright install --with-deps chromium
  else
    $python -m playwright install chromium
  fi
}

find_chromium && exit
if [ "${1:-}" != --find ]; then
  echo "Installing Chromium for the browser tests: once, about a minute ..." >&2
  install_chromium </dev/null >"$log" 2>&1 || true
  find_chromium && exit
fi
echo "No Chromium for the browser tests: install chromium or google-chrome; what tests/browser/install.sh tried is in $log" >&2
exit 1
