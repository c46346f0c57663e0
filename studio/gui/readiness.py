"""Whether the draft can be trained: what the data, the settings, the network and the device say, asked before Train is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from studio.core.problem import errors_in
from studio.gui.background import Background
from studio.gui.store import ExperimentStore
from studio.gui.wording import in_window

if TYPE_CHECKING:
    from studio.core.problem import Problem
    from studio.gui.workers import WorkerClient

ASK_AFTER_MS = 300


class Readiness(QObject):
    """Follows the draft. `reason` is cheap: what takes long is asked in the background. Files to start from are waited for, as their disk may
    not answer at all; what workers say counts as fine until it is said."""

    changed = Signal()
    device_refused = Signal(str)  # sentence: the chosen device is not there; a run never goes to the CPU in silence

    def __init__(
        self, store: ExperimentStore, background: Background, probe: WorkerClient, preview: WorkerClient, parent: QObject | None = None
    ):  # fmt: skip
        super().__init__(parent)
        self._store, self._background, self._probe, self._preview = store, background, probe, preview
        self._settings: tuple = (None, None, "")  # experiment, dataset, what check_settings says about them
        self._files: tuple = ((), "")  # those that were looked for last, and what check_files says about them
        self._looked_for: set[tuple] = set()  # now: a disk that does not answer is asked once for the same files
        self._devices: dict[str, str] = {}  # why a device cannot be had; "" when it can or while it is being asked
        self._network: tuple | None = None  # the one that was asked about last
        self._network_error = ""
        self._pipeline: tuple | None = None  # the one that was asked about last
        self._pipeline_error = ""
        self._timer = QTimer(self, singleShot=True, interval=ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask_settled)
        store.experiment_changed.connect(lambda old, new: self._ask())
        store.dataset_changed.connect(lambda _: self._ask())

    def reason(self) -> str:
        """Why Train cannot work now, and what to do; empty when it can."""
        store = self._store
        if not store.experiment.data.source:
            return "Open a folder of images first (Ctrl O)."
        if errors := errors_in(store.problems):
            return in_window(errors[0].sentence)
        if store.dataset is None or not store.is_dataset_current:
            return "The images are still being read."
        return (
            self._settings_error() or self._files_problem() or self._network_problem() or self._pipeline_problem() or self.device_reason()
        )

    def device_reason(self) -> str:
        """Why the chosen device cannot be had; empty when it can."""
        return self._devices.get(self._store.experiment.training.device, "")

    def ask_again(self) -> None:
        """The machine may have changed: weights were downloaded, a file was put back, a GPU came or went. Answers so far hold meanwhile."""
        self._ask_device(again=True)
        self._ask_files(again=True)
        self._ask_network(again=True)

    def _settings_error(self) -> str:
        experiment, dataset = self._store.experiment, self._store.dataset
        if self._settings[0] is not experiment or self._settings[1] is not dataset:
            from studio.dataset.plan_check import check_settings

            errors = errors_in(check_settings(experiment, dataset))
            self._settings = (experiment, dataset, errors[0].sentence if errors else "")
        return self._settings[2]

    def _files_question(self) -> tuple[str, str]:
        """The run and the file that the network starts from; empty where it does not."""
        model = self._store.experiment.model
        return model.start_run, model.weights_file

    def _files_problem(self) -> str:
        run, weights = question = self._files_question()
        if not (run or weights):
            return ""
        if question == self._files[0]:
            return self._files[1]
        return f"The {'run to start from' if run else 'weights file'} is still being looked for."

    def _network_problem(self) -> str:
        return self._network_error if self._network == self._question() else ""

    def _question(self) -> tuple | None:
        """What decides whether the network can be made; None while the number of classes is not known."""
        model, dataset = self._store.experiment.model, self._store.dataset
        if dataset is None:
            return None
        names = tuple(sorted(model.layers.items())), model.thaw and model.layers and tuple(sorted(model.thaw.items()))
        trains = model.train_stages if model.layers else None  # without names the head trains in any case
        weights = model.pretrained, model.weights_file, model.weights_sha256, model.start_run
        return model.architecture, weights, model.input_size, names, trains, len(dataset.classes)

    def _pipeline_problem(self) -> str:
        return self._pipeline_error if self._pipeline == self._pipeline_question() else ""

    def _pipeline_question(self) -> tuple | None:
        """What decides whether the library of augmentations takes the pipeline; None where it is sure to."""
        from studio.catalog.augments.check import must_be_made

        experiment = self._store.experiment
        return (experiment.augment.transforms, experiment.model.input_size) if must_be_made(experiment.augment) else None

    def _ask(self) -> None:
        self._ask_device()
        self._ask_files()
        has_files = any(self._files_question())  # one may have been put back meanwhile, or be gone
        if has_files or self._question() not in (None, self._network) or self._pipeline_question() not in (None, self._pipeline):
            self._timer.start()

    def _ask_settled(self) -> None:
        self._ask_files(again=True)
        self._ask_network()
        self._ask_pipeline()

    def _ask_device(self, *, again: bool = False) -> None:
        device = self._store.experiment.training.device
        if device in ("auto", "cpu") or device in self._devices and not again:
            return
        from studio.core.device import device_problem

        def found(problem) -> None:
            before, self._devices[device] = self._devices[device], problem.sentence if problem else ""
            self.changed.emit()
            if problem and problem.sentence != before and device == self._store.experiment.training.device:
                self.device_refused.emit(problem.sentence)

        self._devices.setdefault(device, "")
        self._background.run(lambda: device_problem(device), found)

    def _ask_files(self, *, again: bool = False) -> None:
        question = self._files_question()
        if not any(question) or question in self._looked_for or question == self._files[0] and not again:
            return
        from studio.dataset.plan_check import check_files

        def looked(found: list[Problem]) -> None:
            self._looked_for.discard(question)
            errors = errors_in(found)
            answer = question, errors[0].sentence if errors else ""
            if question == self._files_question() and answer != self._files:
                self._files = answer
                self.changed.emit()

        model = self._store.experiment.model
        self._looked_for.add(question)
        self._background.run(lambda: check_files(model), looked, may_hang=True)

    def _ask_pipeline(self) -> None:
        question = self._pipeline_question()
        if question is None or question == self._pipeline:
            return
        self._pipeline, self._pipeline_error = question, ""

        def checked(result: dict) -> None:
            if question == self._pipeline:
                self._pipeline_error = next((found["sentence"] for found in result["problems"]), "")
                self.changed.emit()

        params = {"experiment": self._store.experiment.model_dump(mode="json")}
        self._preview.call(
            "check_pipeline", params, checked, lambda error: None, key="readiness.pipeline"
        )  # silence says nothing, as below

    def _ask_network(self, *, again: bool = False) -> None:
        question = self._question()
        if question is None or question == self._network and not again:
            return
        if question != self._network:
            self._network, self._network_error = question, ""

        def checked(result: dict) -> None:
            if question == self._network:
                errors = [p["sentence"] for p in result["problems"] if p["severity"] == "error"]
                self._network_error = errors[0] if errors else ""
                self.changed.emit()

        params = {"model": self._store.experiment.model.model_dump(mode="json"), "num_classes": question[-1]}
        self._probe.call("check_model", params, checked, lambda error: None)  # a probe that cannot answer says nothing about the network
