"""Decoders that crash or hang: an image each, through the whole extraction."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import featx
from faults.conftest import Undisturbed
from faults.running import FOUND, Program, contents
from featx.batches import DecodeOptions, decoders

Kind = Callable[[str], Program]


@pytest.mark.parametrize(("word", "reason"), [(b"crash", "crashed"), (b"hang", "timeout")])
def test_a_broken_decoder_costs_one_image_at_every_position_of_the_ring(
    own: Program, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None], word: bytes, reason: str
) -> None:
    """The ring is made three batches small: one image is guilty in each slot, all the others have their rows."""
    monkeypatch.setattr(decoders, "_AHEAD_BYTES", 1)
    batch_size, workers = 2, 2
    assert DecodeOptions(workers=workers, batch_size=batch_size, timeout_s=1).batches_ahead((32, 32)) == 2
    paths = sorted(own.source.rglob("*.png"))
    guilty = paths[:: 3 * batch_size + 1][: 3 * batch_size]
    assert {paths.index(path) % (3 * batch_size) for path in guilty} == set(range(3 * batch_size))
    for path in guilty:
        with path.open("ab") as file:
            file.write(word)
    options = {"backbone": "mean-colour", "batch_size": batch_size, "workers": workers}
    sound = featx.extract(own.source, **options, out=own.folder / "sound.h5")
    assert sound.failed == 0
    for name, value in own.environment({"decoder": "guilty"}).items():
        monkeypatch.setenv(name, value)
    with pytest.warns(featx.UnreadableWarning):
        store = featx.extract(own.source, **options, out=own.folder / "else/broken.h5", timeout=0.3)
    assert {failure.path: failure.reason for failure in store.failures} == {
        str(path.relative_to(own.source)): reason for path in guilty
    }
    good = [path not in {failure.path for failure in store.failures} for path in sound.paths]
    assert np.array_equal(store.features, sound.features[good])
    assert np.array_equal(store.digests, sound.digests[good])
    assert np.array_equal(store.labels, sound.labels[good])
    figure(f"{word.decode()} at {len(guilty)} ring positions: {len(store)} rows, {store.failed} failures of {FOUND}")


def test_decoders_killed_all_the_time(program: Kind, undisturbed: Callable[[str], Undisturbed], tmp_path: Path) -> None:
    """As by a system that is out of memory: an image is tried again, and loses its row only if it dies twice."""
    import os
    import signal
    import time

    there = program("whole")
    killed = 0
    with there.start(fault={"decoder": "slow", "seconds": 0.01}) as process:
        while process.poll() is None:
            if there.partial.exists() and killed < 3:
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                for child in children[:1]:
                    os.kill(int(child), signal.SIGKILL)
                    killed += 1
            time.sleep(0.25)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert killed == 3
    assert contents(there.target) == undisturbed("whole").contents
