"""Weights from a file: read without running anything in it, fitted to a network, with a report of what fitted.

.safetensors files are read by safetensors; everything else by `torch.load(weights_only=True)`, never otherwise.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from studio.catalog.backbones.backbone import WeightsReport
from studio.catalog.backbones.body import Body, Tensors
from studio.core.file import sha256_of
from studio.core.path_text import path_to_text, shown, text_to_path
from studio.core.problem import BadInput, Repair, error

if TYPE_CHECKING:
    from torch import nn

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema", "state_dict_ema", "net", "network", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format
_MOST_UNPACKED = 100  # times the size of a .pth file, which torch writes without compression


def read_tensors(path: str | os.PathLike) -> Tensors:
    """The tensors of a weights file, on the CPU, under the names in the file. Raises BadInput, in words, for anything else."""
    path = Path(path)
    name = shown(path_to_text(path.name))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _refused(f"“{name}” is not a file.")
        with open(path, "rb") as f:
            start = f.read(512)
    except FileNotFoundError:
        raise _refused(f"There is no file “{shown(path_to_text(path))}”.") from None
    except OSError as exc:
        raise _refused(f"“{name}” cannot be read: {exc.strerror}.") from None
    if not start:
        raise _refused(f"“{name}” is empty. Download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise _refused(f"“{name}” is a Git LFS pointer, not the weights themselves. Fetch the file with `git lfs pull`.")
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _refused(f"“{name}” is a web page, not weights. Download the file itself.")
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return _read_safetensors(path, name, status.st_size)
    if start.startswith(b"PK") and (unpacked := _unpacked_bytes(path)) > _MOST_UNPACKED * status.st_size:
        times = f"{unpacked / status.st_size:,.0f} times its size"
        raise _refused(f"“{name}” unpacks to {unpacked / 1e6:,.0f} MB, {times}, as no weights file does. Download it again.")
    return _read_pth(path, name)


class WeightsFile:
    """A file of weights at `path_text`. Raises BadInput where it cannot be used, and where it has another SHA-256 than it should."""

    def __init__(self, path_text: str, sha256: str = ""):
        path = Path(text_to_path(path_text))
        self._name = shown(path_to_text(path.name))
        self._tensors = read_tensors(path)
        _verify(path, self._name, sha256)

    @property
    def is_own(self) -> bool:
        """Whether Studio has written it: names as in its networks."""
        return any(key.startswith("head.") for key in self._tensors) and any(key.startswith("backbone.") for key in self._tensors)

    def load(self, network: nn.Module, body: Body) -> WeightsReport:
        """Loads what fits into a network of backbone and head; the rest keeps its values.

        Raises BadInput when less than half of the backbone is in the file.
        """
        own, head = _split(self._tensors, body, self.is_own)
        return _fit(network, body, own, head, self._name)


def _verify(path: Path, name: str, sha256: str) -> None:
    """Compare with what was remembered when the file was chosen, and with a checksum that lies beside it (`name.pth.sha256`, as sha256sum
    writes it)."""
    beside = _checksum_beside(path)
    if not (sha256 or beside):
        return
    now = sha256_of(path)
    if sha256 and now != sha256:
        raise BadInput(
            error(
                "model.weights_file",
                f"“{name}” is not as it was when it was chosen: its SHA-256 is {now[:12]}…, {sha256[:12]}… was remembered. Copy or download it again, "
                "or choose it anew.",
                Repair("Use it as it is now", {"model.weights_sha256": now}),
            )
        )
    if beside and now != beside:
        raise _refused(
            f"“{name}” is damaged: its SHA-256 is {now[:12]}…, and {name}.sha256 beside it says {beside[:12]}…. Copy or download it again."
        )


def _checksum_beside(path: Path) -> str:
    """The SHA-256 in the file of checksums that belongs to this one; "" where there is none."""
    try:
        with open(path.with_name(f"{path.name}.sha256"), "rb") as f:
            found = re.match(rb"\s*([0-9a-fA-F]{64})(?![0-9a-fA-F])", f.read(4096))
    except OSError:
        return ""
    return found[1].decode().lower() if found else ""


def load_all(body: Body, tensors: Tensors, path: Path) -> None:
    """Loads a library's own weights: every tensor of the backbone must be there and fit. Raises BadInput."""
    own, _ = _split(tensors, body, is_own=False)
    report = _fit_backbone(body.module, own)
    if report.missing or report.wrong_shape or report.unexpected:
        differences = _differences(report)
        raise BadInput(
            error("model.backbone", f"The weights in {shown(path_to_text(path))} do not fit this version of the library: {differences}.")
        )


