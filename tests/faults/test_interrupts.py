"""Ctrl-C and SIGTERM: an end within two seconds, what is done is kept, and a word on how to go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from faults.conftest import Undisturbed
from faults.running import FOUND, Program, contents, wait_for

Kind = Callable[[str], Program]

PATIENCE = 2.5
"""Seconds: two, and what a busy machine adds."""


def stop(process: subprocess.Popen[str], number: int, *, group: bool = False) -> tuple[float, str]:
    """Send a signal; the seconds until the end, and stderr."""
    start = time.monotonic()
    os.killpg(process.pid, number) if group else os.kill(process.pid, number)
    _, err = process.communicate(timeout=30)
    return time.monotonic() - start, err


@pytest.mark.parametrize(
    ("number", "group", "code"),
    [(signal.SIGINT, False, 130), (signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)],
)
def test_stopped_while_filling(
    program: Kind,
    undisturbed: Callable[[str], Undisturbed],
    figure: Callable[[str], None],
    number: int,
    group: bool,
    code: int,
) -> None:
    there = program("whole")
    with there.start(fault={"decoder": "slow", "seconds": 0.02, "sync": 0}) as process:
        there.wait_for_rows(process)
        seconds, err = stop(process, number, group=group)
    assert process.returncode == code, err
    assert seconds < PATIENCE
    (line,) = err.splitlines()
    assert f"of {FOUND} rows of {there.target} are kept, and the same command will continue from there" in line
    assert there.left() == [there.partial.name]
    again = there.complete()
    assert again.reused > 0
    assert f"stopped: {again.reused} of" in line
    assert contents(there.target) == undisturbed("whole").contents
    figure(f"{signal.Signals(number).name} while filling: over in {seconds:.1f} s, {again.reused} rows kept")


@pytest.mark.parametrize("busy", ["listing", "native"])
@pytest.mark.parametrize("times", [1, 3])
def test_stopped_before_the_first_row(program: Kind, figure: Callable[[str], None], busy: str, times: int) -> None:
    """While the source is listed, and while a backbone is loaded in native code that hears no signal."""
    there = program("whole")
    with there.start(fault={"dawdle": busy}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        time.sleep(0.2)
        for _ in range(times - 1):
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.05)
        seconds, err = stop(process, signal.SIGINT)
    assert process.returncode == 130, err
    assert seconds < PATIENCE
    assert err == "featx: stopped; all finished work is kept, and the same command will continue from there\n"
    figure(f"SIGINT ({times}) while busy with {busy}: over in {seconds:.1f} s")


def test_the_signals_of_the_tests_own_parent_do_not_matter(program: Kind) -> None:
    """A shell that starts the tests in the background lets them, and what they start, ignore SIGINT."""
    there = program("whole")
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with there.start(fault={"dawdle": "listing"}) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "now\n"
            _, err = stop(process, signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert process.returncode == 130, err


@pytest.mark.keras
def test_stopped_while_tensorflow_is_loaded(program: Kind, figure: Callable[[str], None]) -> None:
    there = program("whole")
    command = ("extract", there.source, "--backbone", "mobilenetv2-0.35", "--weights", "none", "--runtime", "keras")
    with there.start(*command) as process:
        while "tensorflow" not in (text := maps(process)):  # its libraries are being loaded
            assert process.poll() is None, text
            time.sleep(0.01)
        time.sleep(0.3)
        seconds, err = stop(process, signal.SIGINT)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("featx: stopped")
    assert "Traceback" not in err
    figure(f"SIGINT while TensorFlow is loaded: over in {seconds:.1f} s")
    # Loading a library holds Python still: nothing but a kill ends that sooner.
    assert seconds < 8


def maps(process: subprocess.Popen[str]) -> str:
    with open(f"/proc/{process.pid}/maps") as file:  # noqa: PTH123
        return file.read()


@pytest.mark.skipif(sys.platform != "linux", reason="signals are ignored by way of the shell's nohup")
def test_an_ignored_signal_stays_ignored(program: Kind) -> None:
    there = program("whole")

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with there.start(fault={"decoder": "slow", "seconds": 0.005}, before=ignore) as process:
        wait_for(there.partial, process)
        _, err = stop(process, signal.SIGINT)
    assert process.returncode == 0, err
    assert there.left() == [there.target.name]
