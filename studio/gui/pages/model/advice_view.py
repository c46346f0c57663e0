"""Advice for the model with its reasons: what to do, from which figures, by which rule, and where the rule comes from."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.path_text import shown
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.theme import px
from studio.gui.widgets import EmptyState, IconLabel, PlainLabel, button, scrolling

_ASK_AFTER_MS = 300


class AdviceView(QWidget):
    """Asks while it is in front and the draft or the images have changed. Apply is one undo step; the same button takes it back."""

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__(parent)
        self._context, self._store = context, context.store
        self._asked: tuple | None = None
        self.domain: dict | None = None  # what the domain view measured
        self.advice: list[dict] = []
        self._applied: dict[str, str] = {}  # key to the name of its undo step
        column = QVBoxLayout(self)
        column.setContentsMargins(px(10), 0, px(6), 0)
        self._content = QWidget()
        self._column = QVBoxLayout(self._content)
        self._column.setContentsMargins(0, 0, px(6), 0)
        self._column.setSpacing(px(6))
        self._area = scrolling(self._content, name="model.advice")
        self.empty = EmptyState("lightbulb", "No advice", "Open a folder of images first.")
        column.addWidget(self._area, 1)
        column.addWidget(self.empty, 1)
        self._timer = QTimer(self, singleShot=True, interval=_ASK_AFTER_MS)
        self._timer.timeout.connect(self._ask)
        self._store.experiment_changed.connect(lambda old, new: self._schedule())
        self._store.dataset_changed.connect(lambda _: self._schedule())
        self._store.history_changed.connect(self._show)
        self._show()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._schedule()

    def _schedule(self) -> None:
        if self.isVisible():
            self._timer.start()

    def set_domain(self, domain: dict | None) -> None:
        self.domain = domain
        self._schedule()

    def _ask(self) -> None:
        dataset = self._store.dataset
        if dataset is None or not self.isVisible():
            return
        counts = [parts.get("train", 0) for parts in dataset.counts().values()]
        experiment = self._store.experiment
        question = (experiment.model, experiment.training.device, experiment.training.batch_size, tuple(counts), id(self.domain))
        if question == self._asked:
            return
        self._asked = question
        params = {"experiment": experiment.model_dump(mode="json"), "images_per_class": counts, "domain": self.domain}
        self._context.probe.call(
            "advice", params, lambda result: self._on_answer(question, result), lambda error: self._on_failed(error), key="model.advice"
        )

    def _on_answer(self, question: tuple, result: dict) -> None:
        if question == self._asked:
            self.advice = list(result["advice"])
            self._show()

    def _on_failed(self, error) -> None:
        self._asked, self.advice = None, []
        self.empty.set_texts("No advice", shown(error.sentence))
        self._show()

    def _show(self) -> None:
        self._area.setVisible(bool(self.advice))
        self.empty.setVisible(not self.advice)
        if self._store.dataset is not None and not self.advice and self._asked is not None:
            self.empty.set_texts("Nothing to say", "The plan fits what is known of the images and the device.")
        focused = self.focusWidget()
        name = focused.objectName() if focused is not None and self._content.isAncestorOf(focused) else ""
        while self._column.count():
            item = self._column.takeAt(0)
            if item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        for advice in self.advice:
            self._column.addWidget(self._card(advice))
        self._column.addStretch(1)
        if name and (again := self._content.findChildren(QWidget, name)):
            again[-1].setFocus(Qt.FocusReason.OtherFocusReason)

    def _card(self, advice: dict) -> QWidget:
        made = QFrame()
        made.setProperty("frame", "card")
        row = QHBoxLayout(made)
        row.setContentsMargins(px(10), px(6), px(8), px(6))
        row.setSpacing(px(8))
        is_followed = bool(advice.get("is_followed"))
        row.addWidget(IconLabel("check" if is_followed else "lightbulb", "good" if is_followed else "accent", 16))
        words = QVBoxLayout()
        words.setSpacing(px(1))
        words.addWidget(PlainLabel(shown(advice["sentence"]), "label", wrap=True))
        why = " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in (advice.get("reason"), advice.get("rule")) if part)
        source = f"Source: {advice['source']}" if advice.get("source") else ""
        words.addWidget(PlainLabel(shown(" ".join(filter(None, (why, source)))), "caption", "muted", wrap=True))
        row.addLayout(words, 1)
        if values := advice.get("values"):
            is_applied = self._applied.get(advice["key"]) == self._store.undo_label != ""
            if is_applied or not is_followed:
                act = self._undo if is_applied else lambda: self._apply(advice, values)
                row.addWidget(button("Undo" if is_applied else "Apply", small=True, name=f"model.advice.{advice['key']}", on_click=act))
            else:
                row.addWidget(PlainLabel("In use", "caption", "muted"))
        return made

    def _apply(self, advice: dict, values: dict) -> None:
        label = advice.get("label") or "advice"
        try:
            self._applied[advice["key"]] = label
            self._store.set(values, label)
        except BadInput as exc:
            self._context.shell.toast(exc.problems[0].sentence)

    def _undo(self) -> None:
        self._store.undo()
