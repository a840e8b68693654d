"""Records as cells of text: what all renderers for people share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from slmdeploy.bench.imports.parsed import Theirs
from slmdeploy.bench.metrics import Metric, metrics_for
from slmdeploy.bench.samples import Delegation
from slmdeploy.bench.summary import MetricValue, counted
from slmdeploy.report.conditions import warnings
from slmdeploy.report.numbers import ABSENT, in_shown_unit, number, shown_unit
from slmdeploy.store.record import Record

__all__ = ["Sheet", "delegates_label", "make_sheets", "model_label", "runs_label", "status_label"]

_Kind = Literal["generate", "invoke"]
_SPREADS = ("ttft_ms", "prefill_tokens_per_s", "decode_tokens_per_s")
_OF_A_KIND = {"W", "J"}
"""Units of what means another thing by another sensor; a footnote names it."""

_IMPORTED = "Imported: other tools measured this, so it is not to be ranked with ours."
_NOT_MEASURED = "not measured by the version that made the record"
_DELEGATED_BEFORE = "the runner did not say it; what an export decides is in: slmdeploy bundle show"


@dataclass(frozen=True)
class Sheet:
    """A table of records with one kind of workload.

    Attributes:
        caption: What all rows share.
        heads: Column heads, units in them.
        rows: One per record, failed ones included; as many cells as heads.
        footnotes: Numbered from 1, as the cells' markers (``[1]``) are.
        warnings: What forbids comparing the rows.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class _Footnotes:
    """Collects footnotes; equal texts share a number."""

    texts: list[str] = field(default_factory=list)

    def mark(self, cell: str, *texts: str | None) -> str:
        numbers = [self._number(text) for text in texts if text]
        return f"{cell} [{', '.join(map(str, numbers))}]" if numbers else cell

    def _number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def make_sheets(records: Sequence[Record]) -> tuple[Sheet, ...]:
    """One sheet for decoders and one for generic models; imported records have their own."""
    kinds: tuple[_Kind, ...] = ("generate", "invoke")
    ours = [(kind, [r for r in records if r.workload.kind == kind]) for kind in kinds]
    others = [(kind, [r for r in records if _imported_of(r) == kind]) for kind in kinds]
    sheets = [_sheet(kind, group) for kind, group in ours if group]
    return (*sheets, *(_imported_sheet(kind, group) for kind, group in others if group))


def _imported_of(record: Record) -> str | None:
    return record.workload.of if record.workload.kind == "imported" else None


def _imported_sheet(kind: _Kind, records: Sequence[Record]) -> Sheet:
    """As any sheet, with the figures by the tools' own definitions after ours."""
    sheet = _sheet(kind, records)
    notes = _Footnotes(list(sheet.footnotes))
    names = dict.fromkeys(one.name for record in records for one in _theirs(record))
    units = {one.name: one.unit for record in records for one in _theirs(record)}
    rows = (
        (*row, *(_own_cell(record, name, notes) for name in names))
        for record, row in zip(records, sheet.rows, strict=True)
    )
    return replace(
        sheet,
        caption=f"{_IMPORTED} {sheet.caption}".rstrip(),
        heads=(*sheet.heads, *(f"Tool's own {name}, {units[name]}" for name in names)),
        rows=tuple(rows),
        footnotes=tuple(notes.texts),
    )


def _own_cell(record: Record, name: str, notes: _Footnotes) -> str:
    for one in _theirs(record):
        if one.name == name:
            return notes.mark(number(one.value), f"the tool's own: {one.definition}")
    return notes.mark(ABSENT, "not in the imported file")


def _theirs(record: Record) -> tuple[Theirs, ...]:
    return () if record.imported is None else record.imported.theirs


def model_label(record: Record) -> str:
    """The model's name, with what must be said of it wherever it appears."""
    note = None if record.model is None else record.model.note
    return record.model_name if note is None else f"{record.model_name} ({note})"


def runs_label(record: Record) -> str:
    """How many timed runs count, of how many; of an imported record, how many it holds."""
    if record.imported is not None:
        return str(len(record.imported.runs))
    timed = sum(sample.role == "timed" for sample in record.samples)
    return f"{len(counted(record.samples))} of {timed}"


