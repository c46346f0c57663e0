"""The Issues panel: what harms a result, most harmful first, each with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.core.problem import Problem, Repair, Severity
from studio.core.words import counted
from studio.gui.theme import colour, font, px
from studio.gui.widgets import EmptyState, IconLabel, Panel, PlainLabel, Tag, button, line, scrolling
from studio.gui.widgets.thumb import ThumbLoader, paint_cover
from studio.gui.widgets.thumb_grid import paint_badge
from studio.gui.wording import duration, in_window

_TONE = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "text2"}
_ICONS = {
    "unreadable": "warning-octagon", "conflicting_labels": "swap", "near_conflicting_labels": "swap", "duplicates_across": "copy",
    "near_duplicates_across": "copy", "duplicates": "copy", "groups_across": "copy", "near_duplicates": "copy", "imbalance": "scales",
    "few_validation_images": "scales", "turned": "arrows-clockwise", "tiny": "magnifying-glass", "extreme_aspect": "crop",
}  # fmt: skip
_ANSWERS = {  # to questions of the scan, by setting: what stands on the button, and the value
    "data.empty_classes": (("Keep", "keep"), ("Leave out", "leave out")),
    "data.outside_links": (("Use", "use"), ("Leave out", "leave out")),
    "data.layout": (("One class", "class folders"), ("Own classes", "inner folders")),
}
_LEAVES_OUT = ("duplicates", "blank", "tiny", "extreme_aspect")  # kinds where leaving out is a sensible answer
# The scan says these at once, the checks say them again with more: shown once.
_SAID_BY_CHECKS = ("set aside", "validation images:", "Classes are 1 :")
_MOST_PAIRS = 3
_LONG_WORD, _ANY_12 = re.compile(r"\S{25,}"), re.compile(r".{12}")


@dataclass(frozen=True)
class Finding:
    """One card. Made from a Problem of the scan or an Issue of the checks."""

    kind: str
    severity: Severity
    title: str
    detail: str
    ids: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    field: str = ""  # the setting that answers it,
    answers: tuple[tuple[str, str], ...] = ()  # and button and value of each answer
    repair: Repair | None = None  # a way out at one click

    @property
    def copies(self) -> tuple[str, ...]:
        """What “Leave out” would leave out: of equal files all but one, otherwise all of them."""
        if self.kind == "duplicates":
            return tuple(dict.fromkeys(second for _, second in self.pairs))
        return self.ids


def findings(problems: Sequence[Problem], issues: Sequence, is_set: Callable[[Repair], bool] = lambda repair: False) -> list[Finding]:
    """Problems of the scan and issues of the checks as one list, most harmful first. `is_set`: whether a repair has been made already."""
    found = []
    for problem in problems:
        is_repeated = issues and problem.severity is not Severity.ERROR and any(w in problem.sentence for w in _SAID_BY_CHECKS)
        if not is_repeated:
            title, detail = split_sentence(in_window(problem.sentence))
            answers = _ANSWERS.get(problem.field, ()) if problem.severity is Severity.WARNING else ()
            if answers:
                detail = detail.partition("Say whether")[0].rstrip()  # the buttons say it here
            found.append(
                Finding(
                    "question" if answers else "problem", problem.severity, title, detail, field=problem.field, answers=answers,
                    repair=problem.repair,
                )
            )  # fmt: skip
    found += [Finding(i.kind, i.severity, i.title, i.detail, i.ids, i.pairs, tuple(i.moves.items()), repair=i.repair) for i in issues]
    found = [_mended(f) if f.repair is not None and is_set(f.repair) else f for f in found]
    order = list(_TONE)
    return sorted(found, key=lambda f: order.index(f.severity))


def _mended(finding: Finding) -> Finding:
    """As it stands once its repair is in force: what was found is still so, and harms less."""
    return replace(finding, severity=Severity.NOTE, detail=f"{finding.detail} Chosen: {finding.repair.label.lower()}.", repair=None)


def split_sentence(text: str) -> tuple[str, str]:
    """The first sentence without its full stop, and the rest."""
    first, dot, rest = text.partition(". ")
    return (first, rest) if dot else (text.rstrip("."), "")


def breakable(text: str) -> str:
    """`text` with places to break inside long words, such as file names, so that they wrap instead of widening the panel."""
    return _LONG_WORD.sub(lambda m: _ANY_12.sub("\\g<0>\N{ZERO WIDTH SPACE}", m[0]), text)


class IssuesPanel(Panel):
    """Cards of findings. What the buttons mean is the page's to carry out."""

    show_wanted = Signal(object, str)  # ids, what they are
    move_wanted = Signal(object)  # {id: part}
    leave_out_wanted = Signal(object)  # ids
    answered = Signal(str, object)  # setting, value
    repair_wanted = Signal(object)  # Repair

    def __init__(self, loader: ThumbLoader, parent: QWidget | None = None):
        super().__init__("Issues", name="data.issues", margins=False, parent=parent)
        self._loader = loader
        self._dataset = None
        self._shown: list[Finding] | None = None
        self.count_tag = Tag("", "warn")
        self.head.insertWidget(1, self.count_tag)
        self.count_tag.hide()
        self._list = QWidget()
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addStretch(1)
        self._scroll = scrolling(self._list, name="data.issues.list")
        self.body.addWidget(self._scroll, 1)
        self.empty = EmptyState("check-circle", "No issues found", name="data.issues.empty")
        self.body.addWidget(self.empty, 1)
        self._footer = QHBoxLayout()
        self._footer.setContentsMargins(px(12), 0, px(12), px(8))
        self._footer.setSpacing(px(6))
        self._footer_label = PlainLabel("", "caption", elide=Qt.TextElideMode.ElideRight)
        self._footer.addWidget(self._footer_label, 1)
        self.body.addLayout(self._footer)
        self.body.setSpacing(0)

    @property
    def cards(self) -> list[IssueCard]:
        return [w for w in (self._column.itemAt(i).widget() for i in range(self._column.count())) if isinstance(w, IssueCard)]

    def show_state(self, dataset, found: list[Finding], *, is_checking: bool, is_checked: bool, words: str, seconds: float) -> None:
        """`words`: what is going on while `is_checking`; `is_checked`: all checks have ended."""
        if found != self._shown or dataset is not self._dataset:
            self._shown, self._dataset = found, dataset
            self._fill(found, dataset)
        harmful = sum(f.severity is not Severity.NOTE for f in found)
        self.count_tag.setText(str(harmful))
        self.count_tag.setVisible(harmful > 0)
        self.count_tag.set_kind("bad" if any(f.severity is Severity.ERROR for f in found) else "warn")
        self._scroll.setVisible(bool(found))
        self.empty.setVisible(not found)
        many = counted(len(dataset.samples), "image")
        if is_checked:
            self.empty.set_texts(f"No issues found in {many}", "Every file was read; none is damaged, doubled or out of line.")
        elif is_checking:
            self.empty.set_texts("Nothing wrong so far", words)
        else:
            self.empty.set_texts("Not checked to the end", "Reading was stopped. Rescan to check the rest.")
        self.set_subtitle(f"checked in {duration(seconds)}" if is_checked and seconds else "checking…" if is_checking else "")
        is_useful = bool(found) and is_checking
        self._footer_label.setText(words if is_useful else "")
        self._footer_label.setVisible(is_useful)

    def _fill(self, found: list[Finding], dataset) -> None:
        pictured = {id_ for finding in found for pair in finding.pairs[:_MOST_PAIRS] for id_ in pair}
        part_of = {s.id: s.split for s in dataset.samples if s.id in pictured} if pictured else {}
        while self._column.count() > 1:
            widget = self._column.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        for number, finding in enumerate(found):
            if number:
                self._column.insertWidget(self._column.count() - 1, line())
            card = IssueCard(finding, self._loader, dataset.path_of, part_of)
            card.show_wanted.connect(self.show_wanted)
            card.move_wanted.connect(self.move_wanted)
            card.leave_out_wanted.connect(self.leave_out_wanted)
            card.answered.connect(self.answered)
            card.repair_wanted.connect(self.repair_wanted)
            self._column.insertWidget(self._column.count() - 1, card)


