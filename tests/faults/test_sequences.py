"""Any sequence of changes to a folder, with runs in between, ends in the store of one run on the final folder."""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image

import featx
from featx.backbones import Request
from featx.pipeline.filling.job import Extraction, Job, RunOptions
from featx.pipeline.filling.loop import extract_job
from featx.progress import SILENT, Progress, Silent

CLASSES = ("ash", "elm", "oak")
NAMES = tuple(f"{letter}.png" for letter in "abcdef")
PLACES = st.sampled_from([f"{folder}/{name}" for folder in CLASSES for name in NAMES])
COLOURS = st.integers(0, 9)
BROKEN = {7: b"", 8: b"no image", 9: b"\x89PNG\r\n\x1a\n"}
"""Contents that are no image, by the numbers that stand for them."""


def content(colour: int, folder: Path) -> bytes:
    if colour in BROKEN:
        return BROKEN[colour]
    file = folder / "colour.png"
    Image.new("RGB", (5, 4), (20 * colour, 255 - 20 * colour, 7)).save(file)
    return file.read_bytes()


def outcome(store: featx.FeatureStore) -> dict[str, object]:
    return {
        "features": store.features.tobytes(),
        "labels": store.labels.tobytes(),
        "digests": store.digests.tobytes(),
        "sizes": store.sizes.tobytes(),
        "times": store.mtimes_ns.tobytes(),
        "paths": store.paths,
        "classes": store.classes,
        "groups": store.groups,
        "failures": store.failures,
        "count": store.found,
    }


class Folder(RuleBasedStateMachine):
    """A folder of images, the store that follows it, and what was computed for it."""

    base: Path
    number = 0

    @initialize()
    def begin(self) -> None:
        Folder.number += 1
        self.root = self.base / str(Folder.number)
        self.data = self.root / "data"
        self.data.mkdir(parents=True)
        self.target = self.root / "store.h5"
        # Unlike the clock, it never gives two changes the same time.
        self.time = 10**18
        for index, folder in enumerate(CLASSES):
            self.put(f"{folder}/{NAMES[0]}", index)
        self.known: set[bytes] = set()

    def put(self, place: str, colour: int) -> None:
        path = self.data / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(colour, self.root))
        self.touch(path)

    def touch(self, path: Path) -> None:
        self.time += 1_000_000
        os.utime(path, ns=(self.time, self.time))

    def files(self) -> list[Path]:
        return sorted(path for path in self.data.rglob("*") if path.is_file())

    def chosen(self, index: int) -> Path:
        files = self.files()
        return files[index % len(files)]

    @rule(place=PLACES, colour=COLOURS)
    def add_or_change(self, place: str, colour: int) -> None:
        self.put(place, colour)

    @precondition(lambda self: len(self.files()) > 1)
    @rule(index=st.integers(0, 17))
    def remove(self, index: int) -> None:
        self.chosen(index).unlink()

    @rule(index=st.integers(0, 17), place=PLACES)
    def rename_or_move(self, index: int, place: str) -> None:
        """Within its class or into another, over another image or not; its time goes with it."""
        (self.data / place).parent.mkdir(exist_ok=True)
        self.chosen(index).replace(self.data / place)

    @rule(index=st.integers(0, 17), other=st.integers(0, 17))
    def swap(self, index: int, other: int) -> None:
        one, two = self.chosen(index), self.chosen(other)
        if one != two:
            held = self.root / "held"
            one.replace(held)
            two.replace(one)
            held.replace(two)

    @rule(index=st.integers(0, 17), place=PLACES)
    def copy(self, index: int, place: str) -> None:
        """The same bytes twice."""
        if (source := self.chosen(index)) != (target := self.data / place):
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(source, target)

    @rule(index=st.integers(0, 17))
    def touch_only(self, index: int) -> None:
        self.touch(self.chosen(index))

    @rule(old=st.sampled_from(CLASSES), new=st.sampled_from(["yew", *CLASSES]))
    def relabel(self, old: str, new: str) -> None:
        """All images of a class, at once."""
        if (self.data / old).is_dir() and not (self.data / new).exists():
            (self.data / old).rename(self.data / new)

    @rule(stopped=st.booleans())
    def run(self, stopped: bool) -> None:
        if stopped:
            self.interrupt()
        else:
            self.complete()

    def interrupt(self) -> None:
        """A run that is stopped after its first batch."""

        class Stop(Silent):
            def advance(self, task: Path, *, done: int, failed: int) -> None:
                raise KeyboardInterrupt

        with contextlib.suppress(featx.Interrupted, featx.SourceError):
            self.extract(self.target, batch_size=2, progress=Stop())

    def complete(self) -> None:
        try:
            done = self.extract(self.target, batch_size=3)
        except featx.SourceError:  # nothing but failures
            return
        assert done.store is not None
        assert done.found == done.extracted + done.reused + done.failed
        self.check(done.store)
        again = self.extract(self.target, batch_size=3)
        assert (again.extracted, again.reused) == (0, len(done.store))

    def extract(self, target: Path, *, batch_size: int, progress: Progress = SILENT) -> Extraction:
        for overwrite in (False, True):
            try:
                (done,) = extract_job(
                    Job(source=self.data, out=target, overwrite=overwrite),
                    [Request(backbone="mean-colour")],
                    RunOptions(batch_size=batch_size, workers=1),
                    progress=progress,
                )
            except featx.StoreError as error:
                # Half of the images of so small a folder are soon gone: what the message says to do is done.
                if "no longer in" not in str(error):
                    raise
            else:
                break
        return done

    def check(self, store: featx.FeatureStore) -> None:
        """What the store says of the folder, file by file."""
        for row, path in enumerate(store.paths):
            pixels = np.asarray(Image.open(self.data / path))
            assert store.features[row].tolist() == pixels[0, 0].tolist()
            assert store.classes[store.labels[row]] == path.split("/")[0]

    @invariant()
    def nothing_is_left_over(self) -> None:
        if hasattr(self, "root"):
            names = {path.name for path in self.root.iterdir()}
            assert names <= {"data", "colour.png", "store.h5", "store.h5.partial"}

    def teardown(self) -> None:
        if not hasattr(self, "root"):
            return
        try:
            self.complete()
            fresh = self.extract(self.root / "else/fresh.h5", batch_size=5)
        except featx.SourceError:
            pass
        else:
            assert fresh.store is not None
            assert outcome(featx.open(self.target)) == outcome(fresh.store)
        shutil.rmtree(self.root)


def test_any_sequence_of_changes(tmp_path_factory: pytest.TempPathFactory) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    Folder.base = tmp_path_factory.mktemp("sequences")
    run_state_machine_as_test(
        Folder,
        settings=settings(
            max_examples=15,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
