"""One `studio train`, from start to end, in a place as hard as real ones: the disk with the runs is full half-way, and neither the folder of the
images, nor a class, nor a file has a name that is UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.journal import JournalReader
from tests.cli.conftest import snapshot, write_images

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")

CLASS, FILE = b"caf\xe9", b"\xff\xfe bild\xe9.png"
ROOM_BYTES = 32 << 20  # of the disk
LEFT_BYTES = 1_500_000  # while it is full: enough for a journal, not for a checkpoint of 2 MB
QUICK = {
    "model.source": "timm", "model.backbone": "test_resnet", "model.pretrained": "false", "model.train_stages": -1, "model.input_size": 64,
    "training.batch_size": 8, "training.precision": "fp32", "training.workers": 0, "training.device": "cpu", "schedule.epochs": 2,
}  # fmt: skip

# A disk of its own for this process and its children; somebody else's file fills it until `flag` is there. Who waits for that holds no pipe: where
# the command ends before, its output ends too.
_ON_SMALL_DISK = """
set -e
mount -t tmpfs -o size={room} tmpfs "{runs}"
head -c {ballast} /dev/zero > "{runs}/ballast"
( while [ ! -e "{flag}" ]; do sleep 0.1; done; rm "{runs}/ballast" ) > /dev/null 2>&1 &
"$@" && code=0 || code=$?
cp -r "{runs}" "{kept}"
exit $code
"""
# Where no disk can be made: what the system says when one is full, to every process of the command.
_NO_ROOM = """
import errno, os
synced = os.fsync
def fsync(fd):
    if not os.path.exists({flag!r}) and os.fstat(fd).st_size > {left}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return synced(fd)
os.fsync = fsync
"""


def _can_mount(place: Path) -> bool:
    """Whether this user may have a disk of his own (Linux, user namespaces allowed)."""
    if not shutil.which("unshare"):
        return False
    place.mkdir()
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """(lines of the command, its exit code, runs folder, images, what lay in them before)."""
    root = tmp_path_factory.mktemp("hard")
    plain = write_images(root / "plain", num=10)
    images = os.path.join(os.fsencode(root), b"bilder \xe4")
    os.rename(plain, images)
    os.rename(os.path.join(images, b"red disc"), os.path.join(images, CLASS))
    os.rename(os.path.join(images, CLASS, b"00.png"), os.path.join(images, CLASS, FILE))
    before = snapshot(Path(os.fsdecode(images)))
    runs, kept, flag, home = root / "runs", root / "kept", root / "there is room", root / "home"
    runs.mkdir()
    settings = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "studio", "train", "--json", "--data", images, "--runs", str(runs), *settings]
    env = os.environ | {"STUDIO_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    if _can_mount(root / "probe"):
        values = {"room": ROOM_BYTES, "ballast": ROOM_BYTES - LEFT_BYTES, "runs": runs, "flag": flag, "kept": kept}
        command = ["unshare", "-rm", "sh", "-c", _ON_SMALL_DISK.format(**values), "sh", *command]
    else:
        kept = runs
        (root / "site").mkdir()
        (root / "site" / "sitecustomize.py").write_text(_NO_ROOM.format(flag=str(flag), left=LEFT_BYTES))
        env["PYTHONPATH"] = os.pathsep.join([str(root / "site"), env["PYTHONPATH"]])
    lines: list[str] = []
    with open(root / "errors", "wb") as errors:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            for line in process.stdout:
                lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                if "safe at step" in lines[-1]:
                    time.sleep(0.5)  # full for a moment longer: the run looks again by itself
                    flag.touch()
            code = process.wait(120)
        finally:
            flag.touch()
            process.kill()
            process.wait()
            process.stdout.close()
    assert lines, (root / "errors").read_text(errors="backslashreplace")
    return lines, code, kept, images, before


def test_a_full_disk_is_said_waited_for_and_the_run_goes_on_to_its_end(hard):
    lines, code, runs, _, _ = hard
    text = "\n".join(lines)
    assert code == 0, text
    said, paused, on = (
        next(i for i, line in enumerate(lines) if words in line) for words in ("is full; the run waits", "Paused", "Going on")
    )
    assert said < paused < on < len(lines) - 1 and "Free some space. The run goes on by itself." in lines[said]
    found = json.loads(lines[-1])
    assert (found["status"], found["epochs"]) == ("finished", 2)
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    assert [path.name for path in (folder / "checkpoints").glob("*/manifest.json")], "saved once there was room"
    assert not list(folder.rglob(".*.tmp")), "nothing half-written is left"


def test_names_that_are_not_utf_8_are_trained_on_by_their_bytes_and_shown_escaped(hard):
    lines, code, runs, images, before = hard
    assert code == 0, "\n".join(lines)
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    (described,) = [event for event in JournalReader(folder / "journal.jsonl").read() if type(event).__name__ == "RunDescribed"]
    assert described.classes == ("blue square", r"caf\xE9") and described.num_train + described.num_validation == 20
    assert not [line for line in lines if "set aside" in line or "cannot be read" in line]
    listed = json.loads((folder / "dataset.json").read_bytes())
    assert r"caf\xE9/\xFF\xFE bild\xE9.png" in listed["samples"]["id"] and listed["root"].endswith(r"bilder \xE4")
    assert snapshot(Path(os.fsdecode(images))) == before, "not a byte of the folder has changed"
