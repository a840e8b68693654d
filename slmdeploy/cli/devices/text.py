"""How a value of the inventory is shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slmdeploy.cli.console import bytes_text

if TYPE_CHECKING:
    from slmdeploy.device.push.deployments import Removed

__all__ = ["key_notes", "removed_text", "value_text"]

_WITNESSES = {
    "inventory": "The host key is the one that was pinned before.",
    "fingerprint": "The host key has the fingerprint that was given.",
    "known_hosts": "The host key is the one that known_hosts has.",
    None: "The host key is known nowhere: without --dry-run it would be asked for.",
}


def value_text(value: Any) -> str:
    """One line; ``-`` where there is nothing."""
    if value is None or value == {}:
        return "-"
    if hasattr(value, "items"):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def key_notes(witness: str | None, stale: str | None) -> list[str]:
    """Remarks on a host key: what vouched for it, and where another one stands.

    Args:
        witness: What vouched for it; ``None`` if somebody would have to be asked.
        stale: Its name in ``known_hosts``, if that has another key.
    """
    notes = [_WITNESSES[witness]] if witness in _WITNESSES else []
    if stale is not None:
        notes.append(f"known_hosts has another key still; ssh wants: ssh-keygen -R '{stale}'")
    return notes


def removed_text(device: str, done: Removed, *, details: bool) -> str:
    """What was removed from a device: one line, and with ``details`` one for each path."""
    if not done.paths:
        return f"{device}: nothing to remove"
    verb = "would remove" if done.dry_run else "removed"
    lines = [f"{device}: {verb} {bytes_text(done.bytes)} in {len(done.paths)} places"]
    if details:
        lines += [f"  {path}  {bytes_text(size)}" for path, size in done.paths]
    return "\n".join(lines)
