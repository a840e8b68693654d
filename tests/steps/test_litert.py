"""LiteRT from a model to a measured record, here and on emulated boards."""

from __future__ import annotations

import numpy as np
import pytest

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.errors import OfflineError
from slmdeploy.progress import Step, silent
from slmdeploy.report.sheet import delegates_label
from slmdeploy.runtime.wheel_packages import find_package, runtime_wheel
from slmdeploy.steps.measuring import Bench
from slmdeploy.steps.verifying import verify_bundle
from tests.steps.foretold import foretold

SEVERAL = ("rpi5-executorch", "rpi5-litert", "local-litert")


def need(runtime: str) -> None:
    """Skip where ``scripts/setup --boards`` did not fetch the runtime (in CI: fail)."""
    try:
        find_package(runtime_wheel(runtime, "3.11", "aarch64"), runtime)
    except OfflineError as error:
        pytest.skip(f"emulated boards need what scripts/setup --boards fetches: {error.message}")


@pytest.fixture(scope="session")
def made(tiny_kjv, tmp_path_factory):
    """Bundles of tiny-kjv by target, made by one command; and what was done, step by step."""
    steps: list[str] = []

    def told(step: Step) -> None:
        if step.finished:
            steps.append(step.name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLMDEPLOY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        attempts = pipeline.export(
            str(tiny_kjv),
            SEVERAL,
            recipe="8da8w",
            verify=False,
            output=tmp_path_factory.mktemp("bundles"),
            progress=told,
        )
    bundles = {}
    for attempt in attempts:
        assert attempt.value is not None, attempt.error
        bundles[attempt.subject] = open_bundle(attempt.value.bundle)
    return bundles, steps


@pytest.mark.slow
def test_one_command_reads_and_compresses_once_for_all_targets(made):
    bundles, steps = made
    assert set(bundles) == set(SEVERAL)
    for once in ("read the weights", "run the source", "compress (8da8w)", "convert to LiteRT",
                 "run the compressed model"):  # fmt: skip
        assert steps.count(once) == 1, once
    assert steps.count("quantize and write") == 1  # both LiteRT targets have one artifact
    logits = [bundle.golden()["logits.compressed"] for bundle in bundles.values()]
    np.testing.assert_array_equal(logits[0], logits[1])


@pytest.mark.slow
def test_what_did_not_run_here_has_no_share_of_delegates_but_a_reason(made):
    late = made[0]["rpi5-litert"].manifest.delegation
    assert (late.delegated_ops, late.reason) == (None, "it did not run: --no-verify")
    assert made[0]["rpi5-executorch"].manifest.delegation is None  # the exporter knows it


@pytest.mark.slow
def test_its_memory_on_the_device_is_near_what_inspect_forecast(made, tiny_kjv):
    manifest = made[0]["local-litert"].manifest
    forecast = foretold(tiny_kjv, manifest).device_peak_bytes
    assert forecast <= manifest.memory.predicted_peak < forecast + 2**20  # graphs


@pytest.mark.slow
def test_the_ladder_is_climbed_to_the_artifact_on_this_computer(made):
    verified = verify_bundle(made[0]["local-litert"].path, None, silent)
    assert verified.broken is None
    rungs = {rung.name: rung for rung in verified.rungs}
    assert rungs["artifact"].status == rungs["exported"].status == "pass"
    assert rungs["artifact"].metrics["top1_agreement"] >= 0.9


@pytest.mark.slow
def test_it_is_measured_on_this_computer(made):
    record = Bench(made[0]["local-litert"], prompt=32, generate=16, runs=2, threads=1).run(
        pipeline._devices(["local"])[0], silent
    )
    assert record.status == "valid"
    for name in ("decode_tokens_per_s", "prefill_tokens_per_s", "ttft_ms", "peak_rss_bytes"):
        assert record.metrics[name].value is not None, name
    assert delegates_label(record).startswith("XNNPACK ")


@pytest.mark.slow
@pytest.mark.board
def test_it_is_measured_on_an_emulated_raspberry_pi_which_gets_the_runtime(made, rpi5):
    need("litert")
    bundle = made[0]["rpi5-litert"]
    record = Bench(bundle, prompt=16, generate=8, runs=1, threads=1).run(rpi5.device("pi"), silent)
    assert record.status == "valid"
    assert record.metrics["decode_tokens_per_s"].value is not None
    verified = verify_bundle(bundle.path, rpi5.device("pi"), silent)
    assert verified.broken is None


@pytest.mark.slow
@pytest.mark.board
def test_the_2023_runtime_runs_on_an_emulated_raspberry_pi_4(tiny_kjv, own_board, tmp_path):
    need("tflite-runtime")
    (made,) = pipeline.export(str(tiny_kjv), ["rpi4-tflite-runtime"], verify=False, output=tmp_path)
    assert made.value is not None, made.error
    verified = verify_bundle(made.value.bundle, own_board("rpi4").device("pi"), silent)
    assert verified.broken is None
    assert [rung.status for rung in verified.rungs][-2:] == ["pass", "pass"]
