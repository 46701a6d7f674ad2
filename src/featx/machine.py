"""How many CPU cores this process may use: what its affinity and its control groups leave of the machine's."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def available_cores(*, root: Path = Path("/")) -> int:
    """Cores that this process may use, at least 1.

    The smaller of its affinity and the CPU quotas of its control groups (versions 1 and 2), as containers set them; a
    part of a core counts as one. Math libraries see the first and not the second, and lose time to throttling where
    they start a thread for every core of the machine.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in cores, of every control group that this process is in."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            bases = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            bases = [root / "sys/fs/cgroup/cpu", root / "sys/fs/cgroup" / controllers]
        else:
            continue
        group = path.strip("/")
        # In a container the path may be the host's, with only the group itself mounted; and a parent's quota binds too.
        groups = [group, *(str(parent) for parent in Path(group).parents)]
        for base in bases:
            yield from (quota for name in groups if (quota := _quota(base / name)) is not None)


def _quota(group: Path) -> float | None:
    words = (_read(group / "cpu.max") or "").split()
    if len(words) != 2:
        words = [_read(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
