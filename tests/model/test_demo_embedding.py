"""The real all-MiniLM-L6-v2. Skipped until ``slmdeploy fetch demo-embedding`` was run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slmdeploy import pipeline
from slmdeploy.bundle.folder import open_bundle
from slmdeploy.errors import OfflineError
from slmdeploy.model.fetch_embedding import demo_embedding_path
from slmdeploy.model.generic import INPUTS, encode_fixed, load_generic
from slmdeploy.model.read import read_model
from slmdeploy.model.ref import parse_ref

pytestmark = pytest.mark.demo

EATING, MEAL, SKY = "A man is eating food.", "A man is eating a meal.", "The sky is blue today."
TEXTS = (
    *(EATING, MEAL, SKY, "turn on the light in the kitchen", "a"),
    "In the beginning God created the heaven and the earth. " * 20,  # longer than fits
)
LENGTH = 128


@pytest.fixture
def demo():
    try:
        demo_embedding_path()
    except OfflineError as error:
        pytest.skip(str(error))
    return read_model(parse_ref("demo-embedding"))


def by_transformers(folder, text):
    """The embedding by transformers' own tokenizer and model, pooled by the model card's words."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH, padding=False)
    with torch.no_grad():
        tokens = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(**given)[0]
    return torch.nn.functional.normalize(tokens.mean(dim=1), dim=-1)[0].numpy()


def cosine(left, right):
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_it_says_what_it_is(demo):
    assert (demo.task, str(demo.pooling)) == ("embedding", "mean+normalize")
    assert demo.pooling.max_length == 256
    assert demo.license == "apache-2.0"


def test_its_embeddings_are_those_of_transformers(demo):
    module = load_generic(demo)
    for text in TEXTS:
        found = module(*encode_fixed(demo, text, LENGTH))[0].numpy()
        assert cosine(found, by_transformers(demo.path, text)) >= 0.99999
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_what_means_the_same_lies_close(demo):
    module = load_generic(demo)
    eating, meal, sky = (module(*encode_fixed(demo, t, LENGTH))[0].numpy() for t in TEXTS[:3])
    assert cosine(eating, meal) > 0.7
    assert cosine(eating, sky) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("target", ["local-executorch", "local-litert"])
def test_its_artifact_embeds_as_transformers_does(demo, tmp_path, target):
    from slmdeploy.device.lab.inventory import LOCAL
    from slmdeploy.progress import silent
    from slmdeploy.runtime.protocol import InvokeRequest
    from slmdeploy.steps.ready import ready

    (attempt,) = pipeline.export("demo-embedding", [target], recipe="none", output=tmp_path)
    assert attempt.error is None
    bundle = open_bundle(attempt.value.bundle)
    assert bundle.manifest.model.pooling == "mean+normalize"
    dtypes = [info.dtype for info in bundle.manifest.artifact.methods["forward"].inputs]
    with ready(bundle, LOCAL, silent) as on:
        for text in TEXTS:
            encoded = zip(encode_fixed(demo, text, LENGTH), dtypes, strict=True)
            inputs = tuple(value.numpy().astype(dtype) for value, dtype in encoded)
            assert len(inputs) == len(INPUTS)
            found = on.runner.invoke(InvokeRequest("forward", inputs))[0][0][0]
            assert cosine(found, by_transformers(demo.path, text)) >= 0.9999
