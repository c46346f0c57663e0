"""What every page is. The guide for authors stands in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.gui.context import Context
from studio.gui.theme import px
from studio.gui.widgets.label import PlainLabel


class Page(QWidget):
    """A step of the pipeline. Subclasses fill `head` (right part of the title row) and `body` (below it) in `make`.

    Made on the first visit, or ahead of it while the window is idle, then kept. `activate` and `deactivate` are called when it comes to the front and leaves it: views that
    follow a run or a worker listen only in between.
    """

    key = ""  # "data"
    title = ""  # "Data"

    def __init__(self, context: Context, parent: QWidget | None = None, *, in_pieces: bool = False):
        """`in_pieces`: `pieces` still have to be taken before it may be shown."""
        super().__init__(parent)
        self.is_whole = False
        self.context = context
        self.store = context.store
        self.setObjectName(f"page.{self.key}")
        self.setAccessibleName(f"{self.title} page")
        column = QVBoxLayout(self)
        column.setContentsMargins(px(16), px(10), px(16), px(12))
        column.setSpacing(px(10))
        self.head_widget = QWidget()
        self.head_widget.setFixedHeight(px(32))
        self.head = QHBoxLayout(self.head_widget)
        self.head.setContentsMargins(0, 0, 0, 0)
        self.head.setSpacing(px(10))
        self.title_label = PlainLabel(self.title, "page")
        self.subtitle_label = PlainLabel("", "label", "muted", elide=Qt.TextElideMode.ElideRight)
        self.head.addWidget(self.title_label)
        self.head.addWidget(self.subtitle_label, 1)
        column.addWidget(self.head_widget)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(px(12))
        column.addLayout(self.body, 1)
        self.pieces = self._pieces()
        if not in_pieces:
            self.complete()

    def make(self) -> Iterator[None]:
        """Make what is on the page. Each `yield` ends a piece, 50 ms at most: between two of them the window answers its user. What the
        program tells the page it should hear from the last piece on. From the outside in: whatever is given a new parent is styled again with
        all that is in it."""
        yield

    def _pieces(self) -> Iterator[None]:
        yield from self.make()
        self.is_whole = True
        if not self.testAttribute(Qt.WidgetAttribute.WA_PendingResizeEvent):  # it came while parts were missing
            self.fit()

    def complete(self) -> None:
        """Make what is not there yet, at once."""
        for _ in self.pieces:
            pass

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.is_whole:
            self.fit()

    def fit(self) -> None:
        """Suit what is on the page to its size. Never asked of a page that is not whole: an exception in a virtual function of Qt that Qt
        calls on behalf of Python stays pending, and the next such function of another widget then ends the process (PySide 6.10, 6.11)."""

    def set_subtitle(self, text: str) -> None:
        self.subtitle_label.setText(text)

    def activate(self) -> None:
        """The page came to the front."""

    def deactivate(self) -> None:
        """The page left the front: stop timers, disconnect from what is costly."""

    def is_busy(self) -> bool:
        """True while files that the page shows are being read; screenshots wait for it."""
        return False

    def focus_search(self) -> bool:
        """Ctrl F: focus the page's search field. False when there is none."""
        return False

    def accept_drop(self, paths: list[str]) -> bool:
        """Files or folders dropped on the page. False leaves them to the window, which opens them as data or as an experiment."""
        return False

    def show_argument(self, argument: object) -> None:
        """Shell.go_to("results", run) hands its argument over here."""

    def shortcuts(self) -> tuple[tuple[str, str, Callable[[], object]], ...]:
        """Keys that work while the page is in front: ("Space", "Large preview", function). The window binds and lists them (F1)."""
        return ()

    @classmethod
    def screenshot_states(cls) -> dict[str, Callable[[Page], None]]:
        """More states for the screenshots, by name; each function brings the page into it. See studio.gui.screenshot."""
        return {}
