"""An experiment says everything a run needs, refuses what it cannot mean, and comes back from disk as it was."""

import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.core.experiment import Experiment, bounds, choices, differences, field_info, parse_experiment
from studio.core.experiment_file import _by_lines, experiment_from_toml, experiment_to_toml, read_experiment, write_experiment
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import BadInput


def test_it_comes_back_from_toml_as_it_was():
    experiment = Experiment().changed(
        {
            "name": 'quotes " and \\ and <b>',
            "data.source": "/photos/über uns",
            "data.left_out": ("a/b.jpg", "c\\xE9.png"),
            "data.relabelled": {"a b/ü.jpg": "new = class", "x.y": "[z]"},
            "schedule.peak_lr": 3e-4,
        }
    )
    assert experiment_from_toml(experiment_to_toml(experiment)) == experiment


def test_a_head_of_parts_and_single_layers_come_back_from_toml():
    experiment = Experiment().changed(
        {
            "model.cut": "stage 3",
            "model.head": [{"kind": "convolution", "channels": 64}, {"kind": "pooling", "method": "gem"}, {"kind": "hidden", "width": 32}],
            "model.layers": {"backbone.layer1.0.conv1.weight": "train", "head.linear": "frozen"},
            "model.batch_norm": {"stage 1": "adapt"},
            "model.normalisation": "custom",
            "model.custom_mean": (0.1, 0.2, 0.3),
        }
    )
    again = experiment_from_toml(experiment_to_toml(experiment))
    assert again == experiment and again.model.head[0].residual and again.model.head[1].method == "gem"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([{"kind": "hidden"}, {"kind": "convolution"}], "cannot come after pooling or a hidden layer"),
        ([{"kind": "pooling"}, {"kind": "pooling"}], "once only"),
        ([{"kind": "hidden", "width": 0}], "at least 1"),
        ([{"kind": "magic"}], "magic"),
    ],
)
def test_a_head_whose_parts_do_not_follow_one_another_is_refused(parts, words):
    with pytest.raises(BadInput, match=words):
        Experiment().changed({"model.head": parts})


PIECES = [
    "", "x = 1", 'y = "[data]"', "x = [", "]", '"""', "x = '''", "# a", "# a\u2028x = 3", "# \x01", "[data]", "[a.b]", "a.b = 2", "z = {k = 1}",
    "x = 2 # c", '"s" = 1', "\tx = 1", "x", "n = 2026-01-01",
]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=7), end=st.sampled_from(["\n", "\r\n"]))
def test_a_file_read_line_by_line_says_what_its_toml_says(pieces, end):
    text = end.join(pieces)
    found = _by_lines(text)
    assert found is None or found == tomllib.loads(text)


def test_a_file_that_we_wrote_is_read_line_by_line():
    text = experiment_to_toml(Experiment(name="a\u2028b").changed({"data.relabelled": {"x\x85.png": "cat"}}))
    assert _by_lines(text) == tomllib.loads(text)


@given(st.dictionaries(st.text(), st.text(), max_size=4), st.text(max_size=200), st.floats(1e-8, 10.0))
def test_any_text_and_number_comes_back_from_toml(relabelled, name, rate):
    values = {"name": name, "data.relabelled": relabelled, "data.left_out": tuple(relabelled), "schedule.peak_lr": rate}
    experiment = Experiment().changed(values)
    assert experiment_from_toml(experiment_to_toml(experiment)) == experiment


def test_thirty_thousand_relabelled_files_are_written_in_no_time():
    def written(count: int) -> tuple[float, Experiment, str]:
        experiment = Experiment().changed({"data.relabelled": {f"cats/{i}.jpg": "dog" for i in range(count)}})
        started = time.process_time()
        text = experiment_to_toml(experiment)
        return time.process_time() - started, experiment, text

    few = min(written(3_000)[0] for _ in range(3))
    seconds, experiment, text = written(30_000)
    assert seconds < 50 * few, "ten times as many files take ten times as long, quadratic work a hundred times"
    assert experiment_from_toml(text) == experiment


