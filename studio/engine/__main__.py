"""`python -m studio.engine RUN_FOLDER [--resume]` trains; `python -m studio.engine --standby` waits, warm, for a run."""

from studio.engine.main import main

if __name__ == "__main__":
    raise SystemExit(main())
