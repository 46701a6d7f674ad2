"""What is unfinished is damaged at random between two runs."""

import random
from collections.abc import Callable

import pytest

from faults.conftest import Undisturbed
from faults.running import FOUND, SYNC, Program, contents

FLIPS = (1, 5, 50)


def flip(data: bytearray, rng: random.Random, *, count: int) -> None:
    for _ in range(count):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random, *, count: int) -> None:
    del data[rng.randrange(len(data)) :]


def blank(data: bytearray, rng: random.Random, *, count: int) -> None:
    """A stretch that never reached the disk."""
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.randrange(1, 4096))
    data[start:stop] = bytes(stop - start)


@pytest.mark.parametrize("damage", [flip, cut, blank])
def test_a_partial_store_damaged_at_random(
    program: Callable[[str], Program],
    undisturbed: Callable[[str], Undisturbed],
    figure: Callable[[str], None],
    damage: Callable[..., None],
) -> None:
    there, before = program("whole"), undisturbed("whole")
    at = before.phases.count("fill") * 3 // 5
    there.run(code=None, fault={"phase": "fill", "at": at, "how": "kill", "sync": SYNC})
    filled = there.partial.read_bytes()
    rng = random.Random(damage.__name__)
    kept = []
    for count in FLIPS:
        spoiled = bytearray(filled)
        damage(spoiled, rng, count=count)
        there.partial.write_bytes(spoiled)
        kept.append(there.complete().reused)
        assert contents(there.target) == before.contents
        assert there.left() == [there.target.name]
        there.target.unlink()
    figure(f"partial store, {damage.__name__} at random: {kept} of {FOUND} rows kept")


def test_other_files_in_the_place_of_a_partial_store(
    program: Callable[[str], Program], undisturbed: Callable[[str], Undisturbed]
) -> None:
    there = program("whole")
    there.target.parent.mkdir(parents=True)
    for content in (b"no store", b""):
        for ending in (".partial", ".sealing", ".planning", ".lock"):
            there.target.with_name(there.target.name + ending).write_bytes(content)
        there.complete()
        assert contents(there.target) == undisturbed("whole").contents
        assert there.left() == [there.target.name]
        there.target.unlink()
