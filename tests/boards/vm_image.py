"""The disk, kernel and device tree of tier C: a whole aarch64 computer under qemu.

The root file system is tier B's; the kernel is Debian's for virtual machines, fetched by an
apt with a state of its own, so that this computer's packages stay as they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.boards.cpio import archive
from tests.boards.furnish import install_tools, make_disk, make_key, write_login
from tests.boards.kinds import KINDS
from tests.boards.places import BoardError, cache, locked, remove_unused
from tests.boards.rootfs import rootfs, sources
from tests.boards.sensor_files import Sensors

HERE = Path(__file__).resolve().parent
KIND = KINDS["rpi5"]
CORES, MEMORY_MB, DISK_MB = 2, 1024, 1536
MACHINE = ["-M", "virt,gic-version=3", "-cpu", KIND.cpu, "-smp", str(CORES), "-m", str(MEMORY_MB)]
KERNEL = "linux-image-cloud-arm64"
# Debian's kernel has these as modules, each after those that it needs; ext4 is built in.
MODULES = (
    *("drivers/char/hw_random/rng-core", "drivers/virtio/virtio_ring", "drivers/virtio/virtio"),
    *("drivers/virtio/virtio_mmio", "drivers/block/virtio_blk", "net/core/failover"),
    *("drivers/net/net_failover", "drivers/net/virtio_net", "drivers/char/hw_random/virtio-rng"),
)
LOSS_MODULE = "net/sched/sch_netem"
SSHD_CONFIG = """Port 22
HostKey /etc/ssh/board_host_key
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp /usr/lib/openssh/sftp-server
UseDNS no
"""


def vm_image() -> Path:
    """The folder of kernel, initrd.gz, board.dtb, base.ext4 and keys; made when there is none."""
    root = rootfs()
    folder = cache() / f"vm-{_key(root)}"
    with locked(cache() / "vm.lock"):
        if not folder.exists():
            building = cache() / "building-vm"
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            _build(building, root)
            building.rename(folder)
        os.utime(folder)
        remove_unused("vm-*")
    return folder


def _key(root: Path) -> str:
    """What decides the content: the root file system, and the files that make the rest."""
    made = hashlib.sha256(root.name.encode())
    for name in ("vm_image.py", "vm_init.sh", "vm_first.sh", "raspberry_pi.py", "cpu_tree.py"):
        made.update((HERE / name).read_bytes())
    return made.hexdigest()[:12]


def _build(folder: Path, root: Path) -> None:
    kernel = _kernel(folder / "apt")
    version = next((kernel / "lib/modules").iterdir()).name
    modules = kernel / f"lib/modules/{version}/kernel"
    shutil.copy(kernel / f"boot/vmlinuz-{version}", folder / "kernel")
    busybox = (root / "bin/busybox").read_bytes()
    (folder / "initrd.gz").write_bytes(_initrd(busybox, modules))
    _device_tree(folder / "board.dtb")
    for name in ("host_key", "client_key"):
        make_key(folder / name)
    stage = folder / "stage"
    # Hard links: the files are only read, and what differs is written anew.
    _run(["cp", "-al", str(root), str(stage)])
    _furnish(stage, folder, modules)
    make_disk(folder / "base.ext4", DISK_MB << 20, stage)
    for name in ("stage", "apt"):
        shutil.rmtree(folder / name)


def _kernel(state: Path) -> Path:
    """Download and unpack the present kernel package, through an apt of our own."""
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (state / name).mkdir(parents=True)
    (state / "sources.list").write_text(sources())
    (state / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Acquire::Check-Valid-Until": "false",
        "APT::Sandbox::User": "root",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
    }
    common = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *common, "-qq", "update"])
    needs = _run(["apt-cache", *common, "depends", KERNEL])
    package = next(row.split()[1] for row in needs.splitlines() if "Depends: linux-image-" in row)
    _run(["apt-get", *common, "-qq", "download", package], folder=state / "debs")
    (deb,) = (state / "debs").glob("*.deb")
    _run(["dpkg-deb", "--extract", str(deb), str(state / "kernel")])
    return state / "kernel"


def _initrd(busybox: bytes, modules: Path) -> bytes:
    files: dict[str, bytes | None] = dict.fromkeys(("bin", "dev", "proc", "sys", "mnt", "m"))
    files["bin/busybox"] = busybox
    files["init"] = (HERE / "vm_first.sh").read_bytes()
    names = []
    for module in MODULES:
        path = modules / f"{module}.ko"
        if path.exists():
            names.append(path.name)
            files[f"m/{path.name}"] = path.read_bytes()
    files["m/order"] = "".join(f"{name}\n" for name in names).encode()
    return archive(files)


def _device_tree(path: Path) -> None:
    """The emulated machine's own device tree, with the model of a Raspberry Pi 5."""
    head, *rest = MACHINE
    flags = ["-nic", "none", "-display", "none"]
    _run(["qemu-system-aarch64", head, f"{rest[0]},dumpdtb={path}", *rest[1:], *flags])
    _run(["fdtput", "-t", "s", str(path), "/", "model", "Raspberry Pi 5 Model B Rev 1.0"])
    names = ["raspberrypi,5-model-b", "brcm,bcm2712", "linux,dummy-virt"]
    _run(["fdtput", "-t", "s", str(path), "/", "compatible", *names])


def _furnish(stage: Path, folder: Path, modules: Path) -> None:
    sensors = Sensors(folder / "sensors", KIND.tree, KIND.values)
    sensors.write_all()
    (folder / "sensors/sys").rename(stage / "usr/local/lib/board-sys")
    (stage / "usr/local/lib/board").rmdir()
    (folder / "sensors/board").rename(stage / "usr/local/lib/board")
    shutil.rmtree(folder / "sensors")
    write_login(stage, folder, SSHD_CONFIG, KIND.name)
    install_tools(stage, KIND.tools)
    init = stage / "sbin/board-init"
    shutil.copy(HERE / "vm_init.sh", init)
    init.chmod(0o755)
    ssh = stage / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(folder / "client_key.pub", ssh / "authorized_keys")
    (stage / "lib/board").mkdir()
    loss = modules / f"{LOSS_MODULE}.ko"
    if loss.exists():
        shutil.copy(loss, stage / "lib/board")


def _run(argv: Sequence[str], *, folder: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BoardError(f"{' '.join(argv[:6])}... failed:\n{done.stderr[-2000:]}")
    return done.stdout