class IssueCard(QFrame):
    """One finding: icon, title, detail, pictures of pairs, and at most two actions."""

    show_wanted = Signal(object, str)
    move_wanted = Signal(object)
    leave_out_wanted = Signal(object)
    answered = Signal(str, object)
    repair_wanted = Signal(object)

    def __init__(self, finding: Finding, loader: ThumbLoader, path_of, part_of: dict[str, str], parent: QWidget | None = None):
        super().__init__(parent)
        self.finding = finding
        self.setObjectName(f"data.issue.{finding.kind}")
        self.setAccessibleName(f"{finding.severity}: {finding.title}. {finding.detail}")
        row = QHBoxLayout(self)
        row.setContentsMargins(px(12), px(8), px(12), px(8))
        row.setSpacing(px(10))
        default = "warning" if finding.severity is Severity.WARNING else "info" if finding.severity is Severity.NOTE else "warning-octagon"
        symbol = IconLabel(_ICONS.get(finding.kind, default), _TONE[finding.severity], 16)
        row.addWidget(symbol, 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(px(2))
        for text, style in ((finding.title, "strong"), (finding.detail, "label")):
            if text:
                label = PlainLabel(breakable(text), style, wrap=True)
                label.setMinimumWidth(px(80))
                words.addWidget(label)
        if finding.pairs and path_of is not None:
            words.addSpacing(px(4))
            words.addWidget(PairStrip(finding.pairs, loader, path_of, part_of))
        words.addStretch(1)
        row.addLayout(words, 1)
        self.actions = QVBoxLayout()
        self.actions.setSpacing(px(6))
        self._add_actions()
        self.actions.addStretch(1)
        row.addLayout(self.actions)

    def _add_actions(self) -> None:
        finding, name = self.finding, self.objectName()
        for words, value in finding.answers:
            answer = button(
                words, small=True, name=f"{finding.field}.{value.replace(' ', '_')}",
                on_click=lambda value=value: self.answered.emit(finding.field, value),
            )  # fmt: skip
            self.actions.addWidget(answer, 0, Qt.AlignmentFlag.AlignRight)
        if (repair := finding.repair) is not None:
            mend = button(repair.label, small=True, name=f"{name}.repair", on_click=lambda: self.repair_wanted.emit(repair))
            self.actions.addWidget(mend, 0, Qt.AlignmentFlag.AlignRight)
        moves = dict(finding.moves)
        if moves:
            target = "train" if "train" in moves.values() else "validation"
            move = button(
                f"Move to {target}", kind="primary", small=True, name=f"{name}.move", on_click=lambda: self.move_wanted.emit(moves)
            )
            self.actions.addWidget(move, 0, Qt.AlignmentFlag.AlignRight)
        if finding.ids:
            show = button("Show", small=True, name=f"{name}.show", on_click=lambda: self.show_wanted.emit(finding.ids, finding.title))
            self.actions.addWidget(show, 0, Qt.AlignmentFlag.AlignRight)
        if finding.kind in _LEAVES_OUT and finding.copies:
            words = "Leave copies out" if finding.kind == "duplicates" else "Leave out"
            leave = button(words, small=True, name=f"{name}.leave_out", on_click=lambda: self.leave_out_wanted.emit(finding.copies))
            self.actions.addWidget(leave, 0, Qt.AlignmentFlag.AlignRight)


class PairStrip(QWidget):
    """The first few pairs side by side, each picture with the letter of its part."""

    def __init__(self, pairs, loader: ThumbLoader, path_of, part_of: dict[str, str], parent: QWidget | None = None):
        super().__init__(parent)
        self._pairs, self._loader = pairs, loader
        self._path_of, self._part_of = path_of, part_of
        self.setFixedHeight(px(42))
        self.setMinimumWidth(px(90))
        self.setAccessibleName(f"{len(pairs)} pairs of images")
        loader.loaded.connect(self._on_loader_loaded)
        self._paths: set[str] = set()

    def sizeHint(self) -> QSize:
        return QSize(px(200), px(42))

    def _on_loader_loaded(self, path: str) -> None:
        if path in self._paths:
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        side = self.height()
        step = 2 * side + px(4) + px(12)
        fit = max(1, min(_MOST_PAIRS, (self.width() - px(34)) // step))
        x = 0.0
        for pair in self._pairs[:fit]:
            for id_ in pair:
                path = self._path_of(id_)
                self._paths.add(path)
                tile = QRectF(x, 0, side, side)
                paint_cover(painter, tile, self._loader.pixmap(path, 96))
                if letter := self._part_of.get(id_, "")[:1].upper():
                    paint_badge(painter, tile, letter)
                x += side + px(4)
            x += px(8)
        left = len(self._pairs) - fit
        if left > 0 and x + px(30) <= self.width():
            painter.setFont(font("label"))
            painter.setPen(colour("muted"))
            painter.drawText(QRectF(x, 0, px(60), side), int(Qt.AlignmentFlag.AlignVCenter), f"+{left:,}")
        painter.end()
