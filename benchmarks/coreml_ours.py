"""One export of ours in a process of its own, for ``coreml.py``: MODEL to a package."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from slmdeploy.compress.quantize import compress
from slmdeploy.compress.recipe import load_recipe
from slmdeploy.errors import SlmdeployError, UnsupportedModelError
from slmdeploy.export.coreml.plugin import EXPORTER
from slmdeploy.export.options import CoremlOptions
from slmdeploy.model.families import family_for
from slmdeploy.model.load import load_decoder
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.progress import silent
from slmdeploy.target.recipes import fitted


def main() -> int:
    """Export; an error of ours gives its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("destination", type=Path)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--chunk", type=int, required=True)
    parser.add_argument("--layers", type=int, help="only the first N layers")
    options = parser.parse_args()
    try:
        make(options)
    except SlmdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def make(options: argparse.Namespace) -> None:
    """Read, compress, export.

    Raises:
        SlmdeployError: One of these failed.
    """
    model = read_model(parse_ref(options.model))
    if model.config is None:
        raise UnsupportedModelError(f"{options.model} is not a decoder.")
    config = replace(model.config, layers=options.layers or model.config.layers)
    chosen = CoremlOptions(prefill_chunk=options.chunk)
    positions = EXPORTER.capacity(options.context, chosen)
    family = family_for(model.hf_config)
    decoder = load_decoder(config, family, model.weights, positions=positions)
    compressed = compress(decoder, fitted("coreml", load_recipe("w4-g32")))
    EXPORTER.export(
        compressed,
        chosen,
        options.destination,
        context=options.context,
        converted=options.destination.parent,
        golden=None,
        progress=silent,
    )


if __name__ == "__main__":
    sys.exit(main())
