"""Keys of single parts of the pages while they have the focus, for the keyboard map. What a page takes anywhere stands in its `shortcuts`."""

from __future__ import annotations

Pairs = tuple[tuple[str, str], ...]  # keys and what they do

PART_KEYS: dict[str, tuple[tuple[str, Pairs], ...]] = {
    "data": (
        ("images", (("Space", "Large preview"), ("1 to 9", "Give the class of that number"), ("Del", "Leave out, or take back"))),
        ("classes", (("Del", "Leave out the chosen classes"), ("Esc", "Choose none"))),
        ("split", (("← →", "Move a handle by 1 %, with Shift by 5 %"), ("↑ ↓", "The other handle"))),
    ),
    "model": (
        ("backbones", (("Enter", "Choose"), ("*", "Star"))),
        ("network", (
            ("← →", "Move the freeze line, with Alt by a block"), ("Home End", "Train all, or freeze all"), ("↑ ↓", "Choose a stage"),
            ("F", "Freeze or train it"), ("Enter", "Look inside"), ("Esc", "Out again"),
        )),
        ("layers", (("F", "Freeze or train"), ("Enter", "Open or fold"), ("L", "Learning rate"), ("T", "Epoch of the thaw"), ("B", "Batch norm"))),
        ("head", (("← →", "Next layer"), ("Alt ← →", "Move the layer"), ("Del", "Remove it"))),
    ),
    "augment": (
        ("pipeline", (
            ("Alt ↑ ↓", "Move the step"), ("← →", "Probability by 5 %, with Shift by 20 %"), ("T", "Step on or off"), ("S", "Show it alone"),
            ("Ctrl D", "Duplicate it"), ("Del", "Remove it"), ("Enter", "Go to its settings"),
        )),
        ("preview", (("Enter", "Large view, with what was drawn"),)),
        ("gallery", (("Enter", "Add behind the chosen step"), ("F", "Star"))),
    ),
    "schedule": (
        ("curve", (
            ("Tab", "Next handle"), ("← → ↑ ↓", "Move it; Shift × 10, Alt ÷ 10"), ("Ctrl ← →", "Move it to the next epoch"),
            ("Home End", "First or last handle"), ("Ins", "Add one behind it"), ("Del", "Remove it"),
        )),
        ("thaw", (("← →", "An epoch earlier or later, with Shift ten"), ("Home End", "From the start, or never"), ("↑ ↓", "Another stage"))),
    ),
    "train": (("gradient flow", (("← → ↑ ↓", "Read a value"),)),),
    "results": (
        ("runs", (("Enter", "Show it on the Train page"), ("Space", "In or out of Compare"), ("Del", "Delete it"))),
        ("confusion", (("Enter", "Show these mistakes"), ("Esc", "Show all mistakes"))),
        ("mistakes", (("Del", "Leave the image out"),)),
    ),
    "use": (("predictions", (("Enter", "Show the picture above"),)),),
}  # fmt: skip

ANYWHERE: tuple[tuple[str, Pairs], ...] = (
    ("Numbers", (("↑ ↓", "Step"), ("Shift", "× 10"), ("Alt", "÷ 10"))),
    ("Plots", (
        ("← →", "Move the cross-hair"), ("+ −", "Zoom"), ("Page Up Down", "Pan"), ("0", "Show all"), ("L", "Logarithmic or linear"),
        ("Menu", "Copy, save, read values"),
    )),
    ("Queue", (("Alt ↑ ↓", "Another order"), ("Del", "Remove"))),
)  # fmt: skip
