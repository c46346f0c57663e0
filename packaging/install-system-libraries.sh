#!/usr/bin/env bash
# Installs what Qt needs on Debian and Ubuntu to open a window (xcb) and to draw without one (offscreen): run by make, safe to repeat.
# As root, or with sudo; without either it says what to run. Other systems: nothing to do, or see docs/install.md.
set -euo pipefail

packages=(
  python3-venv            # python3 -m venv
  libegl1 libgl1 libopengl0 libglib2.0-0 libdbus-1-3 libfontconfig1 libfreetype6
  libxkbcommon0 libxkbcommon-x11-0
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0
  libxcb-xinerama0 libxcb-xkb1
  fonts-dejavu-core       # without any font, headless pictures show boxes
)
packages+=(xvfb openbox)   # the tests open a real window under a real window manager

command -v apt-get >/dev/null 2>&1 || { echo "No apt-get here: the system libraries are taken as given."; exit 0; }

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "Missing system packages. Install them once, then run make again:"
    echo "  sudo apt-get install ${missing[*]}"
    exit 1
  fi
fi
echo "Installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
