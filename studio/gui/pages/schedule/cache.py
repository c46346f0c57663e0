"""Which features of the frozen layers a run would keep, how large they are, and what is exact about it."""

from __future__ import annotations

import math

from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.catalog.augments import views_gain
from studio.catalog.schedules import thaw_epochs
from studio.core.experiment import Experiment
from studio.core.words import counted
from studio.dataset.dataset import Dataset
from studio.dataset.disk_use import feature_parts
from studio.gui.pages.schedule.row import LABEL_PX, narrow
from studio.gui.store import ExperimentStore
from studio.gui.theme import px
from studio.gui.widgets import PlainLabel
from studio.gui.widgets.form import FormRow
from studio.gui.wording import num_bytes


def cache_words(experiment: Experiment, described: dict | None, dataset: Dataset | None) -> str:
    """What the chosen cache means for this draft, in sentences; empty until network and images are known."""
    training = experiment.training
    if training.feature_cache == "off":
        return "Every epoch runs the whole network, for training and for validation."
    if described is None or dataset is None:
        return ""
    stages = described["stages"]
    starts = thaw_epochs(experiment.model, [stage["name"] for stage in stages])
    num_frozen = next((i for i, start in enumerate(starts) if start == 0), len(stages))
    if num_frozen == 0:
        return "The whole network trains, so there is nothing to keep. Freeze its first stages to gain time."
    last = stages[num_frozen - 1]
    row = described["num_features"] if num_frozen == len(stages) - 1 else math.prod(last["output_shape"] or [0])
    width = 2 if training.precision in ("bf16", "fp16") else 4
    share = prefix_share(stages, num_frozen)
    num_train, num_scored = len(dataset.part("train")), len(dataset.part("validation")) + len(dataset.part("test"))
    scored_bytes, train_bytes, views = feature_parts(experiment, row, share, num_train, num_scored, width)
    where = f"what “{last['name']}” gives"
    if train_bytes + scored_bytes > training.cache_gigabytes * 1e9:
        size = num_bytes(train_bytes + scored_bytes)
        return f"The features would take {size}, more than allowed, so training runs the whole network. Freeze more, or allow more."
    if not views and training.feature_cache == "auto":
        gain = views_gain(experiment, share)
        why = (
            "mixed batches have no features of their own"
            if experiment.augment.mixes
            else f"training on views would be {gain:.1f} times as fast, too little for an approximation"
        )
        return f"Auto chooses exact: {why}. Validation reads {where} ({num_bytes(scored_bytes)}); training runs the whole network."
    if not views:
        return (
            f"Validation reads {where} ({num_bytes(scored_bytes)}) after the first epoch. Training runs the whole network, since every epoch "
            "draws new augmentations; choose Views, or Augment: none, to train from features too."
        )
    size = num_bytes(train_bytes + scored_bytes)
    if views == 1:
        return (
            f"Training and validation read {where} ({size}): after the first epoch only what lies behind it runs. The results are the same."
        )
    auto = ""
    if training.feature_cache == "auto":
        auto = f"Auto chooses views: all epochs train about {views_gain(experiment, share):.0f} times as fast. "
    return (
        f"{auto}Training sees {counted(views, 'augmented view')} of every image in turn, an approximation of new ones in every epoch. "
        f"After {counted(views, 'epoch')} only what lies behind “{last['name']}” runs. The features take {size}; later runs find them again. Validation stays exact."
    )


def prefix_share(stages: list[dict], num_frozen: int) -> float:
    """Share of a forward pass that the first stages take, by their arithmetic; 0 where it is not known."""
    work = [stage.get("macs", 0) for stage in stages]
    return sum(work[:num_frozen]) / sum(work) if sum(work) else 0.0


class CacheForm(QWidget):
    """The settings of the feature cache with their meaning for the draft."""

    def __init__(self, store: ExperimentStore, parent: QWidget | None = None):
        super().__init__(parent)
        self._store = store
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(px(4))
        names = ("feature_cache", "cached_views", "cache_gigabytes")
        self.rows = {name: narrow(FormRow(store, f"training.{name}", label_width=LABEL_PX, max_segments=3)) for name in names}
        for row in self.rows.values():
            column.addWidget(row)
        self.words = PlainLabel("", "caption", "text2", wrap=True)
        column.addWidget(self.words)

    def refresh(self, described: dict | None) -> None:
        experiment = self._store.experiment
        mode = experiment.training.feature_cache
        self.rows["cached_views"].setVisible(mode in ("views", "auto"))
        self.rows["cache_gigabytes"].setVisible(mode != "off")
        words = cache_words(experiment, described, self._store.dataset)
        self.words.setText(words)
        self.words.setVisible(bool(words))
