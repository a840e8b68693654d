"""Judge what a board is: processor, libraries, Python, kernel; pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from slmdeploy.device.doctor.asked import Asked, Needs
from slmdeploy.device.doctor.checks import on_board, unknown
from slmdeploy.device.doctor.gather import BoardFacts
from slmdeploy.device.doctor.host_checks import Check, Status
from slmdeploy.device.doctor.parsers import Library, Python, System
from slmdeploy.device.facts import Cpu, Reading
from slmdeploy.device.provision.runtimes import InstalledRuntime
from slmdeploy.device.types import Device
from slmdeploy.runtime.elf import Version
from slmdeploy.runtime.requirements import LOADERS, Requirements

__all__ = [
    "judge_android",
    "judge_architecture",
    "judge_cpu",
    "judge_features",
    "judge_glibc",
    "judge_l4t",
    "judge_libstdcxx",
    "judge_pages",
    "judge_python",
    "judge_runtimes",
    "system_checks",
]

_JETPACKS = {32: "JetPack 4", 35: "JetPack 5", 36: "JetPack 6", 38: "JetPack 7"}


def system_checks(
    device: Device, facts: BoardFacts, asked: Asked, needs: Needs, host_machine: str
) -> Iterator[Check]:
    """All checks of this module, in the order of the report.

    Args:
        device: As the inventory knows it.
        facts: What was found.
        asked: What it is held against.
        needs: What the runtime's files ask for.
        host_machine: Architecture of this computer, which targets call ``host``.
    """
    wanted = host_machine if asked.arch == "host" else asked.arch
    os_name = facts.os_name.value
    kernel = facts.system.value.release if facts.system.value else None
    named = ", ".join(word for word in (os_name, kernel and f"kernel {kernel}") if word)
    yield Check("system", "ok", named) if named else unknown("system", facts.os_name.reason)
    if device.transport == "adb":
        yield from judge_android(facts.system, wanted)
        yield judge_cpu(facts.cpu, asked)
        return
    yield judge_architecture(facts.system, facts.userland_bits, asked.requirements, wanted)
    yield judge_cpu(facts.cpu, asked)
    machine = facts.system.value.machine if facts.system.value else ""
    yield judge_features(facts.cpu, machine, asked.requirements, asked.schemes)
    yield judge_glibc(facts.glibc, needs)
    if "GLIBCXX" in needs.symbols or "CXXABI" in needs.symbols:
        yield judge_libstdcxx(device, facts.libstdcxx, needs)
    yield judge_python(facts.python, machine, asked.requirements)
    yield judge_pages(device, facts.page_bytes, needs.align)
    if facts.l4t.value is not None or (facts.kind.value or "").startswith("jetson"):
        yield judge_l4t(facts.l4t, asked.requirements)
    yield judge_runtimes(facts, asked)


def judge_android(system: Reading[System], wanted: str | None) -> Iterator[Check]:
    """Android has a C library and a loader of its own, which nothing of ours is built for."""
    if system.value is None:
        yield unknown("architecture", system.reason)
    elif wanted not in {None, system.value.machine}:
        said = f"{system.value.machine}, but it was made for {wanted}"
        yield Check("architecture", "fail", said, "slmdeploy targets list")
    else:
        yield Check("architecture", "ok", system.value.machine)
    said = "none for Android's C library yet: bundles are pushed, and not run"
    yield Check("runner", "warn", said, "slmdeploy runs import FILE (docs/android.md)")


def judge_architecture(
    system: Reading[System], bits: Reading[int], known: Requirements, wanted: str | None
) -> Check:
    """Whether programs of the runtime start at all.

    A 64-bit kernel may carry a 32-bit system, whose programs cannot load our libraries:
    the 32-bit Raspberry Pi OS does so since 2023.
    """
    if system.value is None:
        return unknown("architecture", system.reason)
    machine = system.value.machine
    if machine not in known.machines:
        made = " and ".join(known.machines)
        return Check("architecture", "fail", machine, f"{known.runtime} is there for {made} alone.")
    if wanted is not None and wanted != machine:
        value = f"{machine}, but it was made for {wanted}"
        return Check("architecture", "fail", value, "slmdeploy targets list")
    if LOADERS[machine] not in system.value.loaders:
        width = f"{bits.value}-bit" if bits.value else "32-bit or musl"
        value = f"{machine} kernel with a {width} system: {LOADERS[machine]} is not there"
        fix = "Install the 64-bit system (Raspberry Pi OS 64-bit)."
        return Check("architecture", "fail", value, fix)
    if bits.value == 32:
        value = f"{machine} kernel with a 32-bit system, and a loader for 64-bit programs"
        return Check("architecture", "warn", value, "Install the 64-bit system.")
    return Check("architecture", "ok", f"{machine}, 64-bit")


def judge_cpu(cpu: Reading[Cpu], asked: Asked) -> Check:
    """Which cores, and whether there are as many as the target has threads."""
    if cpu.value is None:
        return unknown("processor", cpu.reason)
    value = f"{cpu.value.count} x {cpu.value.model or 'unknown core'}"
    if asked.threads is not None and asked.threads > cpu.value.count:
        fix = f"slmdeploy bench {asked.bundle or 'BUNDLE'} --threads {cpu.value.count}"
        return Check("processor", "warn", f"{value}, for {asked.threads} threads", fix)
    return Check("processor", "ok", value)


def judge_features(
    cpu: Reading[Cpu],
    machine: str,
    known: Requirements,
    schemes: frozenset[str] | None = None,
) -> Check:
    """What the processor can do, against what the runtime's kernels need and want.

    Args:
        cpu: The processor.
        machine: Its architecture.
        known: What the runtime asks for.
        schemes: Of the recipe; ``None`` if it is not known.
    """
    if cpu.value is None:
        return unknown("cpu features", cpu.reason)
    features = known.features.get(machine, ())
    if not features:
        return unknown("cpu features", f"nothing is known of {known.runtime} on {machine}")
    lacks = [feature for feature in features if feature.name not in cpu.value.features]
    has = [feature.name for feature in features if feature not in lacks]
    value = ", ".join([*has, *(f"no {feature.name}" for feature in lacks)])
    matter = [feature for feature in lacks if feature.matters_to(schemes)]
    worst = next((f for kind in ("needs", "wants") for f in matter if f.kind == kind), None)
    if worst is None:
        return Check("cpu features", "ok", value)
    status: Status = "fail" if worst.kind == "needs" else "warn"
    fix = f"Without {worst.name} {worst.why}. No command mends it: use another board or runtime."
    return Check("cpu features", status, value, fix)


def judge_glibc(glibc: Reading[tuple[int, int]], needs: Needs) -> Check:
    """The C library against the symbols that the files need."""
    if glibc.value is None:
        return unknown("glibc", glibc.reason)
    wanted = needs.symbols.get("GLIBC", (2, 0))
    if glibc.value >= wanted:
        return Check("glibc", "ok", f"{_text(glibc.value)}, needs {_text(wanted)}")
    if needs.old_glibc is not None and glibc.value >= needs.old_glibc:
        value = f"{_text(glibc.value)}, needs {_text(needs.old_glibc)}: linked for an old glibc"
        return Check("glibc", "ok", value)
    if needs.relinks and glibc.value >= needs.least_glibc:
        lack = "and nothing is installed that links the runner for less"
        value = f"{_text(glibc.value)}, but {_text(wanted)} is needed, {lack}"
        return Check("glibc", "fail", value, "pip install 'slmdeploy[cross]'")
    least = needs.least_glibc if needs.relinks else wanted
    value = f"{_text(glibc.value)}, but {_text(least)} is needed"
    return Check("glibc", "fail", value, needs.advice)


def judge_libstdcxx(device: Device, library: Reading[Library], needs: Needs) -> Check:
    """The C++ library against the symbols that the files need."""
    if library.value is None:
        reason = library.reason or ""
        if "no libstdc++" not in reason:
            return unknown("libstdc++", reason)
        fix = on_board(device, "sudo apt-get install -y libstdc++6")
        return Check("libstdc++", "fail", reason, fix)
    found = library.value.versions
    wanted = {f: needs.symbols[f] for f in ("GLIBCXX", "CXXABI") if f in needs.symbols}
    short = [f for f, version in wanted.items() if found.get(f, ()) < version]
    shown = short or list(wanted)[:1]
    value = ", ".join(f"{f} {_text(found.get(f, ())) or 'none'}" for f in shown)
    needed = ", ".join(f"{_text(wanted[f])}" for f in shown)
    if short:
        return Check("libstdc++", "fail", f"{value}, but {needed} is needed", needs.advice)
    return Check("libstdc++", "ok", f"{value}, needs {needed}")


def judge_python(python: Reading[Python], machine: str, known: Requirements) -> Check:
    """The board's own Python, for the runtimes that run in it."""
    if known.wheel is None:
        version = _text(python.value.version) if python.value else "none"
        return Check("python", "ok", f"{version}; {known.runtime} needs none")
    wheel = known.wheel
    pythons = wheel.pythons(machine)
    advice = f"Use the runtime {known.instead}." if known.instead else None
    if python.value is None:
        if "no python3" in (python.reason or ""):
            return Check("python", "fail", python.reason, advice)
        return unknown("python", python.reason)
    value = _text(python.value.version)
    if _text(python.value.version[:2]) not in pythons:
        others = [minor for minor in python.value.others if minor in pythons]
        if others:
            return Check("python", "ok", f"{value}, and {others[0]}, which will be used")
        made = f"{wheel.name} {wheel.version} is made for {', '.join(pythons) or 'none'}"
        return Check("python", "fail", f"{value}, but {made}", advice)
    return Check("python", "ok", f"{value}, {_numpy(python.value, wheel.numpy)}")


