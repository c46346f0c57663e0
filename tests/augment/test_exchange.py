"""Pipelines come in and go out: as albumentations' dictionary, as code that runs, as a preset of one's own."""

from __future__ import annotations

import json
import random
import runpy
import zlib

import numpy as np
import pytest

from studio.catalog.augments import PRESETS, Pipeline
from studio.catalog.augments.catalog import COMPOSITIONS, catalog
from studio.catalog.augments.code import pipeline_code
from studio.catalog.augments.dictionary import export_dictionary, export_text, import_dictionary
from studio.catalog.augments.own import delete_preset, own_presets, save_preset
from studio.core.experiment import Augment, TransformSpec
from studio.core.problem import BadInput

ONE_OF_EACH = tuple(TransformSpec(name=t.name, p=0.4) for t in catalog().values() if t.name not in COMPOSITIONS and t.group != "policies")
MADE_OF_ALBUMENTATIONS = [p for p in PRESETS if p.key not in ("trivial augment", "rand augment", "augmix")]


def _picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", [".json", ".yaml"])
def test_what_is_exported_comes_back_and_is_what_the_library_loads(ending):
    import albumentations as alb

    nested = TransformSpec(
        name="OneOf", p=0.3, of=(TransformSpec(name="Blur"), TransformSpec(name="SomeOf", of=(TransformSpec(name="D4"),)))
    )

    def crops(steps, **params):
        return tuple(s.model_copy(update={"params": s.params | params}) if s.name == "RandomResizedCrop" else s for s in steps)

    for steps in (
        *(crops(p.build(True), interpolation=0, area_for_downscale=None) for p in MADE_OF_ALBUMENTATIONS),
        (*ONE_OF_EACH, nested),
    ):
        wanted = tuple(s.model_copy(update={"params": {k: v for k, v in s.params.items() if v is not None}}) for s in steps)
        assert import_dictionary(export_text(steps, 64, ending), 64).steps == wanted
    loaded = alb.from_dict(export_dictionary(next(p.build(True) for p in PRESETS if p.key == "strong"), 48))
    assert loaded(image=_picture())["image"].shape == (48, 48, 3)


def test_an_exported_crop_shrinks_in_the_library_alone_as_in_studio():
    """Enlarging has another filter there: Studio's rule itself is in the exported code only."""
    import albumentations as alb
    import cv2

    photo = cv2.resize(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8), (200, 170), interpolation=cv2.INTER_CUBIC)
    steps = next(p.build(False) for p in PRESETS if p.key == "light")
    crop = next(s for s in steps if s.name == "RandomResizedCrop")
    step = crop.model_copy(update={"params": crop.params | {"scale": (0.6, 1.0)}})
    loaded = alb.from_dict(export_dictionary((step,), 96)).transforms[0]
    for seed in range(4):
        draws = random.Random(seed << 32 | zlib.crc32(b"RandomResizedCrop 0"))
        loaded.set_random_state(np.random.default_rng(seed), draws)
        np.testing.assert_array_equal(loaded(image=photo, force_apply=True)["image"], Pipeline((step,), 96)(photo, seed))


def test_every_transform_that_the_library_writes_is_read_with_its_meaning():
    """`to_dict` of the library names every parameter, in the library's own spelling."""
    import warnings

    import albumentations as alb

    from studio.catalog.augments.default import completed

    for step in ONE_OF_EACH:
        with warnings.catch_warnings(action="ignore"):
            made = getattr(alb, step.name)(**completed(step.name, {}, 64), p=0.4)
        text = json.dumps(alb.to_dict(alb.Compose([made])))
        if step.name == "ShiftScaleRotate":  # writes its default of one range as two others
            continue
        (found,) = import_dictionary(text, 64).steps
        assert found.name == step.name and found.p == 0.4
        np.testing.assert_array_equal(Pipeline((found,), 64)(_picture(), 5), Pipeline((step,), 64)(_picture(), 5), step.name)


