"""What the first page does: opens folders, tables, samples and projects, and looks at the device once."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer

from studio.core.path_text import path_to_text
from studio.core.problem import BadInput
from studio.gui.context import Context
from studio.gui.pages.data.open import Opening, carry_out, opening_of, pick_images, pick_table
from studio.gui.pages.data.welcome import Welcome

_LOOK_AFTER_MS = 1500  # the window is painted and usable by then; the look imports torch in another process


class Start(QObject):
    """Carries out what the welcome view asks for."""

    def __init__(self, context: Context, welcome: Welcome):
        super().__init__(welcome)
        self._context, self._welcome = context, welcome
        self._look = QTimer(self, singleShot=True, interval=_LOOK_AFTER_MS)
        self._look.timeout.connect(self._on_look_timeout)
        self._has_looked = False
        welcome.folder_wanted.connect(context.shell.open_folder_dialog)
        welcome.table_wanted.connect(self.pick_table)
        welcome.opening_chosen.connect(self.open)
        welcome.sample_wanted.connect(self._on_sample_wanted)
        welcome.project_wanted.connect(self._on_project_wanted)
        welcome.locate_wanted.connect(self._on_locate_wanted)

    def fill(self) -> None:
        """Bring the lists up to date: the welcome view comes to the front."""
        from studio.catalog.backbones import cached_backbones

        projects, run = self._context.projects, self._context.background.run
        run(lambda: [(p, p.is_source_there) for p in projects.recent()], self._welcome.recent.show_projects)
        run(lambda: sum(b.is_installed for b in cached_backbones() or ()), self._welcome.show_num_backbones)
        if not self._has_looked:
            self._look.start()
        self._welcome.zone.folder_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def open(self, opening: Opening) -> None:
        if problems := carry_out(opening, self._context.projects, self._context.store):
            self._context.shell.refuse(opening.path, problems)
            self._welcome.zone.say_refused(problems[0].sentence)

    def pick_table(self) -> None:
        pick_table(self._welcome.window(), lambda path: self.open(opening_of([path])))

    def locate(self) -> None:
        """Another place for the same project: what was left out and relabelled stays."""
        pick_images(self._welcome.window(), self._take_place)

    def _take_place(self, path: str) -> None:
        self._context.store.set({"data.source": path_to_text(path)}, "locate images")

    def _on_project_wanted(self, project) -> None:
        try:
            self._context.projects.open(project)
        except BadInput as exc:
            self._context.shell.refuse(project.name, exc.problems)

    def _on_locate_wanted(self, project) -> None:
        def located(path: str) -> None:
            self._on_project_wanted(project)
            self._take_place(path)

        pick_images(self._welcome.window(), located)

    def _on_sample_wanted(self, key: str) -> None:
        from studio.dataset.sample_set import prepare_sample_set

        def prepared(folder) -> None:
            self._welcome.show_preparing(key, False)
            self.open(opening_of([str(folder)]))

        def failed(error: Exception) -> None:
            self._welcome.show_preparing(key, False)
            self._context.shell.toast(error.problems[0].sentence if isinstance(error, BadInput) else str(error))

        self._welcome.show_preparing(key, True)
        self._context.background.run(lambda: prepare_sample_set(key), prepared, failed)

    def _on_look_timeout(self) -> None:
        if self._welcome.isVisible() and not self._has_looked:
            self._has_looked = True
            self._context.probe.call("doctor", {}, self._on_doctor_result, self._on_doctor_error)

    def _on_doctor_result(self, report: dict) -> None:
        words, is_good = device_words(report)
        self._welcome.show_device(words, is_good=is_good)

    def _on_doctor_error(self, error) -> None:
        self._welcome.show_device(error.sentence, is_good=False)


def device_words(report: dict) -> tuple[str, bool]:
    """A sentence about this computer from the doctor's findings, and whether nothing stands in the way of training."""
    findings = report.get("findings", [])
    problem = next((f for f in findings if f.get("status") == "problem" and f.get("title") != "Window"), None)
    device = next((f for f in findings if f.get("title") == "Device"), None)
    worst = problem or device
    if worst is None:
        return "The device could not be looked at", False
    detail = str(worst.get("detail", ""))
    words = detail[:1].upper() + detail[1:] if worst is device else f"{worst.get('title', '')}: {detail}"
    fix = f". {worst['fix']}" if worst.get("fix") and worst.get("status") != "good" else ""
    return words + fix, worst.get("status") == "good"