def judge_pages(device: Device, page_bytes: Reading[int], align: int) -> Check:
    """The kernel's pages against the alignment of the libraries' segments."""
    if page_bytes.value is None:
        return unknown("page size", page_bytes.reason)
    page = page_bytes.value
    value = f"{page // 1024} KiB, libraries are aligned to {align // 1024} KiB"
    if align % page:
        # Raspberry Pi OS has a second kernel, with pages of 4 KiB.
        chosen = "echo kernel=kernel8.img | sudo tee -a /boot/firmware/config.txt"
        return Check("page size", "fail", value, on_board(device, f"{chosen} && sudo reboot"))
    return Check("page size", "ok", value)


def judge_l4t(l4t: Reading[tuple[int, str]], known: Requirements) -> Check:
    """The release of Jetson Linux against what the runtime runs on."""
    if l4t.value is None:
        return unknown("jetpack", l4t.reason)
    release, revision = l4t.value
    name = _JETPACKS.get(release, "an unknown JetPack")
    value = f"L4T R{release}.{revision} ({name})"
    if release < known.least_l4t:
        least = _JETPACKS[known.least_l4t]
        instead = f", or use the runtime {known.instead}" if release >= 35 and known.instead else ""
        fix = f"{known.runtime} is made for {least} and later: flash that{instead}."
        return Check("jetpack", "fail", value, fix)
    return Check("jetpack", "ok", value)