def test_a_usual_pipeline_is_read_and_what_studio_does_itself_is_noted():
    text = """
transform:
  __class_fullname__: Compose
  transforms:
    - __class_fullname__: albumentations.augmentations.geometric.rotate.Rotate
      limit: [-1e-05, 30]
      p: 0.5
    - __class_fullname__: Normalize
"""
    found = import_dictionary(text)
    assert found.steps == (TransformSpec(name="Rotate", p=0.5, params={"limit": (-1e-05, 30)}),)
    assert len(found.notes) == 1 and "Normalize (line 8)" in found.notes[0]


def _file(*steps: str) -> str:
    return "transform:\n  __class_fullname__: Compose\n  transforms:\n" + "".join(f"    - {step}\n" for step in steps)


BOMB = "b0: &b0 [1]\n" + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]\n" for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_file("{__class_fullname__: Blur}", "{__class_fullname__: Blurr}"), "Line 5: There is no transform “Blurr”. Did you mean Blur"),
        (_file("{__class_fullname__: os.system}"), "Line 4: “os.system” is a path to code"),
        (_file("{__class_fullname__: Blur, command: rm}"), "Line 4: Blur has no parameter “command”"),
        (_file("!!python/object/apply:os.system [ls]"), "Line 4: “os.system” names Python code"),
        (_file("{__class_fullname__: Blur, blur_limit: [9, 3]}"), "Line 4: Blur, kernel: the low end 9 is above"),
        (_file("{__class_fullname__: Rotate, limit: 30}"), "write the range as two numbers"),
        (_file("{__class_fullname__: Blur, p: 7}"), "not between 0 and 1"),
        (_file("{__class_fullname__: Mosaic}"), "not offered"),
        (_file("{__class_fullname__: OneOf, transforms: []}"), "no step that is on"),
        (_file("7"), "was expected"),
        ("transform: {__class_fullname__: Compose, transforms: [], bbox_params: {format: coco}}", "only images"),
        ("transform: {__class_fullname__: Compose, transforms: [], code: 1}", "Compose has no “code”"),
        ("a: [", "neither JSON nor YAML"),
        ("[1, 2]", "no pipeline of albumentations"),
        ("", "no pipeline of albumentations"),
        (BOMB, "unfolds"),
        ("[" * 5000, "read"),
        ("x" * (1 << 20) + "y", "larger than 1 MB"),
    ],
    ids=range(18),
)
def test_what_is_no_known_pipeline_is_refused_with_its_line(text, words):
    with pytest.raises(BadInput) as caught:
        import_dictionary(text)
    assert words in str(caught.value)


def test_policies_do_not_fit_into_the_dictionary_and_say_so():
    with pytest.raises(BadInput, match="Export Python code instead"):
        export_dictionary((TransformSpec(name="AugMix"),), 64)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.key)
def test_exported_code_gives_the_very_same_pictures(preset, tmp_path):
    steps = preset.build(True)
    path = tmp_path / "exported.py"
    path.write_text(pipeline_code(steps, 48), encoding="utf-8")
    module = runpy.run_path(str(path))
    pipeline = Pipeline(steps, 48)
    for seed in range(4):
        for picture in (_picture(), _picture()[:3, :3]):
            np.testing.assert_array_equal(module["augment"](picture, seed), pipeline(picture, seed))


def test_own_presets_are_kept_replaced_and_deleted(studio_home):
    augment = Augment(preset="custom", transforms=(TransformSpec(name="Blur"),), mixup_p=0.3)
    saved = save_preset("  My  Wörter / 1 ", augment)
    save_preset("другой", Augment())
    assert [(p.name, p.augment) for p in own_presets()] == [("My Wörter / 1", augment), ("другой", Augment())]
    save_preset("my wörter / 1", Augment())
    assert len(own_presets()) == 2 and saved.path.is_relative_to(studio_home)
    (saved.path.parent / "bad.json").write_text('{"name": "x", "augment": {"preset": "lightt"}}')
    bad = next(p for p in own_presets() if p.problem)
    assert bad.augment is None and "lightt" in bad.problem
    for preset in own_presets():
        delete_preset(preset)
    assert own_presets() == ()
    with pytest.raises(BadInput, match="needs a name"):
        save_preset(" \n", augment)
