"""The ExecuTorch exporter: one ``.pte`` with methods ``prefill`` and ``decode``."""
