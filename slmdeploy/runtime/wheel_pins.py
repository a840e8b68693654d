"""The wheels that boards get: which there are, and the sha256 of each.

The hashes were taken from the files that pip downloaded; two of one version differ by
Python, architecture and platform only. What is not here is not used unless that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ARCHITECTURES", "PINNED", "PinnedWheel", "find_pinned", "pinned_pythons"]

ARCHITECTURES: Final = ("aarch64", "x86_64")


@dataclass(frozen=True)
class PinnedWheel:
    """One file of an index.

    Attributes:
        project: As pip names it.
        version: Of the project.
        python: Version of CPython, as in ``3.11``.
        platform: Of its tag, as in ``manylinux_2_27_aarch64``.
        sha256: Hex; ``None`` for one that is not pinned.
    """

    project: str
    version: str
    python: str
    platform: str
    sha256: str | None

    @property
    def arch(self) -> str:
        """``aarch64`` or ``x86_64``."""
        return next(arch for arch in ARCHITECTURES if self.platform.endswith(arch))

    @property
    def folder(self) -> str:
        """Name of its folder in the cache."""
        tag = self.python.replace(".", "")
        return f"{self.project}-{self.version}-cp{tag}-{self.arch}"


_TABLE: Mapping[tuple[str, str], Mapping[str, Mapping[str, str]]] = {
    ("executorch", "1.5.1"): {
        "manylinux_2_28_aarch64": {
            "3.11": "8ee02348a3ea80ddf770822911ebf78da616b73afce0fbaaa79f23311c88c66a",
        },
        "manylinux_2_28_x86_64": {
            "3.11": "274c28c2fe2b76acb03f9fa381537425c40e0098dcf886baf6d97a1a55ffe300",
        },
    },
    ("ai-edge-litert", "2.3.0"): {
        "manylinux_2_27_aarch64": {
            "3.10": "a72fc35d66c1d8b17f52b195bfb39b89aa839d39ea6e0d57fb88d77ac5aeb8c9",
            "3.11": "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
            "3.12": "9891611b23a87cc2ace60e4b5ee9a2ee6f0fb7f395f009470961ae6e6310e1b8",
            "3.13": "2ab71e4f5dfa65b3882634b42755f455f3e7415630d720200bd792733e15e257",
            "3.14": "899b41423b30f3cef1ce8a361443092fdeefc4d536132511634fa21548347b0a",
        },
        "manylinux_2_27_x86_64": {
            "3.10": "e104683ee0dead1243002a218637cc435c36fdb01103799335027252314e727b",
            "3.11": "1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23",
            "3.12": "dc9f56c23e0dcf182b6c35f23fbb102ed048296588882b806d5eff7654c04c88",
            "3.13": "985ac3823fe1d5d6a04cf5f613cc2adf98a9c8a456af0b5efa8d9ac6b118ea14",
            "3.14": "695f5164b66ebdb0a3bbb4edc4d7024e87c65a0e417d48d0a2db2503bc01b78d",
        },
    },
    ("tflite-runtime", "2.14.0"): {
        "manylinux_2_34_aarch64": {
            "3.8": "437167fe3d8b12f50f5d694da8f45d268ab84a495e24c3dd810e02e1012125de",
            "3.9": "be198b7dc4401204be54a15884d9e336389790eb707439524540f5a9329fdd02",
            "3.10": "d38c6885f5e9673c11a61ccec5cad7c032ab97340718d26b17794137f398b780",
            "3.11": "ce9fa5d770a9725c746dcbf6f59f3178233b3759f09982e8b2db8d2234c333b0",
        },
        "manylinux2014_x86_64": {
            "3.8": "9f965054467f7890e678943858c6ac76a5197b17f61b48dcbaaba0af41d541a7",
            "3.9": "4aa740210a0fd9e4db4a46e9778914846b136e161525681b41575ca4896158fb",
            "3.10": "bb11df4283e281cd609c621ac9470ad0cb5674408593272d7593a2c6bde8a808",
            "3.11": "195ab752e7e57329a68e54dd3dd5439fad888b9bff1be0f0dc042a3237a90e4d",
        },
    },
    ("numpy", "1.24.4"): {
        "manylinux_2_17_aarch64": {
            "3.8": "a5425b114831d1e77e4b5d812b69d11d962e104095a5b9c3b641a218abcc050e",
            "3.9": "f3a86ed21e4f87050382c7bc96571755193c4c1392490744ac73d660e8f564a9",
        },
        "manylinux_2_17_x86_64": {
            "3.8": "dd80e219fd4c71fc3699fc1dadac5dcf4fd882bfc6f7ec53d30fa197b8ee22dc",
            "3.9": "d11efb4dbecbdf22508d55e48d9c8384db795e1b7b51ea735289ff96613ff74d",
        },
    },
    ("numpy", "1.26.4"): {
        "manylinux_2_17_aarch64": {
            "3.10": "d209d8969599b27ad20994c8e41936ee0964e6da07478d6c35016bc386b66ad4",
            "3.11": "7ab55401287bfec946ced39700c053796e7cc0e3acbef09993a9ad2adba6ca6e",
        },
        "manylinux_2_17_x86_64": {
            "3.10": "ffa75af20b44f8dba823498024771d5ac50620e6915abac414251bd971b4529f",
            "3.11": "666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5",
        },
    },
    ("numpy", "2.2.6"): {
        "manylinux_2_17_aarch64": {
            "3.10": "efd28d4e9cd7d7a8d39074a4d44c63eda73401580c5c76acda2ce969e0a38e83",
            "3.11": "b64d8d4d17135e00c8e346e0a738deb17e754230d7e0810ac5012750bbd85a5a",
            "3.12": "f2618db89be1b4e05f7a1a847a9c1c0abd63e63a1607d892dd54668dd92faf87",
            "3.13": "f92729c95468a2f4f15e9bb94c432a9229d0d50de67304399627a943201baa2f",
        },
        "manylinux_2_17_x86_64": {
            "3.10": "fc7b73d02efb0e18c000e9ad8b83480dfcd5dfd11065997ed4c6747470ae8915",
            "3.11": "ba10f8411898fc418a521833e014a77d3ca01c15b0c6cdcce6a0d2897e6dbbdf",
            "3.12": "fd83c01228a688733f1ded5201c678f0c53ecc1006ffbc404db9f7a899ac6249",
            "3.13": "1bc23a79bfabc5d056d106f9befb8d50c31ced2fbc70eedb8155aec74a45798f",
        },
    },
    ("numpy", "2.3.5"): {
        "manylinux_2_27_aarch64": {
            "3.14": "727fd05b57df37dc0bcf1a27767a3d9a78cbbc92822445f32cc3436ba797337b",
        },
        "manylinux_2_27_x86_64": {
            "3.14": "fffe29a1ef00883599d1dc2c51aa2e5d80afe49523c261a74933df395c15c520",
        },
    },
}

PINNED: Final = tuple(
    PinnedWheel(project, version, python, platform, sha256)
    for (project, version), platforms in _TABLE.items()
    for platform, pythons in platforms.items()
    for python, sha256 in pythons.items()
)
"""All of them."""


def find_pinned(
    project: str, python: str, arch: str, *, versions: tuple[str, ...]
) -> PinnedWheel | None:
    """The wheel of a project for a Python; of the first version that has one.

    Args:
        project: As pip names it.
        python: As in ``3.11``.
        arch: ``aarch64`` or ``x86_64``.
        versions: Which will do, best first.
    """
    fitting = {
        wheel.version: wheel
        for wheel in PINNED
        if (wheel.project, wheel.python, wheel.arch) == (project, python, arch)
    }
    return next((fitting[version] for version in versions if version in fitting), None)


def pinned_pythons(project: str, version: str, arch: str) -> tuple[str, ...]:
    """The Pythons that there is a wheel for, oldest first."""
    found = [
        wheel.python
        for wheel in PINNED
        if (wheel.project, wheel.version, wheel.arch) == (project, version, arch)
    ]
    return tuple(sorted(found, key=lambda python: [int(part) for part in python.split(".")]))
