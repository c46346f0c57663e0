"""Images of a recent batch as the network saw them, each with its loss; wrongly called ones in red."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QAbstractListModel, QModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.core import event as ev
from studio.core.path_text import shown
from studio.gui.background import Background, Task
from studio.gui.theme import colour, font, pen, px
from studio.gui.widgets.button import button
from studio.gui.widgets.label import plain_tooltip
from studio.gui.widgets.panel import Panel
from studio.gui.widgets.thumb import paint_cover
from studio.gui.wording import count

TILE = 84
_GAP = 6


@dataclass(frozen=True)
class Tile:
    """One image. `index` is its place in the strip."""

    index: int
    id: str
    label: str
    predicted: str
    loss: float | None

    @property
    def is_wrong(self) -> bool:
        return self.label != self.predicted

    @property
    def words(self) -> str:
        return f"{shown(self.label)} → {shown(self.predicted)}" if self.is_wrong else shown(self.label)

    @property
    def loss_words(self) -> str:
        return f"{self.loss:.2f}" if self.loss is not None else "not finite"


def tiles_of(samples: ev.SamplesReported) -> tuple[Tile, ...]:
    rows = zip(samples.ids, samples.labels, samples.predictions, samples.losses)
    return tuple(Tile(i, *row) for i, row in enumerate(rows))


class _Model(QAbstractListModel):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.tiles: tuple[Tile, ...] = ()
        self.pixmaps: tuple[QPixmap, ...] = ()

    def set_tiles(self, tiles: tuple[Tile, ...], pixmaps: tuple[QPixmap, ...]) -> None:
        self.beginResetModel()
        self.tiles, self.pixmaps = tiles, pixmaps
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        return 0 if parent.isValid() else len(self.tiles)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        tile = self.tiles[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            verdict = f"called {shown(tile.predicted)}, wrong" if tile.is_wrong else "right"
            return f"{shown(tile.label)}, {verdict}, loss {tile.loss_words}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(f"{shown(tile.id)}\n{tile.words}\nloss {tile.loss_words}")
        return None


class BatchPanel(Panel):
    """A strip of tiles in one row. Hold keeps what is shown while the run goes on."""

    def __init__(self, background: Background, parent: QWidget | None = None):
        super().__init__("Latest batch", name="train.batch", parent=parent)
        self._background = background
        self._samples: ev.SamplesReported | None = None
        self._task: Task | None = None
        self.model = _Model(self)
        self.list = _TileList(self.model)
        self.hold = button(
            "Hold",
            "push-pin",
            kind="quiet",
            small=True,
            checkable=True,
            name="train.hold",
            tooltip="Keep these images while the run goes on",
        )
        self.head.addWidget(self.hold)
        self.body.addWidget(self.list)
        self.body.setContentsMargins(px(8), 0, px(8), px(6))

    def show_samples(self, folder: Path, samples: ev.SamplesReported | None) -> None:
        """Read the strip in the background; while held, nothing changes."""
        if samples is self._samples or self.hold.isChecked() and self._samples is not None and samples is not None:
            return
        self._samples = samples
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if samples is None:
            self.model.set_tiles((), ())
            self.set_subtitle("comes with the first steps")
            return
        path = str(folder / samples.image)
        self._task = self._background.run(lambda: QImage(path), lambda image: self._on_read(samples, image))
        self.destroyed.connect(self._task.cancel)

    def release(self) -> None:
        """Another run: what was held goes."""
        self.hold.setChecked(False)

    def _on_read(self, samples: ev.SamplesReported, strip: QImage) -> None:
        self._task = None
        side = samples.tile_px
        pixmaps = tuple(
            QPixmap.fromImage(strip.copy(i * side, 0, side, side)) if not strip.isNull() else QPixmap() for i in range(len(samples.ids))
        )
        self.model.set_tiles(tiles_of(samples), pixmaps)
        wrong = sum(t.is_wrong for t in self.model.tiles)
        self.set_subtitle(f"step {count(samples.step)}, {len(samples.ids)} images with their loss, {wrong} wrong")


class _TileList(QListView):
    def __init__(self, model: _Model):
        super().__init__()
        self.setModel(model)
        self.setObjectName("train.batch.list")
        self.setAccessibleName("Images of the latest batch")
        self.setItemDelegate(_TileDelegate(self))
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._fit()

    @property
    def side(self) -> int:
        """Side of a tile: as large as twelve fit, in sensible bounds."""
        return max(px(48), min(px(TILE), self.viewport().width() // 12 - px(_GAP)))

    def _fit(self) -> None:
        self.setFixedHeight(self.side + px(24))

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()
        self.scheduleDelayedItemsLayout()


class _TileDelegate(QStyledItemDelegate):
    """The picture, its loss in a corner, the label below. Tiles share the width, so that none is cut."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        view: _TileList = self.parent()
        width = view.viewport().width()
        fits = max(1, min(index.model().rowCount(), width // (view.side + px(_GAP))))
        return QSize(min(width // fits, view.side + px(32)), view.side + px(22))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        model: _Model = index.model()
        tile, pixmap = model.tiles[index.row()], model.pixmaps[index.row()]
        cell = QRectF(option.rect)
        side = float(self.parent().side)
        box = QRectF(cell.left() + (cell.width() - side) / 2, cell.top() + 2, side, side)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_cover(painter, box, pixmap)
        metrics = QFontMetrics(font("tick"))
        width = metrics.horizontalAdvance(tile.loss_words) + px(6)
        badge = QRectF(box.right() - width - 3, box.bottom() - metrics.height() - 3, width, metrics.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("window", 0.86))
        painter.drawRoundedRect(badge, 3, 3)
        painter.setFont(font("tick"))
        painter.setPen(colour("bad" if tile.is_wrong else "text"))
        painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, tile.loss_words)
        has_focus = bool(option.state & QStyle.StateFlag.State_HasFocus) and self.parent().hasFocus()
        if tile.is_wrong or has_focus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(pen("focus" if has_focus else "bad", 2))
            painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), 4, 4)
        painter.setFont(font("caption"))
        painter.setPen(colour("bad" if tile.is_wrong else "text2"))
        words = QFontMetrics(font("caption")).elidedText(tile.words, Qt.TextElideMode.ElideRight, int(cell.width()) - 2)
        painter.drawText(QRectF(cell.left(), box.bottom() + 2, cell.width(), px(18)), Qt.AlignmentFlag.AlignCenter, words)
        painter.restore()
