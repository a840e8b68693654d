"""An archive that Linux, and cpio, can unpack."""

from __future__ import annotations

import gzip

from hypothesis import given
from hypothesis import strategies as st

from tests.boards.cpio import FILE, FOLDER, archive

names = st.text("abcdefg", min_size=1, max_size=20)


def unpack(packed: bytes) -> dict[str, tuple[int, bytes]]:
    """Read "newc" entries as the kernel does: thirteen fields in hexadecimal, then the name."""
    data, found = gzip.decompress(packed), {}
    place = 0
    while place < len(data):
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + n * 8 :][:8], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[place + 110 : place + 110 + length - 1].decode()
        start = (place + 110 + length + 3) & ~3
        found[name] = (mode, data[start : start + size])
        place = (start + size + 3) & ~3
    return found


@given(st.dictionaries(names, st.binary(max_size=50) | st.none(), max_size=8))
def test_what_was_put_in_comes_out(files: dict[str, bytes | None]) -> None:
    found = unpack(archive(files))
    assert list(found)[-1] == "TRAILER!!!"
    del found["TRAILER!!!"]
    expected = {
        name: (FOLDER if data is None else FILE, data or b"") for name, data in files.items()
    }
    assert found == expected
