"""The computer is kept awake by the engine itself, for as long as it lives and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from engine_runs import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="uses a stand-in for systemd-inhibit")

HOLDING = "import time\nfrom studio.engine.awake import kept_awake\nwith kept_awake():\n    print('held', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def inhibit(tmp_path, monkeypatch):
    """A systemd-inhibit that writes down how it was called and that it ended, and does what it is told to run."""
    script = tmp_path / "bin" / "systemd-inhibit"
    script.parent.mkdir()
    script.write_text(
        '#!/bin/sh\necho "$@" > "$RECORD"\nwhile [ "${1#--}" != "$1" ]; do shift; done\necho $$ > "$RECORD.pid"\n"$@"\ntouch "$RECORD.ended"\n'
    )
    script.chmod(0o755)
    record = tmp_path / "record"
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(record))
    return record


def test_the_wish_is_held_while_the_engine_lives_and_ends_when_it_is_killed(inhibit):
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        wait_until(lambda: inhibit.with_suffix(".pid").exists())
        assert "--what=idle:sleep" in inhibit.read_text() and "--mode=block" in inhibit.read_text()
        assert not inhibit.with_suffix(".ended").exists()
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: inhibit.with_suffix(".ended").exists())


def test_nothing_is_held_where_it_is_not_wanted_or_the_system_has_no_way(inhibit, monkeypatch):
    from studio.engine.awake import kept_awake

    monkeypatch.setenv("STUDIO_KEEP_AWAKE", "0")
    with kept_awake():
        pass
    monkeypatch.delenv("STUDIO_KEEP_AWAKE")
    monkeypatch.setenv("PATH", "")
    with kept_awake():
        pass
    assert not inhibit.exists()
