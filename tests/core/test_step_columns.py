"""Reports of steps read as columns give the state that the same reports give one by one."""

import numpy as np
import pytest

from studio.core import event as ev
from studio.core.fold import RunState, fold
from studio.core.journal import JournalReader
from studio.core.step_columns import StepColumns

CURVES = ("train_loss", "train_top1", "lr", "grad_norm", "step_time")


def report(first, t, losses, **more):
    n = len(losses)
    more = {"grad_norms": tuple(0.1 * (first + i) for i in range(n)), "images_per_s": 7.5} | more
    return ev.StepsReported(
        first_step=first, t=t, losses=tuple(losses), top1s=(0.5,) * n, lrs=tuple(1e-3 / (first + i + 1) for i in range(n)), **more
    )


NAN = float("nan")
JOURNALS = {
    "one step each": [report(i, 0.1 * i, [1 / 3 / (i + 1)]) for i in range(50)],
    "several steps each": [report(0, 1.0, [1.0, 0.9, NAN]), report(3, 2.5, [0.8]), report(4, 3.0, [0.7, 0.6])],
    "a resume from step 3": [*(report(i, i / 7, [float(i)]) for i in range(8)), report(3, 4.0, [9.0, 8.0]), report(5, 5.0, [7.0])],
    "other events between": [report(0, 1.0, [1.0]), ev.PhaseStarted(phase="validating", t=2.0), report(1, 4.0, [0.5])],
    "gradient norms in part": [report(0, 1.0, [1.0]), report(1, 2.0, [0.5], grad_norms=())],
    "figures that are no numbers": [report(0, 1.0, [1.0]), report(1, 2.0, [0.5], images_per_s=NAN, grad_norms=(float("inf"),)), report(2, 3.0, [0.4])],
}  # fmt: skip


@pytest.mark.parametrize("at_once", [256 << 10, 350], ids=["in one go", "two lines at once"])
@pytest.mark.parametrize("name", JOURNALS)
def test_columns_fold_to_the_state_of_the_single_reports(name, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr("studio.core.journal._AT_ONCE", at_once)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(map(ev.encode, JOURNALS[name])))
    single, columns = (fold(RunState(), read()) for read in (JournalReader(path).read, JournalReader(path).read_columns))
    assert columns.step == single.step > 0 and columns.t == single.t and columns.images_per_s == single.images_per_s
    for curve in CURVES:
        np.testing.assert_array_equal(getattr(columns, curve).x, getattr(single, curve).x)
        np.testing.assert_array_equal(getattr(columns, curve).y, getattr(single, curve).y)


def test_a_line_that_is_longer_than_what_is_decoded_in_one_go_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.core.journal._AT_ONCE", 100)
    (tmp_path / "j").write_bytes(b"".join(map(ev.encode, JOURNALS["several steps each"])))
    assert fold(RunState(), JournalReader(tmp_path / "j").read_columns()).step == 6


def test_a_step_lies_evenly_between_the_reports_before_and_after_it():
    state = fold(RunState(), [report(0, 1.0, [1.0]), report(1, 3.0, [1.0, 1.0, 1.0, 1.0]), report(5, 4.0, [1.0])])
    np.testing.assert_allclose(state.step_time.y, [1.0, 1.5, 2.0, 2.5, 3.0, 4.0])


def test_a_damaged_line_takes_no_other_report_with_it(tmp_path):
    lines = [ev.encode(report(i, float(i), [0.5])) for i in range(6)]
    lines[2] = lines[2][:-20] + b"\n"
    lines[4] = lines[4].replace(b'"t":4.0', b'"t":4.0,"mood":"calm"')
    (tmp_path / "j").write_bytes(b"".join(lines))
    state = fold(RunState(), JournalReader(tmp_path / "j").read_columns())
    np.testing.assert_array_equal(state.train_loss.x, [0, 1, 3, 4, 5])


def test_a_thousand_reports_in_a_row_are_one_object(tmp_path):
    (tmp_path / "j").write_bytes(b"".join(ev.encode(report(i, i / 1000, [0.5])) for i in range(1000)))
    [columns] = JournalReader(tmp_path / "j").read_columns()
    assert isinstance(columns, StepColumns) and len(columns.losses) == 1000
