"""The new head: where the network is cut, and what takes the place of what was cut off."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from studio.catalog.heads import PRESETS, Step, preset_of
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.icon import icon
from studio.gui.pages.model.first_loss import HELP, FirstLoss
from studio.gui.pages.model.head_chain import ChainNode, HeadChain
from studio.gui.pages.model.head_options import part_options
from studio.gui.pages.model.head_plan import NEW_PARTS, Places, head_steps, moved, places_from, shape_words, why_not, with_part
from studio.gui.theme import px
from studio.gui.widgets import ComboBox, Panel, PlainLabel, Segmented, icon_button, plain_tooltip, set_plain_tooltip
from studio.gui.widgets.form import FieldEditor
from studio.gui.wording import parameters

_HEAD = "model.head"
_COMBO_PX = {"model.head_init": 122, "model.head_bias": 92, "model.normalisation": 122}
_WITH_FAN = ("he", "truncated normal")
_PART_TITLES = {"convolution": "Conv block", "pooling": "Pool", "hidden": "Hidden", "dropout": "Dropout"}


class HeadPanel(Panel):
    """The chain of parts with shapes under each, and the options of the selected one. What does not fit cannot be chosen and says why."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__("Head", name="model.head", parent=parent)
        self._context, self._store = context, context.store
        self.places: Places | None = None
        self._asked: tuple | None = None
        self._shown: tuple | None = None
        self._steps: tuple[Step, ...] = ()
        self._is_folded = False
        self.subtitle_label.setMinimumWidth(1)  # it gives way first
        self.first_loss = FirstLoss(context, self)
        self.first_loss.changed.connect(self._show_options)
        self._make_head()
        self._content = QWidget()
        column = QVBoxLayout(self._content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        column.addLayout(self._make_chain())
        self._options = QHBoxLayout()
        self._options.setContentsMargins(0, 0, 0, 0)
        holder = QWidget()
        holder.setLayout(self._options)
        holder.setFixedHeight(px(34))
        area = _sideways(holder, "model.head.options")
        area.setFixedHeight(px(38))
        column.addWidget(area)
        self.problem_label = PlainLabel("", "caption", "bad", wrap=True)
        self.problem_label.setObjectName("model.head.problem")
        self.problem_label.hide()
        column.addWidget(self.problem_label)
        self.body.addWidget(self._content)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._store.experiment_changed.connect(lambda old, new: self.refresh() if old.model != new.model else None)
        self._store.dataset_changed.connect(lambda _: self.refresh())
        self.set_folded(False)
        self.refresh()

    # making

    def _make_head(self) -> None:
        self.cut = ComboBox([("", "Not cut")], "", name="model.head.cut")
        self.cut.setAccessibleName("Where the pretrained network ends")
        self.cut.setProperty("dense", "true")
        self.cut.setFixedWidth(px(122))
        self.cut.value_changed.connect(self._on_cut_changed)
        self.presets = Segmented([(p.key, p.title) for p in PRESETS], "linear", name="model.head.preset")
        self.presets.setAccessibleName("Kind of head")
        for index, preset in enumerate(PRESETS):
            set_plain_tooltip(self.presets._group.button(index), preset.help)
        self.presets.value_changed.connect(self._on_preset_changed)
        self.presets.set_dense(True)
        self.fold_button = icon_button(
            "caret-down",
            "Show the parts of the head",
            small=True,
            name="model.head.edit",
            on_click=lambda: self.set_folded(not self._is_folded),
        )
        for widget in (self.cut, self.presets, self.fold_button):
            self.head.addWidget(widget)

    def _make_chain(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(px(6))
        self.chain = HeadChain()
        self.chain.selected.connect(lambda _: self._show_options())
        self.chain.move_wanted.connect(self._on_move_wanted)
        self.chain.remove_wanted.connect(self._on_remove_wanted)
        area = _sideways(self.chain, "model.head.area")
        area.setFixedHeight(px(54))
        self._chain_area = area
        row.addWidget(area, 1)
        self.add_button = icon_button("plus", "Add a part to the head", name="model.head.add")
        self.add_button.clicked.connect(lambda: self.add_menu().popup(self.add_button.mapToGlobal(self.add_button.rect().bottomLeft())))
        row.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignVCenter)
        return row

    # following

    @property
    def _num_classes(self) -> int:
        dataset = self._store.dataset
        return len(dataset.classes) if dataset and dataset.classes else 10

    def refresh(self) -> None:
        """Ask where this network can be cut, once per network; show the head as it is."""
        model = self._store.experiment.model
        question = (model.source, model.backbone, model.input_size)
        if question != self._asked:
            self._asked, self.places = question, None
            params = {"model": model.model_dump(mode="json"), "num_classes": self._num_classes}
            self._context.probe.call(
                "cut_points", params, lambda result: self._on_places(question, result), lambda error: None, key="model.cut"
            )
        self._show()

    def _on_places(self, question: tuple, result: dict) -> None:
        if question == self._asked:
            self.places = places_from(result)
            self._fill_cuts()
            self._show()

    def _fill_cuts(self) -> None:
        options = [("", "Not cut")] + [(p.stage, p.title[:1].upper() + p.title[1:]) for p in self.places.places[:-1]]
        self.cut.set_options(options, self._store.experiment.model.cut)
        for row, (stage, _) in enumerate(options):
            if reason := self._why_not_cut(stage):
                self.cut.model().item(row).setEnabled(False)
                self.cut.setItemData(row, plain_tooltip(reason), Qt.ItemDataRole.ToolTipRole)

    def _why_not_cut(self, stage: str) -> str:
        place = next((p for p in self.places.places if p.stage == stage), None) if stage else None
        if place is not None and place.reason:
            return place.reason
        return why_not(self.places, self._store.experiment.model, self._num_classes, cut=stage)

    def _show(self) -> None:
        model = self._store.experiment.model
        problem = ""
        self._steps = ()
        if self.places is not None:
            try:
                self._steps = head_steps(self.places, model, self._num_classes)
            except BadInput as exc:
                problem = exc.problems[0].sentence
            self._fill_cuts()
        self.problem_label.setText(problem)
        self.problem_label.setVisible(bool(problem))
        preset = preset_of(model.head)
        self.presets._group.setExclusive(preset is not None)
        for index, each in enumerate(PRESETS):
            part = self.presets._group.button(index)
            part.setChecked(preset is each)
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus if preset is each or preset is None and not index else Qt.FocusPolicy.NoFocus)
            reason = why_not(self.places, model, self._num_classes, parts=each.parts) if self.places is not None else ""
            part.setEnabled(not reason)
            set_plain_tooltip(part, reason or each.help)
        self.chain.show_nodes(self._nodes())
        self.set_subtitle(self._subtitle())
        self._show_options()

    def _subtitle(self) -> str:
        if not self._steps:
            return ""
        count = sum(step.num_parameters for step in self._steps)
        return f"{parameters(count)} new"

    def _nodes(self) -> list[ChainNode]:
        model = self._store.experiment.model
        first = shape_words(self._steps[0].shape_in) if self._steps else f"{model.input_size} px in"
        nodes = [ChainNode("features", "Features", first, is_new=False)]
        if self._steps:
            for step in self._steps:
                key = str(step.part) if step.part is not None else step.name if step.name in ("dropout", "linear") else ""
                nodes.append(ChainNode(key, step.title, shape_words(step.shape_out), step.note))
        else:
            nodes += [ChainNode(str(i), _PART_TITLES[part.kind], "?") for i, part in enumerate(model.head)]
            nodes += [ChainNode("dropout", f"Dropout {model.dropout:g}", "?"), ChainNode("linear", "Linear", str(self._num_classes))]
        return nodes

    # options

    def _show_options(self) -> None:
        """Of the selected node; built anew only when another node or another value is to be shown."""
        model, key = self._store.experiment.model, self.chain.key
        part = model.head[int(key)] if key.isdigit() and int(key) < len(model.head) else None
        shown = (key, part, model.head_init if key == "linear" else None)
        if shown == self._shown:
            self._show_first_loss()
            return
        had_focus = self.focusWidget() is not None and self._options.parentWidget().isAncestorOf(self.focusWidget())
        focused = self.focusWidget().objectName() if had_focus else ""
        self._shown = shown
        while self._options.count():
            item = self._options.takeAt(0)
            if item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        if part is not None:
            self._options.addWidget(part_options(part, lambda changed: self._replace_part(int(key), changed)), 1)
        else:
            self._add_fields(key)
        if focused and (again := self._options.parentWidget().findChild(QWidget, focused)) is not None:
            again.setFocus(Qt.FocusReason.OtherFocusReason)

    def _add_fields(self, key: str) -> None:
        fields = {
            "features": (("model.input_size", "Input size"), ("model.normalisation", "Normalise")),
            "dropout": (("model.dropout", "Dropout"),),
        }.get(key, (("model.head_init", "Init"), ("model.head_init_fan", "Fan"), ("model.head_bias", "Bias")))
        for path, words in fields:
            if path == "model.head_init_fan" and self._store.experiment.model.head_init not in _WITH_FAN:
                continue
            label = PlainLabel(words, "label")
            editor = FieldEditor(self._store, path, max_segments=2 if path == "model.head_init_fan" else 1, name=path)
            if isinstance(editor.control, ComboBox):
                editor.control.setProperty("dense", "true")
                editor.control.setFixedWidth(px(_COMBO_PX[path]))
            editor.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            label.setBuddy(editor.control)
            self._options.addWidget(label)
            self._options.addWidget(editor)
            self._options.addSpacing(px(6))
        self.loss_label = PlainLabel("", "caption", "muted")
        self._options.addWidget(self.loss_label)
        self._options.addStretch(1)
        self._show_first_loss()

    def _show_first_loss(self) -> None:
        if self.chain.key.isdigit() or self.chain.key in ("features", "dropout"):
            return
        self.loss_label.setText(self.first_loss.words())
        set_plain_tooltip(self.loss_label, HELP)

    # changing

    def _set(self, values: dict, label: str) -> None:
        try:
            self._store.set(values, label)
        except BadInput as exc:
            self._context.shell.toast(exc.problems[0].sentence)

    def _on_preset_changed(self, key: object) -> None:
        preset = next(p for p in PRESETS if p.key == key)
        self._set({_HEAD: _plain(preset.parts)}, f"head: {preset.title}")

    def _on_cut_changed(self, stage: object) -> None:
        if self.places is not None and (reason := self._why_not_cut(str(stage))):
            self._context.shell.toast(reason)
            self.cut.set_value(self._store.experiment.model.cut)
            return
        title = next((p.title for p in self.places.places if p.stage == stage), "") if self.places else str(stage)
        self._set({"model.cut": stage}, f"cut {title}" if stage else "whole network")

    def _try_parts(self, parts: Sequence, label: str) -> bool:
        reason = why_not(self.places, self._store.experiment.model, self._num_classes, parts=parts) if self.places is not None else ""
        if reason:
            self._context.shell.toast(reason)
            return False
        self._set({_HEAD: _plain(parts)}, label)
        return True

    def add_menu(self) -> QMenu:
        """Parts that can be added; those that do not fit say why."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        parts, model = self._store.experiment.model.head, self._store.experiment.model
        for title, part in NEW_PARTS:
            made = with_part(parts, part)
            reason = why_not(self.places, model, self._num_classes, parts=made) if self.places is not None else ""
            action = menu.addAction(
                title if not reason else f"{title}: {reason[:1].lower()}{reason[1:]}",
                lambda made=made, title=title, part=part: self._on_add(made, title, part),
            )
            action.setEnabled(not reason)
            action.setToolTip(plain_tooltip(reason or type(part).__doc__ or ""))
        return menu

    def _on_add(self, parts: tuple, title: str, part) -> None:
        if self._try_parts(parts, f"add {title.lower()}"):
            index = max(i for i, other in enumerate(parts) if other is part)
            self.chain.select(str(index))
            self.chain.focus_node(str(index))

    def _on_move_wanted(self, part: int, by: int) -> None:
        parts = self._store.experiment.model.head
        made = moved(parts, part, by)
        if made != parts and self._try_parts(made, "order of the head"):
            key = str(min(max(0, part + by), len(parts) - 1))
            self.chain.select(key)
            self.chain.focus_node(key)

    def _on_remove_wanted(self, part: int) -> None:
        parts = self._store.experiment.model.head
        if self._try_parts([p for i, p in enumerate(parts) if i != part], f"take away {parts[part].kind}"):
            self.chain.select("linear")
            self.chain.focus_node("linear")

    def _replace_part(self, index: int, part) -> None:
        parts = list(self._store.experiment.model.head)
        parts[index] = part
        if not self._try_parts(parts, f"{part.kind} of the head"):
            self._shown = None
            self._show_options()  # the value before stands again

    # folding

    def set_folded(self, folded: bool) -> None:
        """One line in a low window; Edit opens it."""
        self._is_folded = folded
        self._content.setVisible(not folded)
        words = "Show the parts of the head" if folded else "Fold the head to one line"
        self.fold_button.setIcon(icon("caret-down" if folded else "caret-up"))
        self.fold_button.setAccessibleName(words)
        set_plain_tooltip(self.fold_button, words)
        self.body.setContentsMargins(*((0, 0, 0, px(4)) if folded else (px(12), 0, px(12), px(8))))


def _plain(parts: Sequence) -> list[dict]:
    return [part.model_dump() for part in parts]


def _sideways(content: QWidget, name: str) -> QScrollArea:
    """`content` in an area that scrolls from side to side only."""
    area = QScrollArea()
    area.setObjectName(name)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.viewport().setAutoFillBackground(False)
    content.setProperty("plain", "true")
    content.setAutoFillBackground(False)
    area.setWidget(content)
    return area
