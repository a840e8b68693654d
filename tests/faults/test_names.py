"""Names with blanks, quotes and what a shell would read: of the bundle's folder and its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.boards.sshd import SshdBoard
from tests.faults.commands import Lab
from tests.faults.on_board import bundles

ODD = 'it\'s my "model" $HOME & co; `touch here` *--rpi5'


def test_odd_names_of_bundle_and_model(near: SshdBoard, lab: Lab, kjv: Path) -> None:
    bundle = lab.folder / ODD
    shutil.copytree(kjv, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["name"] = ODD
    manifest["model"]["name"] = manifest["model"]["source"] = ODD
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    pushed = lab.run("push", bundle, "--device", "pi", "--json").result
    assert lab.run("push", bundle, "--device", "pi", "--json").result["sent_bytes"] == 0
    workload = ("--prompt", 4, "--generate", 2, "--runs", 1, "--json")
    record = lab.run("bench", bundle, "--device", "pi", *workload).result
    assert (record["status"], record["bundle"]) == ("valid", ODD)
    assert lab.run("generate", bundle, "'\"$(ls)", "--device", "pi", "--max-new", 2).code == 0
    (place,) = bundles(near.device())
    assert pushed["bundle_dir"].endswith(place)
    assert not list(lab.folder.rglob("here"))
    assert not list(near.home.rglob("here"))
