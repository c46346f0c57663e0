"""“Run on”: where and by how many processes the next run is trained."""

from __future__ import annotations

from studio.command.train import elsewhere
from studio.core.experiment import Experiment
from studio.core.run_folder import create_run
from studio.dataset.dataset import Dataset
from studio.dataset.plan_check import check_run
from studio.gui.shell.device import DevicePicker
from studio.gui.shell.run_on import RunOnDialog, run_on_words
from studio.gui.store import ExperimentStore


class Context:
    def __init__(self, store):
        self.store = store
        self.runs = type("Runs", (), {"active": None})()


def test_all_gpus_together_are_one_choice_and_one_gpu_takes_it_back(qtbot, theme):
    picker, store = DevicePicker(), ExperimentStore()
    qtbot.addWidget(picker)
    picker._context = Context(store)
    picker.set_devices([{"key": f"cuda:{i}", "name": "NVIDIA H100", "memory_bytes": 80_000_000_000} for i in range(4)])
    picker._fill_menu()
    choices = {action.text(): action for action in picker._menu.actions()}
    next(action for text, action in choices.items() if "All GPUs" in text).trigger()
    training = store.experiment.training
    assert (training.device, training.processes) == ("cuda", 4)
    picker._refresh()
    assert picker._key.text() == "cuda × 4" and "4 processes" in picker.toolTip()
    next(action for text, action in choices.items() if text.startswith("cuda:1")).trigger()
    assert (store.experiment.training.device, store.experiment.training.processes) == ("cuda:1", 1)
    store.undo()
    assert store.experiment.training.processes == 4


def test_the_dialog_asks_for_a_meeting_point_only_where_machines_meet(qtbot, theme):
    store = ExperimentStore()
    dialog = RunOnDialog(store)
    qtbot.addWidget(dialog)
    assert dialog.rows["rendezvous"].isHidden() and "One process" in dialog.words.text()
    store.set({"training.processes": 2, "training.machines": 2})
    assert not dialog.rows["rendezvous"].isHidden() and "4 processes" in dialog.words.text()
    words = run_on_words(2, 2, 32)
    assert "8 images each" in words and "batch norms that train normalise with the images of their own process" in words


def test_processes_that_cannot_meet_or_have_no_images_are_found_before_the_start():
    nothing = Dataset("/", "class folders", (), ())

    def fields(**values):
        experiment = Experiment().changed({f"training.{name}": value for name, value in values.items()})
        return {problem.field for problem in check_run(experiment, nothing)}

    assert "training.rendezvous" in fields(machines=2) and "training.rendezvous" not in fields(machines=2, rendezvous="a:1")
    assert "training.processes" in fields(processes=8, batch_size=4) and "training.processes" not in fields(processes=4, batch_size=4)


def test_the_command_line_says_what_to_start_elsewhere(tmp_path):
    alone = create_run(tmp_path, Experiment(), b"{}")
    assert elsewhere(alone, False) == []
    values = {"training.machines": 2, "training.processes": 4, "training.rendezvous": "big:29500"}
    told = elsewhere(create_run(tmp_path, Experiment().changed(values), b"{}"), True)
    assert "--nnodes 2" in told[1] and "-m studio.engine" in told[1] and told[1].endswith("--resume")
