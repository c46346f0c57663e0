"""Model: the pretrained backbone, what of it trains, and the new head."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMenu, QStackedWidget, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.core.experiment import Experiment
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import BadInput
from studio.core.words import counted
from studio.gui.page import Page
from studio.gui.pages.model.advice_view import AdviceView
from studio.gui.pages.model.chooser import Chooser
from studio.gui.pages.model.compare import ComparePanel
from studio.gui.pages.model.domain_view import DomainView
from studio.gui.pages.model.editor import PlanEditor
from studio.gui.pages.model.head import HeadPanel
from studio.gui.pages.model.layers_view import LayersView
from studio.gui.pages.model.network import Network
from studio.gui.pages.model.parts import grown
from studio.gui.pages.model.signal_view import SignalView
from studio.gui.pages.model.start import can_start_from, classes_words, start_values
from studio.gui.pages.model.states import STATES
from studio.gui.pages.model.strip_panel import StripPanel
from studio.gui.pages.model.weights import WeightsReport
from studio.gui.pages.schedule.thaw_plan import num_frozen_before
from studio.gui.run_entry import RunEntry
from studio.gui.theme import px
from studio.gui.widgets import Banner, Panel, Segmented, button, splitter
from studio.gui.widgets.file_dialog import pick_file
from studio.gui.wording import percent
from studio.supervise.worker import WorkerError

_VIEWS = ("Layers", "Signal", "Domain shift", "Advice")
_MOST_RUNS = 20
_WEIGHT_FILES = "Weights (*.safetensors *.pth *.pt *.bin);;All files (*)"


class ModelPage(Page):
    key, title = "model", "Model"

    def make(self) -> Iterator[None]:
        context = self.context
        self._weights_asked: tuple | None = None  # the file and the network of the report that is shown or awaited
        self._in_front: list[QWidget] = []  # what stands in the strip's place, the last one shown
        self.chooser = Chooser(context)
        self.backbones, self.scatter, self.card = self.chooser.backbones, self.chooser.scatter, self.chooser.card
        yield
        self.editor = PlanEditor(context, self)
        self.load_button = button(
            "Load weights…",
            "file-arrow-down",
            name="model.load",
            tooltip="Start from a .safetensors or .pth file, or from a run of your own",
        )
        self.load_button.clicked.connect(lambda: self.load_menu().popup(self.load_button.mapToGlobal(self.load_button.rect().bottomLeft())))
        self.head.addWidget(self.load_button)
        self.head.addWidget(
            button(
                "Compare 2",
                "git-diff",
                name="model.compare.open",
                tooltip="Two marked rows of the table side by side, or one beside the chosen backbone",
                on_click=self.chooser.compare,
            )
        )
        top, lower = QWidget(), QWidget()
        right = splitter(Qt.Orientation.Vertical, top, lower, stretch=(1, 1), name="model.right")
        columns = splitter(Qt.Orientation.Horizontal, name="model.columns")
        self.body.addWidget(columns, 1)
        columns.addWidget(self.chooser)
        columns.addWidget(right)
        for place, share in enumerate((2, 3)):
            columns.setStretchFactor(place, share)
        yield
        yield from self._fill_right(top, lower)
        right.setSizes([px(290), px(430)])
        columns.setSizes([px(400), px(560)])
        yield
        self.chooser.selection_changed.connect(self._refresh)
        self.chooser.compare_wanted.connect(self._on_compare_wanted)
        self.chooser.costs.changed.connect(self._on_costs_changed)
        self.store.dataset_changed.connect(lambda _: self._on_store_dataset_changed())
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        self.editor.changed.connect(self._refresh)
        self.editor.refresh()

    # parts

    def _fill_right(self, top: QWidget, lower: QWidget) -> Iterator[None]:
        self.strip_panel = StripPanel(self.context, self.editor)
        self.strip = self.strip_panel.strip
        self.strip_panel.measure_wanted.connect(lambda: self.chooser.costs.measure(self.chooser.chosen_key))
        yield
        self.compare_panel = ComparePanel()
        self.compare_panel.use_wanted.connect(self._on_compare_used)
        self.compare_panel.closed.connect(self._on_compare_closed)
        self.weights_report = WeightsReport()
        self.weights_report.apply_wanted.connect(self._on_weights_apply_wanted)
        self.weights_report.closed.connect(self._end_weights_check)
        self.weights_banner = grown(Banner(name="model.weights.note"))
        column = QVBoxLayout(top)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(8))
        column.addWidget(self.weights_banner)
        column.addWidget(self.compare_panel, 1)
        column.addWidget(self.weights_report)
        column.addWidget(self.strip_panel, 1)
        below = QVBoxLayout(lower)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(px(12))
        yield
        self.views_panel = Panel("Layers", name="model.views", margins=False)
        below.addWidget(self.views_panel, 1)
        yield from self._fill_views(self.views_panel)
        yield
        self.head_panel = HeadPanel(self.context)
        below.addWidget(self.head_panel)
        yield

    def _fill_views(self, panel: Panel) -> Iterator[None]:
        self.views = QStackedWidget()
        panel.body.addWidget(self.views)
        self.layers = LayersView(self.context, self.editor)
        self.tree = self.layers.tree
        self.views.addWidget(self.layers)
        yield
        self.signal = SignalView(self.context)
        self.views.addWidget(self.signal)
        yield
        self.domain = DomainView(self.context)
        self.views.addWidget(self.domain)
        yield
        self.advice = AdviceView(self.context)
        self.views.addWidget(self.advice)
        self.domain.measured.connect(self.advice.set_domain)
        self.domain.measured.connect(self.context.estimates.take_domain)
        self.view_choice = Segmented([(i, words) for i, words in enumerate(_VIEWS)], 0, name="model.view")
        self.view_choice.setAccessibleName("What is shown of the network")
        self.view_choice.value_changed.connect(self.show_view)
        panel.head.addWidget(self.view_choice)
        panel.body.setContentsMargins(0, 0, 0, px(6))
        panel.setMinimumHeight(px(150))
        self.tree.stage_selected.connect(self.strip.set_selected)
        self.strip_panel.stage_selected.connect(self.tree.select_stage)
        self.strip_panel.norm_menu_wanted.connect(lambda stage, at: self.tree.row_menu(self.tree.layers.stage_index(stage)).popup(at))

    def show_view(self, index: int) -> None:
        """0 layers, 1 signal, 2 domain shift, 3 advice."""
        self.view_choice.set_value(index)
        self.views.setCurrentIndex(index)
        self.views_panel.set_title(_VIEWS[index])
        self._show_num_layers()

    def _show_num_layers(self) -> None:
        is_shown = self.editor.has_tree and self.views.currentIndex() == 0
        self.views_panel.set_subtitle(f"{self.editor.plan.tree.num_layers:,}" if is_shown else "")

    # in place of the strip

    def bring(self, panel: ComparePanel | WeightsReport) -> None:
        """Show a panel in the strip's place, in front of the other one where that is open: there is room for one."""
        self._in_front = [*(each for each in self._in_front if each is not panel), panel]
        self._show_front()
        panel.focus_first()

    def _take_away(self, panel: ComparePanel | WeightsReport, before: QWidget) -> None:
        """What stands behind a panel comes back. The keyboard, where the panel had it, goes there, or to `before` where it came from."""
        had_focus = panel.isAncestorOf(QApplication.focusWidget())
        self._in_front = [each for each in self._in_front if each is not panel]
        self._show_front()
        if had_focus and self._in_front:
            self._in_front[-1].focus_first()
        elif had_focus:
            before.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_front(self) -> None:
        front = self._in_front[-1] if self._in_front else self.strip_panel
        for each in (self.strip_panel, self.compare_panel, self.weights_report):
            each.setVisible(each is front)

    # two side by side

    def _on_compare_wanted(self, left: BackboneInfo, right: BackboneInfo) -> None:
        self.compare_panel.show_pair(left, right, self.chooser.costs)
        self.bring(self.compare_panel)

    def _on_compare_closed(self) -> None:
        self._take_away(self.compare_panel, self.backbones.table)

    def _on_compare_used(self, info: BackboneInfo) -> None:
        self.compare_panel.close_view()
        self.chooser.choose(info)

    def _on_costs_changed(self) -> None:
        self.compare_panel.refresh(self.chooser.costs)
        info = self.chooser.chosen_info
        self.strip_panel.show_backbone(info.title if info else self.store.experiment.model.backbone, info, self.chooser.costs)

    def activate(self) -> None:
        if not self.chooser.infos:
            self.chooser.read_list()

    # the network

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if old.model != new.model:
            self._refresh()
        self._end_old_weights_check()

    def _on_store_dataset_changed(self) -> None:
        self._show_weights_note(self.store.experiment.model)
        self._end_old_weights_check()

    def _refresh(self) -> None:
        model = self.store.experiment.model
        info = self.chooser.chosen_info
        self.chooser.follow()
        name = info.title if info else model.backbone
        self.strip_panel.show_backbone(name, info, self.chooser.costs)
        self._show_weights_note(model)
        editor = self.editor
        network = editor.network if editor.is_current else None
        self._show_num_layers()
        trains = self._words(network) if network else ""
        self.set_subtitle(f"{shown(name)} · {trains}" if trains else shown(name))

    def _words(self, network: Network) -> str:
        plan = self.editor.plan
        if not plan.trains_anything:
            return "nothing trains"
        words = network.what_trains(num_frozen_before(plan.stage_epochs))
        if any(plan.stage_epochs):
            words += f", all from epoch {max(epoch or 0 for epoch in plan.stage_epochs):,} on"
        if plan.model.layers:
            words += f", {counted(len(plan.model.layers), 'part')} by name"
        return words

    # weights from a file

    def load_menu(self) -> QMenu:
        """A file, or a run of this project that has been trained for an epoch at least."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("From a file…", self._on_load_weights)
        menu.addSeparator()
        entries = [entry for entry in reversed(self.context.runs.entries) if can_start_from(entry)][:_MOST_RUNS]
        for entry in entries:
            best = f", {percent(entry.summary.top1)}" if entry.summary.top1 is not None else ""
            words = shown(f"{entry.title}: {entry.experiment.model.backbone}").replace("&", "&&") + best
            menu.addAction(words, lambda entry=entry: self.start_from(entry))
        if not entries:
            menu.addAction("From a run: none has finished an epoch").setEnabled(False)
        return menu

    def start_from(self, entry: RunEntry) -> None:
        """The run's network, with its best weights; classes of the same name keep their rows of the last layer."""
        try:
            is_changed = self.store.set(start_values(entry), f"start from {entry.name}")
        except BadInput as exc:
            self.context.shell.toast(exc.problems[0].sentence)
            return
        self.context.shell.toast_change(f"The draft starts from {entry.name}.", self.store, is_changed)

    def show_argument(self, argument: object) -> None:
        """From Results: a run to start from."""
        if isinstance(argument, RunEntry):
            self.start_from(argument)

    def _on_load_weights(self) -> None:
        pick_file(self, "weights", "Load weights", _WEIGHT_FILES, self.check_weights)

    def check_weights(self, path: str) -> None:
        """Compare a file with the draft's network and show what fits. Nothing is applied."""
        text = path_to_text(path)
        question = self._weights_asked = self._weights_question(text)
        self.weights_report.show_checking(text, path.rpartition("/")[2])
        self.bring(self.weights_report)
        model = self.store.experiment.model.model_dump(mode="json")
        self.context.probe.call(
            "check_weights_file",
            {"model": model, "num_classes": question[-1], "path": text},
            lambda report: self.weights_report.show_report(report) if question is self._weights_asked else None,
            lambda error: self._on_weights_refused(question, error),
        )

    def _weights_question(self, path: str) -> tuple:
        """What a report holds for: the file, and the tensors it is compared with."""
        model = self.store.experiment.model
        return path, model.architecture, model.input_size, len(self.store.dataset.classes) if self.store.dataset else 10

    def _end_old_weights_check(self) -> None:
        """Where it is about another network than the draft's."""
        if self._weights_asked and self._weights_asked != self._weights_question(self.weights_report.path):
            self._end_weights_check()

    def _on_weights_refused(self, question: tuple, error: WorkerError) -> None:
        if question is self._weights_asked:
            self.weights_report.show_problem(f"{error.sentence} {error.fix}".strip())

    def _end_weights_check(self) -> None:
        self._weights_asked = None
        self._take_away(self.weights_report, self.load_button)

    def _on_weights_apply_wanted(self, path: str) -> None:
        self._end_weights_check()
        values = {
            "model.weights_file": path, "model.weights_sha256": self.weights_report.sha256, "model.pretrained": True, "model.start_run": "",
        }  # fmt: skip
        self.store.set(values, "weights from a file")

    def _show_weights_note(self, model) -> None:
        if model.start_run:
            entry = self.context.runs.entry(text_to_path(model.start_run))
            dataset = self.store.dataset
            known = entry.state.description.classes if entry and entry.state.description else ()
            words = classes_words(known, dataset.classes) if dataset and known else ""
            title = f"Starts from {entry.title if entry else shown(text_to_path(model.start_run).rpartition('/')[2])}"
            stop = lambda: self.store.set({"model.start_run": ""}, "start without the run")  # noqa: E731
            self.weights_banner.show_message("info", title, words, (("Start without it", stop),))
        elif model.weights_file:
            name = shown(text_to_path(model.weights_file).rpartition("/")[2])
            self.weights_banner.show_message("info", f"Starts from {name}", "", (("Use the library’s", self._on_weights_removed),))
        elif not model.pretrained:
            self.weights_banner.show_message(
                "warning", "Starts from random weights", "Needs many more images and epochs than pretrained ones.",
                (("Use pretrained", lambda: self.store.set({"model.pretrained": True}, "pretrained on")),),
            )  # fmt: skip
        else:
            self.weights_banner.hide()

    def _on_weights_removed(self) -> None:
        self.store.set({"model.weights_file": "", "model.weights_sha256": ""}, "weights from the library")

    # the window

    def fit(self) -> None:
        """A low window keeps what is worked with: legends go, the head folds to one line."""
        is_low = self.height() < px(700)
        self.scatter.legend.setVisible(not is_low)
        self.strip_panel.legend.setVisible(not is_low)
        self.head_panel.set_folded(is_low)

    def shortcuts(self):
        return (("S", "Sort backbones by the next column", self.backbones.sort_by_next),)

    def accept_drop(self, paths: list[str]) -> bool:
        if len(paths) == 1 and paths[0].lower().endswith((".safetensors", ".pth", ".pt")):
            self.check_weights(paths[0])
            return True
        return False

    def focus_search(self) -> bool:
        self.backbones.search_field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.backbones.search_field.selectAll()
        return True

    @classmethod
    def screenshot_states(cls):
        return STATES
