"""A run started from the window by keys: a stage thaws at epoch 2, the journal shows it, and what is frozen keeps every bit."""

from __future__ import annotations

from studio.core import event as ev
from studio.core.experiment import Experiment
from studio.core.experiment_file import write_experiment
from studio.core.journal import JournalReader
from studio.core.outcome import Status
from studio.core.run_folder import RunFolder
from tests.cli.conftest import write_images
from tests.integration.test_window_and_run import open_window, read_line, wait_for

FREEZE_AND_TRAIN = """
from PySide6.QtWidgets import QLineEdit
def act(window):
    context = window.context
    if "page" not in state:
        if context.store.dataset is None:
            return False
        window.show_page("model")
        state["page"] = window.page("model")
    page = state["page"]
    if context.runs.entries:  # the run may be over when it is first looked at
        run = context.runs.entries[0]
        if run.state.step < 1:  # before that it might not have been started yet
            return False
        say(folder=str(run.folder.path), thaw=run.experiment.model.thaw)
        window.close()
        app.quit()
        return True
    if not page.editor.is_current or len(page.editor.plan.names) < 6:
        return False
    tree = page.tree
    if "typed" not in state:
        QTest.keyClick(page.strip, Qt.Key.Key_End)  # the head alone
        tree.select_stage(4)
        QTest.keyClick(tree, Qt.Key.Key_T)
        editor = tree.viewport().findChild(QLineEdit)
        editor.selectAll()
        QTest.keyClicks(editor, "2")
        QTest.keyClick(editor, Qt.Key.Key_Return)
        state["typed"] = True
    elif context.store.experiment.model.thaw and window.top_bar.train.main.isEnabled() and "pressed" not in state:
        state["pressed"] = True
        QTest.keyClick(window.top_bar.train.main, Qt.Key.Key_Space)
    return False
state = {}
"""


def test_a_stage_thaws_at_epoch_2_and_frozen_hashes_hold(tmp_path, studio_home, screen):
    quick = {
        "data.source": str(write_images(tmp_path / "shapes")), "data.validation_fraction": 0.4, "augment.preset": "none",
        "model.source": "timm", "model.backbone": "test_resnet", "model.pretrained": False, "model.input_size": 32,
        "schedule.epochs": 4, "training.batch_size": 4, "training.precision": "fp32", "training.workers": 0, "training.feature_cache": "off",
    }  # fmt: skip
    path = tmp_path / "experiment.toml"
    write_experiment(Experiment().changed(quick), path)
    window = open_window(FREEZE_AND_TRAIN, str(path), studio_home, screen)
    try:
        seen = read_line(window)
        window.wait(60)
    finally:
        if window.poll() is None:
            window.kill()
        window.communicate()
    assert seen["thaw"] == {"stage 4": 2}
    run = RunFolder(seen["folder"])
    wait_for(lambda: not run.is_alive() and run.read_state().status is Status.FINISHED, 300)
    events = JournalReader(run.journal_path).read()
    described = next(e for e in events if isinstance(e, ev.RunDescribed))
    assert [s.name for s in described.stages if not s.is_frozen] == ["head"]
    thawed = [e for e in events if isinstance(e, ev.StagesThawed)]
    assert [(e.epoch, e.stages) for e in thawed] == [(2, ("stage 4",))]
    assert thawed[0].num_trainable == sum(s.num_parameters for s in described.stages if s.name in ("stage 4", "head"))
    checks = [e for e in events if isinstance(e, ev.FrozenChecked)]
    assert [e.epoch for e in checks] == [0, 1, 2, 3] and all(not e.changed and e.num_tensors for e in checks)
    assert checks[0].fingerprint == checks[1].fingerprint and checks[2].fingerprint == checks[3].fingerprint
    assert checks[2].num_tensors < checks[1].num_tensors  # stage 4 moves from then on
    samples = [e for e in events if isinstance(e, ev.GradientsSampled)]
    stage_4 = [s.name for s in described.stages].index("stage 4")
    assert samples and samples[0].step == 0 and samples[0].norms[stage_4] == 0 < samples[0].norms[-1]
