"""What each recipe costs in perplexity, and what the model then writes: why a default is one.

    python benchmarks/recipes.py [MODEL] [--tokens 1024] [RECIPE ...]

Runs the compressed model in eager torch, which computes what the artifact computes. Windows
of 512 tokens of the King James text that the fixtures hold out; the first token of a window
is not predicted. The demo's weights lay on a 4-bit grid before, so its column says little of
what 4 bits cost a model trained in float.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from slmdeploy.compress.quantize import compress, quiet_torchao
from slmdeploy.compress.recipe import load_recipe, recipe_names
from slmdeploy.model.attention import EagerAttention
from slmdeploy.model.decoder import Decoder
from slmdeploy.model.families import family_for
from slmdeploy.model.load import load_decoder
from slmdeploy.model.model import Model
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref
from slmdeploy.model.tokenizer import Tokenizer

WINDOW = 512
TEXT = Path(__file__).resolve().parent.parent / "fixtures/corpora/kjv-heldout.txt"
QUESTION = "What is the capital of France?"
ANSWER_TOKENS = 24


@torch.no_grad()
def perplexity(decoder: Decoder, ids: list[int]) -> float:
    """Exponential of the mean negative log-likelihood over whole windows."""
    total, count = 0.0, 0
    for start in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = torch.tensor(ids[start : start + WINDOW])
        attention = EagerAttention(decoder.config, WINDOW)
        logits = decoder(window[None], 0, attention, last_only=False)
        loss = torch.nn.functional.cross_entropy(logits[:-1], window[1:], reduction="sum")
        total, count = total + float(loss), count + WINDOW - 1
    return math.exp(total / count)


@torch.no_grad()
def answer(decoder: Decoder, tokenizer: Tokenizer) -> str:
    """What the model says to the question, greedily."""
    prompt = QUESTION
    if tokenizer.chat_template is not None:
        prompt = tokenizer.render_chat([{"role": "user", "content": QUESTION}])
    tokens = torch.tensor([tokenizer.encode(prompt)])
    attention, said = EagerAttention(decoder.config, tokens.shape[1] + ANSWER_TOKENS), list[int]()
    while len(said) < ANSWER_TOKENS:
        logits = decoder(tokens, attention.position, attention)
        attention.position += tokens.shape[1]
        said.append(int(logits.argmax()))
        if said[-1] in tokenizer.stop_ids:
            break
        tokens = torch.tensor([said[-1:]])
    return tokenizer.decode(said)


def compressed(model: Model, name: str) -> Decoder:
    """The model after a recipe."""
    if model.config is None:
        raise SystemExit(f"{model.name} is not a decoder")
    positions = max(WINDOW, 256)
    decoder = load_decoder(
        model.config, family_for(model.hf_config), model.weights, positions=positions
    )
    return compress(decoder, load_recipe(name)).module


def main() -> None:
    """Print a row for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="demo")
    parser.add_argument("recipes", nargs="*", default=list(recipe_names()))
    parser.add_argument("--tokens", type=int, default=1024)
    given = parser.parse_args()
    model = read_model(parse_ref(given.model))
    if model.tokenizer is None:
        raise SystemExit(f"{model.name} has no tokenizer")
    ids = model.tokenizer.encode(TEXT.read_text(encoding="utf-8"))[: given.tokens]
    print(f"{model.name} ({model.note or 'as trained'}), {len(ids)} tokens of {TEXT.name}")
    for name in given.recipes:
        with quiet_torchao():
            decoder = compressed(model, name)
        found, said = perplexity(decoder, ids), answer(decoder, model.tokenizer)
        print(f"{name:<14} perplexity {found:7.2f}  {said!r}", flush=True)


if __name__ == "__main__":
    main()
