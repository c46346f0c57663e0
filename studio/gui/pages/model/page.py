"""Model: the pretrained backbone, what of it trains, and the new head."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QScrollArea, QStackedLayout, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo
from studio.catalog.schedules import stage_factors, thaw_epochs
from studio.core.experiment import Experiment
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.gui.context import Context
from studio.gui.page import Page
from studio.gui.pages.model.chooser import Chooser
from studio.gui.pages.model.compare import ComparePanel
from studio.gui.pages.model.head import HeadPanel
from studio.gui.pages.model.listing import Key, facts
from studio.gui.pages.model.network import Network, network_from
from studio.gui.pages.model.parts import grown, make_legend, make_loading
from studio.gui.pages.model.stages import StageTable
from studio.gui.pages.model.strip import ArchitectureStrip
from studio.gui.pages.model.weights import WeightsReport
from studio.gui.pages.thaw_plan import Epoch, num_frozen_before
from studio.gui.theme import px
from studio.gui.widgets import Banner, EmptyState, NumberField, Panel, PlainLabel, button, splitter

_WEIGHT_FILES = "Weights (*.safetensors *.pth *.pt *.bin);;All files (*)"


class ModelPage(Page):
    key, title = "model", "Model"

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(context, parent)
        self.chooser = Chooser(context)
        self.backbones, self.scatter, self.card = self.chooser.backbones, self.chooser.scatter, self.chooser.card
        self._network: Network | None = None
        self._network_of: Key = ("", "")
        self.head.addWidget(
            button(
                "Load weights…",
                "file-arrow-down",
                name="model.load",
                tooltip="Start from a .safetensors or .pth file",
                on_click=self._on_load_weights,
            )
        )
        self.head.addWidget(
            button(
                "Compare 2",
                "git-diff",
                name="model.compare.open",
                tooltip="Two marked rows of the table side by side, or one beside the chosen backbone",
                on_click=self.chooser.compare,
            )
        )
        columns = splitter(Qt.Orientation.Horizontal, self.chooser, self._make_right(), stretch=(2, 3), name="model.columns")
        columns.setSizes([px(344), px(560)])
        self.body.addWidget(columns, 1)
        self.chooser.selection_changed.connect(self._refresh)
        self.chooser.compare_wanted.connect(self._on_compare_wanted)
        self.chooser.costs.changed.connect(lambda: self.compare_panel.refresh(self.chooser.costs))
        self.store.experiment_changed.connect(self._on_store_experiment_changed)
        context.estimates.changed.connect(self._on_estimates_changed)
        self._on_estimates_changed()
        self._refresh()

    # parts

    def _make_right(self) -> QWidget:
        self.strip_panel = Panel("", name="model.strip")
        self.strip_panel.setAccessibleName("Architecture")
        self.strip = ArchitectureStrip(name="model.freeze")
        self.strip.boundary_changed.connect(self._set_boundary)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.viewport().setAutoFillBackground(False)
        area.setWidget(self.strip)
        self.strip.setAutoFillBackground(False)
        holder = QWidget()
        self._strip_stack = QStackedLayout(holder)
        self._strip_stack.addWidget(area)
        self._strip_stack.addWidget(make_loading("Reading the network…"))
        self.strip_problem = EmptyState("warning-octagon", "", "", name="model.strip.problem")
        self._strip_stack.addWidget(self.strip_problem)
        self._strip_head = QHBoxLayout()
        self._strip_head.setSpacing(px(8))
        self.strip_title = PlainLabel("", "panel")
        self.strip_facts = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self._strip_head.addWidget(self.strip_title)
        self._strip_head.addWidget(self.strip_facts, 1)
        self.strip_panel.body.addLayout(self._strip_head)
        self.strip_panel.body.addWidget(holder, 1)
        self.legend = make_legend()
        self.strip_panel.body.addWidget(self.legend)
        self.weights_report = WeightsReport()
        self.weights_report.apply_wanted.connect(self._on_weights_apply_wanted)
        self.weights_report.closed.connect(lambda: self.strip_panel.show())
        self.weights_banner = grown(Banner(name="model.weights.note"))
        top = QWidget()
        column = QVBoxLayout(top)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(8))
        column.addWidget(self.weights_banner)
        self.compare_panel = ComparePanel()
        self.compare_panel.use_wanted.connect(self._on_compare_used)
        self.compare_panel.closed.connect(self._on_compare_closed)
        column.addWidget(self.compare_panel, 1)
        column.addWidget(self.weights_report)
        column.addWidget(self.strip_panel, 1)
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(px(12))
        below.addWidget(self._make_stages(), 1)
        self.head_panel = HeadPanel(self.store)
        below.addWidget(self.head_panel)
        made = splitter(Qt.Orientation.Vertical, top, lower, stretch=(1, 1), name="model.right")
        made.setSizes([px(300), px(420)])
        return made

    def _make_stages(self) -> QWidget:
        panel = Panel("Stages", name="model.stages.panel", margins=False)
        panel.head.addWidget(PlainLabel("Train the last", "label"))
        self.count_field = NumberField(0, low=0, high=200, integer=True, name="model.train_stages")
        self.count_field.setFixedWidth(px(48))
        self.count_field.setAccessibleName("Train the last stages, number of stages before the head")
        self.count_field.value_changed.connect(self._on_count_changed)
        panel.head.addWidget(self.count_field)
        self.freeze_button = button(
            "Head only",
            "snowflake",
            kind="quiet",
            small=True,
            name="model.freeze_all",
            tooltip="Freeze all but the head",
            on_click=lambda: self._set_train_stages(0),
        )
        self.train_button = button(
            "All",
            "flame",
            kind="quiet",
            small=True,
            name="model.train_all",
            tooltip="Train every stage",
            on_click=lambda: self._set_train_stages(-1),
        )
        self.train_button.setAccessibleName("Train all stages")
        self.freeze_button.setAccessibleName("Train the head only")
        panel.head.addWidget(self.freeze_button)
        panel.head.addWidget(self.train_button)
        self.stages = StageTable()
        self.stages.boundary_wanted.connect(self._set_boundary)
        self.stages.stage_selected.connect(self.strip.set_selected)
        self.strip.stage_selected.connect(self.stages.select)
        panel.body.addWidget(self.stages)
        panel.body.setContentsMargins(0, 0, 0, px(4))
        panel.setMinimumHeight(px(130))
        self.stages_panel = panel
        return panel

    # two side by side

    def _on_compare_wanted(self, left: BackboneInfo, right: BackboneInfo) -> None:
        self.strip_panel.hide()
        self.compare_panel.show_pair(left, right, self.chooser.costs)
        self.compare_panel.focus_first()

    def _on_compare_closed(self) -> None:
        self.strip_panel.show()
        self.backbones.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_compare_used(self, info: BackboneInfo) -> None:
        self.compare_panel.close_view()
        self.chooser.choose(info)

    def activate(self) -> None:
        if not self.chooser.infos:
            self.chooser.read_list()

    # the network

    def _on_store_experiment_changed(self, old: Experiment, new: Experiment) -> None:
        if old.model != new.model or old.optimiser != new.optimiser:
            self._refresh()

    def _on_estimates_changed(self) -> None:
        estimates = self.context.estimates
        if not estimates.is_stale:
            self._network = network_from(estimates.model) if estimates.model else None
            self._network_of = self.chooser.chosen_key
        self._refresh()

    def _refresh(self) -> None:
        experiment = self.store.experiment
        model = experiment.model
        info = self.chooser.chosen_info
        self.chooser.follow()
        name = info.title if info else model.backbone
        self.strip_title.setText(shown(name))
        self.strip_facts.setText(facts(info) if info else "")
        network = self._network if self._network_of == self.chooser.chosen_key else None
        problem = self.context.estimates.problem
        self._strip_stack.setCurrentIndex(0 if network else 2 if problem else 1)
        if problem and not network:
            self.strip_problem.set_texts("This network cannot be built", shown(problem))
        self._show_network(network or Network(()), experiment)
        self._show_weights_note(model)
        trains = network.what_trains(num_frozen_before(self._epochs(network))) if network else ""
        if network and any(self._epochs(network)):
            trains += f", all from epoch {max(epoch or 0 for epoch in self._epochs(network)):,} on"
        self.set_subtitle(f"{shown(name)} · {trains}" if trains else shown(name))

    def _show_network(self, network: Network, experiment: Experiment) -> None:
        epochs = self._epochs(network)
        boundary = num_frozen_before(epochs[:-1])
        self.strip.set_network(network, epochs, experiment.model.input_size)
        self.stages.stages.set_network(network, epochs, stage_factors(experiment.optimiser, [s.name for s in network.stages]))
        most = network.num_backbone_stages
        self.count_field.setEnabled(most > 0)
        self.count_field.set_value(most - boundary)
        self.freeze_button.setEnabled(boundary < most)
        self.train_button.setEnabled(epochs != (0,) * len(epochs))
        self.stages_panel.setAccessibleDescription(f"{boundary} of {len(network.stages)} frozen" if network.stages else "")
        dataset = self.store.dataset
        head = network.stages[-1].num_parameters if network.stages else None
        described = self.context.estimates.model or {}
        self.head_panel.show_head(head, described.get("num_classes") or (len(dataset.classes) if dataset else 10))

    def _epochs(self, network: Network) -> tuple[Epoch, ...]:
        """From which epoch each stage trains: the same plan as on the Schedule page's timeline."""
        return thaw_epochs(self.store.experiment.model, [stage.name for stage in network.stages])

    def _set_boundary(self, boundary: int) -> None:
        if self._network:
            self._set_train_stages(self._network.train_stages_at(boundary))

    def _set_train_stages(self, value: int) -> None:
        words = {0: "head only", -1: "train all"}.get(value, f"train the last {value} {'stage' if value == 1 else 'stages'}")
        self.store.set({"model.train_stages": value, "model.thaw": {}}, words)

    def _on_count_changed(self, value: int) -> None:
        most = self._network.num_backbone_stages if self._network else value
        self._set_train_stages(-1 if value >= most else value)
        self.count_field.set_value(min(value, most))

    # weights from a file

    def _on_load_weights(self) -> None:
        dialog = QFileDialog(self, "Load weights", "", _WEIGHT_FILES)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.check_weights)
        dialog.open()

    def check_weights(self, path: str) -> None:
        """Compare a file with the draft's network and show what fits. Nothing is applied."""
        text = path_to_text(path)
        self.strip_panel.hide()  # the report takes its place
        self.weights_report.show_checking(text, path.rpartition("/")[2])
        num_classes = len(self.store.dataset.classes) if self.store.dataset else 10
        model = self.store.experiment.model.model_dump(mode="json")
        self.context.probe.call(
            "check_weights_file",
            {"model": model, "num_classes": num_classes, "path": text},
            lambda report: self.weights_report.show_report(report) if self.weights_report.path == text else None,
            lambda error: self.weights_report.show_problem(f"{error.sentence} {error.fix}".strip()),
        )

    def _on_weights_apply_wanted(self, path: str) -> None:
        self.weights_report.hide()
        self.strip_panel.show()
        self.store.set({"model.weights_file": path, "model.pretrained": True}, "weights from a file")

    def _show_weights_note(self, model) -> None:
        if model.weights_file:
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
        self.store.set({"model.weights_file": ""}, "weights from the library")

    # the window

    def resizeEvent(self, event) -> None:
        """A low window keeps what is worked with: legends go, the head folds to one line."""
        super().resizeEvent(event)
        is_low = self.height() < px(700)
        self.scatter.legend.setVisible(not is_low)
        self.legend.setVisible(not is_low)
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
        return {
            "selected": lambda page: page.backbones.select(("torchvision", "resnet50")),
            "compare": lambda page: (page.backbones.select(("torchvision", "resnet50")), page.chooser.compare()),
            "filtered": lambda page: page.backbones.search_field.setText("no such network"),
            "everything": lambda page: page.store.set({"model.train_stages": -1}),
            "thaw": lambda page: page.store.set({"model.thaw": {"stage 5": 1, "stage 4": 4, "stage 3": 8}}),
            "report": _show_example_report,
        }


def _show_example_report(page: ModelPage) -> None:
    page.strip_panel.hide()
    page.weights_report.show_checking("/home/me/earlier-run.safetensors", "earlier-run.safetensors")
    page.weights_report.show_report(
        {
            "matched": [f"backbone.blocks.{i}.conv.weight" for i in range(290)], "missing": ["backbone.bn2.bias", "backbone.bn2.weight"],
            "unexpected": [], "wrong_shape": [], "skipped_classifier": ["classifier.weight", "classifier.bias"],
        }
    )  # fmt: skip
