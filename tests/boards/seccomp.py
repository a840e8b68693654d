"""Make a few system calls unknown to a program, so that it falls back on older ones.

PRoot translates paths in the system calls that it knows; newer ones slip through it. Told that
they do not exist (ENOSYS), the C library uses the older ones. And sftp-server forbids others to
trace it, which is how PRoot works: that request is answered, but not done. Filter: kernel
documentation, ``userspace-api/seccomp_filter.rst``; numbers of x86-64: ``arch/x86/entry/syscalls``.
"""

from __future__ import annotations

import ctypes
import errno
import struct

UNKNOWN = {"statx": 332, "openat2": 437, "faccessat2": 439, "fchmodat2": 452}

_PRCTL, _PR_SET_DUMPABLE = 157, 4

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2


def make_unknown() -> None:
    """For this process and those that it starts; there is no way back.

    Raises:
        OSError: The kernel refuses.
    """
    count = len(UNKNOWN)
    rows = [(_LOAD, 0, 0, _NUMBER)]
    # A match goes to the last row; prctl to the rows on its argument.
    rows += [(_JUMP_EQUAL, count - n + 4, 0, number) for n, number in enumerate(UNKNOWN.values())]
    rows += [
        (_JUMP_EQUAL, 0, 2, _PRCTL),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_EQUAL, 1, 0, _PR_SET_DUMPABLE),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    code = b"".join(struct.pack("HBBI", *row) for row in rows)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(rows), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")
