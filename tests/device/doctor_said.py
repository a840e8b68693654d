"""What the doctor's script says: of an emulated Raspberry Pi 5 (Debian 12), shortened."""

from __future__ import annotations

STAT = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0 0 0\n"
ROW = "{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 0 0 0 {ticks} 0 0 0 20 0 1 0 {started}\n"


def process(pid: int, parent: int, ticks: int, name: str = "sh", started: int = 50) -> str:
    """A line of ``grep -H '' /proc/PID/stat``."""
    row = ROW.format(pid=pid, name=name, parent=parent, ticks=ticks, started=started)
    return f"/proc/{pid}/stat:{row}"


def sample(total: int, *rows: str) -> str:
    """A sample of two cores; ``total`` ticks of both together have passed."""
    head = STAT.format(busy=total // 2, idle=total - total // 2)
    return "".join(f"/proc/stat:{line}\n" for line in head.splitlines()) + "".join(rows)


MODEL = "Raspberry Pi 5 Model B Rev 1.0"
PI5 = f"""\
== clock
1795591398 752032224
== processes
{sample(1000, process(1, 0, 5, "systemd"), process(70, 60, 3), process(60, 50, 3, "sshd"))}\
== self
70 60
== system
6.6.51+rpt-rpi-2712 aarch64
device
loader /lib/ld-linux-aarch64.so.1
== getconf
LINK_MAX                           65000
LONG_BIT                           64
PAGESIZE                           16384
PAGE_SIZE                          16384
GNU_LIBC_VERSION                   glibc 2.36
== pages
16
== libstdcxx
/usr/lib/aarch64-linux-gnu/libstdc++.so.6
GLIBCXX_3.4
GLIBCXX_3.4.9
GLIBCXX_3.4.30
CXXABI_1.3
CXXABI_1.3.13
GCC_3.0
== python
Python 3.11.2
also 3.11
numpy /usr/lib/python3/dist-packages/numpy-1.24.2-py3.11.egg-info
== files
/proc/cpuinfo:processor\t: 0
/proc/cpuinfo:Features\t: fp asimd evtstrm aes atomics fphp asimdhp asimddp
/proc/cpuinfo:CPU implementer\t: 0x41
/proc/cpuinfo:CPU part\t: 0xd0b
/proc/meminfo:MemTotal:        8255932 kB
/proc/meminfo:MemAvailable:    7301234 kB
/proc/swaps:Filename\tType\tSize\tUsed\tPriority
/proc/swaps:/var/swap  file\t\t204784\t\t0\t\t-2
/proc/self/mounts:/dev/mmcblk0p2 / ext4 rw,noatime 0 0
/proc/self/mounts:tmpfs /run tmpfs rw,nosuid,nodev 0 0
/sys/firmware/devicetree/base/model:{MODEL}\0
/sys/firmware/devicetree/base/compatible:raspberrypi,5-model-b\0brcm,bcm2712\0
/etc/os-release:PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
== home
ours /home/device/.slmdeploy
writable /home/device
== disk
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/mmcblk0p2    30000000 10000000  18000000      36% /
== tools
has cat
has sha256sum
lacks openssl
== sudo
0
== later
{sample(1100, process(1, 0, 5, "systemd"), process(70, 60, 30), process(60, 50, 13, "sshd"))}\
== done
1795591399 159074396
"""
