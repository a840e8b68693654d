"""Each command of the flow hands its words to one step, and prints what that gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slmdeploy.bundle.folder import finish
from slmdeploy.bundle.manifest import MemoryInfo, MethodInfo, RungResult, TensorInfo
from slmdeploy.errors import ConnectError, ExportError, UnknownNameError
from slmdeploy.model.inspect import Component, DtypeShare, ModelDescription, TokenizerSummary
from slmdeploy.model.request import ModelRequest
from slmdeploy.model.sizes import Varying
from slmdeploy.pipeline import (
    Attempt,
    Exported,
    Fetched,
    Generated,
    GenerationEnd,
    Inspection,
    Pushed,
    TargetFit,
    Verified,
)
from slmdeploy.runtime.protocol import Sampling
from slmdeploy.target.fit import fits
from slmdeploy.target.load import load_target
from tests.bundle.bundles import manifest, stage
from tests.store.recorded import record

GIB = 2**30
AWAY = ConnectError("pi5-b is away.", hint="Run: ping pi5-b")


def pushed(device):
    return Attempt(device, Pushed(device, "/home/pi/.slmdeploy/bundles/tiny", 2048, 1024))


def test_push_hands_on_what_was_said(cli, step, bundle):
    calls = step("push", (pushed("pi5-a"),))
    assert cli("push", bundle, "--device", "pi5-a", "--device", "all", "--dry-run").exit_code == 0
    (given, named) = calls[0]
    assert given == (bundle,)
    assert named["devices"] == ("pi5-a", "all")
    assert named["dry_run"] is True


def test_push_says_what_was_sent_and_what_was_there(cli, step, bundle):
    step("push", (pushed("pi5-a"),))
    assert cli("push", bundle, "--device", "pi5-a").stdout == (
        "pi5-a: sent 2.0 KiB, 1.0 KiB there already: /home/pi/.slmdeploy/bundles/tiny\n"
    )


def test_a_device_that_is_away_does_not_hide_the_others(cli, step, bundle):
    step("push", (pushed("pi5-a"), Attempt("pi5-b", None, AWAY)))
    done = cli("push", bundle, "--device", "all")
    assert done.exit_code == 4
    assert "pi5-a: sent 2.0 KiB" in done.stdout
    assert "pi5-b: pi5-b is away." in done.stdout


def test_the_document_of_several_devices_has_every_result_and_error(cli_json, step, bundle):
    step("push", (pushed("pi5-a"), Attempt("pi5-b", None, AWAY)))
    code, document = cli_json("push", bundle, "--device", "all")
    assert code == 4
    assert document["schema"] == "slmdeploy/push/1"
    first, second = document["results"]
    assert (first["device"], first["result"]["sent_bytes"], first["error"]) == ("pi5-a", 2048, None)
    assert (second["device"], second["result"]) == ("pi5-b", None)
    assert second["error"]["exit_code"] == 4


def test_the_failure_of_the_only_device_is_an_error_document(cli_json, step, bundle):
    step("push", (Attempt("pi5-b", None, AWAY),))
    code, document = cli_json("push", bundle, "--device", "pi5-b")
    assert (code, document["schema"]) == (4, "slmdeploy/error/1")


def test_a_bundle_that_is_not_there_is_refused_before_any_work(cli, step):
    calls = step("push", ())
    assert cli("push", "nowhere", "--device", "local").exit_code == 2
    assert calls == []


def test_push_needs_a_device(cli, bundle):
    assert cli("push", bundle).exit_code == 2


def test_export_hands_on_what_was_said(cli, step, tmp_path):
    made = Exported(Path("bundles/tiny--a"), None, "8da4w")
    calls = step("export", (Attempt("a", made), Attempt("b", made)))
    done = cli(
        *("export", "tiny", "--target", "a", "--target", "b", "--recipe", "8da4w"),
        *("--context", "64", "--output", tmp_path, "--no-verify", "--fetch", "--dry-run"),
    )
    assert done.exit_code == 0
    (given, named) = calls[0]
    assert given == (ModelRequest("tiny"), ("a", "b"))
    assert {key: value for key, value in named.items() if key != "progress"} == {
        "recipe": "8da4w",
        "context": 64,
        "output": tmp_path,
        "verify": False,
        "fetch": True,
        "targets_dirs": (),
        "dry_run": True,
    }
    assert "a: would write bundles/tiny--a with recipe 8da4w" in done.stdout


def test_export_says_the_predicted_peak_or_why_there_is_none(cli, step):
    for memory, said in (
        (MemoryInfo(planned=0, predicted_peak=GIB, method="a sum"), "1.0 GiB (estimate)"),
        (MemoryInfo(planned=None, predicted_peak=None, reason="none ran"), "not known: none ran"),
    ):
        made = Exported(Path("bundles/tiny--a"), manifest(memory=memory), "none")
        step("export", (Attempt("a", made),))
        shown = cli("export", "tiny", "--target", "a").stdout
        assert f"predicted peak on the device: {said}\n" in shown


def varying():
    """The manifest of a module that takes texts of several lengths."""
    length = Varying(axis=1, least=1, most=16, dimension="length")
    ids = TensorInfo(name="ids", shape=(1, 8), dtype="int64", varying=(length,))
    method = MethodInfo(
        inputs=(ids, TensorInfo(name="scale", shape=(1,), dtype="float32")),
        outputs=(),
        delegated_ops=1,
        total_ops=1,
        delegates=1,
        planned_bytes=1,
    )
    artifact = manifest().artifact.model_copy(update={"methods": {"forward": method}})
    return manifest(artifact=artifact)


def test_export_says_which_inputs_may_have_several_sizes(cli, step):
    step("export", (Attempt("a", Exported(Path("bundles/tiny--a"), varying(), "none")),))
    shown = cli("export", "tiny", "--target", "a").stdout
    assert "  forward takes ids int64 [1, 1..16]\n" in shown
    assert "scale" not in shown


def test_a_bundle_shows_which_inputs_may_have_several_sizes(cli, tmp_path):
    made = finish(varying(), stage(tmp_path / "staged"), tmp_path / "bundle")
    assert "sizes           ids [1, 1..16]\n" in cli("bundle", "show", made.path).stdout


def test_export_leaves_to_the_target_what_was_not_said(cli, step):
    calls = step("export", ())
    cli("export", "tiny", "--target", "a")
    named = calls[0][1]
    assert (named["recipe"], named["context"], named["output"]) == (None, None, None)
    assert named["verify"] is True


@pytest.mark.parametrize("words", [("--context", "0"), ("--context", "many")])
def test_export_refuses_a_context_that_is_none(cli, step, words):
    calls = step("export", ())
    assert cli("export", "tiny", "--target", "a", *words).exit_code == 2
    assert calls == []


def test_of_targets_that_fail_differently_the_worst_code_counts(cli, step):
    bad = (
        Attempt("a", None, ExportError("No.")),
        Attempt("b", None, UnknownNameError("target", "b", [])),
    )
    step("export", bad)
    assert cli("export", "tiny", "--target", "a", "--target", "b").exit_code == 3


RUNGS = (
    RungResult(name="decoder", against="source", status="pass", metrics={"max_abs_error": 1e-6}),
    RungResult(name="artifact", against="exported", status="fail", reason="SNR 3 dB below 17"),
)


@pytest.mark.parametrize(("on_device", "code"), [(False, 3), (True, 4)])
def test_a_broken_rung_is_named_and_sets_the_exit_code(cli, step, bundle, on_device, code):
    step("verify", (Attempt("host", Verified(bundle, RUNGS, "artifact", on_device)),))
    done = cli("verify", bundle)
    assert done.exit_code == code
    assert "broken at rung 'artifact'" in done.stdout
    assert "SNR 3 dB below 17" in done.stdout


def test_a_ladder_that_holds_ends_with_0(cli_json, step, bundle):
    step("verify", (Attempt("host", Verified(bundle, RUNGS[:1], None)),))
    code, document = cli_json("verify", bundle)
    assert code == 0
    rung = document["results"][0]["result"]["rungs"][0]
    assert rung["metrics"] == {"max_abs_error": 1e-6}


EVENTS = (
    Generated("Grüß ", 0, 11, 5),
    Generated("Gott", 1, 12, 9),
    GenerationEnd("stop", 7, 2, 1_500_000, 250.0),
)


def test_generate_prints_the_text_alone_on_stdout(cli, step, bundle):
    step("generate", iter(EVENTS))
    done = cli("generate", bundle, "Hello")
    assert done.stdout == "Grüß Gott\n"
    assert "2 generated" in done.stderr


def test_generate_says_nothing_else_with_q(cli, step, bundle):
    step("generate", iter(EVENTS))
    assert cli("generate", bundle, "Hello", "-q").stderr == ""


def test_generate_with_json_gives_a_line_a_piece(cli, step, bundle):
    step("generate", iter(EVENTS))
    lines = [json.loads(x) for x in cli("generate", bundle, "Hello", "--json").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["piece", "piece", "end"]
    assert {line["schema"] for line in lines} == {"slmdeploy/generate/1"}
    assert lines[0]["text"] == "Grüß "


def test_generate_hands_on_how_to_sample(cli, step, bundle):
    calls = step("generate", iter(EVENTS))
    cli(
        *("generate", bundle, "Hello", "--device", "pi5-a", "--max-new", "9", "--threads", "2"),
        *("--temperature", "0.7", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.05"),
        *("--repetition-penalty", "1.1", "--seed", "3", "--system", "Be brief."),
    )
    (given, named) = calls[0]
    assert given == (bundle, "Hello")
    assert named["sampling"] == Sampling(0.7, 40, 0.9, 0.05, 1.1, 3)
    assert (named["device"], named["max_new"], named["threads"]) == ("pi5-a", 9, 2)
    assert (named["system"], named["raw"]) == ("Be brief.", False)


def test_generate_reads_the_prompt_from_stdin(cli, step, bundle):
    calls = step("generate", iter(EVENTS))
    cli("generate", bundle, "-", stdin="Two\nlines")
    assert calls[0][0] == (bundle, "Two\nlines")


def test_a_system_message_without_a_template_is_refused(cli, step, bundle):
    calls = step("generate", iter(EVENTS))
    assert cli("generate", bundle, "Hello", "--raw", "--system", "Be brief.").exit_code == 2
    assert calls == []


@pytest.mark.parametrize(
    "words", [("--top-p", "0"), ("--top-p", "1.5"), ("--temperature", "-1"), ("--max-new", "0")]
)
def test_generate_refuses_sampling_that_has_no_meaning(cli, bundle, words):
    assert cli("generate", bundle, "Hello", *words).exit_code == 2


def test_an_error_in_the_middle_of_a_text_is_the_last_line(cli, step, bundle):
    def broken():
        yield EVENTS[0]
        raise AWAY

    step("generate", broken())
    done = cli("generate", bundle, "Hello", "--json")
    lines = [json.loads(x) for x in done.stdout.splitlines()]
    assert done.exit_code == 4
    assert [line["schema"] for line in lines] == ["slmdeploy/generate/1", "slmdeploy/error/1"]


def test_bench_hands_on_the_workload_and_prints_the_table(cli, step, bundle):
    calls = step("bench", (Attempt("local", record(id="r-1")),))
    tables = step("report", "THE TABLE")
    done = cli(
        *("bench", bundle, "--prompt", "64", "--generate", "32", "--runs", "5", "--threads", "2"),
        *("--store", "here.db"),
    )
    assert done.exit_code == 0
    named = calls[0][1]
    assert named["devices"] == ("local",)
    assert (named["prompt"], named["generate"], named["runs"]) == (64, 32, 5)
    assert (named["threads"], named["store"]) == (2, "here.db")
    assert tables == [((["r-1"],), {"store": "here.db"})]
    assert "THE TABLE" in done.stdout


def test_a_dry_run_of_bench_says_what_it_would_do(cli, step, bundle):
    step("bench", (Attempt("pi5-a", None),))
    assert cli("bench", bundle, "--device", "pi5-a", "--dry-run").stdout == (
        "pi5-a: would be measured\n"
    )


def test_bench_with_json_has_the_whole_record(cli_json, step, bundle):
    step("bench", (Attempt("local", record(id="r-1")),))
    code, document = cli_json("bench", bundle)
    assert code == 0
    result = document["results"][0]["result"]
    assert result["id"] == "r-1"
    assert result["metrics"]["itl_p99_ms"]["value"] is None
    assert len(result["samples"]) == 2


def test_a_device_that_failed_keeps_its_record_and_sets_the_exit_code(cli_json, step, bundle):
    failed = record(status="failed", reason="killed")
    step("bench", (Attempt("pi5-b", failed, AWAY),))
    code, document = cli_json("bench", bundle)
    assert code == 4
    assert document["results"][0]["result"]["reason"] == "killed"


def test_run_hands_on_model_targets_and_devices(cli, step):
    calls = step("run", ())
    assert cli("run", "demo", "--target", "a", "--device", "pi5-a", "--fetch").exit_code == 0
    (given, named) = calls[0]
    assert given == (ModelRequest("demo"), ("a",))
    assert (named["devices"], named["fetch"]) == (("pi5-a",), True)


def test_run_hands_on_how_much_to_measure(cli, step):
    calls = step("run", ())
    words = ("--prompt", "16", "--generate", "8", "--runs", "1", "--threads", "2")
    assert cli("run", "demo", "--target", "a", *words).exit_code == 0
    ((_, named),) = calls
    assert [named[one] for one in ("prompt", "generate", "runs", "threads")] == [16, 8, 1, 2]


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ((), "table"),
        (("--format", "md"), "md"),
        (("--format", "csv"), "csv"),
        (("--json",), "json"),
    ],
)
def test_report_prints_what_it_is_given(cli, step, words, form):
    calls = step("report", "THE REPORT\n")
    done = cli("report", "r-1", "r-2", *words)
    assert done.stdout == "THE REPORT\n"
    assert calls == [((("r-1", "r-2"),), {"format": form, "definitions": False, "store": None})]


def test_runs_list_keeps_the_failed_with_their_reason(cli, step):
    step("runs", (record(), record(status="failed", reason="no memory")))
    assert "no memory" in cli("runs", "list").stdout


def test_runs_list_with_json_leaves_the_samples_out(cli_json, step):
    step("runs", (record(id="r-1"),))
    _, document = cli_json("runs", "list")
    assert document["runs"] == [
        {
            "id": "r-1",
            "created": "2026-11-22T19:51:32Z",
            "bundle": "demo--rpi5-executorch",
            "target": "rpi5-executorch",
            "device": "pi5-a",
            "status": "valid",
            "reason": None,
            "imported": None,
        }
    ]


def test_runs_show_gives_the_raw_text_of_the_sensors(cli, cli_json, step):
    step("record", record(watch_log='{"t":1,"read":[0]}\n'))
    assert cli("runs", "show", "r-1", "--log").stdout == '{"t":1,"read":[0]}\n'
    assert cli_json("runs", "show", "r-1", "--log")[1]["log"] == '{"t":1,"read":[0]}\n'


def test_runs_show_of_a_run_without_readings_says_so(cli, step):
    step("record", record())
    assert "No readings were kept" in cli("runs", "show", "r-1", "--log").stdout


def test_runs_list_of_nothing_says_how_to_begin(cli, step):
    step("runs", ())
    assert "slmdeploy bench" in cli("runs", "list").stdout


def test_runs_show_gives_the_record(cli_json, step):
    step("record", record(id="r-1"))
    code, document = cli_json("runs", "show", "r-1")
    assert code == 0
    assert (document["schema"], document["run"]) == ("slmdeploy/runs-show/1", "r-1")
    assert document["record"]["samples"][1]["reason"] == "killed"


def test_runs_show_gives_people_the_figures_and_how_each_process_ended(cli, step):
    step("record", record(id="r-1"))
    step("report", "the table of r-1")
    shown = cli("runs", "show", "r-1").stdout
    assert shown.startswith("the table of r-1\n\nprocess ")
    assert "killed" in shown


def test_fetch_says_where_it_is_and_what_must_be_said_of_it(cli, step):
    got = Fetched("demo", Path("/cache/demo"), GIB, already_there=False, note="dequantized Q4_1")
    step("fetch", got)
    out = cli("fetch", "demo").stdout
    assert "/cache/demo (1.0 GiB)" in out
    assert "dequantized Q4_1" in out


def inspection(**change):
    facts = {
        "name": "demo",
        "source": "demo",
        "path": "/cache/demo.gguf",
        "kind": "decoder",
        "architecture": "LlamaForCausalLM",
        "family": "llama",
        "parameters": 134_515_008,
        "stored_bytes": 98_362_432,
        "float32_bytes": 4 * 134_515_008,
        "components": (
            Component(
                name="embedding",
                tensors=1,
                parameters=28_311_552,
                stored_bytes=20_000_000,
                share=0.21,
            ),
        ),
        "dtypes": (
            DtypeShare(dtype="Q4_1", tensors=1, parameters=28_311_552, stored_bytes=20_000_000),
        ),
        "vocab_size": 49_152,
        "vocabulary_parameters": 28_311_552,
        "vocabulary_share": 0.21,
        "tied": True,
        "code": "slmdeploy",
        "layers": 30,
        "hidden_size": 576,
        "heads": 9,
        "kv_heads": 3,
        "head_dim": 64,
        "context": 8192,
        "compression": "GGUF Q4_1",
        "note": "dequantized Q4_1",
        "license": "apache-2.0",
        "tokenizer": TokenizerSummary(
            kind="BPE",
            vocab_size=49_152,
            special_tokens=3,
            stop_ids=(2,),
            bos_id=1,
            chat_template=True,
        ),
        "tokenizer_reason": None,
        "labels": (),
        "remarks": ("cut short on purpose",),
    }
    target = load_target("rpi5-executorch")
    fit = TargetFit(target.name, target.recipe.name, GIB, tuple(fits(target, GIB, 9 * GIB)))
    return Inspection(ModelDescription(**{**facts, **change}), (fit,))


def test_inspect_tells_all_that_is_known(cli, step):
    step("inspect", inspection())
    out = cli("inspect", "demo").stdout
    for text in (
        "134,515,008",
        "21.0% of the parameters",
        "apache-2.0",
        "dequantized Q4_1",
        "BPE, 49,152 tokens, with chat template",
        "cut short on purpose",
    ):
        assert text in out
    assert "memory: fail (needs 9.0 GiB of 8.0 GiB)" in out


def test_inspect_says_why_there_is_no_tokenizer(cli, step):
    step("inspect", inspection(tokenizer=None, tokenizer_reason="no tokenizer.json"))
    assert "none: no tokenizer.json" in cli("inspect", "demo").stdout


def test_inspect_with_json_keeps_unknown_values_null(cli_json, step):
    step("inspect", inspection(license=None, context=None))
    _, document = cli_json("inspect", "demo")
    assert document["model"]["license"] is None
    assert document["model"]["context"] is None
    assert document["fits"][0]["findings"][0]["status"] == "fail"
