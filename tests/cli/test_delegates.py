"""What delegates take of a method, in words."""

from __future__ import annotations

import pytest

from slmdeploy.bundle.manifest import DelegationInfo, MethodInfo
from slmdeploy.cli.delegates import delegates_text, share_text
from tests.bundle.bundles import manifest

SAID = DelegationInfo(
    method="decode",
    delegate="XNNPACK",
    delegates=1,
    delegated_ops=90,
    total_ops=100,
    arch="x86_64",
    runtime_version="2.3.0",
)
MEASURED = "90 of 100 operators in XNNPACK, as version 2.3.0 of the runtime said on x86_64"


def method(delegated: int | None) -> MethodInfo:
    return MethodInfo(
        inputs=(),
        outputs=(),
        delegated_ops=delegated,
        total_ops=100,
        delegates=None,
        planned_bytes=None,
    )


def bundle(delegated: int | None, measured: DelegationInfo | None):
    made = manifest(delegation=measured)
    methods = {"prefill": method(delegated), "decode": method(delegated)}
    artifact = made.artifact.model_copy(update={"methods": methods})
    return made.model_copy(update={"artifact": artifact})


@pytest.mark.parametrize(
    ("delegated", "measured", "said"),
    [
        (7, None, "7 of 100 operators in delegates"),
        (None, SAID, MEASURED),
        (None, None, "100 operators; the runtime chooses on the device what it delegates"),
    ],
)
def test_a_share_says_who_knows_it(delegated, measured, said):
    assert share_text(method(delegated), "decode", measured) == said


def test_a_bundle_shows_what_its_export_decided_for_each_method():
    share = "7 of 100 operators in delegates"
    assert delegates_text(bundle(7, None)) == f"prefill: {share}; decode: {share}"


def test_a_bundle_shows_what_the_runtime_said_of_the_method_that_it_was_asked_for():
    assert delegates_text(bundle(None, SAID)) == f"decode: {MEASURED}"


def test_a_bundle_that_did_not_run_here_shows_why_it_is_not_known():
    unknown = DelegationInfo(reason="--no-verify")
    assert delegates_text(bundle(None, unknown)) == "not known: --no-verify"


def test_an_old_bundle_says_nothing():
    assert delegates_text(bundle(None, None)) is None
