from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from slmdeploy.bundle.archive import pack, unpack
from slmdeploy.bundle.manifest import FileInfo
from slmdeploy.errors import BundleError
from tests.bundle.bundles import manifest

FILES = {"model.pte": b"artifact", "tokenizer/tokenizer.json": b"{}"}


def listing(files=FILES, name="tiny--local-executorch"):
    """A manifest that names these files."""
    table = {
        path: FileInfo(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    }
    return manifest(name=name, files=table, golden=None)


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "tiny--local-executorch"
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "manifest.json").write_text(listing().model_dump_json())
    return folder


def archive_of(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def members(**change):
    return {"manifest.json": listing().model_dump_json().encode(), **FILES, **change}


def test_what_was_packed_is_unpacked_as_it_was(bundle, tmp_path):
    folder = unpack(pack(bundle), tmp_path / "elsewhere")
    assert folder == tmp_path / "elsewhere" / "tiny--local-executorch"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert names == sorted(["manifest.json", *FILES])
    assert all((folder / name).read_bytes() == data for name, data in FILES.items())


def test_the_same_bundle_gives_the_same_archive(bundle, tmp_path):
    first = pack(bundle, tmp_path / "first.tar").read_bytes()
    (bundle / "model.pte").touch()
    assert pack(bundle, tmp_path / "second.tar").read_bytes() == first


def test_only_files_of_the_manifest_are_packed(bundle, tmp_path):
    (bundle / "notes.txt").write_text("mine")
    with tarfile.open(pack(bundle)) as tar:
        assert tar.getnames() == ["manifest.json", *sorted(FILES)]


def test_an_archive_is_not_written_over_unless_forced(bundle):
    pack(bundle)
    with pytest.raises(BundleError, match="is there already"):
        pack(bundle)
    pack(bundle, force=True)


def test_a_folder_without_manifest_is_refused_and_nothing_is_left(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BundleError, match="is not a bundle"):
        pack(empty)
    assert list(tmp_path.iterdir()) == [empty]


def test_a_bundle_that_lacks_a_file_is_refused_and_nothing_is_left(bundle, tmp_path):
    (bundle / "model.pte").unlink()
    with pytest.raises(BundleError, match=r"lacks 'model\.pte'"):
        pack(bundle)
    assert list(tmp_path.iterdir()) == [bundle]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model.pte": b"changed!"}, "is damaged"),
        ({"stranger": b""}, "does not name"),
        ({"../stranger": b""}, "is not an archive of a bundle"),
        ({"manifest.json": b"{}"}, "manifest.json"),
    ],
)
def test_an_archive_with_a_fault_is_refused_and_nothing_is_left(tmp_path, change, said):
    archive = archive_of(tmp_path / "a.tar", members(**change))
    with pytest.raises(BundleError, match=said):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_that_lacks_a_file_is_refused(tmp_path):
    few = members()
    del few["model.pte"]
    with pytest.raises(BundleError, match=r"lacks 'model\.pte'"):
        unpack(archive_of(tmp_path / "a.tar", few), tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"not a tar" * 100])
def test_a_file_that_is_no_archive_is_refused(tmp_path, data):
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(BundleError, match="is not an archive"):
        unpack(path, tmp_path / "out")


def test_an_archive_cut_short_is_refused(bundle, tmp_path):
    path = pack(bundle)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BundleError):
        unpack(path, tmp_path / "out")


def test_a_bundle_is_not_unpacked_over_another(bundle, tmp_path):
    with pytest.raises(BundleError, match="is there already"):
        unpack(pack(bundle), tmp_path)


@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    text = listing(name=name).model_dump_json().encode()
    archive = archive_of(tmp_path / "a.tar", members(**{"manifest.json": text}))
    with pytest.raises(BundleError, match="cannot be the name"):
        unpack(archive, tmp_path / "out")


def test_a_manifest_that_names_a_file_elsewhere_is_refused(tmp_path):
    text = listing({"../outside": b""}).model_dump_json().encode()
    archive = archive_of(tmp_path / "a.tar", {"manifest.json": text})
    with pytest.raises(BundleError, match="lies outside"):
        unpack(archive, tmp_path / "out")
