"""The window. This page is the guide for whoever writes a page of it.

A page is one class in `studio/gui/pages/<key>.py`, made on the first visit (its module is imported then):

    from studio.gui.page import Page
    from studio.gui.widgets import Panel, button, EmptyState, Segmented, NumberField, PlainLabel
    from studio.gui.widgets.form import FormRow, field_editor
    from studio.gui.theme import colour, font, pen, px

    class SchedulePage(Page):
        key, title = "schedule", "Schedule"

        def __init__(self, context, parent=None):
            super().__init__(context, parent)
            self.head.addWidget(button("Find learning rate", "magnifying-glass", name="schedule.find", on_click=self._on_find))
            panel = Panel("Optimiser", "AdamW", name="schedule.optimiser")     # panel.head: title row, panel.body: content
            panel.body.addWidget(FormRow(self.store, "optimiser.weight_decay")) # label, slider, field, unit, help, drag, undo
            self.body.addWidget(panel)
            self.store.experiment_changed.connect(self._on_store_experiment_changed)   # (old, new); compare sections: old.data != new.data

The slots are in `pages/__init__.py`: module and class names are fixed there.
A class that replaces the whole page area (first launch) hides `self.head_widget` and sets no body margins.

What a page may override (see page.Page): `activate`, `deactivate`, `focus_search`, `accept_drop`, `show_argument`, `shortcuts`,
`screenshot_states`. Never open a modal dialog, never block, no sleep, no processEvents, no exec().

**Context** (`self.context`, see context.Context)
    store       ExperimentStore: .experiment .dataset (Dataset | None) .problems .value(path) .set({path: value}, label) (raises BadInput)
                .one_step() / begin_drag() end_drag()  .undo() .redo() .replace(experiment, label)
                signals experiment_changed(old, new), dataset_changed(Dataset | None), problems_changed(), history_changed()
    scan        ScanController: .is_running .phase ("", "listing", "verifying", "checking", "statistics") .progress (done, total | None, what)
                .rescan() .cancel() .error (BadInput | None) .issues (tuple[Issue, ...]) .statistics (PixelStatistics | None)
                .seconds; signal changed() for all of them. Runs by itself whenever experiment.data changes.
    runs        RunsController: .entries (tuple[RunEntry, ...] oldest first) .active (RunEntry | None) .entry(folder or name)
                RunEntry: .folder (RunFolder) .number .name ("run 4") .title .experiment .state (RunState, may be stale until first read)
                .train() .queue() .quick_test() .pause(e) .resume(e) .stop(e, kind="stop"|"stop_after_epoch"|"discard") .continue_run(e)
                .delete(e) (into the bin) .dataset_of(e) .readiness.ask_again() (weights came, a GPU too) signals entries_changed(), state_changed(RunEntry), active_changed(RunEntry | None)
                .reason_not_to_train() -> str, "" when Train can work. Queue: .queued, .start_now(e), .enqueue(e)
    preview, probe, finder   WorkerClient: .call(method, params, on_result, on_error=None, on_progress=None, key=None) -> id, .cancel(id).
                Callbacks run on the GUI thread; the newest call of a key wins. on_error gets a WorkerError (.sentence .fix .trace .is_refusal).
                Images in results: workers.take_image(result["image"]) -> QImage.
    estimates   Estimates: .model (result of the probe's describe_model | None) .draft_model (the same, None while of another network) .backbone_title .num_parameters .num_trainable .stages
                .memory_bytes ({use: bytes} | None) .time (TimeEstimate(seconds_per_epoch, source) | None) .is_stale; signal changed()
    disk        DiskForecast: .use (DiskUse | None) .needed .is_short .sentence .repair of what the draft would write, .others of what runs
                that wait and train do; signal changed()
    background  Background.run(function, on_done, on_error) -> Task(.cancel()): anything slow that is not torch (reading results, csv);
                may_hang=True on a thread of its own.
    projects    Projects: .recent() .open(project) .create() .open_data(path) .open_experiment(path) .saved_text; signal changed()
    shell       Shell: .toast(sentence, "Undo", store.undo) (after the change; gone with the next one), .mention(sentence) that
                replaces no message with an action, .go_to("results", entry), .open_folder_dialog()
    settings    Settings: window-level choices kept between sessions: .text/.flag/.number(key, default), .set(key, value)

**Looks** (theme.py, icon.py, resources/tokens.json, resources/style.qss). No hex value, no font size anywhere else.
    colour("accent"), colour("series.1"), pen("border2", 1.5), series_pen(0), font("number"), px(12), hatch(colour("frozenEdge"))
    PlainLabel("text", style, tone)  styles: metric title page panel body label strong number caption tick; tone = text text2 muted good
    warn bad accent frozen trains. Text from outside always goes through PlainLabel or set_plain_tooltip(widget, text): plain text only.
    icon("play-fill", "onAccent") is QIcon of "ph.play-fill" and follows the theme; paint_icon(painter, rect, name, token).
    QSS hooks: widget.setProperty("frame", "panel|card|raised|line"), card has property active=true. After a change: restyle(widget).
    Custom painting reads colour(...) in paintEvent, so a theme change needs nothing. What caches colours (plots) connects to
    theme().changed. Sizes: px(n) at construction.

**Widgets** (widgets/__init__.py): Panel, button(text, icon, kind=plain|primary|danger|quiet|link, small=, name=, on_click=), icon_button,
    Chip, Segmented([(value, label)...], value).value_changed, Toggle, NumberField, Slider, SliderField, RangeSlider, ComboBox, PlainLabel,
    Tag(text, kind), Sparkline, EpochProgress, MeterBar, EmptyState, Banner.show_message(...), Bubble.show_at(...), Spinner, IconLabel,
    line(), scrolling(content), splitter(Qt.Horizontal, a, b, stretch=(2, 1), name="data.columns") (sizes are remembered by name),
    widgets.form: FormRow, FieldEditor, field_editor; widgets.thumb_grid: ThumbGrid (100,000 images). Plots: widgets.curve_plot (curves over
    steps, with legend and cross-hair), widgets.plot_axis, widgets.plot_style. Import plots in modules that only pages import: pyqtgraph
    is loaded after the first paint.
    `objectName` is `page.widget` ("train.stop"); give every control an accessible name (button and FormRow do it).
    Buttons take the focus from the keyboard only; wheel never changes a ComboBox or Slider. Use these instead of the bare Qt classes.

**Numbers** (wording.py): count(3781) "3,781", parameters(15.48e6) "15.48 M", num_bytes(n) "1.7 GB", duration(94) "1 min 34 s",
    clock(21) "0:21", percent(0.913) "91.3 %", rate(1e-3) "1e-3". No-break spaces and true minus signs are theirs.

**Look at your page** (needs no display, about 2 s):
    studio screenshots OUT --page data --state full --theme dark --size 1440x900 --no-workers
States: empty, full, running, failed (recorded runs on a data set, DATA with --data FOLDER) and the names in your `screenshot_states()`:
{"selection": lambda page: page.grid.select(3)}, called after "full" is set up. All pages and states: without --page.

**Tests** (tests/gui/test_<page>_page.py): the fixture `context` in tests/gui/conftest.py gives a Context on temporary folders with fake
workers (`context.probe.answer(method, result)`); `page = SchedulePage(context); qtbot.addWidget(page)`.
"""
