"""The only place that reaches a device."""
