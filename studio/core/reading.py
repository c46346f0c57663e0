"""What a person has decided about reading image files. It is part of the name of everything that is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

WHITE_16_BIT = 65_535
DECODING = 3  # number of the rules by which a file becomes pixels (dataset.image); with others, nothing that was kept is used


def suggested_bands(num_bands: int) -> tuple[int, int, int]:
    """What is most often natural colour: red, green, blue and infrared of aerial cameras; blue, green, red, ... of drones; from eight bands on the
    order of Landsat 8 and Sentinel-2, whose first band is violet."""
    return (1, 2, 3) if num_bands == 4 else (3, 2, 1) if num_bands < 8 else (4, 3, 2)


@dataclass(frozen=True, slots=True)
class Reading:
    """How files become pixels where they leave a choice."""

    max_megapixels: float = 80.0  # larger images are refused
    bands: tuple[int, ...] = ()  # of files with more than three: which are red, green and blue, counted from 1; () is not decided
    white: int = WHITE_16_BIT  # the value of a 16-bit channel that becomes 255

    @property
    def key(self) -> str:
        """Equal where the same file gives the same pixels, or is refused alike."""
        return f"{self.max_megapixels:g}{self.choice_key}"

    @property
    def choice_key(self) -> str:
        """Equal where a file that is not refused gives the same pixels."""
        bands = f" bands {','.join(map(str, self.bands))}" if self.bands else ""
        white = f" white {self.white}" if self.white != WHITE_16_BIT else ""
        return f" decoding {DECODING}{bands}{white}"
