"""The parts that pages are made of. Import from here: `from studio.gui.widgets import Panel, button`."""

from studio.gui.widgets.bubble import Bubble
from studio.gui.widgets.button import Chip, Segmented, Toggle, button, icon_button
from studio.gui.widgets.combo import ComboBox
from studio.gui.widgets.label import Metric, PlainLabel, Tag, plain_tooltip, restyle, set_plain_tooltip, takes_tag
from studio.gui.widgets.meter import EpochProgress, MeterBar, Sparkline
from studio.gui.widgets.number import NumberField, NumberLabel, parse_number
from studio.gui.widgets.panel import Panel, line, scrolling, splitter
from studio.gui.widgets.slider import RangeSlider, Slider, SliderField
from studio.gui.widgets.state import Banner, EmptyState, IconLabel, Spinner

__all__ = [
    "Banner", "Bubble", "Chip", "ComboBox", "EmptyState", "EpochProgress", "IconLabel", "MeterBar", "Metric", "NumberField", "NumberLabel",
    "Panel", "PlainLabel", "RangeSlider", "Segmented", "Slider", "SliderField", "Sparkline", "Spinner", "Tag", "Toggle", "button",
    "icon_button", "line", "parse_number", "plain_tooltip", "restyle", "scrolling", "set_plain_tooltip", "splitter",
    "takes_tag",
]  # fmt: skip
