"""Python's collector of garbage rests while libraries load: of 4.4 CPU seconds for torch, timm, albumentations and the engine it took 0.75.

What is loaded then stays for good, so that later collections do not look through its 300,000 objects either.
"""

from __future__ import annotations

import gc


def begin_loading() -> None:
    gc.disable()


def end_loading() -> None:
    """Nothing where `begin_loading` was not called: who runs a session in a process of their own keeps their collector as it is."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
