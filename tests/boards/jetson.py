"""What a Jetson Orin shows: sysfs with its INA3221 monitors, and what NVIDIA's tools print.

Sources and what is known from memory only: ``fixtures/SOURCES.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.boards.cpu_tree import Cores, cpu_tree, proc_tree
from tests.boards.sensor_files import Folder, Link, Tree

ZONES = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")
GPU = "sys/devices/platform/bus@0/17000000.gpu"
I2C = "sys/devices/platform/bus@0/c240000.i2c/i2c-1"
RELEASE = "5.15.148-tegra"


@dataclass(frozen=True)
class Jetson:
    """A kind of Jetson board.

    Attributes:
        model: As in the device tree.
        compatible: As in the device tree.
        cores: Its processors.
        monitors: By I2C name, the label of each of three channels (``NC``: not connected) and
            the current in mA at which it warns.
        modes: Names of the power modes, by their number.
        engines: What tegrastats says of other engines.
        gpu_max_hz: Highest clock of the GPU.
    """

    model: str
    compatible: tuple[str, ...]
    cores: Cores
    monitors: Mapping[str, tuple[tuple[str, int], ...]]
    modes: tuple[str, ...]
    engines: str
    gpu_max_hz: int


_CORES = Cores(
    count=6,
    cluster=4,
    part=0xD42,
    variant=0,
    revision=1,
    features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc"
    " dcpop asimddp uscat ilrcpc flagm paca pacg",
    bogomips="62.50",
    least_khz=115_200,
    most_khz=1_728_000,
    steps_khz=(),
    driver="tegra194",
    governors="conservative ondemand userspace performance schedutil",
    caches=(
        (1, "Data", "64K", False),
        (1, "Instruction", "64K", False),
        (2, "Unified", "256K", False),
        (3, "Unified", "2048K", True),
    ),
)
ORIN_NANO = Jetson(
    model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    compatible=("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
    cores=_CORES,
    monitors={"1-0040": (("VDD_IN", 7784), ("VDD_CPU_GPU_CV", 32760), ("VDD_SOC", 32760))},
    modes=("15W", "25W", "MAXN_SUPER"),
    engines="NVDEC off NVJPG off NVJPG1 off VIC off OFA off APE 200",
    gpu_max_hz=1_020_000_000,
)
AGX_ORIN = Jetson(
    model="NVIDIA Jetson AGX Orin Developer Kit",
    compatible=("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
    cores=replace(_CORES, count=12, most_khz=2_201_600),
    monitors={
        "1-0040": (("VDD_GPU_SOC", 32760), ("VDD_CPU_CV", 32760), ("VIN_SYS_5V0", 32760)),
        "1-0041": (("NC", 32760), ("VDDQ_VDD2_1V8AO", 32760), ("NC", 32760)),
    },
    modes=("MAXN", "MODE_15W", "MODE_30W", "MODE_50W"),
    engines="NVENC off NVDEC off NVJPG off NVJPG1 off VIC off OFA off NVDLA0 off NVDLA1 off"
    " PVA0_FREQ off APE 174",
    gpu_max_hz=1_300_500_000,
)

_COMMON = {
    "temperature": 47.968,
    "gpu_temperature": 46.312,
    "soc_temperature": 46.25,
    "cv_temperature": None,
    "governor": "schedutil",
    "khz": 729_600,
    "min_khz": 729_600,
    "gpu_load": 0,
    "gpu_khz": 306_000,
    "l4t": "R36 (release), REVISION: 4.3",
    "fan_rpm": 1200,
    "cooling": 0,
    "over_current": 0,
    "swap_used": 0,
    "swap_device": "/dev/zram0",
    "load": 0.21,
}
ORIN_NANO_VALUES: Mapping[str, Any] = {
    **_COMMON,
    "max_khz": 1_728_000,
    "mode": 1,
    # volts and amperes
    "rails": {
        "VDD_IN": (4.944, 1.008),
        "VDD_CPU_GPU_CV": (4.944, 0.184),
        "VDD_SOC": (4.944, 0.304),
    },
    "memory_total": 7620 << 20,
    "memory_available": 5715 << 20,
    "swap_total": 3810 << 20,
}
AGX_ORIN_VALUES: Mapping[str, Any] = {
    **_COMMON,
    "max_khz": 2_201_600,
    "mode": 2,
    "rails": {
        "VDD_GPU_SOC": (19.864, 0.18),
        "VDD_CPU_CV": (19.88, 0.04),
        "VIN_SYS_5V0": (5.048, 0.64),
        "VDDQ_VDD2_1V8AO": (5.048, 0.12),
    },
    "memory_total": 62795 << 20,
    "memory_available": 57100 << 20,
    "swap_total": 31398 << 20,
}


def orin_nano_tree(values: Mapping[str, Any]) -> Tree:
    """Every file of a Jetson Orin Nano, for these values."""
    return _tree(ORIN_NANO, values)


def agx_orin_tree(values: Mapping[str, Any]) -> Tree:
    """Every file of a Jetson AGX Orin, for these values."""
    return _tree(AGX_ORIN, values)


def _tree(board: Jetson, values: Mapping[str, Any]) -> Tree:
    base = "sys/firmware/devicetree/base"
    modes = [f"< POWER_MODEL ID={n} NAME={name} >" for n, name in enumerate(board.modes)]
    day = "DATE: Wed Jan  8 01:49:37 UTC 2025"
    return {
        **cpu_tree(board.cores, values),
        **proc_tree(values, RELEASE),
        **_thermal(values),
        **_throttle(values),
        **_monitors(board, values),
        **_gpu(board, values),
        f"{base}/model": board.model + "\0",
        f"{base}/compatible": "".join(f"{name}\0" for name in board.compatible),
        f"{base}/serial-number": "1420000000000\0",
        "sys/class/hwmon/hwmon0/name": "pwmfan\n",
        "sys/class/hwmon/hwmon0/pwm1": "80\n",
        "sys/class/hwmon/hwmon1/name": "pwm_tach\n",
        "sys/class/hwmon/hwmon1/rpm": f"{values['fan_rpm']}\n",
        "sys/fs/cgroup": Folder(),
        "sys/block/zram0/size": f"{int(values['swap_total']) // 512}\n",
        "sys/block/nvme0n1/size": "488397168\n",
        "etc/nv_tegra_release": f"# {values['l4t']}, GCID: 38968081, BOARD: generic,"
        f" EABI: aarch64, {day}\n# KERNEL_VARIANT: oot\n",
        "etc/nvpmodel.conf": "\n".join([*modes, f"< PM_CONFIG DEFAULT={values['mode']} >"]) + "\n",
        "board/nvpmodel_mode": f"{values['mode']}\n",
        "board/tegrastats": _tegrastats(board, values),
        "board/jetson_clocks": _jetson_clocks(board, values),
    }


def _celsius(values: Mapping[str, Any]) -> dict[str, float | None]:
    cpu, gpu = float(values["temperature"]), float(values["gpu_temperature"])
    soc, cv = float(values["soc_temperature"]), values["cv_temperature"]
    hottest = max(cpu, gpu, soc)
    return dict(zip(ZONES, (cpu, gpu, cv, cv, cv, soc, soc, soc, hottest), strict=True))


def _thermal(values: Mapping[str, Any]) -> Tree:
    """Zones; reading one that is powered down fails (EAGAIN there, EISDIR here)."""
    tree: Tree = {}
    for number, (name, celsius) in enumerate(_celsius(values).items()):
        zone = f"thermal_zone{number}"
        folder = f"sys/devices/virtual/thermal/{zone}"
        tree[f"{folder}/type"] = f"{name}-thermal\n"
        down = celsius is None
        tree[f"{folder}/temp"] = Folder() if down else f"{round((celsius or 0) * 1000)}\n"
        tree[f"sys/class/thermal/{zone}"] = Link(f"../../devices/virtual/thermal/{zone}")
    return tree


def _throttle(values: Mapping[str, Any]) -> Tree:
    """What slows the processor down, and how often the supply was not enough."""
    device, hwmon = "sys/class/thermal/cooling_device0", "sys/class/hwmon/hwmon2"
    counts = {f"{hwmon}/oc{n}_event_cnt": f"{values['over_current']}\n" for n in (1, 2, 3)}
    return {
        f"{device}/type": "cpufreq-cpu0\n",
        f"{device}/cur_state": f"{values['cooling']}\n",
        f"{device}/max_state": "10\n",
        f"{hwmon}/name": "soctherm_oc\n",
        **counts,
    }


def _monitors(board: Jetson, values: Mapping[str, Any]) -> Tree:
    tree: Tree = {}
    for number, (device, channels) in enumerate(board.monitors.items(), 3):
        folder = f"{I2C}/{device}"
        hwmon = f"hwmon/hwmon{number}"
        below = folder.removeprefix("sys/")
        tree |= {
            f"{folder}/name": "ina3221\n",
            f"{folder}/{hwmon}/name": "ina3221\n",
            f"{folder}/{hwmon}/device": Link(f"../../../{device}"),
            f"sys/bus/i2c/drivers/ina3221/{device}": Link(f"../../../../{below}"),
            f"sys/bus/i2c/devices/{device}": Link(f"../../../{below}"),
            f"sys/class/hwmon/hwmon{number}": Link(f"../../{below}/{hwmon}"),
        }
        for channel, (label, warns) in enumerate(channels, 1):
            rows = _channel(channel, label, warns, values)
            tree |= {f"{folder}/{hwmon}/{name}": f"{value}\n" for name, value in rows.items()}
        total = sum(_milli(values, label)[1] * 5 for label, _ in channels)
        rest = {
            "in7_label": "sum of shunt voltages",
            "in7_input": total,
            "curr4_input": total // 5,
            "samples": 1,
            "update_interval": 2,
        }
        tree |= {f"{folder}/{hwmon}/{name}": f"{value}\n" for name, value in rest.items()}
    return tree


def _channel(channel: int, label: str, warns: int, values: Mapping[str, Any]) -> dict[str, object]:
    """One channel: mV, mA, and the voltage in uV over a shunt of 5 milliohm."""
    millivolts, milliamperes = _milli(values, label)
    return {
        f"in{channel}_label": label,
        f"in{channel}_input": millivolts,
        f"in{channel}_enable": int(label != "NC"),
        f"in{channel + 3}_input": milliamperes * 5,
        f"curr{channel}_input": milliamperes,
        f"curr{channel}_max": warns,
        f"curr{channel}_crit": warns,
        f"curr{channel}_max_alarm": int(milliamperes > warns),
        f"curr{channel}_crit_alarm": int(milliamperes > warns),
        f"shunt{channel}_resistor": 5000,
    }


def _milli(values: Mapping[str, Any], label: str) -> tuple[int, int]:
    volts, amperes = values["rails"].get(label, (0, 0))
    return round(volts * 1000), round(amperes * 1000)


def _gpu(board: Jetson, values: Mapping[str, Any]) -> Tree:
    folder = f"{GPU}/devfreq/17000000.gpu"
    return {
        f"{GPU}/load": f"{values['gpu_load']}\n",
        f"{folder}/cur_freq": f"{int(values['gpu_khz']) * 1000}\n",
        f"{folder}/min_freq": "306000000\n",
        f"{folder}/max_freq": f"{board.gpu_max_hz}\n",
        f"{folder}/governor": "nvhost_podgov\n",
        "sys/class/devfreq/17000000.gpu": Link("../../" + folder.removeprefix("sys/")),
    }


def _tegrastats(board: Jetson, values: Mapping[str, Any]) -> str:
    total, free = int(values["memory_total"]) >> 20, int(values["memory_available"]) >> 20
    swap, used = int(values["swap_total"]) >> 20, int(values["swap_used"]) >> 20
    cores = ",".join(f"{3 + n}%@{int(values['khz']) // 1000}" for n in range(board.cores.count))
    heat = _celsius(values)
    zones = [f"{name}@{heat[name]:g}C" for name in ("cpu", "soc2", "soc0", "gpu", "tj", "soc1")]
    if heat["cv0"] is not None:
        zones += [f"cv{n}@{heat['cv0']:g}C" for n in range(3)]
    power = {name: round(volts * amps * 1000) for name, (volts, amps) in values["rails"].items()}
    rails = " ".join(f"{name} {watts}mW/{watts}mW" for name, watts in power.items())
    gpu = f"GR3D_FREQ {int(values['gpu_load']) // 10}%@[{int(values['gpu_khz']) // 1000}]"
    return (
        f"RAM {total - free}/{total}MB (lfb 44x4MB) SWAP {used}/{swap}MB (cached 0MB)"
        f" CPU [{cores}] EMC_FREQ 0%@2133 {gpu} {board.engines} {' '.join(zones)} {rails}\n"
    )


def _jetson_clocks(board: Jetson, values: Mapping[str, Any]) -> str:
    khz = f"MinFreq={values['min_khz']} MaxFreq={values['max_khz']} CurrentFreq={values['khz']}"
    cores = [
        f"cpu{n}: Online=1 Governor={values['governor']} {khz} IdleStates: WFI=1 c7=1 "
        for n in range(board.cores.count)
    ]
    gpu = f"MaxFreq={board.gpu_max_hz} CurrentFreq={int(values['gpu_khz']) * 1000}"
    rows = [
        f"SOC family:tegra234  Machine:{board.model}",
        f"Online CPUs: 0-{board.cores.count - 1}",
        *cores,
        f"GPU MinFreq=306000000 {gpu}",
        "EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=2133000000 FreqOverride=0",
        "FAN Dynamic Speed control=nvfancontrol hwmon0_pwm1=80",
        f"NV Power Mode: {board.modes[int(values['mode'])]}",
    ]
    return "\n".join(rows) + "\n"
