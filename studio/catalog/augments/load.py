"""albumentations, loaded as Studio uses it."""

from __future__ import annotations

import os
import sys
from types import ModuleType


def load_albumentations() -> ModuleType:
    """scipy, which it loads, takes over every name of numpy, and numpy answers to "f2py" by loading a translator of Fortran: 0.09 of 0.4 s.
    Here it finds the name taken; later askers get the real one."""
    import numpy

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask a server for a newer version
    is_away = "numpy.f2py" not in sys.modules
    if is_away:
        numpy.f2py = None
    try:
        import albumentations
    finally:
        if is_away and numpy.__dict__.get("f2py", ...) is None:
            del numpy.f2py
    return albumentations