def test_every_setting_in_the_file_is_explained():
    text = experiment_to_toml(Experiment())
    for section in ("data", "model", "augment", "schedule", "optimiser", "training"):
        for name in type(getattr(Experiment(), section)).model_fields:
            assert field_info(f"{section}.{name}").description in text


def test_every_problem_is_reported_at_once_with_its_field():
    with pytest.raises(BadInput) as caught:
        parse_experiment({"schedule": {"epochs": 0, "speed": 3}, "training": {"batch_size": 10**9, "device": "gpu"}, "nonsense": {}})
    fields = {p.field for p in caught.value.problems}
    assert fields == {"schedule.epochs", "schedule.speed", "training.batch_size", "training.device", "nonsense"}
    assert "at least 1" in str(caught.value)


def test_a_problem_in_a_file_names_its_line(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text("schema_version = 1\n[schedule]\nepochs = 3\nspeed = 1\n\n[optimiser]\nbeta1 = 7\n")
    with pytest.raises(BadInput) as caught:
        read_experiment(path)
    text = str(caught.value)
    assert "schedule.speed" in text and "line 4" in text and "line 7" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"schema_version = 1\n[schedule\n", "line 2"),
        (b"\xff\xfe\x00", "not a text file"),
        (b"schema_version = 99\n", "newer Studio"),
        (b"schema_version = 1\n[schedule]\npeak_lr = nan\n", "finite"),
        (b"schema_version = 1\n[schedule]\npeak_lr = 1e400\n", "finite"),
        (b"schema_version = 1\n[schedule]\nepochs = " + b"9" * 5000 + b"\n", "TOML"),
        (b"a = " + b"[" * 100_000, "TOML"),
        (b"\x00" * 100, "is empty; its content was lost"),
        (b"", "is empty; its content was lost"),
        (b"schema_version = 1\n[schedule]\nepochs = 3\n\0\0\0\0", "TOML"),
        (b"[schedule]\nepochs = 3\nepochs = 4\n", "line 3"),
        (b"[schedule]\nepochs = 1000000000000\n", "at most 10"),
        (b"[schedule]\npeak_lr = -1\n", "−1 is out of range; it must be at least 1e-8."),
        (b"[training]\nbatch_size = 1000000000\n", "1,000,000,000 is out of range; it must be at most 65,536."),
        (b"[optimiser]\nema_decay = 1.0000000001\n", "1.0000000001 is out of range"),
        (b"[training]\nworker = 2\n", "This setting is not known"),
        (b"[model]\ninput_size = 0\n", "at least 16"),
        (b"schema_version = 1.5\n", "not a version number"),
        (b"schedule = 7\n", "schedule"),
    ],
)
def test_a_broken_file_gives_one_clear_sentence(tmp_path, content, words):
    path = tmp_path / "e.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read_experiment(path)


def test_a_file_of_ours_cut_anywhere_is_refused_and_never_half_read(tmp_path):
    path, whole = tmp_path / "e.toml", experiment_to_toml(Experiment().changed({"schedule.epochs": 7})).encode()
    line_ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for end in [*range(0, len(whole) - 1, 97), *line_ends[:-1], len(whole) - 2]:
        path.write_bytes(whole[:end])
        with pytest.raises(BadInput):
            read_experiment(path)
    path.write_bytes(whole[: line_ends[40]])
    with pytest.raises(BadInput, match="ends at line 41: it was cut short"):
        read_experiment(path)
    path.write_bytes(whole.replace(b"\n", b"\r\n") + b"\r\n# mine\r\n")
    assert read_experiment(path).schedule.epochs == 7


