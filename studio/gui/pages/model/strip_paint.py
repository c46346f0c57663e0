"""How the architecture strip looks. Ice-blue blocks are frozen, orange ones train; a hatched band says that the statistics of batch norms follow
the data."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter

from studio.gui.icon import paint_icon
from studio.gui.pages.model.strip_geometry import RAIL_PX, Place, StripGeometry
from studio.gui.pages.schedule.thaw_plan import Epoch
from studio.gui.theme import colour, font, hatch, pen, px
from studio.gui.wording import parameters, percent


@dataclass(frozen=True)
class Look:
    """How a stage is drawn: from which epoch it trains, whether parts of it differ, whether its running statistics follow the data."""

    epoch: Epoch = None
    is_mixed: bool = False
    moves: bool = False


@dataclass(frozen=True)
class StripPicture:
    """All that is seen at one time."""

    geometry: StripGeometry
    looks: tuple[Look, ...]
    line: Place
    target: Place | None  # where the line would go, while it is dragged
    selected: tuple[int, ...]  # stages
    has_focus: bool
    num_training: int  # weights that ever train
    input_size: int  # px


def paint_strip(painter: QPainter, p: StripPicture) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _paint_input(painter, p)
    for index, block in enumerate(p.geometry.blocks):
        _paint_block(painter, p, index, block)
    _paint_rail(painter, p)
    if p.target is not None and p.target != p.line:
        x = p.geometry.place_x(p.target)
        painter.setPen(pen("text2", 1.2, dash=(4, 3)))
        painter.drawLine(QLineF(x, px(42), x, p.geometry.bottom + 2))


def _paint_input(painter: QPainter, p: StripPicture) -> None:
    side = px(34)
    tile = QRectF(0.5, p.geometry.middle - side / 2, side, side)
    painter.setPen(pen("border2"))
    painter.setBrush(colour("raised"))
    painter.drawRoundedRect(tile, 4, 4)
    paint_icon(painter, tile.adjusted(8, 8, -8, -8).toRect(), "image", "muted")
    painter.setFont(font("tick"))
    painter.setPen(colour("muted"))
    words = QRectF(-4, tile.bottom() + px(3), side + 8, px(16))
    painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{p.input_size}²")
    painter.drawText(QRectF(side, p.geometry.middle - px(8), p.geometry.left - side, px(16)), Qt.AlignmentFlag.AlignCenter, "→")


def _paint_block(painter: QPainter, p: StripPicture, index: int, block: QRectF) -> None:
    stage, look = p.geometry.network.stages[index], p.looks[index]
    epoch = look.epoch
    state = "trains" if epoch == 0 else "frozen"
    rect = block.adjusted(0.5, 0.5, -0.5, -0.5)
    painter.setPen(pen(f"{state}Edge"))
    painter.setBrush(colour(f"{state}Fill"))
    painter.drawRoundedRect(rect, 5, 5)
    if look.is_mixed:  # the lower half is what single layers do
        _paint_part(painter, rect, rect.center().y(), "frozen" if state == "trains" else "trains")
    elif epoch:  # thaws later: a rim of what it becomes
        _paint_part(painter, rect, rect.bottom() - px(7), "trains")
    if look.moves and epoch != 0:
        band = QRectF(rect.left() + 1, rect.top() + 1, rect.width() - 2, min(px(14), rect.height() / 3))
        painter.fillRect(band, hatch(colour("trainsEdge"), colour("frozenFill"), step=7, width=2.2))
    if index in p.selected:
        painter.setPen(pen("focus" if p.has_focus else "text", 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(rect.adjusted(2, 2, -2, -2), 4, 4)
    painter.setPen(colour("onFrozen" if state == "frozen" else "onTrains"))
    _paint_words(painter, stage.title, f"epoch {epoch:,}" if epoch else parameters(stage.num_parameters), rect)
    painter.setFont(font("tick"))
    painter.setPen(colour("muted"))
    short, stride = f"{stage.feature_side}²" if stage.feature_side else "", stage.stride_words(p.input_size)
    room, wide = block.width() + p.geometry.gap - 2, painter.fontMetrics().horizontalAdvance
    shape = next((w for w in (stage.size_words, short) if w and wide(w) <= room), "")
    lines = [shape, stride if wide(stride) <= room else ""] if p.geometry.has_two_lines else [shape]
    if len(lines) == 1 and stride:
        lines = [next((w for w in (f"{stage.size_words} {stride}", f"{short} {stride}") if wide(w) <= room), shape)]
    for number, words in enumerate(lines):
        line = QRectF(block.left() - px(20), p.geometry.bottom + number * px(13), block.width() + px(40), px(16))
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, words)


def _paint_part(painter: QPainter, rect: QRectF, top: float, state: str) -> None:
    painter.save()
    painter.setClipRect(QRectF(rect.left() - 1, top, rect.width() + 2, rect.bottom() - top + 1))
    painter.setPen(pen(f"{state}Edge"))
    painter.setBrush(colour(f"{state}Fill"))
    painter.drawRoundedRect(rect, 5, 5)
    painter.restore()


def _paint_words(painter: QPainter, title: str, count: str, rect: QRectF) -> None:
    name_font, number_font = font("strong"), font("tick")
    wide = QFontMetricsF(name_font).horizontalAdvance(title)
    if wide > max(rect.width() - 4, rect.height() - 6) and " " in title:  # "Block 10" -> "10", so that blocks can be told apart
        title = title.rpartition(" ")[2]
        wide = QFontMetricsF(name_font).horizontalAdvance(title)
    if wide > rect.width() - 4:  # upright
        painter.save()
        painter.setFont(name_font)
        painter.translate(rect.center())
        painter.rotate(-90)
        line = QRectF(-rect.height() / 2 + 3, -px(9), rect.height() - 6, px(18))
        painter.drawText(
            line, Qt.AlignmentFlag.AlignCenter, QFontMetricsF(name_font).elidedText(title, Qt.TextElideMode.ElideRight, line.width())
        )
        painter.restore()
        return
    has_count = QFontMetricsF(number_font).horizontalAdvance(count) <= rect.width() - 4
    middle = rect.center().y()
    painter.setFont(name_font)
    top = middle - px(17) if has_count else middle - px(9)
    painter.drawText(QRectF(rect.left(), top, rect.width(), px(18)), Qt.AlignmentFlag.AlignCenter, title)
    if has_count:
        painter.setFont(number_font)
        painter.drawText(QRectF(rect.left(), middle, rect.width(), px(17)), Qt.AlignmentFlag.AlignCenter, count)


def _paint_rail(painter: QPainter, p: StripPicture) -> None:
    y, line, network, blocks = px(RAIL_PX), p.line, p.geometry.network, p.geometry.blocks
    left, right, cut = blocks[0].left(), blocks[-1].right(), p.geometry.place_x(line)
    handle_half = px(9)
    total = max(1, network.num_parameters)
    trains = p.num_training
    frozen = total - trains
    _paint_rail_words(painter, left, right, frozen, trains, total)
    painter.setPen(pen("frozenEdge", 2))
    if cut - handle_half - 3 > left:
        painter.drawLine(QLineF(left, y, cut - handle_half - 3, y))
    painter.setPen(pen("trainsEdge", 2))
    painter.drawLine(QLineF(cut + handle_half + 3, y, right, y))
    for boundary in range(network.num_backbone_stages + 1):
        if (boundary, 0) != line:
            painter.setPen(pen("frozenEdge" if boundary < line[0] else "trainsEdge", 1.4))
            painter.setBrush(colour("surface"))
            painter.drawEllipse(QPointF(p.geometry.stop_x(boundary), y), 3, 3)
    painter.setPen(pen("text", 2))
    painter.drawLine(QLineF(cut, y, cut, p.geometry.bottom))
    grip = QRectF(cut - handle_half, y - px(13), handle_half * 2, px(26))
    if p.has_focus:
        painter.setPen(pen("focus", 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(grip.adjusted(-3, -3, 3, 3), 7, 7)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("text"))
    painter.drawRoundedRect(grip, 5, 5)
    painter.setPen(pen("surface", 1.6))
    for x in (cut - 2.5, cut + 2.5):
        painter.drawLine(QLineF(x, y - px(6), x, y + px(6)))


def _paint_rail_words(painter: QPainter, left: float, right: float, frozen: int, trains: int, total: int) -> None:
    metrics = QFontMetricsF(font("strong"))
    side = px(14)
    painter.setFont(font("strong"))
    words = f"Trains {parameters(trains)} · {percent(trains / total)}"
    wide = metrics.horizontalAdvance(words)
    painter.setPen(colour("trains"))
    painter.drawText(QRectF(right - wide - 1, px(4), wide + 2, px(18)), Qt.AlignmentFlag.AlignVCenter, words)
    paint_icon(painter, QRect(round(right - wide - side - px(6)), px(6), side, side), "flame", "trains")
    if frozen:
        words = f"Frozen {parameters(frozen)} · {percent(frozen / total)}"
        paint_icon(painter, QRect(round(left), px(6), side, side), "snowflake", "frozen")
        painter.setPen(colour("frozen"))
        painter.drawText(
            QRectF(left + side + px(5), px(4), metrics.horizontalAdvance(words) + 2, px(18)), Qt.AlignmentFlag.AlignVCenter, words
        )
