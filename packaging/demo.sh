#!/usr/bin/env bash
# The main job on the embedded default: bundled weights, sample images, a short real run, an export, then the window on it.
# Where nobody watches (no display, no terminal, or an Xvfb, which is a display in memory) a window goes through its pages, keeps a picture of each and
# ends. Everything goes into demo-output/.
set -euo pipefail
bin=${1:-.venv/bin}
out=demo-output
mkdir -p "$out"

sample=$("$bin/studio" sample digits-small | tail -n 1)
echo "Sample images: $sample"
"$bin/studio" train --data "$sample" --runs "$out/runs" --set schedule.epochs=6 --set model.train_stages=2 \
  --set training.batch_size=8
"$bin/studio" export last --runs "$out/runs" --format onnx --overwrite
"$bin/studio" predict last --runs "$out/runs" "$sample/val/7" | head -n 5

# Xvfb calls its screen "screen"; those that somebody sees have names of their plugs, as HDMI-1.
is_in_memory() {
  "$bin/python" -c 'from PySide6.QtGui import QGuiApplication as A; app = A([]); raise SystemExit(app.primaryScreen().name() != "screen")'
}
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && [ -t 0 ] && ! is_in_memory; then
  echo "Opening the window. Close it when you have seen enough."
  "$bin/studio" --data "$sample" --runs "$out/runs"
else
  "$bin/python" packaging/demo_pictures.py "$out/pictures" "$sample" "$out/runs" 2>/dev/null
  echo "Nobody watches: the pictures of the window are in $PWD/$out/pictures"
fi
