"""Tables of backbones: the few that people use, with advice, and all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featx.cli.flags import in_flags
from featx.cli.show.tables import Column, print_table
from featx.cli.show.terminal import as_json, console, line, shown

if TYPE_CHECKING:
    from featx.backbones import Entry

COMMON = (
    Column(heading="backbone", left=True),
    Column(heading="for", left=True),
    Column(heading="images/s"),
    Column(heading="download", rank=1),
    Column(heading="ImageNet", rank=2),
)
EVERY = (
    Column(heading="backbone", left=True),
    Column(heading="image", rank=1),
    Column(heading="features", rank=2),
    Column(heading="parameters", rank=3),
    Column(heading="ImageNet top-1"),
    Column(heading="licence of the weights", left=True, rank=4),
    Column(heading="weights", left=True),
)


def backbones(entries: "Sequence[Entry]", *, json: bool, every: bool) -> None:
    """Show the backbones: for programs all, for people the common ones, or with `every` all."""
    if json:
        as_json([_record(entry) for entry in entries])
    elif every:
        _print_every(entries)
    else:
        _print_common(entries)


def _print_common(entries: "Sequence[Entry]") -> None:
    """Say which backbone to start with, and show the common ones with their speed."""
    from featx.backbones import Request, cached
    from featx.backbones.advice import ADVICE, COMMAND, USES, speeds

    found, measured = {entry.name: entry for entry in entries}, speeds()
    line(f"[bold]{shown(ADVICE)}[/]", data=True)
    line(f"    {shown(in_flags(COMMAND))}", data=True)
    line("", data=True)
    rows, here = [], []
    for name, use in USES.items():
        entry, rate = found[name], measured.files_to_store.get(name)
        size = "by pip" if entry.package else f"{entry.download_bytes / 1e6:.0f} MB"
        there = "none needed" if entry.formula else size
        if cached(entry, top=False):
            there = "[green]here[/]"
            here.append(name)
        rows.append((name, use, "" if rate is None else f"{rate:,.0f}", there, _top1(entry)))
    headings = print_table(console(data=True), COMMON, rows, named=False)
    line("", data=True)
    if here and "download" not in headings:
        line(f"Weights that are here already: {', '.join(here)}.", data=True)
    line(
        f"[dim]images/s: from image files to stored features, measured on {shown(measured.machine)}, with featx "
        f"{shown(measured.featx_version)} on {measured.images:,} images. Your machine may be faster or slower.[/]",
        data=True,
    )
    if "ImageNet" in headings:
        line(
            "[dim]ImageNet: published accuracy on photos of 1,000 kinds of things. On your own images another backbone "
            "may be the best; featx compare says which.[/]",
            data=True,
        )
    line(f"[dim]Without --backbone, featx extract uses {Request.backbone}.[/]", data=True)
    line(
        f"[dim]featx backbones --all lists all {len(entries)}, with image sizes, lengths of the features and licences "
        "of the weights.[/]",
        data=True,
    )


def _print_every(entries: "Sequence[Entry]") -> None:
    from featx.backbones import cached

    rows = [
        (
            entry.name,
            f"{entry.image_size[0]} x {entry.image_size[1]}",
            f"{entry.width:,}",
            f"{entry.parameters / 1e6:.1f} M" if entry.parameters else "",
            _top1(entry),
            entry.licence or "",
            "none needed" if entry.formula else "here" if cached(entry, top=False) else "",
        )
        for entry in entries
    ]
    print_table(console(data=True), EVERY, rows, named=False)


def _record(entry: "Entry") -> dict[str, Any]:
    """A backbone for programs."""
    from featx.backbones import cached
    from featx.backbones.advice import START, USES, speeds

    measured = speeds()
    rates = {
        "files_to_store": measured.files_to_store.get(entry.name),
        "backbone_alone": measured.backbone_alone.get(entry.name),
    }
    return {
        "name": entry.name,
        "image_size": list(entry.image_size),
        "width": entry.width,
        "parameters": entry.parameters,
        "top1": entry.top1,
        "licence": entry.licence,
        "weights_file": entry.weights_file,
        "here": cached(entry, top=False) is not None,
        "start": entry.name == START,
        "use": USES.get(entry.name),
        "images_per_second": rates if any(rates.values()) else None,
    }


def _top1(entry: "Entry") -> str:
    return "" if entry.top1 is None else f"{entry.top1:.1f}%"
