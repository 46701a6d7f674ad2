"""The cores and the memory that this process may use, within its affinity and its control groups.

Control groups (versions 1 and 2) are how containers and batch systems set limits. Neither NumPy's libraries nor the
system's own figures know them.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_cores(*, root: Path = _ROOT) -> int:
    """Count the cores that this process may use, at least 1.

    The smaller of its affinity and the CPU quotas of its control groups; a part of a core counts as one. Math libraries
    see the first and not the second, and lose time to throttling where they start a thread for every core.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = (_quota(group) for group in _groups(root, "cpu"))
    return max(1, min([cores, *(math.ceil(quota) for quota in quotas if quota is not None)]))


def memory_limit(*, root: Path = _ROOT) -> int:
    """Return the bytes of memory that the machine or a control group allows this process and its neighbours.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    return min([_machine_memory(), *(limit for limit, _ in _memory_groups(root))])


def available_memory(*, root: Path = _ROOT) -> int:
    """Return the bytes of memory that this process may still take: free on the machine and in its control groups.

    Pages of files in the system's cache count as available, in a control group as on the machine.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    fields = dict(line.split(":", 1) for line in _lines(root / "proc/meminfo"))
    # macOS tells no more than how much there is.
    machine = int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else _machine_memory()
    return max(0, min([machine, *(limit - used for limit, used in _memory_groups(root))]))


def instruction_limit(precision: str = "bfloat16") -> str | None:
    """Give the setting that keeps oneDNN from a processor's instructions of a precision; None where none does.

    oneDNN computes for OpenVINO and for TensorFlow. Both ask the processor itself what it can do, and then crash
    (OpenVINO 2026.4) or fail (TensorFlow 2.21) at bfloat16 where oneDNN may not.

    Parameters
    ----------
    precision : {"bfloat16", "float16"}
        Instructions of float16 came with or after those of bfloat16.

    Returns
    -------
    str or None
        Such as ``"ONEDNN_MAX_CPU_ISA=AVX2"``.
    """
    allowing = ("FP16", "AMX", "AVX10") + (("BF16",) if precision == "bfloat16" else ())
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        value = os.environ.get(name, "").upper()
        if value not in ("", "DEFAULT", "ALL") and not any(word in value for word in allowing):
            return f"{name}={value}"
    return None


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _quota(group: Path) -> float | None:
    """Read the CPU quota of a control group, in cores; None if it has none."""
    words = " ".join(_lines(group / "cpu.max")).split()
    if len(words) != 2:
        words = [" ".join(_lines(group / f"cpu.cfs_{name}_us")) for name in ("quota", "period")]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory_groups(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and use, in bytes, of every control group with a limit; the cache of files doesn't count as use."""
    for group in _groups(root, "memory"):
        for limit, used, prefix in (
            ("memory.max", "memory.current", ""),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ):
            try:
                allowed, taken = (int(_lines(group / file)[0]) for file in (limit, used))
            except (IndexError, ValueError):  # "max", or no such file
                continue
            known = dict(words.split() for words in _lines(group / "memory.stat"))
            yield allowed, taken - sum(int(known.get(f"{prefix}{kind}_file", "0")) for kind in ("inactive", "active"))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of every control group around this process; the limits of all of them apply."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            bases = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            bases = [root / "sys/fs/cgroup" / name for name in dict.fromkeys((controller, controllers))]
        else:
            continue
        group = path.strip("/")
        # In a container the path may be the host's, with only the group itself mounted.
        names = dict.fromkeys([group, *(str(parent) for parent in Path(group).parents)])
        yield from (base / name for base in bases for name in names)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