def _fit(network: nn.Module, body: Body, own: Tensors, head: Tensors, name: str) -> WeightsReport:
    import torch

    report = _fit_backbone(body.module, own)
    sizes = {key: tensor.numel() for key, tensor in body.module.state_dict().items()}
    share = sum(sizes[key] for key in report.matched) / max(1, sum(sizes.values()))
    if share < 0.5:
        raise _refused(
            f"“{name}” holds another network: {len(report.matched)} of {len(sizes)} tensors of the chosen backbone are in it. "
            f"Choose the backbone it was made with, or another file. {_differences(report)[:1].upper()}{_differences(report)[1:]}."
        )
    ours = network.head.state_dict()
    fits = set(head) == set(ours) and all(head[key].shape == ours[key].shape for key in ours)
    if fits:
        with torch.no_grad():
            for key in ours:
                ours[key].copy_(head[key])
    head_names = tuple(f"head.{key}" for key in ours)
    return WeightsReport(
        matched=tuple(f"backbone.{key}" for key in report.matched) + (head_names if fits else ()),
        missing=tuple(f"backbone.{key}" for key in report.missing) + (head_names if not head else ()),
        unexpected=report.unexpected,
        wrong_shape=report.wrong_shape,
        skipped_classifier=() if fits else tuple(f"{key.removeprefix('linear.')}: {_shape(head[key])}" for key in head),
    )


def _fit_backbone(module: nn.Module, tensors: Tensors) -> WeightsReport:
    """Loads the tensors whose names and shapes fit; names in the report are the module's own."""
    from collections import OrderedDict

    ours = module.state_dict()
    wrong = {
        key: f"{key}: {_shape(tensor)} in the file, {_shape(ours[key])} here"
        for key, tensor in tensors.items()
        if key in ours and ours[key].shape != tensor.shape
    }
    mixed = [key for key, tensor in tensors.items() if key in ours and ours[key].is_floating_point() != tensor.is_floating_point()]
    if mixed:
        raise _refused(f"The tensor {mixed[0]} holds {_kind(tensors[mixed[0]])} values; weights must be floating-point numbers.")
    state = OrderedDict((key, tensor) for key, tensor in tensors.items() if key not in wrong)
    state._metadata = getattr(tensors, "_metadata", None)  # the layers' versions, by which they know old names
    outcome = module.load_state_dict(state, strict=False)
    # Batch counters are absent in old files and play no part in a forward pass.
    missing = tuple(k for k in outcome.missing_keys if k not in wrong and not k.endswith("num_batches_tracked"))
    absent = {*outcome.missing_keys, *wrong, *(k for k in ours if k.endswith("num_batches_tracked") and k not in tensors)}
    matched = tuple(key for key in ours if key not in absent)
    return WeightsReport(matched, missing, tuple(outcome.unexpected_keys), tuple(wrong.values()), ())


def _split(tensors: Tensors, body: Body, is_own: bool) -> tuple[Tensors, Tensors]:
    """The backbone's tensors under its own names, and those of the head under the names of ours."""
    if is_own:
        own = {key.removeprefix("backbone."): tensor for key, tensor in tensors.items() if not key.startswith("head.")}
        head = {key.removeprefix("head."): tensor for key, tensor in tensors.items() if key.startswith("head.")}
        return _translated(body, own, tensors), head
    own = _translated(body, tensors, tensors)
    head = {}
    for index, prefix in enumerate(body.classifier):
        found = {key: own.pop(key) for key in list(own) if key.startswith(f"{prefix}.")}
        if index == 0:
            head = {f"linear.{key.removeprefix(f'{prefix}.')}": _as_linear(tensor) for key, tensor in found.items()}
    return own, head


class _Named(dict):
    """A dict that keeps the version notes that torch puts beside a state dict."""

    _metadata: dict | None = None


def _translated(body: Body, tensors: Tensors, origin: Tensors) -> Tensors:
    named = _Named(body.translate(dict(tensors)))
    named._metadata = getattr(origin, "_metadata", None)
    return named


