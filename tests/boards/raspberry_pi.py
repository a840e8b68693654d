"""What a Raspberry Pi 4 and 5 show: sysfs, and what the firmware answers to ``vcgencmd``.

Sources and what is known from memory only: ``fixtures/SOURCES.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.boards.cpu_tree import Cores, cpu_tree, proc_tree
from tests.boards.sensor_files import Folder, Link, Tree

UNDER_VOLTAGE_NOW, UNDER_VOLTAGE_SEEN = 0x1, 0x10000
GOVERNORS = "conservative ondemand userspace powersave performance schedutil"
PMIC_RAILS = {
    # rail: channel of its current and of its voltage, amperes, volts (a real board's output)
    "3V7_WL_SW": (0, 8, 0.0585558, 3.610692),
    "3V3_SYS": (1, 9, 0.06148359, 3.299826),
    "1V8_SYS": (2, 10, 0.1327265, 1.816848),
    "DDR_VDD2": (3, 11, 0.139558, 1.101098),
    "DDR_VDDQ": (4, 12, 0.009804, 0.6036624),
    "1V1_SYS": (5, 13, 0.1981138, 1.102929),
    "0V8_SW": (6, 14, 0.3415755, 0.8029296),
    "VDD_CORE": (7, 15, 5.03652, 0.8936988),
    "3V3_DAC": (17, 20, 0.00006105, 3.299447),
    "3V3_ADC": (18, 21, 0.00054945, 3.304026),
    "0V8_AON": (16, 19, 0.00531135, 0.7961898),
    "HDMI": (22, 23, 0.0216117, 4.9245),
}

PI5_CORES = Cores(
    count=4,
    cluster=4,
    part=0xD0B,
    variant=4,
    revision=1,
    features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc"
    " dcpop asimddp",
    bogomips="108.00",
    least_khz=1_500_000,
    most_khz=2_400_000,
    steps_khz=tuple(range(1_500_000, 2_400_001, 100_000)),
    driver="cpufreq-dt",
    governors=GOVERNORS,
    caches=(
        (1, "Data", "64K", False),
        (1, "Instruction", "64K", False),
        (2, "Unified", "512K", False),
        (3, "Unified", "2048K", True),
    ),
    tail="Revision\t: c04170\nSerial\t\t: 0123456789abcdef\n"
    "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
)
PI4_CORES = Cores(
    count=4,
    cluster=4,
    part=0xD08,
    variant=0,
    revision=3,
    features="fp asimd evtstrm crc32 cpuid",
    bogomips="108.00",
    least_khz=600_000,
    most_khz=1_800_000,
    steps_khz=tuple(range(600_000, 1_800_001, 100_000)),
    driver="cpufreq-dt",
    governors=GOVERNORS,
    caches=(
        (1, "Data", "32K", False),
        (1, "Instruction", "48K", False),
        (2, "Unified", "1024K", True),
    ),
    tail="Revision\t: c03115\nSerial\t\t: 10000000abcdef01\n"
    "Model\t\t: Raspberry Pi 4 Model B Rev 1.5\n",
)

_COMMON = {
    "temperature": 48.9,
    "governor": "ondemand",
    "throttled": 0,
    "under_voltage": False,
    "core_volts": 0.72,
    "swap_total": 199 << 20,
    "swap_used": 0,
    "swap_device": "/var/swap",
    "load": 0.08,
}
PI5_VALUES: Mapping[str, Any] = {
    **_COMMON,
    "khz": 1_700_000,
    "min_khz": 1_500_000,
    "max_khz": 2_400_000,
    "memory_total": 8063 << 20,
    "memory_available": 7360 << 20,
    "fan_rpm": 2987,
    "rails": {},
    "rails_nan": False,
}
PI4_VALUES: Mapping[str, Any] = {
    **_COMMON,
    "core_volts": 0.8813,
    "khz": 1_500_000,
    "min_khz": 600_000,
    "max_khz": 1_800_000,
    "memory_total": 3791 << 20,
    "memory_available": 3240 << 20,
}


def pi5_tree(values: Mapping[str, Any]) -> Tree:
    """Every file of a Raspberry Pi 5, for these values."""
    adc = {"in1_input": 1502, "in2_input": 2506, "in3_input": 1396, "in4_input": 1419}
    rpm = int(values["fan_rpm"])
    fan = {"fan1_input": rpm, "pwm1": min(255, rpm // 40), "pwm1_enable": 1}
    return {
        **_tree(PI5_CORES, values, "6.6.51+rpt-rpi-2712"),
        **_model("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
        **_hwmon(1, "rp1_adc", {**adc, "temp1_input": 47500}),
        **_hwmon(2, "pwmfan", fan),
        **_hwmon(3, "rpi_volt", {"in0_lcrit_alarm": int(values["under_voltage"])}),
        "board/vc/measure_clock_arm": f"frequency(0)={_hertz(values)}\n",
        "board/vc/get_config_arm_freq": "arm_freq=2400\n",
        "board/vc/pmic_read_adc": _pmic(values),
    }


def pi4_tree(values: Mapping[str, Any]) -> Tree:
    """Every file of a Raspberry Pi 4, for these values: it measures no current."""
    return {
        **_tree(PI4_CORES, values, "6.6.51+rpt-rpi-v8"),
        **_model("Raspberry Pi 4 Model B Rev 1.5", "raspberrypi,4-model-b", "brcm,bcm2711"),
        **_hwmon(1, "rpi_volt", {"in0_lcrit_alarm": int(values["under_voltage"])}),
        "board/vc/measure_clock_arm": f"frequency(48)={_hertz(values)}\n",
        "board/vc/get_config_arm_freq": "arm_freq=1800\n",
    }


def _tree(cores: Cores, values: Mapping[str, Any], release: str) -> Tree:
    zone = "sys/devices/virtual/thermal/thermal_zone0"
    celsius = float(values["temperature"])
    millidegrees = f"{round(celsius * 1000)}\n"
    throttled = int(values["throttled"])
    if values["under_voltage"]:
        throttled |= UNDER_VOLTAGE_NOW | UNDER_VOLTAGE_SEEN
    return {
        **cpu_tree(cores, values),
        **proc_tree(values, release),
        f"{zone}/type": "cpu-thermal\n",
        f"{zone}/temp": millidegrees,
        f"{zone}/mode": "enabled\n",
        f"{zone}/trip_point_0_type": "critical\n",
        f"{zone}/trip_point_0_temp": "110000\n",
        "sys/class/thermal/thermal_zone0": Link("../../devices/virtual/thermal/thermal_zone0"),
        **_hwmon(0, "cpu_thermal", {"temp1_input": millidegrees.strip()}),
        "sys/fs/cgroup": Folder(),
        "sys/block/mmcblk0/size": "62333952\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "board/vc/measure_temp": f"temp={celsius:.1f}'C\n",
        "board/vc/get_throttled": f"throttled={throttled:#x}\n",
        "board/vc/measure_volts": f"volt={float(values['core_volts']):.4f}V\n",
        "board/vc/measure_volts_core": f"volt={float(values['core_volts']):.4f}V\n",
        "board/vc/version": "Sep 10 2025 12:00:00 \nCopyright (c) 2012 Broadcom\n"
        "version 26826259 (release) (embedded)\n",
    }


def _model(model: str, *compatible: str) -> Tree:
    folder = "sys/firmware/devicetree/base"
    return {
        f"{folder}/model": model + "\0",
        f"{folder}/compatible": "".join(f"{name}\0" for name in compatible),
        f"{folder}/serial-number": "0123456789abcdef\0",
    }


def _hwmon(number: int, name: str, rows: Mapping[str, object]) -> Tree:
    folder = f"sys/class/hwmon/hwmon{number}"
    tree: Tree = {f"{folder}/{row}": f"{value}\n" for row, value in rows.items()}
    return {f"{folder}/name": f"{name}\n", **tree}


def _hertz(values: Mapping[str, Any]) -> int:
    """The firmware's own clock counter: near the nominal frequency, never just that."""
    return int(values["khz"]) * 1000 + 16256


def _pmic(values: Mapping[str, Any]) -> str:
    """``vcgencmd pmic_read_adc``; ``rails`` overrides a rail's volts and amperes."""
    own = {name: (amperes, volts) for name, (_, _, amperes, volts) in PMIC_RAILS.items()}
    own |= {name: (amperes, volts) for name, (volts, amperes) in values["rails"].items()}
    rows = [
        f"{name + '_A':>16} current({PMIC_RAILS[name][0]})={amperes:.8f}A\n"
        for name, (amperes, _) in own.items()
    ]
    for name, (_, volts) in own.items():
        text = "nan" if values["rails_nan"] else f"{volts:.8f}"
        rows.append(f"{name + '_V':>16} volt({PMIC_RAILS[name][1]})={text}V\n")
    rows.append(f"{'EXT5V_V':>16} volt(24)=4.92450000V\n")
    rows.append(f"{'BATT_V':>16} volt(25)=0.00341880V\n")
    return "".join(rows)
