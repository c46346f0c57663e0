"""The left column of the Model page: the plot and the table of backbones, the card of the one that is looked at."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QSplitter, QVBoxLayout, QWidget

from studio.catalog.backbones import BackboneInfo, cached_backbones
from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.pages.model.choice import ChoiceCard
from studio.gui.pages.model.costs import Costs
from studio.gui.pages.model.listing import Key, budget_for, key_of, marked, short_list
from studio.gui.pages.model.parts import grown, make_mark
from studio.gui.pages.model.scatter import AXES, BackboneScatter
from studio.gui.pages.model.table import BackbonePanel
from studio.gui.theme import px
from studio.gui.widgets import Banner, Panel, icon_button, set_plain_tooltip
from studio.gui.wording import count

_FAVOURITES = "model/favourites"


class Chooser(QSplitter):
    """Reads the list, shows it as plot and table, and writes the choice into the draft. `selection_changed` follows what is looked at."""

    selection_changed = Signal()
    compare_wanted = Signal(object, object)  # two BackboneInfo

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(Qt.Orientation.Vertical, parent)
        self._context, self._store = context, context.store
        self.infos: tuple[BackboneInfo, ...] = ()
        self._has_asked_for_list = False
        self.setObjectName("model.left")
        self.setHandleWidth(px(12))
        self.setChildrenCollapsible(False)
        self._make_scatter()
        self._make_table()
        for index, share in enumerate((2, 3)):
            self.setStretchFactor(index, share)
        self.setSizes([px(300), px(420)])
        self.costs = Costs(context, self)
        self.costs.changed.connect(self._on_costs_changed)
        self.backbones.rows_seen.connect(self._on_rows_seen)
        self.backbones.set_favourites(marked(context.settings.names(_FAVOURITES)))
        self.backbones.favourites_changed.connect(
            lambda keys: context.settings.set(_FAVOURITES, [f"{source}/{name}" for source, name in sorted(keys)])
        )
        self._store.dataset_changed.connect(lambda _: self._show_short_list())
        self._store.experiment_changed.connect(
            lambda old, new: self._show_short_list() if old.training.device != new.training.device else None
        )

    def _make_scatter(self) -> None:
        self.scatter_panel = Panel("Backbones", name="model.scatter")
        self.scatter_panel.head.addWidget(make_mark("circle-fill", "installed"))
        self.scatter_panel.head.addWidget(make_mark("circle", "to download"))
        self.scatter = BackboneScatter()
        self.axis = icon_button("dots-three", "What the plot runs over", small=True, name="model.scatter.axis")
        self.axis.clicked.connect(lambda: self.axis_menu().popup(self.axis.mapToGlobal(self.axis.rect().bottomLeft())))
        self.scatter_panel.head.addWidget(self.axis)
        self.scatter_panel.body.addWidget(self.scatter)
        self.scatter.picked.connect(lambda info: self.backbones.select(key_of(info)))
        self.scatter.chosen.connect(self.choose)
        self.scatter.boxed.connect(lambda keys: self.backbones.set_box(keys))
        self.addWidget(self.scatter_panel)

    def axis_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key, (words, _) in AXES.items():
            action = menu.addAction(words, lambda key=key: self._set_axis(key))
            action.setCheckable(True)
            action.setChecked(key == self.scatter.axis)
        return menu

    def _set_axis(self, axis: str) -> None:
        self.scatter.set_axis(axis)
        self._say_num_drawn()

    def _make_table(self) -> None:
        self.backbones = BackbonePanel()
        self.card = ChoiceCard(self._context.probe)
        self.list_banner = grown(Banner(name="model.list.problem"))
        lower = QWidget()
        column = QVBoxLayout(lower)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(8))
        column.addWidget(self.backbones, 1)
        column.addWidget(self.card)
        column.addWidget(self.list_banner)
        self.backbones.selected.connect(lambda _: self.show_selection())
        self.backbones.chosen.connect(self.choose)
        self.backbones.menu_wanted.connect(lambda info, at: self.row_menu(info).popup(at))
        self.backbones.rows_changed.connect(self._on_rows_changed)
        self.card.use_wanted.connect(self.use)
        self.card.untrained_wanted.connect(lambda info: self.use(info, pretrained=False))
        self.card.measure_wanted.connect(lambda info: self.costs.measure(key_of(info)))
        self.card.installed.connect(self._on_installed)
        self.addWidget(lower)

    # the list

    def read_list(self) -> None:
        self._context.background.run(cached_backbones, self._on_list_read, self._on_list_failed)

    def _on_list_read(self, infos: tuple[BackboneInfo, ...]) -> None:
        self.infos = infos
        self.costs.set_infos(infos)
        self.backbones.set_infos(infos)
        self._show_short_list()
        if self.backbones.current_key() is None:
            self.backbones.select(self.chosen_key)
        self.selection_changed.emit()
        # Without a cache there is the bundled backbone alone; the probe knows the libraries.
        if len(infos) <= 1 and not self._has_asked_for_list:
            self._ask_for_list()

    def _ask_for_list(self) -> None:
        self._has_asked_for_list = True
        self.scatter_panel.set_subtitle("listing…")
        self.list_banner.hide()
        self._context.probe.call("list_backbones", {}, lambda _: self.read_list(), lambda error: self._on_list_failed(error))

    def _on_list_failed(self, problem) -> None:
        words = getattr(problem, "sentence", "") or str(problem)
        fix = getattr(problem, "fix", "")
        actions = [("Try again", self._ask_for_list)]
        if trace := getattr(problem, "trace", ""):
            actions.append(("Copy details", lambda: QGuiApplication.clipboard().setText(trace)))
        self.list_banner.show_message("error", "The list of backbones could not be read", shown(f"{words} {fix}".strip()), tuple(actions))
        self._on_rows_changed()

    def _on_rows_changed(self) -> None:
        rows = self.backbones.model.rows
        total = self.backbones.model.num_all
        self.scatter_panel.set_subtitle(f"{count(len(rows))} of {count(total)}" if len(rows) != total else count(total))
        self.scatter.set_infos(rows)
        self._say_num_drawn()
        self.show_selection()

    def _say_num_drawn(self) -> None:
        num_drawn = len(self.scatter.drawn)
        set_plain_tooltip(self.scatter_panel.subtitle_label, f"{count(num_drawn)} drawn: those whose accuracy and cost are known")

    def _on_rows_seen(self, keys: list[Key]) -> None:
        """Costs are asked for once the page is looked at, not while a window is being made."""
        if self.isVisible():
            self.costs.want(keys)

    def _on_costs_changed(self) -> None:
        self.backbones.set_costs(self.costs.costs)
        self.scatter.set_costs(self.costs.costs)
        self._say_num_drawn()
        self.card.show_cost(self.costs)

    def _show_short_list(self) -> None:
        dataset = self._store.dataset
        num_images = len(dataset.part("train")) if dataset else 2000
        budget = budget_for(num_images, has_gpu=self._store.experiment.training.device not in ("cpu", "auto") or self.costs.has_gpu)
        words = f"{count(num_images)} training images" if dataset else "no images yet"
        self.backbones.set_short_list(
            [key_of(info) for info in short_list(self.infos, budget)],
            f"For {words} on this device: {budget.words}, and of those the most accurate for their cost.",
        )

    def row_menu(self, info: BackboneInfo) -> QMenu:
        """What can be done with one row."""
        key, menu = key_of(info), QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        is_chosen = key == self.chosen_key
        menu.addAction("Use", lambda: self.choose(info)).setEnabled(not is_chosen)
        is_favourite = key in self.backbones.model.favourites
        menu.addAction("Take the star away" if is_favourite else "Mark with a star", lambda: self.backbones.toggle_favourite(key))
        menu.addAction("Measure speed here", lambda: self.costs.measure(key)).setEnabled(self.costs.measuring is None)
        compare = menu.addAction("Compare with the chosen one", lambda: self.compare_wanted.emit(self.chosen_info, info))
        compare.setEnabled(not is_chosen and self.chosen_info is not None)
        return menu

    def compare(self) -> None:
        """Two marked rows, or the current one with the chosen one."""
        pair = self.backbones.selected_infos()[:2]
        if len(pair) == 1 and self.chosen_info is not None and key_of(pair[0]) != self.chosen_key:
            pair = [self.chosen_info, *pair]
        if len(pair) == 2:
            self.costs.want([key_of(info) for info in pair])
            self.compare_wanted.emit(*pair)
        else:
            self._context.shell.toast("Mark two rows of the table (Ctrl click or Shift and arrows), or one beside the chosen backbone.")

    # choosing

    @property
    def chosen_key(self) -> Key:
        model = self._store.experiment.model
        return model.source, model.backbone

    @property
    def chosen_info(self) -> BackboneInfo | None:
        return self.backbones.model.info(self.chosen_key)

    def choose(self, info: BackboneInfo) -> None:
        """Enter or double-click: taken when its weights are here; otherwise the card offers the download."""
        self.backbones.select(key_of(info))
        if info.is_installed:
            self.use(info)
        else:
            self.show_selection()
            self.card.focus_action()

    def use(self, info: BackboneInfo, pretrained: bool = True) -> None:
        """Into the draft, in one undo step. What named stages and layers of the network before goes."""
        plan = {"model.layers": {}, "model.batch_norm": {}, "model.cut": "", "model.thaw": {}}
        values = {
            "model.source": info.source,
            "model.backbone": info.name,
            "model.input_size": info.input_size,
            "model.pretrained": pretrained,
            "model.weights_file": "",
            "model.weights_sha256": "",
            "model.start_run": "",
        }
        if key_of(info) != self.chosen_key:
            fields = type(self._store.experiment.model).model_fields
            values |= {path: value for path, value in plan.items() if path.removeprefix("model.") in fields}
            values |= {"optimiser.stage_lr_factors": {}}
        try:
            self._store.set(values, f"backbone to {info.title}")
        except BadInput as exc:
            self._context.shell.toast(exc.problems[0].sentence)

    def _on_installed(self, info: BackboneInfo) -> None:
        self._context.background.run(cached_backbones, lambda infos: self._on_installed_listed(infos, info), self._on_list_failed)

    def _on_installed_listed(self, infos: tuple[BackboneInfo, ...], info: BackboneInfo) -> None:
        self._on_list_read(infos)
        self._context.runs.readiness.ask_again()
        if self.backbones.current_key() == key_of(info) and self.chosen_key != key_of(info):
            self.use(info)
        self._context.shell.toast(f"The weights of {info.title} are on this computer now.")

    def show_selection(self) -> None:
        model = self._store.experiment.model
        selected, chosen = self.backbones.current_info(), self.chosen_info
        shown_info = selected if selected is not None and (chosen is None or selected is not chosen) else chosen
        self.card.show_info(shown_info, self.chosen_key, model.pretrained and not (model.weights_file or model.start_run))
        self.scatter.set_marks(self.chosen_key, key_of(selected) if selected else None)

    def follow(self) -> None:
        """The draft's backbone may be another one."""
        self.backbones.set_chosen(self.chosen_key)
        self.show_selection()
