"""A decoder of signatures ``decode`` and ``prefill_N`` with the cache between them.

The cache is an input of each signature. What a call gives as new keys and values is
written into the caches of the signatures that will still be called, a row a token.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, Tuple

from slmdeploy.runtime.litert_board.memory import let_go
from slmdeploy.runtime.litert_board.program import Program, Signature
from slmdeploy.runtime.litert_board.saying import REFUSED, UNLOADABLE, Failure, say

__all__ = ["DECODE", "PREFILL", "Decoder", "Row"]

DECODE = "decode"
PREFILL = re.compile(r"prefill_([1-9][0-9]*)")

Row = Tuple[Any, int, int]
"""Logits float32 [vocabulary] in place (gone with the next call), start and end of the call."""


class Decoder:
    """The signatures of a decoder, loaded when they are first needed.

    Args:
        program: The artifact.
        decode_tail: A rest of at most this many prompt tokens goes through ``decode``.

    Raises:
        Failure: ``not_a_decoder``, or a signature cannot be loaded.
    """

    def __init__(self, program: Program, decode_tail: int) -> None:
        self._program = program
        self._tail = decode_tail
        self.capacity, self.vocabulary = _check(program)
        self._chunks = _chunks(program)
        self._ready: dict[str, Signature] = {}

    def load(self, prompt_tokens: int) -> None:
        """Load what a prompt of this length needs, and ``decode``."""
        plan = self._plan(prompt_tokens)
        # The first graph comes first: only its loading brings the delegates to all graphs.
        for name in dict.fromkeys([DECODE, *(name for name, _, _ in plan)]):
            signature = self._program.load(name)
            for key in _cache_names(self._program, name):
                # Memory of the system is zero already; then it is not touched, and not taken.
                if signature.inputs[key].any():
                    signature.inputs[key].fill(0)
            self._ready[name] = signature
        let_go(self._program.path)

    def check_tokens(self, tokens: list[int]) -> None:
        """Refuse what cannot be fed.

        Raises:
            Failure: ``token_out_of_range`` or ``prompt_too_long``.
        """
        for place, token in enumerate(tokens):
            if token >= self.vocabulary:
                raise Failure(
                    REFUSED,
                    "token_out_of_range",
                    f"Token {token} at place {place} is beyond the vocabulary of "
                    f"{self.vocabulary}.",
                    "The tokenizer must be the one of the bundle.",
                )
        if len(tokens) > self.capacity:
            raise Failure(
                REFUSED,
                "prompt_too_long",
                f"{len(tokens)} tokens do not fit the context of {self.capacity}.",
                "Shorten the prompt, or export with a larger --context.",
            )

    def prefill(self, tokens: list[int]) -> Row:
        """Feed a prompt; gives the row after its last token."""
        row: Row
        plan = self._plan(len(tokens))
        for index, (name, begin, end) in enumerate(plan):
            if name == DECODE:
                row = self.step(tokens[begin], begin)
                rows = 1
            else:
                rows = self._chunks[name]
                later = dict.fromkeys([DECODE, *(after for after, _, _ in plan[index + 1 :])])
                row = self._chunk(name, tokens, (begin, end), list(later))
            say(
                "prefill",
                method=name,
                position=begin,
                tokens=end - begin,
                rows=rows,
                start_ns=row[1],
                end_ns=row[2],
            )
        return row

    def step(self, token: int, position: int) -> Row:
        """Feed one token; gives the row after it."""
        signature = self._ready[DECODE]
        inputs = signature.inputs
        inputs["tokens"][...] = token
        inputs["position"][...] = position
        start, end = signature.run()
        self._write(signature, position, 0, 1, [DECODE])
        return signature.outputs["logits"].reshape(-1), start, end

    def _plan(self, count: int) -> list[tuple[str, int, int]]:
        """Which signature takes which tokens of a prompt: (name, begin, end)."""
        plan, begin = [], 0
        while begin < count:
            left = count - begin
            name, size = DECODE, 1
            if self._chunks and left > self._tail:
                fitting = [n for n, rows in self._chunks.items() if rows <= left]
                # The largest that is filled; of a rest the smallest that holds it.
                name = fitting[-1] if fitting else next(iter(self._chunks))
                size = min(left, self._chunks[name])
            plan.append((name, begin, begin + size))
            begin += size
        return plan

    def _chunk(self, name: str, tokens: list[int], span: tuple[int, int], later: list[str]) -> Row:
        """Feed tokens [begin, end), at most a chunk, for the signatures that come later.

        Where the chunk would reach beyond the cache it starts earlier: tokens before
        ``begin`` are fed again and give the same keys and values. Places after ``end`` get
        id 0, and what comes of them is not written.
        """
        signature, rows = self._ready[name], self._chunks[name]
        begin, end = span
        position = min(begin, self.capacity - rows)
        used = end - position
        inputs = signature.inputs
        inputs["tokens"][0, :used] = tokens[position:end]
        inputs["tokens"][0, used:] = 0
        inputs["position"][...] = position
        if "last" in inputs:
            inputs["last"][...] = used - 1
        start, stop = signature.run()
        self._write(signature, position, begin - position, used, later)
        logits = signature.outputs["logits"]
        return logits[0 if len(logits) == 1 else used - 1], start, stop

    def _write(
        self, source: Signature, position: int, first: int, used: int, into: list[str]
    ) -> None:
        """Write the new rows ``first`` to ``used`` of a call into caches, in place.

        The cache of a chunk's signature may lack places at the end, which it never sees.
        """
        begin = position + first
        targets = [self._ready[name].inputs for name in into]
        for key, rows in source.outputs.items():
            if key != "logits":
                for cache in targets:
                    room = min(used - first, cache[key].shape[1] - begin)
                    if room > 0:
                        cache[key][:, begin : begin + room] = rows[:, first : first + room]


def _cache_names(program: Program, name: str) -> list[str]:
    keys = program.signatures[name]["outputs"]
    return [key for key in keys if key != "logits"]


def _chunks(program: Program) -> dict[str, int]:
    """Sizes of the ``prefill_N``, the smallest first."""
    matches = (PREFILL.fullmatch(name) for name in program.signatures)
    found = {match.group(0): int(match.group(1)) for match in matches if match}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _check(program: Program) -> tuple[int, int]:
    """Capacity of the cache and size of the vocabulary of a decoder that is one."""
    if DECODE not in program.signatures:
        program.load(DECODE)  # says what there is
    inputs = {about["name"]: about for about in program.tensors(DECODE, "inputs")}
    outputs = {about["name"]: about for about in program.tensors(DECODE, "outputs")}
    for name, shape in (("tokens", [1, 1]), ("position", [1])):
        about = inputs.get(name)
        if about is None or (about["dtype"], about["shape"]) != ("int32", shape):
            _not_a_decoder(f"'decode' must take {name} int32 {shape}.")
    logits = outputs.get("logits")
    if logits is None or logits["dtype"] != "float32" or len(logits["shape"]) != 2:
        _not_a_decoder("'decode' must give logits float32 [1, vocabulary].")
    cache = [about for name, about in inputs.items() if name in outputs]
    sizes = {about["shape"][1] for about in cache if len(about["shape"]) == 3}
    if not cache or len(sizes) != 1:
        _not_a_decoder("'decode' must take and give keys and values of each layer.")
    capacity = sizes.pop()
    for name, rows in _chunks(program).items():
        about = {one["name"]: one["shape"] for one in program.tensors(name, "inputs")}
        places = [about[one["name"]][1] for one in cache if one["name"] in about]
        if rows > capacity or len(places) != len(cache) or min(places) < capacity - rows:
            _not_a_decoder(f"'{name}' does not go with a cache of {capacity} tokens.")
    return capacity, logits["shape"][1]


def _not_a_decoder(message: str) -> NoReturn:
    raise Failure(UNLOADABLE, "not_a_decoder", message, "--mode invoke runs any other signature.")
