"""Only what pyproject.toml cannot say: the folder resources/ is installed as the package studio.resources."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["studio", "studio.*"]), "studio.resources", "studio.resources.fonts"],
    package_dir={"studio.resources": "resources", "studio.resources.fonts": "resources/fonts"},
    package_data={"studio.resources": ["*.json", "*.qss", "*.svg"], "studio.resources.fonts": ["*"]},
)
