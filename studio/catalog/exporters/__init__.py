"""Formats a trained network can be written in. A new one is one module and one line here."""

from studio.catalog.exporters import onnx, safetensors
from studio.catalog.exporters.exporter import Answer, Exportable, Exporter
from studio.core.path_text import shown
from studio.core.problem import BadInput

EXPORTERS: tuple[Exporter, ...] = (onnx.EXPORTER, safetensors.EXPORTER)


def exporter_of(key: str) -> Exporter:
    for exporter in EXPORTERS:
        if exporter.key == key:
            return exporter
    raise BadInput(f"There is no format “{shown(key)}”. The formats are {' and '.join(e.key for e in EXPORTERS)}.")


__all__ = ["EXPORTERS", "Answer", "Exportable", "Exporter", "exporter_of"]
