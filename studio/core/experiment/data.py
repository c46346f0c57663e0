"""The section `data`: where the images are, which of them are used, how they are read and divided."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from studio.core.reading import WHITE_16_BIT, Reading
from studio.core.section import Section, field

Layout = Literal["auto", "class folders", "inner folders", "split folders", "csv"]
Encoding = Literal["auto", "utf-8", "utf-16", "latin-1", "cp1252", "cp1250", "cp1251", "mac-roman", "shift-jis", "gb18030"]

READING = {"max_megapixels", "bands", "white"}  # the settings of `Data` that make its `reading`


class Data(Section):
    """Where the images are and how they are divided. The folder is only ever read."""

    source: str = field("", "Images", "A folder with one sub-folder per class, a folder with train/val/test folders, or a CSV file.")
    layout: Layout = field("auto", "Layout", "How labels are found. Auto looks at the folder and decides.")
    path_column: str = field(
        "", "Path column", "CSV column with the file paths, relative to the CSV, by its name or as “column 2”; empty finds it by name."
    )
    label_column: str = field("", "Label column", "CSV column with the class names, by its name or as “column 2”; empty finds it by name.")
    split_column: str = field(
        "", "Split column", "CSV column with train, val or test, by its name or as “column 2”; empty finds it by name or splits by share."
    )
    encoding: Encoding = field(
        "auto", "Encoding", "How the letters of a CSV file are stored. Auto finds out, and says where it cannot be sure."
    )
    validation_fraction: float = field(
        0.15, "Validation share",
        "Share of each class held back to measure progress, where the folder does not say. 0 trains on all images: nothing is measured, and the "
        "last epoch is kept.",
        ge=0.0, le=0.5,
    )  # fmt: skip
    test_fraction: float = field(
        0.0, "Test share", "Share of each class kept unseen for one final figure, where the folder does not say.", ge=0.0, le=0.5
    )
    split_seed: int = field(0, "Split seed", "Decides, with each file's path, which part it falls into.", ge=0, le=2**31 - 1)
    left_out: tuple[str, ...] = field((), "Left out", "Files that are not used, as paths relative to the source.")
    relabelled: dict[str, str] = field({}, "Relabelled", "Files with another class than their folder says: path to class name.")
    moved: dict[str, Literal["train", "validation", "test"]] = field({}, "Moved", "Files put into a part by hand: path to part.")
    synthetic: tuple[str, ...] = field(
        (), "Synthetic folders", "Folders of made images, one sub-folder per class, absolute or inside the source. Only ever used for training.",
        max_length=64,
    )  # fmt: skip
    synthetic_fraction: float = field(
        0.3, "Synthetic share", "Share of the images of an epoch that come from the synthetic folders.", ge=0.0, le=0.9
    )
    outside_links: Literal["ask", "use", "leave out"] = field(
        "ask",
        "Links to outside",
        "Files in the folder that are links to places outside it. Ask: they are used, and said until it is decided.",
    )
    empty_classes: Literal["ask", "keep", "leave out"] = field(
        "ask",
        "Classes without images",
        "Keep: they have their place among the classes, which stays as it is when images come or go. Ask: they are left out, and said until it is "
        "decided.",
    )
    left_out_classes: tuple[str, ...] = field((), "Left-out classes", "Classes that are not used.")
    max_megapixels: float = field(80.0, "Largest image", "Images with more pixels are set aside.", unit="MP", gt=0, le=2000)
    bands: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = field(
        (),
        "Bands",
        "Of images with more than three bands (multi-spectral TIFF): which are red, green and blue, such as [4, 3, 2], counted from 1.",
    )
    white: int = field(
        WHITE_16_BIT, "White", "The value of 16-bit images that becomes white; larger values become white as well. 12-bit data: 4095.",
        ge=255, le=WHITE_16_BIT,
    )  # fmt: skip

    @field_validator("bands")
    @classmethod
    def _are_three(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
        if len(bands) not in (0, 3):
            raise ValueError("Give three band numbers, for red, green and blue, such as [4, 3, 2]; or none, [].")
        return bands

    @property
    def reading(self) -> Reading:
        return Reading(self.max_megapixels, self.bands, self.white)
