"""What the ending of a name says, before a file is opened."""

from __future__ import annotations

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")  # lists of images that are named themselves; in a folder of images a .txt is something else
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .tif .tiff .gif .mpo .avif "
    ".heic .heif .jp2 .j2k .jxl .svg .psd .eps .dds .tga .ico .icns .fits .fpx .wmf .emf".split()
)
# Never opened: they cannot be images and often lie beside them.
OTHER_SUFFIXES = frozenset(
    ".txt .csv .tsv .json .jsonl .xml .yaml .yml .toml .md .rst .html .htm .py .ipynb .sh .log .ini .cfg .sql .db .sqlite "
    ".zip .tar .gz .7z .rar .bz2 .xz .npy .npz .pkl .pickle .pt .pth .onnx .h5 .hdf5 .mat .parquet .safetensors "
    ".mp3 .wav .mp4 .avi .mov .mkv .pdf .doc .docx .xls .xlsx .ppt .pptx .exe .dll .so .lnk .url".split()
)


def suffix_of(id_: str) -> str:
    _, dot, suffix = id_.rpartition(".")
    return dot + suffix.lower() if dot and "/" not in suffix else ""
