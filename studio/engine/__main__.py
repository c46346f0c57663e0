"""`python -m studio.engine RUN_FOLDER [--resume]` trains; `python -m studio.engine --standby` waits, warm, for a run."""

import os
import sys

from studio.engine.main import main
from studio.engine.ranks import LOCK_HELD

if __name__ == "__main__":
    code = main()
    if LOCK_HELD in os.environ:  # torch's threads sometimes abort the end of one of several processes, and torchrun starts all again
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
