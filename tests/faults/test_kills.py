"""Killed at any moment and run again: the store is, bit for bit, the one of a run that nobody disturbed."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import featx
from faults.conftest import Undisturbed
from faults.running import FOUND, Program, contents, end_all

Kind = Callable[[str], Program]
Expected = Callable[[str], Undisturbed]
Figure = Callable[[str], None]


def check_killed(program: Program, expected: dict[str, Any]) -> None:
    """After a kill there is a whole store or none, and what is unfinished is not taken for one."""
    if program.target.exists():
        featx.open(program.target)
    elif program.partial.exists():
        try:
            found = contents(program.partial)
        except featx.StoreError as error:
            found, message = None, str(error)
        # It may have died between the last byte and the name.
        assert found == expected or (found is None and "unfinished" in message)


def finish(program: Program, expected: dict[str, Any]) -> int:
    """Run it again: it is done, and as it should be; rows that it took over."""
    again = program.complete()
    assert again.found == again.extracted + again.reused + again.failed == FOUND
    assert contents(program.target) == expected
    assert program.left() == [program.target.name]
    program.target.unlink()
    return again.reused


@pytest.mark.parametrize("kind", ["whole", "holed"])
@pytest.mark.parametrize("how", ["kill", "tear", "power"])
def test_killed_at_a_write(program: Kind, undisturbed: Expected, figure: Figure, kind: str, how: str) -> None:
    """Before a write, in the middle of one, and with any part lost of what the disk had not been told to keep."""
    there, before = program(kind), undisturbed(kind)
    log = there.folder / "log"
    rng = random.Random(f"{kind} {how}")
    struck = []
    for phase in ("plan", "fill", "seal"):
        log.unlink(missing_ok=True)
        at = rng.randint(1, before.phases.count(phase))
        code, _, err = there.run(code=None, fault={"phase": phase, "at": at, "how": how, "log": str(log), "sync": 0})
        assert code == -signal.SIGKILL, err
        check_killed(there, before.contents)
        struck.append(log.read_text().split()[-1])
        if phase != "plan":  # the next is killed on top of it
            struck[-1] += f", {finish(there, before.contents)} of {FOUND} rows kept"
    figure(f"{how} at a write, {kind} images: {'; '.join(struck)}")
    assert [word.partition(",")[0] for word in struck] == ["plan", "fill", "seal"]


def test_killed_at_any_time(program: Kind, undisturbed: Expected, figure: Figure) -> None:
    """From outside: the program alone, or with all its decoders; several times over on the way to one store."""
    there, expected = program("holed"), undisturbed("holed").contents
    rng = random.Random(0)
    found: Counter[str] = Counter()
    for number in range(4):
        with there.start(fault={"decoder": "slow", "seconds": 0.01, "sync": 0}) as process:
            if number:
                there.wait_for_rows(process)
            time.sleep(rng.uniform(0.1, 0.5))
            end_all(process) if number % 2 else os.kill(process.pid, signal.SIGKILL)
            process.wait()
            found[state(there)] += 1
        check_killed(there, expected)
    figure(f"killed from outside, holed images: {dict(found)}; {finish(there, expected)} of {FOUND} rows kept")


def test_killed_while_views_are_made(program: Kind, figure: Figure) -> None:
    """A row is there with its views or not at all, and a run that goes on makes the same views."""
    there = program("holed")
    command = (*there.extraction, "--views", "2")
    for phase, how in (("fill", "power"), ("fill", "tear"), ("seal", "kill")):
        code, _, err = there.run(*command, code=None, fault={"phase": phase, "at": 9, "how": how, "sync": 0})
        assert code == -signal.SIGKILL, err
        assert not there.target.exists()
    again = there.complete()  # with the views that the killed runs were asked for
    assert again.found == again.extracted + again.reused + again.failed == FOUND
    whole = there.complete(out=there.folder / "whole" / there.target.name, views=2)
    assert contents(there.target) == contents(whole.target)
    assert contents(there.target)["views"] is not None
    figure(f"killed while views are made: {again.reused} of {FOUND} rows kept")


def state(program: Program) -> str:
    """How far the program had come when it was killed."""
    names = set(program.left()) if program.target.parent.exists() else set()
    for ending, meaning in ((".planning", "plan"), (".sealing", "seal"), (".partial", "fill"), (".h5", "end")):
        if any(name.endswith(ending) for name in names):
            return meaning
    return "start"
