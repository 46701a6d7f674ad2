"""``featx verify``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli import options as shared
from featx.pipeline.filling.job import RunOptions
from featx.words import counted

if TYPE_CHECKING:
    from featx.pipeline.verifying import Verification


def verify(
    stores: Annotated[list[Path], typer.Argument(help="Feature stores.", metavar="STORE", show_default=False)],
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Extract the damaged rows again from their images, and replace the store by the repaired one.",
        ),
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Draw N rows at random, compute them again from their images, and compare.",
            metavar="N",
            min=1,
            show_default="none",
        ),
    ] = None,
    seed: shared.Seed = 0,
    root: shared.MovedRoot = None,
    weights: shared.MovedWeights = None,
    runtime: shared.Runtime = RunOptions.runtime,
    device: shared.Device = RunOptions.device,
    batch_size: shared.BatchSize = RunOptions.batch_size,
    workers: shared.Workers = RunOptions.workers,
    max_pixels: shared.MaxPixels = RunOptions.max_pixels,
    json: shared.Json = False,
) -> None:
    """Check feature files for damage, by their checksums and the rules of the format. Exit with 1 if one is damaged.

    With --repair, damaged rows are extracted again, if their images and the weights have not changed. With --sample,
    some rows are computed again and compared; this also finds changed weights and changed preprocessing.
    """
    from featx.cli import show
    from featx.errors import StoreError
    from featx.pipeline.verifying import verify as verify_store

    found = [
        verify_store(
            store,
            repair=repair,
            sample=sample,
            seed=seed,
            root=root,
            weights=weights,
            runtime=runtime,
            device=device,
            batch_size=batch_size,
            workers=workers,
            max_pixels=max_pixels,
        )
        for store in stores
    ]
    if json:
        show.as_json([_record(one) for one in found])
    else:
        for one in found:
            _show(one)
    if wrong := [f"{one.path}: {'; '.join(one.problems)}" for one in found if not one.ok]:
        raise StoreError(" | ".join(wrong))


def _show(found: "Verification") -> None:
    """Show the result of a verification to people; damage is an error, and shown as one."""
    from featx.cli import show

    if show.quiet():
        return
    name = show.shorten(found.path)
    if found.ok:
        show.line(
            f"[bold]{name}[/]  sound: "
            f"{counted(found.rows, 'row agrees with its checksum', 'rows agree with their checksums')}"
        )
        if found.sample is None:
            show.line(
                "  [dim]checksums find damage, but not changes that were made on purpose; --sample N finds both, by "
                "computing N rows again[/]"
            )
    if found.repaired:
        show.line(f"[bold]{name}[/]  {counted(len(found.repaired), 'row')} repaired")
    if found.sample is not None:
        sample = found.sample
        show.line(f"  {counted(sample.compared, 'row')} computed again: {len(sample.differing):,} differ")
        if sample.changed:
            first = show.shown(sample.changed[0])
            show.line(
                f"  {counted(len(sample.changed), 'image has', 'images have')} changed since the extraction, such as "
                f"{first}"
            )
        show.failures(sample.unread)


def _record(found: "Verification") -> dict[str, Any]:
    """A verification for programs."""
    sample = found.sample
    return {
        "store": str(found.path),
        "ok": found.ok,
        "rows": found.rows,
        "broken": list(found.broken),
        "damaged": list(found.damaged),
        "repaired": list(found.repaired),
        "sample": None
        if sample is None
        else {
            "compared": sample.compared,
            "differing": sample.differing,
            "changed": list(sample.changed),
            "unread": [{"path": one.path, "reason": one.reason, "message": one.message} for one in sample.unread],
        },
    }
