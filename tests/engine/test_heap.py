"""Large steps give large tensors back to the system, small ones keep what they free for the next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

START = """
import ctypes, sys
import psutil
from studio.engine.heap import keep_freed_memory, suit_step

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
SIZE = 64 << 20
keep_freed_memory()
"""
WHOLE = (
    START
    + """
suit_step(is_large=sys.argv[1] == "large")
process, before = psutil.Process(), psutil.Process().memory_info().rss
block = libc.malloc(SIZE)
ctypes.memset(block, 1, SIZE)
assert process.memory_info().rss - before > SIZE / 2
libc.free(block)
print("kept" if process.memory_info().rss - before > SIZE / 2 else "given back")
"""
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can be told")
@pytest.mark.parametrize(("step", "outcome"), [("large", "given back"), ("small", "kept")])
def test_what_a_step_frees_is_kept_where_steps_are_small(step, outcome):
    done = subprocess.run([sys.executable, "-c", WHOLE, step], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == outcome, done.stderr


PAGES = """
import sys
from studio.engine.main import be_a_good_neighbour

be_a_good_neighbour()
assert "torch" not in sys.modules
import torch

address, asked = torch.empty(64 << 20, dtype=torch.uint8).data_ptr() + (32 << 20), False
for line in open("/proc/self/smaps"):
    first, _, rest = line.partition(" ")
    if "-" in first:
        begin, end = (int(bound, 16) for bound in first.split("-"))
    elif first == "VmFlags:" and begin <= address < end:
        asked = "hg" in rest.split()
print(asked)
"""


@pytest.mark.skipif(not os.path.isdir("/sys/kernel/mm/transparent_hugepage"), reason="a kernel without such pages")
def test_torch_asks_the_kernel_for_large_pages():
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run([sys.executable, "-c", PAGES], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr


SHARE = (
    START
    + """
import resource

def faults():
    blocks, before = [], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        blocks.append(libc.malloc(SIZE // 2))
        ctypes.memset(blocks[-1], 1, SIZE // 2)
    for block in blocks:
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

suit_step(is_large=True, kept_bytes=SIZE + (1 << 20))
process, before = psutil.Process(), psutil.Process().memory_info().rss
first, second = faults(), faults()
print(first // 1000, second // 1000, round((process.memory_info().rss - before) / SIZE))
"""
)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_a_share_of_a_large_step_stays_and_the_rest_goes_back():
    done = subprocess.run([sys.executable, "-c", SHARE], capture_output=True, text=True, timeout=120)
    first, second, stayed = map(int, done.stdout.split())
    assert (second, stayed) == (first // 2, 1), "of two blocks that fit the pages are there the second time, those of the other two are new"
