"""List pretrained backbones, and download the weights of one. `download` is the only command that uses the network."""

from __future__ import annotations

import argparse

from studio.cli import DONE
from studio.command import terminal
from studio.core.problem import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|download")
    listing = actions.add_parser("list", help="backbones with pretrained weights", prog="studio weights list")
    listing.add_argument("search", nargs="*", help="only names with all of these words in them")
    listing.add_argument("--source", choices=["bundled", "torchvision", "timm"], help="only this library's")
    listing.add_argument("--installed", action="store_true", help="only those whose weights are on this computer")
    download = actions.add_parser("download", help="fetch the weights of a backbone", prog="studio weights download")
    download.add_argument("name", nargs="+", metavar="SOURCE/NAME", help="timm/resnet18.a1_in1k, or the two as separate words")


def run(args: argparse.Namespace) -> int:
    return _list(args) if args.action == "list" else _download(args)


def _list(args: argparse.Namespace) -> int:
    from studio.catalog.backbones import list_backbones

    with terminal.Progress() as progress:
        progress(0, None, "Reading the lists of the libraries")
        infos = list_backbones()
    words = [word.casefold() for word in args.search]
    chosen = [
        info
        for info in infos
        if (not args.source or info.source == args.source)
        and (not args.installed or info.is_installed)
        and all(word in f"{info.source}/{info.name} {info.title} {info.family}".casefold() for word in words)
    ]
    for info in chosen:
        size = f"{info.num_parameters / 1e6:8.1f} M" if info.num_parameters else " " * 10
        top1 = f"{info.top1:6.1%}" if info.top1 else " " * 6
        here = "here" if info.is_installed else "    "
        if not terminal.say(f"{here}  {top1}  {size}  {info.input_size:>4} px  {info.source}/{info.name}"):
            return DONE
    terminal.note(
        f"{len(chosen):,} of {len(infos):,} backbones. Columns: weights on this computer, ImageNet top-1, parameters, input size."
    )
    return DONE


def _download(args: argparse.Namespace) -> int:
    source, _, name = "/".join(args.name).partition("/")
    if not name or "/" in name:
        raise BadInput("Name one backbone as SOURCE/NAME, for example timm/resnet18.a1_in1k; `studio weights list` shows them.")
    from studio.catalog.backbones import backbone_info
    from studio.catalog.backbones.download import download_weights

    info = backbone_info(source, name)
    if info.weights_url:
        terminal.note(f"From {info.weights_url}")
    with terminal.Progress("bytes") as progress:
        path = download_weights(info, lambda done, total: progress(done, total, info.title))
    terminal.say(terminal.safe(str(path)))
    return DONE
