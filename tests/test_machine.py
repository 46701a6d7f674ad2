"""Cores and memory: what affinity and control groups leave."""

import os
from pathlib import Path

import pytest

from featx.machine import available_cores, available_memory, memory_limit

GB = 10**9


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "5000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "200000 100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_cores_are_what_affinity_and_control_groups_leave(files, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cores(root=tmp_path) == cores


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system with 8 GB to be had, in no control group."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 16000000 kB\nMemAvailable:    {8 * GB // 1024} kB\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


NEAR = pytest.approx(8 * GB, rel=1e-6)


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("", {}, NEAR),
        ("0::/app\n", {"app/memory.max": "max", "app/memory.current": "5"}, NEAR),
        ("0::/app\n", {"app/memory.max": f"{2 * GB}", "app/memory.current": f"{GB}"}, GB),
        # Pages in the cache can be had back.
        (
            "0::/app\n",
            {
                "app/memory.max": f"{2 * GB}",
                "app/memory.current": f"{GB}",
                "app/memory.stat": f"anon 7\nactive_file {GB // 4}\ninactive_file {GB // 4}\n",
            },
            3 * GB // 2,
        ),
        # A group around it binds too.
        (
            "0::/out/in\n",
            {
                "out/in/memory.max": "max",
                "out/in/memory.current": "1",
                "out/memory.max": f"{GB}",
                "out/memory.current": "0",
            },
            GB,
        ),
        # Version 1, and a container in which the path is the host's.
        (
            "4:memory:/docker/1234\n",
            {"memory/memory.limit_in_bytes": f"{3 * GB}", "memory/memory.usage_in_bytes": f"{GB}"},
            2 * GB,
        ),
        (
            "4:memory:/\n",
            {"memory/memory.limit_in_bytes": f"{2**63 - 4096}", "memory/memory.usage_in_bytes": "9"},
            NEAR,
        ),
        ("0::/app\n", {"app/memory.max": f"{GB}", "app/memory.current": f"{2 * GB}"}, 0),
    ],
)
def test_memory_is_what_machine_and_control_groups_leave(
    system: Path, cgroup: str, files: dict[str, str], expected: float
) -> None:
    write(system / "proc/self/cgroup", cgroup)
    for name, text in files.items():
        write(system / "sys/fs/cgroup" / name, text)
    assert available_memory(root=system) == expected


def test_this_machine_has_memory() -> None:
    assert memory_limit() > available_memory() > 10**7


def test_the_limit_of_a_control_group_does_not_depend_on_what_is_used(system: Path) -> None:
    write(system / "proc/self/cgroup", "0::/app\n")
    write(system / "sys/fs/cgroup/app/memory.max", f"{10**8}")
    write(system / "sys/fs/cgroup/app/memory.current", f"{9 * 10**7}")
    assert memory_limit(root=system) == 10**8
    assert available_memory(root=system) == 10**7
