"""Where the number of a process means something: this start of this computer, and within it this container.

The name of a computer will not do: on a Mac it changes with the network, and on a share several computers look at one run folder.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import uuid
from pathlib import Path


@functools.cache
def process_space() -> str:
    """Equal in two processes that see each other's numbers, different on another computer, in another container, after another start."""
    for read in (_linux, _mac, _windows):
        try:
            if found := read():
                return found
        except (OSError, AttributeError, ValueError):
            continue
    return f"{uuid.getnode():012x}"


def _linux() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}" if sys.platform == "linux" else ""


def _mac() -> str:
    """The session of the kernel, a UUID of every start: xnu, bsd/kern/kern_sysctl.c, kern.bootsessionuuid."""
    if sys.platform != "darwin":
        return ""
    found = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(found))
    is_wrong = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", found, ctypes.byref(size), None, ctypes.c_size_t(0))
    return "" if is_wrong else found.value.decode()


def _windows() -> str:
    if sys.platform != "win32":
        return ""
    import winreg

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
        return str(winreg.QueryValueEx(key, "MachineGuid")[0])
