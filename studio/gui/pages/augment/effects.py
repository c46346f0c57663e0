"""What the worker says of single transforms: their pictures on the photo in view, for the gallery and the strips of the form, and what is wrong."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QTimer

from studio.catalog.augments.catalog import COMPOSITIONS, catalog
from studio.catalog.augments.default import SIZE_PARAMS
from studio.core.experiment import Augment, TransformSpec
from studio.gui.context import Context
from studio.gui.pages.augment.draft import MIX_TITLES, PipelineDraft
from studio.gui.pages.augment.form import TransformForm
from studio.gui.pages.augment.gallery import TILE_PX, Gallery
from studio.gui.pages.augment.subject import Subjects
from studio.gui.workers import plain_experiment, take_pixmap

_MIXES = frozenset(MIX_TITLES.values())
_STRIP_AFTER_MS = 150  # strips wait until a drag rests: the grid comes first


class Effects(QObject):
    """Asks while the page is in front. A newer question of the same kind replaces the one before."""

    def __init__(
        self, context: Context, draft: PipelineDraft, subjects: Subjects, gallery: Gallery, form: TransformForm, parent: QObject | None = None,
    ):  # fmt: skip
        super().__init__(parent)
        self._worker, self._draft, self._subjects, self._gallery, self._form = context.preview, draft, subjects, gallery, form
        self._is_active = False
        self._photo: str | None = None  # that the gallery shows
        self._asked: dict[str, tuple] = {}  # by parameter
        self._checked: TransformSpec | None = None
        self._timer = QTimer(self, singleShot=True, interval=_STRIP_AFTER_MS)
        self._timer.timeout.connect(self._ask_strips)
        gallery.pictures_wanted.connect(self._ask_gallery)
        form.strips_wanted.connect(self._on_strips_wanted)
        draft.changed.connect(self._timer.start)
        subjects.changed.connect(self._on_subjects_changed)

    def set_active(self, is_active: bool) -> None:
        self._is_active = is_active
        if is_active:
            self._on_subjects_changed()

    def _path(self) -> str | None:
        try:
            return self._subjects.one().path_text
        except OSError:
            return None  # the preview says so

    def _on_subjects_changed(self) -> None:
        if not self._is_active:
            return
        path = self._path()
        if path != self._photo:
            self._photo = path
            self._asked.clear()
            self._gallery.forget_pictures()
            self._timer.start()

    def _experiment(self, augment: Augment) -> dict[str, Any]:
        return plain_experiment(self._draft.store.experiment, augment)

    # The gallery

    def _ask_gallery(self, names: tuple[str, ...]) -> None:
        if not self._is_active or self._photo is None:
            return
        photo, partner = self._photo, self._subjects.partner()
        shown = {name for name in names if name in catalog() and name not in COMPOSITIONS or name in _MIXES and partner is not None}
        for name in set(names) - shown:  # these have an icon
            self._gallery.show_picture(name, None)
        names = tuple(name for name in names if name in shown)
        if not names:
            return
        more = {"partner": {"path": partner.path_text}} if partner is not None else {}
        side = round(TILE_PX * self._gallery.devicePixelRatioF())
        self._worker.call(
            "gallery",
            {"experiment": self._experiment(Augment()), "subject": {"path": photo}, "names": list(names), "size_px": side} | more,
            lambda result: self._gallery.ask_again(),
            lambda error: self._on_gallery_failed(photo, names),
            on_part=lambda part: self._on_tile(photo, part),
            key="augment.gallery",
        )

    def _on_tile(self, photo: str, part: dict[str, Any]) -> None:
        picture = take_pixmap(part["image"]) if part.get("image") else None
        if photo == self._photo:
            self._gallery.show_picture(part["name"], picture, _why(part))

    def _on_gallery_failed(self, photo: str, names: tuple[str, ...]) -> None:
        """It is no transform's fault: the preview says what is wrong."""
        if photo == self._photo:
            for name in names:
                self._gallery.show_picture(name, None)

    # What only the library finds wrong with the chosen step

    def _ask_check(self, step: TransformSpec) -> None:
        if step == self._checked:
            return
        self._checked = step
        self._worker.call(
            "check_pipeline",
            {"experiment": self._experiment(Augment(preset="custom", transforms=(step,)))},
            lambda result: self._form.show_refusal(step, next((found["sentence"] for found in result["problems"]), "")),
            key="augment.check",
        )

    # Strips

    def _on_strips_wanted(self) -> None:
        self._asked.clear()
        self._timer.start()

    def _ask_strips(self) -> None:
        step = self._draft.current_step
        if not self._is_active or step is None:
            return
        self._ask_check(step)
        if self._photo is None:
            return
        for param, values in self._form.strips().items():
            others = {name: value for name, value in step.params.items() if name != param}
            before = self._sizing_before(step)
            question = (self._photo, self._draft.current, step.name, repr(sorted(others.items())), bool(before), values)
            if self._asked.get(param) != question:
                self._asked[param] = question
                self._ask_strip(param, step, others, before, values, question)

    def _sizing_before(self, step: TransformSpec) -> tuple[TransformSpec, ...]:
        """Where the picture has its final size when it comes to the step, the strip shows it in that size: a blur of 7 pixels is another one
        on a small photo."""
        if step.name in SIZE_PARAMS or not isinstance(self._draft.current, tuple):
            return ()
        earlier = self._draft.steps[: self._draft.current[0]]
        has_size = any(each.is_on and each.p > 0 and each.name in SIZE_PARAMS for each in earlier)
        return (TransformSpec(name="SmallestMaxSize", p=1.0),) if has_size else ()

    def _ask_strip(
        self, param: str, step: TransformSpec, others: dict, before: tuple[TransformSpec, ...], values: tuple[float, ...], question: tuple
    ) -> None:
        alone = TransformSpec(name=step.name, params=others, of=step.of)
        experiment = self._experiment(Augment(preset="custom", transforms=(*before, alone)))
        self._worker.call(
            "strip",
            {"experiment": experiment, "subject": {"path": self._photo}, "step": len(before), "param": param, "values": list(values)},
            lambda result: None,
            lambda error: self._on_strip_failed(param, question),
            on_part=lambda part: self._on_step(param, question, part),
            key=f"augment.strip.{param}",
        )

    def _on_step(self, param: str, question: tuple, part: dict[str, Any]) -> None:
        picture = take_pixmap(part["image"]) if part.get("image") else None
        if self._asked.get(param) == question:
            self._form.show_strip_picture(param, part["tile"], picture, _why(part))

    def _on_strip_failed(self, param: str, question: tuple) -> None:
        if self._asked.get(param) == question:
            for index in range(len(question[-1])):
                self._form.show_strip_picture(param, index, None)


def _why(part: dict[str, Any]) -> str:
    """Why there is no picture, or why the step left it as it is."""
    return part.get("error") or next((each["failure"] for each in part.get("drawn", ()) if each["failure"]), "")
