"""Code samples for exports. They use the preprocess.py that every export carries, so that pictures are prepared as in training."""

from __future__ import annotations

_HEAD = """import sys

folder = {folder!r}
sys.path.insert(0, folder)
import preprocess

view = preprocess.view("picture.jpg")
row = preprocess.probabilities(view[None])[0]
best = row.argmax()
print(preprocess.classes[best], row[best])
"""
_NOTES = {
    "onnx": """
# model.onnx by itself, with onnxruntime:
# in   image, uint8[N, size, size, 3], RGB
# out  probabilities, float32[N, classes]
# Normalisation is inside; the names of the
# classes are in its metadata.
""",
    "safetensors": """
# The network itself:
# preprocess.model, a torch.nn.Module
""",
}


def sample_code(format_key: str, folder: str = "") -> str:
    """Python for an export in `folder` (a path; a placeholder when empty)."""
    return _HEAD.format(folder=folder or "exported-folder") + _NOTES.get(format_key, "")
