"""The manifest of a bundle: what is in the folder and where it came from.

``manifest.json`` is what makes a folder a bundle. It is written last, so a folder
without one is an unfinished export. Nothing here imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from slmdeploy.compress.recipe import Recipe
from slmdeploy.export.artifact import ByteRow, CacheInfo, MemoryInfo, MethodInfo, TensorInfo

__all__ = [
    "MANIFEST_NAME",
    "MANIFEST_VERSION",
    "ArtifactInfo",
    "ByteRow",
    "CacheInfo",
    "DelegationInfo",
    "FileInfo",
    "GoldenInfo",
    "Manifest",
    "MemoryInfo",
    "MethodInfo",
    "ModelInfo",
    "RungResult",
    "TensorInfo",
    "TokenizerInfo",
    "VerificationInfo",
]

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1


# A board's files are named by it: any other text could lead out of the folder there.
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileInfo(_Part):
    """A file of the bundle: bytes and sha256 (hex)."""

    bytes: int
    sha256: _Sha256


class ModelInfo(_Part):
    """Where the model came from.

    Attributes:
        kind: ``decoder`` (methods ``prefill`` and ``decode``) or ``generic``
            (any module with example inputs; method ``forward``, or ``forward_<length>``
            for each of several lengths).
        note: What must be said of it wherever it appears (``dequantized Q4_1``).
        parameters: Number of parameters, shared ones once.
        labels: Names of a classifier's classes, in the order of its logits.
        task: What a generic model gives: ``classification``, ``token-classification``,
            ``embedding``, or ``module`` for whatever a module of the user's gives.
        pooling: How an embedding's tokens become one vector, as in ``mean+normalize``.
        adapter: Name of the LoRA adapter that is merged into the weights.
        remarks: What is odd about the checkpoint without keeping it from working, a
            sentence each: tensors that are not used or all zeros, stops that are missing.
    """

    name: str
    source: str
    kind: Literal["decoder", "generic"]
    architecture: str
    parameters: int
    dtype: str
    license: str | None
    note: str | None = None
    weights_sha256: str
    labels: tuple[str, ...] | None = None
    task: Literal["classification", "token-classification", "embedding", "module"] | None = None
    pooling: str | None = None
    adapter: str | None = None
    remarks: tuple[str, ...] = ()


class TokenizerInfo(_Part):
    """The tokenizer in the bundle; the board never sees it."""

    file: str
    sha256: _Sha256
    vocab_size: int
    bos_id: int | None
    stop_ids: tuple[int, ...]
    chat_template: bool


class ArtifactInfo(_Part):
    """The runtime's file.

    Attributes:
        backend: As of ``Artifact``.
        source: Whose code it was made of: ours (``slmdeploy``), that of ``transformers``, or a
            ``module`` of the user's; ``None`` where an older slmdeploy did not say.
        notes: What was decided in its making and is not to be seen from outside.
        same_bits: As of ``Artifact``.
    """

    file: str
    bytes: int
    sha256: _Sha256
    source: Literal["slmdeploy", "transformers", "module"] | None = None
    runtime: str
    kernels: str | None
    backend: Literal["coreml"] | None = None
    methods: dict[str, MethodInfo]
    bytes_by_component: tuple[ByteRow, ...]
    bytes_in_delegates: int
    notes: tuple[str, ...] = ()
    same_bits: bool = False

    @property
    def core_ml(self) -> bool:
        """Whether Core ML computes it, by itself or as a delegate: in an app, on Apple's systems.

        No runner of ours does; it is verified by the evaluator of packages.
        """
        return self.runtime == "coreml" or self.backend == "coreml"


class DelegationInfo(_Part):
    """What delegates took of an artifact, where the runtime decides that while it loads it.

    Measured once, on the computer that made the bundle; another processor may get another
    share, which each run on a device says for itself.

    Attributes:
        method: Whose operators were counted: the runtime lists those of its first graph.
        delegate: Its name, as in ``XNNPACK``; ``None`` if it took nothing or gave none.
        delegates: Its calls in one run of the method.
        delegated_ops: Operators that run inside it, of ``total_ops``.
        arch: Of the computer, as in ``x86_64``.
        runtime_version: Of the runtime there.
        reason: Why the others are ``None``.
    """

    method: str | None = None
    delegate: str | None = None
    delegates: int | None = None
    delegated_ops: int | None = None
    total_ops: int | None = None
    arch: str | None = None
    runtime_version: str | None = None
    reason: str | None = None


class GoldenInfo(_Part):
    """Golden vectors: an ``.npz`` without pickles.

    For a decoder: ``prompt`` int64 [P], ``continuation`` int64 [T], and a
    ``logits.<rung>`` float32 [T + 1, V] for each rung that was kept: the row after
    the prompt, then one after each token of the continuation. For a generic model:
    ``input.<i>`` and ``output.<rung>.<i>``, those of one method after those of the other,
    shortest first; where sizes vary, those of the examples, of the smallest and of the
    largest sizes. A classifier with labelled texts has ``labelled.input.<i>`` with a row a
    text, filled up to the longest method's, ``labelled.class`` int64 [N], and
    ``labelled.source`` int64 [N], what the source chooses; with methods for several lengths
    also ``labelled.tokens`` int64 [N], how many of a row are the text's.
    """

    file: str
    rungs: tuple[str, ...]


class RungResult(_Part):
    """What a rung of the parity ladder gave against the one before it.

    Attributes:
        status: ``pass``, ``fail``, ``report`` (compared, not judged) or ``absent``.
        reason: Why it is absent, or what failed.
        metrics: ``max_abs_error``, ``snr_db``, ``cosine``, ``kl``, ``top1_agreement``,
            ``greedy_match_length``; ``None`` where it could not be had.
    """

    name: str
    against: str | None
    status: Literal["pass", "fail", "report", "absent"]
    reason: str | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    thresholds: dict[str, float] = Field(default_factory=dict)


class VerificationInfo(_Part):
    """The ladder as far as it went when the bundle was made."""

    rungs: tuple[RungResult, ...]


class Manifest(_Part):
    """All of ``manifest.json``; see the classes above for its parts.

    Attributes:
        target: Name of the profile that it was made for.
        glibc: Oldest C library that the target's runner must start on.
        threads: Worker threads that the target asks for; ``None`` for the runner's own.
        runner: ``none`` if nothing of ours runs the artifact on the target.
        context: Tokens (prompt and answer together) that a run may hold; decoder only.
        prefill_chunk: Tokens that one call of ``prefill`` takes at most; decoder only.
        logits: Rows that ``prefill`` gives back: ``last`` or ``all``; decoder only.
        delegation: As measured here; ``None`` where ``artifact.methods`` has it.
        provenance: Versions of what made the bundle, and hashes that name the inputs.
    """

    version: Literal[1] = 1
    name: str
    created: str
    model: ModelInfo
    recipe: Recipe
    target: str
    glibc: str | None = None
    threads: int | None = None
    runner: Literal["own", "none"] = "own"
    artifact: ArtifactInfo
    context: int | None = None
    prefill_chunk: int | None = None
    logits: Literal["last", "all"] | None = None
    cache: CacheInfo | None = None
    memory: MemoryInfo
    tokenizer: TokenizerInfo | None
    tokenizer_reason: str | None = None
    golden: GoldenInfo | None
    verification: VerificationInfo | None = None
    delegation: DelegationInfo | None = None
    files: dict[str, FileInfo]
    provenance: dict[str, Any]
