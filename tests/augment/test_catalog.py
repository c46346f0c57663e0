"""The catalogue is the installed library's own, every form is exact, and whatever a form can express gives pictures or a sentence."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.catalog.augments import PRESETS, Pipeline
from studio.catalog.augments.catalog import COMPOSITIONS, GROUPS, Param, Transform, catalog, left_out
from studio.catalog.augments.check import augment_problems, pipeline_problems, value_problem
from studio.catalog.augments.drawn import drawn_values
from studio.core.experiment import Experiment, TransformSpec
from studio.core.experiment_file import experiment_from_toml, experiment_to_toml
from studio.core.problem import BadInput
from studio.core.resource import resource

ALL = tuple(catalog().values())
SIZES = ((1, 1), (17, 300), (224, 224))


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _step(transform: Transform, **params) -> TransformSpec:
    of = (TransformSpec(name="Blur"), TransformSpec(name="HorizontalFlip")) if transform.name in COMPOSITIONS else ()
    return TransformSpec(name=transform.name, p=1.0, params=params, of=of)


def test_the_file_is_what_the_installed_library_says():
    from studio.catalog.augments.schema import build_catalog

    stored = json.loads(resource("augments.json").read_bytes())
    assert json.loads(json.dumps(build_catalog())) == stored, "run python -m studio.catalog.augments.schema > resources/augments.json"


def test_nothing_of_the_library_is_missing_without_a_reason_in_the_docs():
    import albumentations as alb

    names = {n for n, c in vars(alb).items() if isinstance(c, type) and issubclass(c, (alb.ImageOnlyTransform, alb.DualTransform))}
    assert names - {"ImageOnlyTransform", "DualTransform"} == (catalog().keys() | left_out().keys()) & names
    page = (Path(__file__).parents[2] / "docs" / "augmentations.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))
    assert listed == left_out()


def test_every_form_has_words_and_a_group():
    for transform in ALL:
        assert transform.group in GROUPS and transform.title and transform.help
        for param in transform.params:
            assert param.title, (transform.name, param.name)


def test_what_a_step_does_and_what_it_drew_is_said_to_people_who_do_not_know_the_code():
    words = re.compile(r"\b(input|key ?points?|bounding|masks|uint8|float32|axis|augmentation)\b|_", re.I)
    assert [t.help for t in ALL if words.search(t.help)] == []
    drawn = {"crop_coords": (28, 9, 337, 356), "pad_params": None, "matrix": np.eye(3), "kernel": np.ones((5, 5)), "sat_shift": -0.5}
    told = [
        ["cut out", "309 × 347 px, 28 px from the left, 9 px from the top".replace(" px", "\xa0px")],
        ["kernel", "5 × 5 px"],
        ["saturation shift", "−0.5"],
        ["Covered patches: patches", "3"],
    ]
    assert drawn_values(drawn | {"CoarseDropout": {"holes": np.zeros((3, 4)), "seed": 7}}) == told
    sides = [["border above", "1"], ["border below", "2"], ["border left", "0"], ["border right", "4"]]
    assert (
        drawn_values({"crop_params": [], "pad_params": [1, 2, 0, 4]})
        == sides
        == drawn_values({"pad_params": dict(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), (1, 2, 0, 4)))})
    )


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.name)
def test_defaults_work_on_odd_sizes_and_can_be_said_by_the_form(transform):
    """A picture of 224 x 224 pixels at an input of 224, so that it is not shrunk before: those of odd sizes are enlarged or cropped to 48."""
    said = {p.name: p.default for p in transform.params if p.default is not None and p.kind != "input size"}
    assert not any(value_problem(p, said[p.name]) for p in transform.params if p.name in said)
    for size in SIZES:
        side = 224 if min(size) == 224 else 48
        pipeline, explicit = Pipeline((_step(transform),), side), Pipeline((_step(transform, **said),), side)
        picture = _picture(*size)
        before = picture.copy()
        made = pipeline(picture, 11)
        assert made.shape == (side, side, 3) and made.dtype == np.uint8
        assert not pipeline.tally.failures, pipeline.tally.failures
        np.testing.assert_array_equal(made, explicit(picture, 11), "defaults said are defaults left out")
        np.testing.assert_array_equal(picture, before, "the picture that is kept is never written into")


def _value(param: Param) -> st.SearchStrategy:
    low, high = param.slider
    number = st.integers(int(low), int(high)) if param.is_whole else st.floats(low, high, allow_subnormal=False)
    match param.kind:
        case "switch":
            return st.booleans()
        case "choice":
            return st.sampled_from([choice.value for choice in param.choices])
        case "colour":
            level = st.integers(0, 255)
            return st.sampled_from([c.value for c in param.choices] or [0]) | level | st.tuples(level, level, level)
        case "number":
            return number
        case "range":
            return st.tuples(number, number).map(lambda pair: tuple(sorted(pair)))
        case "box":
            return st.tuples(number, number, number, number)
        case "input size":
            return st.nothing()
    return st.tuples(number, number)


@st.composite
def _filled(draw) -> TransformSpec:
    transform = draw(st.sampled_from(ALL))
    values = {p.name: draw(_value(p)) for p in transform.params if p.kind != "input size" and draw(st.booleans())}
    return _step(transform, **values)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_filled(), st.integers(0, 2**32 - 1))
def test_anything_within_the_bounds_gives_a_picture_or_a_sentence(step, seed):
    experiment = Experiment().changed({"augment.preset": "custom", "augment.transforms": (step,)})
    again = experiment_from_toml(experiment_to_toml(experiment))
    assert again == experiment, "form, TOML, form"
    if problems := pipeline_problems(again.augment.transforms):
        assert all(p.sentence.endswith(".") for p in problems)
        return
    try:
        pipeline = Pipeline(again.augment.transforms, 24)
    except BadInput as exc:
        assert step.name in str(exc) and "pydantic" not in str(exc) and "\n" not in str(exc)
        return
    picture = _picture(40, 33)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of degenerate values
        made, applied = pipeline.traced(picture, seed)
        assert made.shape == (24, 24, 3) and made.dtype == np.uint8
        np.testing.assert_array_equal(made, pipeline(picture, seed))
    assert all(reason for _, reason in pipeline.tally.failures) and len(applied) == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"name": "HorizontalFlop"}, "Did you mean HorizontalFlip"),
        ({"name": "Mosaic"}, "not offered: needs other images"),
        ({"name": "Lambda"}, "never holds"),
        ({"name": "Blur", "params": {"blur_limitt": (3, 7)}}, "Did you mean blur_limit"),
        ({"name": "Blur", "params": {"blur_limit": (9, 3)}}, "Exchange the two"),
        ({"name": "Blur", "params": {"blur_limit": (1, 3)}}, "at least 3"),
        ({"name": "Blur", "params": {"blur_limit": (3.5, 7)}}, "no whole number"),
        ({"name": "Blur", "params": {"blur_limit": 3}}, "2 numbers"),
        ({"name": "Blur", "params": {"blur_limit": ("3", 7)}}, "no number"),
        ({"name": "GaussNoise", "params": {"per_channel": 1}}, "neither on nor off"),
        ({"name": "GaussNoise", "params": {"noise_scale_factor": 0}}, "more than 0"),
        ({"name": "Affine", "params": {"interpolation": 9}}, "not one of"),
        ({"name": "Affine", "params": {"fill": (1, 2)}}, "no colour"),
        ({"name": "RandomShadow", "params": {"shadow_roi": (0.5, 0.0, 0.1, 1.0)}}, "left must be below right"),
        ({"name": "OneOf"}, "no step that is on"),
        ({"name": "OneOf", "of": [{"name": "Blur", "p": 0.0}]}, "probability 0"),
        ({"name": "OneOf", "of": [{"name": "AugMix"}]}, "cannot stand inside"),
        ({"name": "Blur", "of": [{"name": "Blur"}]}, "takes no steps"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence_with_its_place(step, words):
    experiment = Experiment().changed({"augment.preset": "custom", "augment.transforms": ({"name": "Blur"}, step)})
    (problem, *_) = augment_problems(experiment)
    assert words in problem.sentence and problem.field.startswith("augment.transforms.1.")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.key)
def test_presets_pass_the_same_checks(preset):
    assert not pipeline_problems(preset.build(True)) and not pipeline_problems(preset.build(False))
    assert all(step.name != "HorizontalFlip" for step in preset.build(False))


def test_a_change_of_one_step_leaves_the_draws_of_the_others():
    picture = _picture(60, 80)
    steps = (TransformSpec(name="Rotate", p=0.7), TransformSpec(name="ColorJitter", p=0.8), TransformSpec(name="Rotate", p=0.5))
    wider = (TransformSpec(name="GaussNoise", p=0.9), steps[0].model_copy(update={"is_on": False}), *steps[1:])
    before, after = Pipeline(steps, 32), Pipeline(wider, 32)
    num_compared = 0
    for seed in range(30):
        drawn = {(a.name, a.step): a.params for a in before.traced(picture, seed)[1]}
        again = {(a.name, a.step - 1): a.params for a in after.traced(picture, seed)[1] if a.name != "GaussNoise"}
        assert again.keys() == drawn.keys() - {("Rotate", 0)}
        for key in again:
            num_compared += 1
            if key[0] == "ColorJitter":
                assert again[key] == drawn[key]
    assert num_compared > 20


def test_a_step_that_fails_is_counted_and_the_picture_goes_on_without_it():
    steps = (
        TransformSpec(name="HorizontalFlip", p=1.0),
        TransformSpec(name="RandomCrop", p=1.0, params={"height": 500, "width": 500, "pad_if_needed": False}),
    )
    pipeline = Pipeline(steps, 32)
    picture = _picture(40, 40)
    made, applied = pipeline.traced(picture, 1)
    np.testing.assert_array_equal(made, Pipeline(steps[:1], 32)(picture, 1))
    assert applied[1].failure and "500" in applied[1].failure
    assert pipeline.take_tally().failures == {("RandomCrop", applied[1].failure): 1} and not pipeline.tally.failures