def test_an_older_file_is_brought_up_step_by_step(monkeypatch):
    def renamed(raw):
        return raw | {"schema_version": 1, "schedule": {"epochs": raw["schedule"]["rounds"]}}

    monkeypatch.setattr("studio.core.experiment_file.SCHEMA_VERSION", 3)
    monkeypatch.setattr("studio.core.experiment_file.MIGRATIONS", {1: lambda raw: raw | {"name": "older"}, 2: renamed})
    found = experiment_from_toml("schema_version = 1\n[schedule]\nrounds = 5\n")
    assert found.schedule.epochs == 5 and found.name == "older"


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        read_experiment(tmp_path / "none.toml")
    with pytest.raises(BadInput, match="folder"):
        read_experiment(tmp_path)
    big = tmp_path / "big.toml"
    with big.open("wb") as f:
        f.truncate(17 * 2**20)
    with pytest.raises(BadInput, match="16 MB"):
        read_experiment(big)


def test_changing_an_unknown_setting_is_refused_and_changes_nothing():
    experiment = Experiment()
    with pytest.raises(BadInput, match=r"schedule\.epoch"):
        experiment.changed({"schedule.epoch": 3})
    with pytest.raises(BadInput):
        experiment.changed({"schedule": 3})
    assert experiment == Experiment()


def test_differences_name_only_what_changed():
    old = Experiment()
    assert differences(old, old.changed({"schedule.epochs": 20, "name": "b"})) == {
        "name": ("Untitled", "b"),
        "schedule.epochs": (old.schedule.epochs, 20),
    }


def test_forms_can_ask_for_bounds_and_choices():
    assert bounds("data.validation_fraction") == (0.0, 0.5)
    assert "adamw" in choices("optimiser.kind")
    assert choices("schedule.epochs") == ()


def test_writing_replaces_the_file_whole(tmp_path):
    path = tmp_path / "sub" / "e.toml"
    write_experiment(Experiment(), path)
    write_experiment(Experiment(name="second"), path)
    assert read_experiment(path).name == "second"
    assert [p.name for p in path.parent.iterdir()] == ["e.toml"]


@given(st.binary(min_size=1, max_size=60).filter(lambda b: b"\0" not in b))
def test_any_file_name_survives_as_text(name):
    import os

    text = path_to_text(name)
    text.encode("utf-8")  # valid Unicode: fits JSON, TOML, SQLite, Qt
    assert os.fsencode(text_to_path(text)) == name


@given(st.text(st.characters(), min_size=1, max_size=20) | st.text("\ud83d\udc80\\uD8x3", max_size=12))
def test_any_name_that_windows_keeps_survives_as_text(name):
    """Names there are any 16-bit units, also halves of a pair."""
    text = path_to_text(name)
    text.encode("utf-8")
    assert text_to_path(text) == name


def test_names_are_shown_without_control_characters():
    assert shown("a\n\u202eb") == "a\\u000A\\u202Eb"
    assert path_to_text(b"caf\xe9.jpg") == "caf\\xE9.jpg"


plain = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
specs = st.builds(
    lambda name, is_on, p, params, of: {"name": name, "is_on": is_on, "p": p, "params": params, "of": of},
    st.sampled_from(("Affine", "OneOf", "Blur")),
    st.booleans(),
    st.floats(0, 1),
    st.dictionaries(st.text(max_size=6), plain, max_size=3),
    st.lists(st.builds(lambda p: {"name": "Blur", "p": p}, st.floats(0, 1)), max_size=2),
)


@given(st.lists(specs, max_size=3))
def test_any_pipeline_comes_back_from_toml_and_json_as_it_was(transforms):
    try:
        experiment = Experiment().changed({"augment.preset": "custom", "augment.transforms": transforms})
    except BadInput as exc:
        assert "plain" in str(exc) or "parameters" in str(exc), "only values that are nested too deep are refused"
        return
    assert experiment_from_toml(experiment_to_toml(experiment)) == experiment
    assert parse_experiment(experiment.model_dump(mode="json")) == experiment


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {1, 2}, object(), [[[[[[1]]]]]]])
def test_a_parameter_that_is_no_plain_value_is_refused_with_its_place(value):
    with pytest.raises(BadInput) as caught:
        Experiment().changed({"augment.transforms": [{"name": "Blur", "params": {"blur_limit": value}}]})
    assert caught.value.problems[0].field == "augment.transforms.0.params"
