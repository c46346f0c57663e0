"""The parts that pages are made of."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from studio.core.words import format_number
from studio.gui.store import ExperimentStore
from studio.gui.theme import STYLES, colour, theme
from studio.gui.widgets import ComboBox, NumberField, PlainLabel, Segmented, Slider, button, parse_number, plain_tooltip
from studio.gui.widgets.form import FieldEditor, FormRow


@pytest.fixture
def store(theme) -> ExperimentStore:
    return ExperimentStore()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("3/4", 0.75), ("50 %", 0.5), ("1,000", 1000), ("−2", -2), (".5", 0.5), ("1/3 %", 1 / 300)],
)
def test_numbers_are_read_as_people_write_them(text, value):
    assert parse_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "abc", "1e999", "nan", "inf", "1/0", "__import__('os')", "1 2", "0x10"])
def test_what_is_not_a_number_is_refused(text):
    with pytest.raises(ValueError):
        parse_number(text)


@pytest.mark.parametrize("value", [0.0, 1e-8, 2e-3, 0.02, 0.15, 1, 1e-4, 12345, -1, 0.999, 6.02e23, 3.14159])
def test_shown_numbers_read_back_to_themselves(value):
    assert parse_number(format_number(value)) == pytest.approx(value, rel=1e-3)


def test_a_number_field_keeps_to_its_bounds_and_says_why(qtbot, theme):
    field = NumberField(8, low=1, high=100, integer=True)
    qtbot.addWidget(field)
    field.show()
    taken = []
    field.value_changed.connect(taken.append)
    field.selectAll()
    qtbot.keyClicks(field, "500")
    assert field.property("invalid") == "true"
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert (field.value, field.text(), taken) == (8, "8", [])
    field.selectAll()
    qtbot.keyClicks(field, "50 %")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert taken == []  # half an epoch is not a whole number
    field.selectAll()
    qtbot.keyClicks(field, "12")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert taken == [12]


def test_arrow_keys_step_and_shift_steps_ten(qtbot, theme):
    field = NumberField(8, low=1, high=100, integer=True)
    qtbot.addWidget(field)
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert field.value == 9
    qtbot.keyClick(field, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert field.value == 1
    rate = NumberField(1e-3, low=1e-8, high=10, log=True)
    qtbot.addWidget(rate)
    qtbot.keyClick(rate, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    assert rate.value == pytest.approx(1e-2)


def test_an_open_bound_is_never_reached_by_stepping(qtbot, theme):
    field = NumberField(0.95, low=0, high=1, high_open=True, step=0.1)
    qtbot.addWidget(field)
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert field.value == 0.95


def test_the_wheel_changes_neither_combo_nor_slider_nor_number(qtbot, store):
    combo = ComboBox([(1, "a"), (2, "b")], 2)
    slider = Slider(0, 1, 0.5)
    editor = FieldEditor(store, "schedule.epochs")
    for widget, value in ((combo, lambda: combo.value), (slider, lambda: slider.value()), (editor, lambda: store.experiment)):
        qtbot.addWidget(widget)
        widget.show()
        before = value()
        target = widget.control if widget is editor else widget
        where = QPointF(target.rect().center())
        event = QWheelEvent(
            where, target.mapToGlobal(where), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(target, event)
        assert value() == before


def test_a_logarithmic_slider_spans_its_range_and_reaches_zero_at_its_left_end(qtbot, theme):
    slider = Slider(0.0, 1.0, 0.02, log=True)
    qtbot.addWidget(slider)
    assert slider.number == pytest.approx(0.02, rel=0.01)
    slider.setValue(0)
    assert slider.number == 0
    slider.setValue(slider.maximum())
    assert slider.number == 1


def test_every_setting_gets_an_editor_that_shows_and_sets_it(qtbot, store):
    from studio.core.experiment import SECTIONS

    for section in SECTIONS:
        for name, value in getattr(store.experiment, section):
            if isinstance(value, (str, int, float)):
                editor = FieldEditor(store, f"{section}.{name}")
                qtbot.addWidget(editor)
                assert editor.control.accessibleName() or editor.number_field.accessibleName()


def test_an_editor_follows_undo_and_other_editors(qtbot, store):
    first, second = FormRow(store, "optimiser.weight_decay"), FormRow(store, "optimiser.weight_decay")
    for row in (first, second):
        qtbot.addWidget(row)
    first.editor.control.slider.setValue(first.editor.control.slider.maximum())
    assert second.editor.control.value == 1.0
    store.undo()
    assert first.editor.control.value == second.editor.control.value == 0.02


@pytest.mark.parametrize("is_last", [False, True])
def test_an_icon_keeps_its_distance_from_words_that_come_later_and_stands_in_the_middle_without_them(qtbot, theme, is_last):
    made = button("", "push-pin", icon_last=is_last)
    qtbot.addWidget(made)
    side = made.iconSize().height()
    assert made.iconSize().width() == side
    for words, is_wider in (("Unpin", True), ("Pin", True), ("", False)):
        made.setText(words)
        assert (made.iconSize().width() > side) == is_wider
    made.setText("Pin")
    pixels = made.icon().pixmap(made.iconSize()).toImage()
    inked = [x for x in range(pixels.width()) if any(pixels.pixelColor(x, y).alpha() for y in range(pixels.height()))]
    gaps = (inked[0], pixels.width() - 1 - inked[-1])
    assert (gaps[0] > gaps[1]) == is_last, "the gap is on the side of the words"


def test_segments_move_with_the_arrow_keys(qtbot, theme):
    choice = Segmented([("a", "A"), ("b", "B"), ("c", "C")])
    qtbot.addWidget(choice)
    chosen = []
    choice.value_changed.connect(chosen.append)
    qtbot.keyClick(choice.findChildren(type(choice._group.button(0)))[0], Qt.Key.Key_Right)
    assert (chosen, choice.value) == (["b"], "b")


def test_segments_that_fill_a_width_stand_closer_before_a_word_is_cut(qtbot, theme):
    choice = Segmented([("a", "Backbone"), ("b", "Folder"), ("c", "Custom")]).stretch()
    qtbot.addWidget(choice)
    choice.show()
    for width in (400, 190, 400):
        choice.setFixedWidth(width)
        parts = choice._group.buttons()
        qtbot.waitUntil(lambda parts=parts, dense=width < 250: all(bool(part.property("dense")) == dense for part in parts))
        qtbot.waitUntil(lambda parts=parts: all(part.width() >= part.sizeHint().width() for part in parts))


def test_a_segment_can_be_allowed_again_inside_something_that_is_off(qtbot, theme):
    from PySide6.QtWidgets import QWidget

    choice, around = Segmented([("a", "A"), ("b", "B")]), QWidget()
    qtbot.addWidget(around)
    choice.setParent(around)
    around.setEnabled(False)
    choice.set_option_enabled("b", False, "Open images first.")
    part = choice._group.button(1)
    assert "Open images first." in part.toolTip()
    choice.set_option_enabled("b", True)
    around.setEnabled(True)
    assert part.isEnabled() and part.toolTip() == ""


def test_labels_and_tooltips_never_read_markup(qtbot, theme):
    label = PlainLabel("<img src=file:///etc/passwd>")
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert "<img" not in plain_tooltip("<img src=x>")


def test_where_a_label_is_narrow_whole_parts_of_it_stay_and_the_rest_is_in_its_tooltip(qtbot):
    label = PlainLabel("Run 4 · resnet50 · 3 stages and head", "label", elide=Qt.TextElideMode.ElideRight)
    qtbot.addWidget(label)
    width = label.fontMetrics().horizontalAdvance
    label.resize(width("Run 4 · resnet50 · 3"), 20)
    label.show()
    assert label.fitting(label.width()) == "Run 4 · resnet50" and "3 stages and head" in label.toolTip()
    assert label.fitting(width("Run 4 ·")) == "Run 4" and label.fitting(width("Run…")).endswith("…")
    assert PlainLabel("Search runs", elide=Qt.TextElideMode.ElideRight, short="Search").fitting(width("Search ru")) == "Search"


def test_both_themes_have_every_token_and_the_style_sheet_leaves_none_open(qapp, theme):
    names = {mode: set() for mode in ("dark", "light")}
    for mode in names:
        theme.set_choice(mode)
        names[mode] = set(theme.tokens)
        assert "@" not in qapp.styleSheet()
    assert names["dark"] == names["light"]


def test_no_text_is_smaller_than_8_points_at_any_scale(qapp, theme):
    for scale in (0.9, 1.0, 1.5):
        theme.set_scale(scale)
        assert min(theme.font(style).pointSizeF() for style in STYLES) >= 8.0
    theme.set_scale(1.0)


def test_no_colour_stands_outside_the_tokens():
    import re
    from pathlib import Path

    import studio.gui

    folder = Path(studio.gui.__file__).parent
    found = [
        f"{path.name}: {match[0]}"
        for path in folder.rglob("*.py")
        for match in re.finditer(
            r"[\"']#[0-9A-Fa-f]{6}\b|QColor\(\s*\d|Qt\.GlobalColor\.(?!transparent)\w+", path.read_text(encoding="utf-8")
        )
    ]
    assert found == []
    assert colour("series.3").isValid()
    assert theme() is not None


@pytest.mark.parametrize("width", (340, 520))
def test_a_banner_is_as_high_as_its_words_need_beside_its_buttons(qtbot, width):
    from PySide6.QtWidgets import QVBoxLayout, QWidget

    from studio.gui.widgets import Banner

    place = QWidget()
    qtbot.addWidget(place)
    column, banner = QVBoxLayout(place), Banner(name="place.banner")
    column.addWidget(banner)
    column.addStretch(1)
    place.resize(width, 400)
    place.show()
    banner.show_message("error", "photo.jpg cannot be read: No such file or directory.", "", (("Try again", int), ("Next photo", int)))
    words = banner.title_label
    qtbot.waitUntil(lambda: words.width() > 0 and words.height() >= words.heightForWidth(words.width()))
    assert banner.height() < 200
