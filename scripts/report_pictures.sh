#!/usr/bin/env bash
# Takes the pictures of docs/pictures/ from a run's report.html with headless Chromium: light and dark on a desk, and a phone.
#
# usage: scripts/report_pictures.sh RUN
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ ${1:-} == -h || ${1:-} == --help || $# -ne 1 ]]; then
  print_help
  exit 0
fi
page=$(realpath "$1/report.html")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# picture NAME WIDTH HEIGHT [option ...]
picture() {
  local name=$1 width=$2 height=$3
  shift 3
  chromium --headless --no-sandbox --disable-gpu --user-data-dir="$profile" --hide-scrollbars --window-size="$width,$height" \
    "$@" --screenshot="docs/pictures/$name.png" "file://$page" 2>/dev/null
  say "docs/pictures/$name.png"
}

picture report_light 1200 2600 --blink-settings=preferredColorScheme=1
picture report_dark 1200 2600 --blink-settings=preferredColorScheme=0
picture report_phone 500 2600 --blink-settings=preferredColorScheme=1
