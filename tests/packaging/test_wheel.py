"""What is installed by pip works from any folder: nothing is read from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, built from the sources as they are and unpacked beside nothing else."""
    build, target = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", build, ROOT], check=True, cwd=build)
    [wheel] = build.glob("finetune_studio-*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    return target


def run(installed: Path, code: str, tmp_path: Path) -> str:
    env = os.environ | {"PYTHONPATH": str(installed), "PYTHONNOUSERSITE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_resources_travel_with_the_package(installed, tmp_path):
    names = {p.name for p in (installed / "studio" / "resources").rglob("*")}
    assert {"tokens.json", "style.qss"} <= names and any(n.endswith(".ttf") for n in names)


def test_the_window_opens_from_another_folder(installed, tmp_path):
    code = (
        "import studio\n"
        "from studio.gui import app as studio_app\n"
        "app = studio_app.make_application()\n"
        "window = studio_app.open_window()\n"
        "while window.context is None:\n"
        "    app.processEvents()\n"
        "assert not window.grab().isNull()\n"
        "window.close()\n"
        "print(studio.__file__)"
    )
    assert run(installed, code, tmp_path).startswith(str(installed))


def test_the_command_answers_from_another_folder(installed, tmp_path):
    out = run(installed, "import sys; sys.argv = ['studio', '--version']\nfrom studio.cli import main\nsys.exit(main())", tmp_path)
    assert "0.1.0" in out
