from __future__ import annotations

import pytest

from slmdeploy.bundle.manifest import RungResult
from slmdeploy.errors import DeviceParityError, ParityError
from slmdeploy.verify.thresholds import RUNG_KINDS
from slmdeploy.verify.verdict import CAUSES, broken_rung, verdict


def result(name, status="fail", against="compressed"):
    reason = "snr_db is -89.3, at least 14 is wanted" if status == "fail" else None
    return RungResult(name=name, against=against, status=status, reason=reason)


def test_no_broken_rung_is_no_error():
    results = [result("source", "report"), result("decoder", "pass"), result("device", "absent")]
    assert broken_rung(results) is None
    verdict(results)


def test_the_error_names_rung_metric_value_limit_and_the_usual_cause():
    with pytest.raises(ParityError) as caught:
        verdict([result("artifact")])
    assert caught.value.message == (
        "The rung 'artifact' broke against 'compressed': snr_db is -89.3, at least 14 is wanted."
    )
    assert "scales are dropped" in caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["device", "device pi5-a", "device:local"])
def test_the_devices_rung_is_the_devices_failure(name):
    with pytest.raises(DeviceParityError) as caught:
        verdict([result(name)])
    assert caught.value.exit_code == 4


def test_names_that_are_no_kinds_are_told_by_the_caller():
    with pytest.raises(DeviceParityError):
        verdict([result("pi5-a")], {"pi5-a": "device"})


def test_a_rung_of_no_known_kind_is_named_without_a_guess():
    with pytest.raises(ParityError) as caught:
        verdict([result("something", against=None)])
    assert caught.value.hint is None


def test_every_kind_has_its_usual_cause():
    assert tuple(CAUSES) == RUNG_KINDS