def _sheet(kind: _Kind, records: Sequence[Record]) -> Sheet:
    notes = _Footnotes()
    metrics = [m for m in metrics_for(kind) if _is_shown(m, records)]
    keys = {record.workload.key for record in records}
    one_workload = len(keys) == 1
    lost = _lost(metrics_for(kind), records)
    heads = ("Record", "Model", "Recipe", "Target", "Device", "Threads", "Runs", "Status")
    workload_head = () if one_workload else ("Workload",)
    delegating = any(map(delegates_label, records))
    delegates_head = ("Delegate, operators",) if delegating else ()
    return Sheet(
        caption=f"Workload: {keys.pop()}." if one_workload else "",
        heads=(
            *heads,
            *workload_head,
            *delegates_head,
            *(head for m in metrics for head in _heads(m)),
        ),
        rows=tuple(
            (
                *_identity(record, notes),
                *(() if one_workload else (record.workload.key,)),
                *((_delegates(record, notes),) if delegating else ()),
                *(cell for metric in metrics for cell in _cells(record, metric, notes)),
            )
            for record in records
        ),
        footnotes=(*notes.texts, *lost),
        warnings=warnings(records),
    )


def _is_shown(metric: Metric, records: Sequence[Record]) -> bool:
    """What a board has no sensor for takes no column; a footnote has the reason."""
    found = [r.metrics[metric.id] for r in records if metric.id in r.metrics]
    return any(metric.quantities is None or one.value is not None for one in found)


def _lost(metrics: Sequence[Metric], records: Sequence[Record]) -> list[str]:
    """The reasons of the metrics that take no column, each once, in front the metrics."""
    reasons: dict[str, list[str]] = {}
    for metric in metrics:
        if not _is_shown(metric, records):
            for record in records:
                found = record.metrics.get(metric.id)
                if found is not None and found.reason and found.n == 0:
                    titles = reasons.setdefault(found.reason, [])
                    titles += [] if metric.title in titles else [metric.title]
    return [f"{', '.join(titles)}: {reason}" for reason, titles in reasons.items()]


def _heads(metric: Metric) -> tuple[str, ...]:
    head = f"{metric.title}, {shown_unit(metric.unit)}".removesuffix(", count")
    return (head, f"{metric.title} spread, %") if metric.id in _SPREADS else (head,)


def _identity(record: Record, notes: _Footnotes) -> tuple[str, ...]:
    """The cells of words; what is wrong with a record is a footnote of its status."""
    return (
        record.id,
        model_label(record),
        record.recipe_name,
        record.target,
        record.device,
        _threads(record, notes),
        runs_label(record),
        notes.mark(status_label(record), record.reason, *record.notes),
    )


def status_label(record: Record) -> str:
    """The status, with ``imported`` beside it wherever another tool measured."""
    return record.status if record.imported is None else f"{record.status}, imported"


def _threads(record: Record, notes: _Footnotes) -> str:
    if record.imported is not None and record.threads is None:
        return notes.mark(ABSENT, "the imported file does not say how many threads ran")
    return "auto" if record.threads is None else str(record.threads)


def delegates_label(record: Record) -> str:
    """Which delegate ran and its share of the operators; empty if the runner did not say."""
    said = (one for sample in record.samples for one in sample.delegations)
    shares = (f"{_taker(one)} {one.delegated_ops}/{one.total_ops}" for one in said)
    return " + ".join(dict.fromkeys(shares))


def _taker(said: Delegation) -> str:
    return said.delegate or ("unnamed" if said.delegates else "none")


def _delegates(record: Record, notes: _Footnotes) -> str:
    return delegates_label(record) or notes.mark(ABSENT, _DELEGATED_BEFORE)


def _cells(record: Record, metric: Metric, notes: _Footnotes) -> tuple[str, ...]:
    """The value, and its spread where the sheet has a column for it."""
    found = record.metrics.get(metric.id)
    value = _value_cell(found, metric, notes, imported=record.imported is not None)
    if metric.id not in _SPREADS:
        return (value,)
    return value, _spread_cell(found, notes)


def _value_cell(
    found: MetricValue | None, metric: Metric, notes: _Footnotes, *, imported: bool
) -> str:
    if found is None:
        return notes.mark(ABSENT, _NOT_MEASURED)
    if found.value is None:
        return notes.mark(ABSENT, found.reason or "no reason was recorded")
    shown = number(in_shown_unit(found.value, metric.unit), metric.unit)
    by_sensor = metric.unit in _OF_A_KIND or imported
    return notes.mark(shown, found.sensor) if by_sensor else shown


def _spread_cell(found: MetricValue | None, notes: _Footnotes) -> str:
    if found is None or found.value is None:
        return ABSENT  # the value's own cell has the reason
    if found.spread is None:
        return notes.mark(ABSENT, "a spread needs two runs")
    return f"{100 * found.spread:.1f}"
