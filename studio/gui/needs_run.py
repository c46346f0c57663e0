"""What a page that shows runs says before there is one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QShowEvent

from studio.gui.context import Context
from studio.gui.widgets.state import EmptyState


class NeedsRun(EmptyState):
    """Offers what can be done next: Train, with the reason where it cannot work yet; before there are images, a folder to open."""

    def __init__(self, context: Context, icon_name: str, sentence: str, hint: str, *, name: str):
        super().__init__(icon_name, sentence, hint, "Train", context.runs.train, name=name)
        self._context, self._sentence, self._hint = context, sentence, hint
        self._trains = [self.action_button]
        self.open_button = self.add_action(
            "Open folder…", context.shell.open_folder_dialog, name=f"{name}.open", kind="primary", tooltip="Ctrl O"
        )
        for signal in (
            context.store.experiment_changed, context.store.dataset_changed, context.store.problems_changed, context.runs.entries_changed,
            context.disk.changed,
        ):  # fmt: skip
            signal.connect(self._refresh_if_seen)
        self.refresh()

    def add_training(self, text: str, on_action: Callable[[], object], *, name: str) -> None:
        """Another way to train, beside Train."""
        self._trains.append(self.add_action(text, on_action, name=name))
        self.refresh()

    def refresh(self) -> None:
        reason, disk = self._context.runs.reason_not_to_train(), self._context.disk
        has_source = bool(self._context.store.experiment.data.source)
        self.set_texts(self._sentence, reason or self._hint, "" if reason else disk.sentence, is_warning=disk.is_short)
        self.open_button.setVisible(not has_source)
        for each in self._trains:
            each.setVisible(has_source)
            each.setEnabled(not reason)

    def _refresh_if_seen(self, *_) -> None:
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        self.refresh()
        super().showEvent(event)