def _as_linear(tensor):
    """A 1 × 1 convolution's weight as a linear layer's (SqueezeNet)."""
    return tensor.flatten(1) if tensor.ndim == 4 and tensor.shape[2:] == (1, 1) else tensor


def _read_safetensors(path: Path, name: str, num_bytes: int) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load as load_bytes
    from safetensors.torch import load_file as load_path

    def unique(pairs):
        keys = [key for key, _ in pairs]
        twice = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ()
        if twice:
            raise _refused(f"“{name}” names the tensor {shown(min(twice))} twice, so it is not clear which is meant.")
        return dict(pairs)

    with open(path, "rb") as f:
        length = int.from_bytes(f.read(8), "little")
        if length > min(_MAX_HEADER_BYTES, num_bytes - 8):
            raise _refused(f"“{name}” is cut short or is not a safetensors file. Download it again.")
        try:
            json.loads(f.read(length), object_pairs_hook=unique)
        except (ValueError, RecursionError):
            raise _refused(f"“{name}” is not a safetensors file: its list of tensors cannot be read.") from None
    try:
        is_utf8 = not any("\udc80" <= c <= "\udcff" for c in str(path))  # the library takes no other names
        tensors = load_path(path, device="cpu") if is_utf8 else load_bytes(path.read_bytes())
    except (SafetensorError, ValueError, OSError, KeyError, RuntimeError) as exc:
        reason = "it is cut short" if "Incomplete" in str(exc) or "TooLarge" in str(exc) else "its contents and its list disagree"
        raise _refused(f"“{name}” cannot be used: {reason}. Download it again.") from None
    return _checked(tensors, name)


def _unpacked_bytes(path: Path) -> int:
    """What all parts of a ZIP archive take, as its list says; 0 where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return 0


def _read_pth(path: Path, name: str) -> Tensors:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about protocols that are not torch's own: the outcome says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        if "weights_only" in str(exc).lower() or "unsupported" in str(exc).lower():
            raise _refused(
                f"“{name}” holds program code or whole objects besides numbers. Studio runs no code from files, so it is refused. "
                "Save the state dict alone, best as .safetensors."
            ) from None
        raise _refused(f"“{name}” is not a weights file.") from None
    except Exception:  # an unpickler raises whatever the bytes lead it to
        raise _refused(f"“{name}” cannot be read as a weights file: it is damaged, cut short, or something else.") from None
    return _checked(content, name)


def _checked(content, name: str) -> Tensors:
    """The dictionary of tensors in `content`, without the prefixes that wrappers add. Raises BadInput where values cannot be used."""
    import torch

    for _ in range(3):
        if isinstance(content, dict) and not any(isinstance(v, torch.Tensor) for v in content.values()):
            inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
            if inner is not None:
                content = inner
    if not isinstance(content, dict):
        raise _refused(f"“{name}” holds no named tensors.")
    tensors = _Named((key, value) for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor))
    if not tensors:
        raise _refused(f"“{name}” holds no named tensors.")
    metadata = getattr(content, "_metadata", None)
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = _Named((key.removeprefix(prefix), value) for key, value in tensors.items())
            metadata = None
    tensors._metadata = metadata
    for key, tensor in tensors.items():
        if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
            raise _refused(f"The tensor {shown(key)} in “{name}” holds {_kind(tensor)} values; weights must be floating-point numbers.")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise _refused(f"The tensor {shown(key)} in “{name}” holds values that are not finite numbers. Take an earlier checkpoint.")
    return tensors


def _is_finite(tensor) -> bool:
    """The sum is quick and finite when all is well; only when it overflows is every value looked at."""
    import torch

    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())


def _differences(report: WeightsReport) -> str:
    def some(names: tuple[str, ...]) -> str:
        return ", ".join(shown(n) for n in names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")

    parts = []
    if report.missing:
        parts.append(f"not in the file: {some(report.missing)}")
    if report.unexpected:
        parts.append(f"not in the network: {some(report.unexpected)}")
    if report.wrong_shape:
        parts.append(f"other shapes: {some(report.wrong_shape)}")
    return "; ".join(parts)


def _shape(tensor) -> str:
    return " × ".join(str(n) for n in tensor.shape) or "one number"


def _kind(tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _refused(sentence: str) -> BadInput:
    return BadInput(error("model.weights_file", sentence))
