"""How a row of the layer tree is drawn and edited: the three-way switch, the epoch with its bar, and fields for rate and epoch."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPainterPath
from PySide6.QtWidgets import QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from studio.gui.icon import paint_icon
from studio.gui.theme import colour, font, hatch, pen, px
from studio.gui.widgets import parse_number, set_plain_tooltip

_STATE, _PARAMETERS, _OUTPUT, _RATE, _THAW, _NORM = range(1, 7)


class LayerDelegate(QStyledItemDelegate):
    """A click on a half of the switch asks for that state; the word of the batch norm opens its menu."""

    state_wanted = Signal(object, bool)  # index, should it train
    norm_clicked = Signal(object)  # index
    committed = Signal(object, object)  # index, the value that was typed

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(super().sizeHint(option, index).width(), px(24))

    def _switch(self, rect) -> QRectF:
        return QRectF(rect.left() + px(4) + 0.5, rect.center().y() - px(8) + 0.5, px(46), px(17))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_selected = bool(option.state & QStyle.StateFlag.State_Selected)
        row = QRect(0, option.rect.top(), option.rect.right() + 1, option.rect.height()) if index.column() == 0 else option.rect
        if index.column() == 0:
            painter.fillRect(QRect(0, row.top(), option.rect.left(), row.height()), colour("surface"))  # over the style's own arrow
        if is_selected:
            painter.fillRect(row, colour("accentWash"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, colour("hover"))
        painter.fillRect(QRectF(row.left(), row.bottom(), row.width(), 1), colour("border"))
        if is_selected and index.column() == 0:
            painter.fillRect(QRectF(0, row.top(), 3, row.height()), colour("accent"))
        if index.column() == 0:
            self._paint_branch(painter, option, index)
        state = index.data(Qt.ItemDataRole.UserRole)
        if index.column() == _STATE:
            self._paint_switch(painter, self._switch(option.rect), state)
        else:
            self._paint_words(painter, option, index, state)
        painter.restore()

    def _paint_branch(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Open or closed, in the icons of the window."""
        if index.model().rowCount(index):
            side = px(10)
            is_open = option.widget is not None and option.widget.isExpanded(index)
            place = QRect(option.rect.left() - side - px(3), option.rect.center().y() - side // 2, side, side)
            paint_icon(painter, place, "caret-down" if is_open else "caret-right", "text2")

    def _paint_words(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex, state: str) -> None:
        column, text = index.column(), index.data() or ""
        rect = QRectF(option.rect).adjusted(px(4), 0, -px(6), 0)
        is_number = column in (_PARAMETERS, _OUTPUT, _RATE)
        is_stage = not index.parent().isValid()
        painter.setFont(font("number" if is_number else "strong" if column == 0 and is_stage else "label"))
        quiet = text in ("–", "unknown", "never", "keep") or column == _OUTPUT or (column == _RATE and not is_stage)
        painter.setPen(colour("muted" if quiet else "text"))
        if column == _THAW:
            self._paint_bar(painter, option.rect, index, state)
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(rect.width()))
        painter.drawText(rect, int(index.data(Qt.ItemDataRole.TextAlignmentRole)), text)

    def _paint_bar(self, painter: QPainter, rect: QRect, index: QModelIndex, state: str) -> None:
        """The run as a thin bar under the word: frozen up to the epoch, training behind it."""
        model = index.model()
        epoch = model.epoch(index.siblingAtColumn(0))
        bar = QRectF(rect.left() + px(4), rect.bottom() - px(5), rect.width() - px(12), px(2))
        share = 1.0 if epoch is None else min(1.0, epoch / max(1, model.num_epochs))
        painter.fillRect(bar, colour("trainsFill"))
        painter.fillRect(QRectF(bar.left(), bar.top(), bar.width() * share, bar.height()), colour("frozenEdge"))
        if state == "mixed":
            painter.fillRect(QRectF(bar.left(), bar.top(), bar.width() / 2, bar.height()), colour("frozenEdge"))

    def _paint_switch(self, painter: QPainter, rect: QRectF, state: str) -> None:
        path = QPainterPath()
        path.addRoundedRect(rect, rect.height() / 2, rect.height() / 2)
        left = QRectF(rect.left(), rect.top(), rect.width() / 2, rect.height())
        right = left.translated(rect.width() / 2, 0)
        painter.setClipPath(path)
        painter.fillPath(path, colour("field"))
        is_cold, is_warm = state in ("frozen", "mixed"), state in ("trains", "mixed")
        if is_cold:
            painter.fillRect(left, colour("frozenFill"))
        if is_warm:
            painter.fillRect(right, colour("trainsFill"))
        if state == "later":
            painter.fillRect(right, hatch(colour("trainsFill"), step=6, width=2))
        side = px(12)
        for half, name, token in (
            (left, "snowflake", "onFrozen" if is_cold else "disabled"),
            (right, "flame", "onTrains" if is_warm else "trains" if state == "later" else "disabled"),
        ):
            middle = half.center()
            paint_icon(painter, QRect(round(middle.x() - side / 2), round(middle.y() - side / 2), side, side), name, token)
        painter.setClipping(False)
        painter.setPen(pen("frozenEdge" if is_cold else "trainsEdge"))
        painter.drawPath(path)

    def editorEvent(self, event: QEvent, model, option: QStyleOptionViewItem, index: QModelIndex) -> bool:
        if (
            isinstance(event, QMouseEvent)
            and event.type() == QEvent.Type.MouseButtonRelease
            and event.button() == Qt.MouseButton.LeftButton
        ):
            switch = self._switch(option.rect)
            if index.column() == _STATE and switch.adjusted(-4, -5, 4, 5).contains(event.position()):
                self.state_wanted.emit(index.siblingAtColumn(0), event.position().x() >= switch.center().x())
                return True
            if index.column() == _NORM and index.data() not in ("–", ""):
                self.norm_clicked.emit(index.siblingAtColumn(0))
                return True
        return super().editorEvent(event, model, option, index)

    # fields

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget:
        field = QLineEdit(parent)
        field.setProperty("number", "true")
        field.setProperty("dense", "true")
        stage = index.siblingAtColumn(0).data()
        is_rate = index.column() == _RATE
        field.setAccessibleName(
            f"Learning rate of {stage}, times the head’s" if is_rate else f"{stage} trains from: start, an epoch, or never"
        )
        set_plain_tooltip(field, "Empty: by depth" if is_rate else "start, a number of an epoch, or never")
        return field

    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        """Also called when an estimate arrives: what is being typed stays."""
        if editor.isModified():
            return
        words = index.data(Qt.ItemDataRole.EditRole)
        editor.setText("" if words == "–" else words)
        editor.selectAll()

    def setModelData(self, editor: QWidget, model, index: QModelIndex) -> None:
        """What cannot be read leaves the value as it was."""
        from studio.gui.pages.model.tree import parse_epoch

        text = editor.text().strip()
        try:
            if index.column() == _RATE:
                value = None if not text else parse_number(text)
                if value is not None and not 0 <= value <= 100:
                    raise ValueError(text)
            else:
                value = parse_epoch(text)
        except ValueError:
            return
        self.committed.emit(index.siblingAtColumn(index.column()), value)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        editor.setGeometry(option.rect.adjusted(0, 0, 0, -1))
