"""Processors as Linux shows them: /proc/cpuinfo, /proc/meminfo and /sys/devices/system/cpu.

Layouts: kernel documentation, ``ABI/testing/sysfs-devices-system-cpu``,
``admin-guide/pm/cpufreq.rst``, ``filesystems/proc.rst``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.boards.sensor_files import Link, Tree

CPU = "sys/devices/system/cpu"


@dataclass(frozen=True)
class Cores:
    """The processors of a kind of board.

    Attributes:
        count: How many there are.
        cluster: How many share a clock (a cpufreq policy) and the last cache.
        part: Arm's part number, as in /proc/cpuinfo.
        variant, revision: As in /proc/cpuinfo.
        features: Names of HWCAP bits, as in /proc/cpuinfo.
        bogomips: As in /proc/cpuinfo.
        least_khz: Lowest frequency of the hardware.
        steps_khz: Frequencies to choose from; empty where the driver lists none.
        driver: Name of the cpufreq driver.
        governors: Governors to choose from.
        caches: Level, type, size, and whether a cluster shares it.
        tail: Lines after the processors in /proc/cpuinfo.
    """

    count: int
    cluster: int
    part: int
    variant: int
    revision: int
    features: str
    bogomips: str
    least_khz: int
    most_khz: int
    steps_khz: tuple[int, ...]
    driver: str
    governors: str
    caches: tuple[tuple[int, str, str, bool], ...]
    tail: str = ""

    @property
    def midr(self) -> str:
        """The main ID register (Arm ARM, MIDR_EL1), implementer 0x41."""
        value = 0x41 << 24 | self.variant << 20 | 0xF << 16 | self.part << 4 | self.revision
        return f"0x{value:016x}"

    def clusters(self) -> Iterator[tuple[int, range]]:
        for first in range(0, self.count, self.cluster):
            yield first, range(first, min(first + self.cluster, self.count))


def cpu_tree(cores: Cores, values: Mapping[str, Any]) -> Tree:
    """All of the files of the processors, for ``khz``, ``min_khz``, ``max_khz``, ``governor``."""
    everyone = f"0-{cores.count - 1}"
    tree: Tree = {
        "proc/cpuinfo": cpuinfo(cores),
        f"{CPU}/possible": f"{everyone}\n",
        f"{CPU}/present": f"{everyone}\n",
        f"{CPU}/online": f"{everyone}\n",
        f"{CPU}/kernel_max": "511\n",
    }
    for first, members in cores.clusters():
        tree |= _policy(cores, first, members, values)
        for index in members:
            tree |= _core(cores, index, first, members)
    return tree


def cpuinfo(cores: Cores) -> str:
    one = (
        "processor\t: {}\n"
        f"BogoMIPS\t: {cores.bogomips}\n"
        f"Features\t: {cores.features}\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 8\n"
        f"CPU variant\t: {cores.variant:#x}\n"
        f"CPU part\t: {cores.part:#05x}\n"
        f"CPU revision\t: {cores.revision}\n\n"
    )
    return "".join(one.format(index) for index in range(cores.count)) + cores.tail


def proc_tree(values: Mapping[str, Any], release: str) -> Tree:
    """What /proc says of memory, swap, load and kernel, instead of this computer's own."""
    total, available = int(values["memory_total"]), int(values["memory_available"])
    swap, used = int(values["swap_total"]), int(values["swap_used"])
    cached = min(available // 4, 800 << 20)
    rows = {
        "MemTotal": total,
        "MemFree": available - cached,
        "MemAvailable": available,
        "Buffers": 40 << 20,
        "Cached": cached,
        "SwapCached": 0,
        "Active": (total - available) // 2,
        "Inactive": (total - available) // 2,
        "SwapTotal": swap,
        "SwapFree": swap - used,
        "Shmem": 30 << 20,
        "CmaTotal": 64 << 20,
        "CmaFree": 56 << 20,
    }
    meminfo = "".join(f"{name + ':':<15}{size // 1024:>9} kB\n" for name, size in rows.items())
    header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    device = str(values["swap_device"])
    kind = "partition" if device.startswith("/dev") else "file"
    row = f"{device:<40}{kind}\t{swap // 1024}\t\t{used // 1024}\t\t-2\n"
    return {
        "proc/meminfo": meminfo,
        "proc/swaps": header + (row if swap else ""),
        "proc/loadavg": f"{float(values['load']):.2f} 0.05 0.01 1/152 1234\n",
        "proc/version": f"Linux version {release} (builder@board) (gcc 12.2.0) #1 SMP PREEMPT\n",
    }


def _policy(cores: Cores, first: int, members: range, values: Mapping[str, Any]) -> Tree:
    folder = f"{CPU}/cpufreq/policy{first}"
    names = " ".join(map(str, members))
    rows = {
        "affected_cpus": names,
        "related_cpus": names,
        "cpuinfo_min_freq": cores.least_khz,
        "cpuinfo_max_freq": cores.most_khz,
        "cpuinfo_cur_freq": values["khz"],
        "cpuinfo_transition_latency": 0,
        "scaling_cur_freq": values["khz"],
        "scaling_min_freq": values["min_khz"],
        "scaling_max_freq": values["max_khz"],
        "scaling_governor": values["governor"],
        "scaling_driver": cores.driver,
        "scaling_available_governors": cores.governors + " ",
        "scaling_setspeed": "<unsupported>",
    }
    if cores.steps_khz:
        rows["scaling_available_frequencies"] = " ".join(map(str, cores.steps_khz)) + " "
    return {f"{folder}/{name}": f"{value}\n" for name, value in rows.items()}


def _core(cores: Cores, index: int, first: int, members: range) -> Tree:
    folder = f"{CPU}/cpu{index}"
    together = f"{members[0]}-{members[-1]}"
    everyone = f"0-{cores.count - 1}"
    rows = {
        "online": 1,
        "regs/identification/midr_el1": cores.midr,
        "topology/core_id": index - first,
        "topology/physical_package_id": 0,
        "topology/cluster_id": first // cores.cluster,
        "topology/thread_siblings_list": index,
        "topology/core_siblings_list": everyone,
        "topology/core_cpus_list": index,
        "topology/package_cpus_list": everyone,
        "topology/cluster_cpus_list": together,
    }
    for number, (level, kind, size, shared) in enumerate(cores.caches):
        cache = {
            "level": level,
            "type": kind,
            "size": size,
            "shared_cpu_list": together if shared else index,
            "coherency_line_size": 64,
            "ways_of_associativity": 4,
            "number_of_sets": 256,
        }
        rows |= {f"cache/index{number}/{name}": value for name, value in cache.items()}
    tree: Tree = {f"{folder}/{name}": f"{value}\n" for name, value in rows.items()}
    return {**tree, f"{folder}/cpufreq": Link(f"../cpufreq/policy{first}")}
