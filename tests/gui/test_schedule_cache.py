"""The words about the feature cache say what a run of the draft really keeps."""

from studio.core.experiment import Experiment
from studio.gui.pages.schedule.cache import CacheForm, cache_words
from studio.gui.store import ExperimentStore

DESCRIBED = {
    "num_features": 1280,
    "stages": [
        {"name": "stem", "output_shape": [32, 112, 112]},
        {"name": "stage 1", "output_shape": [40, 28, 28]},
        {"name": "head", "output_shape": [3]},
    ],
}


class Images:
    def part(self, name):
        return range({"train": 1000, "validation": 200, "test": 0}[name])


def words(**values):
    return cache_words(Experiment().changed({path.replace("__", "."): value for path, value in values.items()}), DESCRIBED, Images())


def test_validation_alone_is_kept_where_training_is_augmented():
    told = words(model__train_stages=0)
    assert told.startswith("Validation reads what “stage 1” gives (1.0\u00a0MB)") and "choose Views" in told
    assert "“stem” gives (321\u00a0MB)" in words(model__train_stages=1)  # 200 pictures of 32 × 112 × 112 floats


def test_training_reads_features_without_augmentation_or_on_views():
    assert "The results are the same" in words(model__train_stages=0, augment__preset="none")
    told = words(model__train_stages=0, training__feature_cache="views", training__cached_views=4)
    assert "4 augmented views" in told and "21.5\u00a0MB" in told  # 4,200 rows of 1,280 floats


def test_auto_says_what_it_chooses_and_why():
    auto = {"training__feature_cache": "auto", "model__train_stages": 0, "schedule__epochs": 30}
    for stage, work in zip(DESCRIBED["stages"], (10_000, 90_000, 10), strict=True):
        stage["macs"] = work
    told = words(**auto)
    assert told.startswith("Auto chooses views: all epochs train about 7 times as fast") and "later runs find them again" in told
    assert "Auto chooses exact: training on views would be 1.0 times as fast" in words(**auto | {"model__train_stages": 1})


def test_nothing_to_keep_too_much_to_keep_and_off_are_said():
    assert "nothing to keep" in words(model__train_stages=-1)
    assert "more than allowed" in words(model__train_stages=1, augment__preset="none", training__cache_gigabytes=0.1)
    assert "whole network" in words(training__feature_cache="off")
    assert cache_words(Experiment(), None, Images()) == ""


def test_the_form_shows_only_what_counts(qtbot, theme):
    store = ExperimentStore()
    form = CacheForm(store)
    qtbot.addWidget(form)
    for mode, shown in (
        ("off", set()),
        ("exact", {"cache_gigabytes"}),
        ("views", {"cached_views", "cache_gigabytes"}),
        ("auto", {"cached_views", "cache_gigabytes"}),
    ):
        store.set({"training.feature_cache": mode})
        form.refresh(DESCRIBED)
        assert {name for name, row in form.rows.items() if not row.isHidden()} == shown | {"feature_cache"}
