#!/usr/bin/env bash
# Installs Studio as a stranger does, into a fresh virtual environment with all of its dependencies, and uses it from another folder with a
# fresh home: look at the computer, train, predict, export, draw a page, open the window. Ends with an error at the first thing that fails.
# The environment (as large as .venv) is made in build/ and removed at the end.   usage: packaging/clean_install.sh [PYTHON]
set -euo pipefail
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/clean-install
place=$(mktemp -d)
trap 'rm -rf "$build" "$place"' EXIT

say() { echo "clean install: $*"; }
fail() { echo "clean install FAILED: $*" >&2; exit 1; }

# A copy of what is packed, so that nothing that was built in the checkout comes along.
rm -rf "$build"
mkdir -p "$build/source"
tar -C "$root" --exclude=__pycache__ -cf - pyproject.toml setup.py README.md LICENSE studio resources | tar -C "$build/source" -xf -

say "installing"
"$python" -m venv "$build/venv"
"$build/venv/bin/python" -m pip install --quiet "$build/source"
rm -rf "$build/source"

unset PYTHONPATH VIRTUAL_ENV DISPLAY WAYLAND_DISPLAY
export PYTHONNOUSERSITE=1 QT_QPA_PLATFORM=offscreen STUDIO_HOME="$place/home"
studio=$build/venv/bin/studio
mkdir "$place/elsewhere"
cd "$place/elsewhere"

where=$("$build/venv/bin/python" -c 'import studio; print(studio.__file__)')
case "$where" in "$build"/venv/*) ;; *) fail "studio comes from $where" ;; esac

say "studio doctor"
"$studio" doctor | tee doctor.txt
tail -n 1 doctor.txt | grep -qx "Ready to train." || fail "the doctor is not content"

say "studio train"
images=$("$studio" sample digits-small | tail -n 1)
"$studio" train --data "$images" --json --set schedule.epochs=1 --set model.train_stages=0 --set model.input_size=64 \
  --set training.batch_size=8 --set training.device=cpu | tee train.txt
tail -n 1 train.txt | grep -q '"status": "finished"' || fail "the run did not finish"

say "studio predict"
"$studio" predict last "$images/val/7" | tee predict.txt
[ "$(wc -l <predict.txt)" -eq "$(ls "$images/val/7" | wc -l)" ] || fail "not every image has an answer"

say "studio export"
"$studio" export last --format onnx --output onnx | tee export.txt
[ -s onnx/model.onnx ] || fail "there is no ONNX file"

say "studio screenshots"
"$studio" screenshots pictures --page train --state full --theme dark --size 1280x720 --no-workers
[ -s pictures/train-full-dark-1280x720.png ] || fail "there is no picture"

say "the window"
"$build/venv/bin/python" - "$images" <<'CODE' || fail "the window does not open on the images"
import sys, time

from PySide6.QtCore import QTimer

from studio.gui import app as studio_app

app = studio_app.make_application()
window = studio_app.open_window(sys.argv[1])
begin = time.monotonic()


def look():
    context = window.context
    if context is not None and context.store.dataset is not None and context.runs.is_loaded:
        print(f"{len(context.store.dataset.samples)} images, {len(context.runs.entries)} run in the window")
        window.close()
        app.exit(0 if context.runs.entries else 1)
    elif time.monotonic() - begin > 120:
        app.exit(1)


timer = QTimer(interval=50)
timer.timeout.connect(look)
timer.start()
studio_app.leave(app.exec(), window)
CODE

say "all of it works"