def judge_runtimes(facts: BoardFacts, asked: Asked) -> Check:
    """What is installed in our folder; push, and provision before it, bring what is missing."""
    if facts.home.value is None:
        return unknown("runtimes", facts.home.reason)
    home = facts.home.value
    ready = {runtime.name: _described(runtime) for runtime in home.ready}
    came = {name: name for name in home.folders if name.partition("/")[0] not in ready}
    value = ", ".join([*ready.values(), *came.values()]) or "none"
    if asked.runtime in ready or (
        asked.requirements.wheel is None and home.has_runtime(asked.runtime)
    ):
        return Check("runtimes", "ok", value)
    return Check("runtimes", "ok", f"{value}; push brings {asked.runtime}")


def _described(runtime: InstalledRuntime) -> str:
    python = f" for Python {runtime.python_version}" if runtime.python_version else ""
    return f"{runtime.name} {runtime.version}{python}"


def _numpy(python: Python, wanted: tuple[Version, Version | None]) -> str:
    least, first_wrong = wanted
    if python.numpy is None:
        return "no numpy of its own: provision brings it"
    text = f"numpy {_text(python.numpy)}"
    fits = python.numpy >= least and (first_wrong is None or python.numpy < first_wrong)
    return text if fits else f"{text} does not go with it: provision brings its own"


def _text(version: Version) -> str:
    return ".".join(map(str, version))
