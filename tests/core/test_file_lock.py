"""A lock is held while its holder lives and not a moment longer; everybody may ask."""

import errno
import os
import subprocess
import sys

import pytest

from studio.core import file_lock
from studio.core.file_lock import FileLock, in_turn, is_locked


def _hold(path) -> subprocess.Popen:
    """Another process that holds the lock."""
    code = f"from studio.core.file_lock import FileLock\nlock = FileLock({str(path)!r})\nassert lock.acquire()\nprint('held', flush=True)\ninput()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_run_is_alive_exactly_while_a_process_holds_its_lock(tmp_path):
    path = tmp_path / "engine.lock"
    assert not is_locked(path)
    holder = _hold(path)
    assert is_locked(path) and not FileLock(path).acquire(tries=1)
    holder.kill()
    holder.communicate()
    assert not is_locked(path)


def test_a_run_of_another_user_is_alive_exactly_while_its_engine_is_and_where_nobody_may_look(open_folder, as_ordinary_user):
    path, hidden = open_folder / "engine.lock", open_folder / "hidden.lock"
    holder = _hold(path)
    path.chmod(0o444)
    hidden.touch(mode=0)
    with as_ordinary_user:
        assert is_locked(path) and is_locked(hidden) and not is_locked(open_folder / "none.lock")
        holder.kill()
        holder.communicate()
        assert not is_locked(path)


@pytest.mark.skipif(os.name == "nt", reason="needs fcntl")
@pytest.mark.parametrize(("code", "is_taken_as_held"), [(errno.ENOLCK, False), (errno.EIO, True)])
def test_where_files_cannot_be_locked_nobody_is_said_to_hold_one(code, is_taken_as_held, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "engine.lock"
    lock = FileLock(path)
    monkeypatch.setattr(file_lock.fcntl, "lockf", refuse)
    with pytest.raises(OSError, match="cannot be locked" if code == errno.ENOLCK else os.strerror(code)):
        lock.acquire(tries=1)
    assert is_locked(path) == is_taken_as_held, "a drive that does not answer may well hold a run that goes on"
    assert file_lock._is_locked_to_readers(path) == is_taken_as_held
    with in_turn(path):
        pass  # goes on
