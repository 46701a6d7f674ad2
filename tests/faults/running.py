"""The command line as a process of its own, and what it leaves."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import featx
from featx.backbones import Request
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job

SITE = Path(__file__).parent / "site"
COMMAND = (sys.executable, "-c", "from featx.cli import main; main()")
CLASSES = ("barn", "cow", "pond")
EACH = 80
FOUND = 3 * EACH
SYNC = 0.02
"""Seconds between syncs: a run of one second then has something to keep."""
TARGET = Path("artifacts/features/data-mean-colour.h5")


def draw(folder: Path, *, each: int = EACH, seed: int = 0) -> Path:
    """A folder of small images, each of its own colour, in three classes."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(each):
            pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:03}.png", compress_level=1)
    return folder


def spoil(folder: Path) -> list[str]:
    """Make some of them failures; which."""
    cut, text, empty = (folder / name for name in ("barn/000.png", "cow/040.png", "pond/079.png"))
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_bytes(b"no image")
    empty.write_bytes(b"")
    return ["barn/000.png", "cow/040.png", "pond/079.png"]


@dataclasses.dataclass(frozen=True)
class Program:
    """The command line in a folder, for the images of another, with a fault inside or none."""

    folder: Path
    source: Path
    cache: Path

    @property
    def target(self) -> Path:
        """The store that it makes by default."""
        return self.folder / TARGET

    @property
    def partial(self) -> Path:
        """The store while it is being filled."""
        return self.target.with_name(self.target.name + ".partial")

    @property
    def extraction(self) -> tuple[object, ...]:
        """Arguments of what is disturbed."""
        return "extract", self.source, "--backbone", "mean-colour", "--batch-size", "8", "--workers", "2"

    def environment(self, fault: dict[str, Any]) -> dict[str, str]:
        """Of a process with a fault inside."""
        path = os.pathsep.join([str(SITE), *(entry for entry in sys.path if entry)])
        return {
            **os.environ,
            "PYTHONPATH": path,
            "FEATX_CACHE": str(self.cache),
            "FEATX_FAULT": json.dumps(fault),
        }

    @contextlib.contextmanager
    def start(
        self,
        *arguments: object,
        fault: dict[str, Any] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        """The program while it runs, in a session and with signals of its own; killed at the end, if still there.

        What the parent ignores would be ignored by the program as well: SIGINT, where the tests were started in the
        background by a shell.
        """

        def prepare() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            if before is not None:
                before()

        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments or self.extraction)],
            cwd=self.folder,
            env=self.environment(fault or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
            preexec_fn=prepare,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: object, code: int | None = 0, **options: Any) -> tuple[int, str, str]:
        """Run it to its end: exit code, stdout, stderr."""
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(timeout=60)
        assert code is None or process.returncode == code, err
        return process.returncode, out, err

    def extract(self, **options: Any) -> dict[str, Any]:
        """Run an extraction to its end; what it says it did."""
        _, out, _ = self.run(*self.extraction, "--json", **options)
        (record,) = json.loads(out)
        return record

    def complete(self, *, out: Path | None = None, views: int | None = None) -> Extraction:
        """The same extraction, by the library in this process."""
        (extraction,) = extract_job(
            Job(source=self.source, out=out or self.target, views=views),
            [Request(backbone="mean-colour")],
            RunOptions(batch_size=8, workers=2),
        )
        return extraction

    def wait_for_rows(self, process: subprocess.Popen[str]) -> None:
        """Until a process has some rows on the disk (with the fault ``"sync": 0``)."""
        wait_for(self.partial, process)
        message = ""
        while not re.search(r"unfinished \([1-9]", message):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
            try:
                featx.open(self.partial)
            except featx.StoreError as error:
                message = str(error)

    def left(self) -> list[str]:
        """Names of the files beside the store."""
        return sorted(path.name for path in self.target.parent.iterdir())


def contents(path: Path) -> dict[str, Any]:
    """All that must not depend on how a store came about."""
    store = featx.open(path)
    return {
        "features": store.features.tobytes(),
        "labels": store.labels.tobytes(),
        "digests": store.digests.tobytes(),
        "sizes": store.sizes.tobytes(),
        "mtimes_ns": store.mtimes_ns.tobytes(),
        "checksums": store.checksums.tobytes(),
        "views": None if store.views is None else (store.views_spec, store.views.tobytes()),
        "paths": store.paths,
        "classes": store.classes,
        "groups": store.groups,
        "split": store.split,
        "name": store.name,
        "source": store.source,
        "root": store.root,
        "failures": store.failures,
        "spec": store.spec,
        "version": store.featx_version,
        "counts": (store.found, store.extracted + store.reused, store.failed),
    }


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until a process has made a file."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def without_privilege() -> None:
    """Give up root's right to read and write everything, for this process and its children (before exec)."""
    import ctypes

    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                os._exit(97)


def end_all(process: subprocess.Popen[str]) -> None:
    """Kill a process, its group, and its decoder processes, which have groups of their own."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(process.pid):
                children.append(int(stat.parent.name))
    os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
