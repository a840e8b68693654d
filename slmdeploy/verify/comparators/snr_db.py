"""Signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from slmdeploy.verify.comparators.base import Better, Rows

__all__ = ["SNR_CAP_DB", "SnrDb"]

SNR_CAP_DB = 200.0
"""What stands for "this many or more", so that identical outputs have a finite value.

float32 resolves about 150 dB; 200 is reached by outputs that agree in every bit, or
in all but a few tiny values. JSON has no infinity, hence the cap.
"""


class SnrDb:
    """``10 log10(sum reference^2 / sum (test - reference)^2)``, within +-``SNR_CAP_DB``."""

    name = "snr_db"
    better: Better = "higher"

    def compare(self, reference: Rows, test: Rows) -> float:
        """Compare two arrays of shape [N, C].

        Both sums are taken of values divided by the largest one, so that neither
        overflows; two arrays of zeros are identical.
        """
        noise = test - reference
        noise_db, signal_db = _energy_db(noise), _energy_db(reference)
        if noise_db is None:
            return SNR_CAP_DB
        if signal_db is None:
            return -SNR_CAP_DB
        return float(np.clip(signal_db - noise_db, -SNR_CAP_DB, SNR_CAP_DB))


def _energy_db(values: Rows) -> float | None:
    """``10 log10(sum values^2)``; ``None`` where all values are zero."""
    largest = float(abs(values).max())
    if largest == 0.0:
        return None
    scaled = values / largest
    return 20 * math.log10(largest) + 10 * math.log10(float((scaled * scaled).sum()))
