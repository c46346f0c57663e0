"""Folder: predictions for many files as a table with filters, to look through and to save."""

from __future__ import annotations

import os
from collections import Counter

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from studio.core.path_text import path_to_text, shown
from studio.gui.context import Context
from studio.gui.icon import paint_icon
from studio.gui.pages.use.folder_work import FolderWork, Row, write_csv
from studio.gui.pages.use.trial import Model
from studio.gui.theme import colour, font, px
from studio.gui.widgets import EmptyState, EpochProgress, Panel, PlainLabel, button, plain_tooltip, set_plain_tooltip
from studio.gui.widgets.count_chips import CountChips
from studio.gui.widgets.file_dialog import pick_folder, pick_new_file, unwritable
from studio.gui.widgets.thumb import ThumbLoader, paint_cover
from studio.gui.wording import count, percent

_COLUMNS = ("", "File", "Prediction", "Confidence", "Second")
_ROW_PX, _THUMB_PX = 36, 64
_DENSE_BELOW_PX, _DENSE_RUNNING_PX = 470, 560  # more than the title row needs with all its words; with progress and Stop, or Go on
UNSURE, UNREADABLE = "\0unsure", "\0unreadable"  # keys of filters; no class can have such a name


class PredictionModel(QAbstractTableModel):
    """Rows of the work that the filter lets through. UserRole gives the Row."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._all: list[Row] = []
        self.rows: list[Row] = []
        self.threshold = 0.5
        self._filter: str | None = None

    def clear(self) -> None:
        self.beginResetModel()
        self._all, self.rows = [], []
        self.endResetModel()

    def extend(self, all_rows: list[Row]) -> None:
        """Take what has been added to `all_rows` since the last call."""
        new = all_rows[len(self._all) :]
        self._all = list(all_rows)
        added = [row for row in new if self._accepts(row)]
        if added:
            self.beginInsertRows(QModelIndex(), len(self.rows), len(self.rows) + len(added) - 1)
            self.rows += added
            self.endInsertRows()

    def set_filter(self, key: str | None, threshold: float) -> None:
        self._filter, self.threshold = key, threshold
        self.beginResetModel()
        self.rows = [row for row in self._all if self._accepts(row)]
        self.endResetModel()

    def _accepts(self, row: Row) -> bool:
        match self._filter:
            case None:
                return True
            case "\0unsure":
                return self.is_unsure(row)
            case "\0unreadable":
                return not row.top
            case name:
                return row.label == name and not self.is_unsure(row)

    def is_unsure(self, row: Row) -> bool:
        return bool(row.top) and row.confidence < self.threshold

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        row = self.rows[index.row()]
        match role:
            case Qt.ItemDataRole.UserRole:
                return row
            case Qt.ItemDataRole.ToolTipRole:
                words = ", ".join(f"{shown(n)} {percent(p)}" for n, p in row.top) or f"Cannot be read: {shown(row.reason)}"
                return plain_tooltip(f"{shown(row.id)}\n{words}")
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return self._words(row, index.column())
        return None

    def _words(self, row: Row, column: int) -> str:
        match column:
            case 1:
                return shown(row.id)
            case 2:
                return shown(row.label) if row.top else "cannot be read"
            case 3:
                return percent(row.confidence, 0) + (", unsure" if self.is_unsure(row) else "") if row.top else ""
            case 4:
                return f"{shown(row.top[1][0])} · {percent(row.top[1][1], 0)}" if len(row.top) > 1 else shown(row.reason)
        return ""

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        return None


class _Delegate(QStyledItemDelegate):
    def __init__(self, view: QTableView, loader: ThumbLoader):
        super().__init__(view)
        self._loader = loader

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), px(_ROW_PX))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        row: Row = index.data(Qt.ItemDataRole.UserRole)
        is_unsure = index.model().is_unsure(row)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, colour("accentWash"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, colour("hover"))
        painter.fillRect(QRectF(option.rect.left(), option.rect.bottom(), option.rect.width(), 1), colour("border"))
        rect = QRectF(option.rect).adjusted(px(8), 0, -px(4), 0)
        match index.column():
            case 0:
                self._paint_thumb(painter, rect, row)
            case 2 if is_unsure:
                self._paint_tag(painter, rect, "question", f"unsure, {index.data()}")
            case 3 if row.top:
                self._paint_confidence(painter, rect, row.confidence, is_unsure)
            case column:
                painter.setFont(font("strong" if column == 2 and row.top else "label"))
                painter.setPen(colour("bad" if column == 2 and not row.top else "text" if column == 2 else "text2"))
                mode = Qt.TextElideMode.ElideMiddle if column == 1 else Qt.TextElideMode.ElideRight
                text = painter.fontMetrics().elidedText(index.data(), mode, int(rect.width()))
                painter.drawText(rect, Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def _paint_thumb(self, painter: QPainter, rect: QRectF, row: Row) -> None:
        tile = QRectF(rect.left(), rect.top() + 3, px(42), rect.height() - 7)
        if row.top:
            paint_cover(painter, tile, self._loader.pixmap(row.path, _THUMB_PX), 3)
        else:
            side = px(16)
            paint_icon(painter, QRectF(tile.center().x() - side / 2, tile.center().y() - side / 2, side, side).toRect(), "warning", "bad")

    def _paint_tag(self, painter: QPainter, rect: QRectF, icon: str, words: str) -> None:
        painter.setFont(font("caption"))
        metrics = painter.fontMetrics()
        text = metrics.elidedText(words, Qt.TextElideMode.ElideRight, int(rect.width() - px(26)))
        tag = QRectF(rect.left(), rect.center().y() - px(9), metrics.horizontalAdvance(text) + px(24), px(18))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("warnWash"))
        painter.drawRoundedRect(tag, 4, 4)
        paint_icon(painter, QRectF(tag.left() + px(4), tag.top() + px(3), px(12), px(12)).toRect(), icon, "warn")
        painter.setPen(colour("warn"))
        painter.drawText(tag.adjusted(px(19), 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_confidence(self, painter: QPainter, rect: QRectF, share: float, is_unsure: bool) -> None:
        number = px(40)
        rect = rect.adjusted(0, 0, -px(12), 0)
        track = QRectF(rect.left(), rect.center().y() - px(3), max(px(20), rect.width() - number - px(6)), px(6))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("border2"))
        painter.drawRoundedRect(track, 2, 2)
        painter.setBrush(colour("warnDot" if is_unsure else "accent"))
        painter.drawRoundedRect(QRectF(track.left(), track.top(), track.width() * share, track.height()), 2, 2)
        painter.setFont(font("number"))
        painter.setPen(colour("text"))
        place = QRectF(rect.right() - number, rect.top(), number, rect.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, percent(share, 0))


class _Table(QTableView):
    row_opened = Signal(object)  # Row

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.row_opened.emit(self.currentIndex().data(Qt.ItemDataRole.UserRole))
        else:
            super().keyPressEvent(event)


class FolderPanel(Panel):
    """Choose a folder, watch its predictions come in, filter, save. `picture_wanted` is Enter or a double-click on a row."""

    picture_wanted = Signal(str)
    used = Signal()  # somebody wants to know what the model says

    def __init__(self, context: Context, parent: QWidget | None = None):
        super().__init__("Folder", name="use.folder", margins=False, elide=True, parent=parent)
        self._context = context
        self._model: Model | None = None
        self.work = FolderWork(context, self)
        self.work.changed.connect(self._on_work_changed)
        self._loader = ThumbLoader(self)
        self.rate_label = PlainLabel("", "number", "muted", elide=Qt.TextElideMode.ElideRight)
        self.rate_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.progress = EpochProgress(6)
        self.choose_button = button("Choose folder…", "folder-notch-open", small=True, name="use.folder.choose", on_click=self._on_choose)
        self.stop_button = button("Stop", "stop-fill", small=True, name="use.folder.stop", on_click=self.work.cancel)
        self.resume_button = button("Go on", "play-fill", small=True, name="use.folder.resume", on_click=self.work.go_on)
        self.save_button = button("Save CSV…", "table", small=True, name="use.folder.save", on_click=self._on_save)
        self.head.addWidget(self.rate_label, 2)
        for widget in (self.progress, self.stop_button, self.resume_button, self.save_button, self.choose_button):
            self.head.addWidget(widget)
        self.filters = CountChips(name="use.folder.filter")
        self.filters.chosen.connect(self._on_filter_chosen)
        bar = QHBoxLayout()
        bar.setContentsMargins(px(12), 0, px(12), px(2))
        bar.addWidget(self.filters)
        self.filter_bar = QWidget()
        self.filter_bar.setLayout(bar)
        self.body.addWidget(self.filter_bar)
        self.problem_label = PlainLabel("", "label", "bad", wrap=True)
        self.problem_label.setContentsMargins(px(12), 0, px(12), px(4))
        self.body.addWidget(self.problem_label)
        self.table = self._make_table()
        self.empty = EmptyState(
            "folder-notch-open",
            "Predict a whole folder",
            "Its pictures are only read. The answers come into a table that can be saved.",
            "Choose folder…",
            self._on_choose,
            name="use.folder.empty",
        )
        holder = QWidget()
        self._stack = QStackedLayout(holder)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        self.body.addWidget(holder, 1)
        self.body.setContentsMargins(0, 0, 0, px(4))
        self.setMinimumHeight(px(150))
        self._threshold = 0.5
        self._on_work_changed()

    def _make_table(self) -> _Table:
        table = _Table()
        table.setObjectName("use.folder.table")
        table.setAccessibleName("Predictions. Enter shows the picture above")
        self.model = PredictionModel(self)
        table.setModel(self.model)
        table.setItemDelegate(_Delegate(table, self._loader))
        table.setShowGrid(False)
        table.setMouseTracking(True)
        table.setTabKeyNavigation(False)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(px(_ROW_PX))
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        for column, width in ((0, 56), (2, 120), (3, 140), (4, 124)):
            table.setColumnWidth(column, px(width))
        table.doubleClicked.connect(lambda index: self.picture_wanted.emit(index.data(Qt.ItemDataRole.UserRole).path))
        table.row_opened.connect(lambda row: self.picture_wanted.emit(row.path))
        self._loader.loaded.connect(lambda _: table.viewport().update())
        return table

    def resizeEvent(self, event) -> None:
        """A narrow panel keeps the names of the files readable, and says how far it is: two buttons are their icons alone."""
        super().resizeEvent(event)
        self.table.setColumnHidden(4, self.width() < px(520))
        self._fit_words()

    def _fit_words(self) -> None:
        is_dense = self.width() < px(_DENSE_RUNNING_PX if self.work.is_running or self.work.can_go_on else _DENSE_BELOW_PX)
        self.progress.setFixedWidth(px(48 if is_dense else 84))
        for made in (self.save_button, self.choose_button):
            words = made.accessibleName()
            made.setText("" if is_dense else words)
            set_plain_tooltip(made, words if is_dense else "")

    # what the page says

    def set_model(self, model: Model | None, lost: str = "") -> None:
        """Another network predicts anew. `lost`: why the one before cannot any more; its rows stay, also when it comes back."""
        if model == self._model:
            return
        self._model = model
        self.choose_button.setEnabled(model is not None)
        if model is not None:
            self._loader.set_reading(model.reading)
        if self.work.rows and (lost or model == self.work.model):
            self.work.set_lost(lost)
        elif self.work.folder and model is not None:
            (self._start if lost else self.predict)(self.work.folder)

    def set_threshold(self, threshold: float) -> None:
        self._threshold = threshold
        self.model.set_filter(self.filters.key, threshold)
        self._show_counts()

    def predict(self, folder: str) -> None:
        """Predict everything in a folder (a path as the operating system wants it)."""
        if self._model is not None:
            self._start(folder)
            self.used.emit()

    def _start(self, folder: str) -> None:
        self.model.clear()
        self.filters.clear()
        self.model.set_filter(None, self._threshold)
        self.work.start(folder, self._model)

    # following the work

    def _on_work_changed(self) -> None:
        work = self.work
        self.model.extend(work.rows)
        has_rows = bool(work.rows)
        self.set_subtitle(shown(path_to_text(os.path.basename(work.folder.rstrip("/")))) if work.folder else "")
        self.rate_label.setText(self._rate_words())
        self.progress.setVisible(work.is_running)
        self.progress.set_progress(len(work.rows) / work.total if work.total else 0.0, token="accent")
        self.stop_button.setVisible(work.is_running)
        self.resume_button.setVisible(work.can_go_on)
        self.save_button.setVisible(has_rows)
        self.choose_button.setVisible(bool(work.state))
        self.filter_bar.setVisible(has_rows)
        self._fit_words()
        problem = f"{work.lost} These are its answers." if work.lost else work.problem
        self.problem_label.setText(shown(problem))
        self.problem_label.setVisible(bool(problem))
        self._stack.setCurrentIndex(1 if has_rows or work.is_running else 0)
        if has_rows:
            self._show_counts()

    def _rate_words(self) -> str:
        work = self.work
        match work.state:
            case "":
                return ""
            case "listing":
                return "looking for images…"
            case "failed" if not work.rows:
                return ""
        done = f"{count(len(work.rows))} / {count(work.total or 0)}" if work.state != "done" else f"{count(len(work.rows))} images"
        if work.state == "predicting" and not work.rows:
            return f"{done}, loading the network…"
        speed = f" · {count(work.images_per_s)} img/s" if work.images_per_s else ""
        return f"{done}{speed}" + (" · stopped" if work.state == "stopped" else "")

    def _show_counts(self) -> None:
        rows = self.work.rows
        self.model.threshold = self._threshold
        unsure = sum(self.model.is_unsure(row) for row in rows)
        unreadable = sum(not row.top for row in rows)
        found = Counter(row.label for row in rows if row.top and not self.model.is_unsure(row))
        chips: list[tuple[str | None, str, int]] = [(None, "All", len(rows))]
        if unsure:
            chips.append((UNSURE, "unsure", unsure))
        if unreadable:
            chips.append((UNREADABLE, "not readable", unreadable))
        chips += [(name, shown(name), number) for name, number in found.most_common()]
        self.filters.show_counts(chips)

    # the hand

    def _on_filter_chosen(self, key: object) -> None:
        self.model.set_filter(key, self._threshold)

    def _on_choose(self) -> None:
        pick_folder(self, "predict", "Choose a folder of pictures", self.predict)

    def _on_save(self) -> None:
        pick_new_file(self, "predictions", "Save the predictions", "CSV table", "predictions.csv", self.save)

    def save(self, path: str) -> None:
        """Write all rows, whatever the filter shows."""
        rows, threshold = list(self.work.rows), self._threshold
        shell = self._context.shell
        name = shown(path_to_text(path))
        self._context.background.run(
            lambda: write_csv(path, rows, threshold),
            lambda _: shell.toast(
                f"{count(len(rows))} predictions saved to {name}.",
                "Show",
                lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(os.path.dirname(path))),
            ),
            lambda exc: shell.toast(unwritable(path, exc), "Choose", self._on_save),
        )
