"""One contender in a fresh process: its result, time on the clock, CPU time and memory, and who disturbed it."""

import dataclasses
import json
import os
import platform
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

QUIET = 0.1
"""Share of the machine that other programs may have while it counts as quiet."""

TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = ("featx", "tensorflow", "keras", "openvino", "numpy", "opencv-python-headless", "h5py")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")


class FailedError(Exception):
    """A contender ended without a result; the message is the last line that it wrote."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """What one process did.

    Parameters
    ----------
    output : str
        The last line of its stdout.
    wall, cpu : float
        Seconds on the clock from before it was started until after it ended, and of CPU time with its children.
    others : float
        Share of the machine's CPU time that went to other programs meanwhile.
    memory : float or None
        Largest sum of the proportional set sizes (PSS) of the process and its descendants in MB, where it was watched.
    """

    output: str
    wall: float
    cpu: float
    others: float
    memory: float | None = None

    @property
    def result(self) -> dict[str, Any]:
        """The output, read as JSON."""
        found: dict[str, Any] = json.loads(self.output)
        return found


def run(command: list[str], *, environment: dict[str, str], watch_memory: bool = False) -> Finished:
    """Run a command to its end.

    Raises
    ------
    FailedError
        Its exit code is not 0.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as words:
        busy, cpu, start = _busy(), _cpu(), time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=words, text=True, env=_as_installed(environment)
        )
        watcher = _MemoryWatcher(process.pid) if watch_memory else None
        output, _ = process.communicate()
        wall = time.perf_counter() - start
        memory = watcher.stop() if watcher else None
        spent = _cpu() - cpu
        others = max(0.0, _busy() - busy - spent) / (wall * (os.cpu_count() or 1))
        if process.returncode:
            words.seek(0)
            lines = [line for line in words.read().splitlines() if line.strip()]
            raise FailedError(lines[-1] if lines else f"exit code {process.returncode}")
    lines = output.splitlines()
    return Finished(output=lines[-1] if lines else "", wall=wall, cpu=spent, others=others, memory=memory)


def _as_installed(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process, in which Python keeps compiled modules, as where packages are installed."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **environment}


def wait_until_quiet(patience: float) -> None:
    """Wait until other programs leave the machine alone for a second, at most so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        busy = _busy()
        time.sleep(1)
        if _busy() - busy < QUIET * (os.cpu_count() or 1):
            return


def _cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _busy() -> float:
    """CPU seconds of all programs, and of the machine's other guests, since the start; 0 where that isn't told.

    Programs of a lower priority don't count: they stand back.
    """
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    user, _nice, system, _idle, _waiting, *rest = (int(word) for word in line.split()[1:9])
    return (user + system + sum(rest)) / TICKS


class _MemoryWatcher:
    """Sums the PSS of a process and all its descendants, again and again, in a thread."""

    EVERY_SECONDS = 0.05

    def __init__(self, pid: int) -> None:
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pid,))
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self, pid: int) -> None:
        while not self._ended.wait(self.EVERY_SECONDS):
            self._peak = max(self._peak, sum(map(_pss, _family(pid))))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from _family(int(child))
    except OSError:  # it has just ended
        return


def _pss(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def machine(cores: int, timm_python: str | None) -> list[str]:
    """Lines that name the processor, the system and the versions; no name of a machine, user or folder."""
    found = _cpu_information()
    flags = set(found.get("flags", "").split())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return [
        f"{processor()}, {cores} cores used of "
        f"{os.cpu_count()}, {memory:.0f} GB; {', '.join(flag for flag in FLAGS if flag in flags) or 'flags unknown'}"
        f"{'' if 'amx_bf16' in flags else '; no AMX'}",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        _timm_versions(timm_python),
        f"measured on {time.strftime('%Y-%m-%d')}",
    ]


def processor() -> str:
    """Name of the processor, as its maker and the system give it."""
    return _cpu_information().get("model name", platform.processor() or platform.machine())


def _cpu_information() -> dict[str, str]:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        info = []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _timm_versions(python: str | None) -> str:
    if python is None:
        return "timm: not run"
    code = 'from importlib.metadata import version as v; print(f\'timm {v("timm")}, torch {v("torch")}\')'
    try:
        return run([python, "-c", code], environment={}).output
    except (OSError, FailedError):
        return "timm: not run"
