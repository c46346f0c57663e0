"""`studio edit` changes a run that goes on, and says in a sentence why it cannot."""

from __future__ import annotations

from engine_runs import fork_engine, kill, of_kind, small_run, wait_until

from studio.cli import BAD_INPUT, DONE, main
from studio.core import event as ev


def test_a_setting_changes_while_the_run_goes_on(tmp_path, capsys):
    folder = small_run(tmp_path, schedule__epochs=10_000)
    process = fork_engine(folder)
    try:
        wait_until(lambda: folder.read_state().step > 2)
        assert main(["edit", str(folder.path), "--set", "schedule.peak_lr=2e-4", "--set", "training.early_stop_epochs=50"]) == DONE
        [told] = of_kind(folder, ev.ExperimentEdited)
        assert told.values == {"schedule.peak_lr": 2e-4, "training.early_stop_epochs": 50}
        assert f"Changed from step {told.step + 1:,} on." in capsys.readouterr().out
        assert main(["edit", str(folder.path), "--set", "training.batch_size=4"]) == BAD_INPUT
        assert "cannot change while a run goes on" in capsys.readouterr().err
    finally:
        kill(process)


def test_a_run_that_does_not_go_on_is_left_alone(tmp_path, capsys):
    folder = small_run(tmp_path)
    assert main(["edit", str(folder.path), "--set", "schedule.epochs=3"]) == BAD_INPUT
    assert "is not running" in capsys.readouterr().err and not folder.commands_path.exists()
