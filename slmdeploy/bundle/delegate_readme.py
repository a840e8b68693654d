"""The README of a bundle of ExecuTorch's Core ML delegate: how an app calls the ``.pte``."""

from __future__ import annotations

from string import Template

from slmdeploy.bundle.manifest import Manifest
from slmdeploy.bundle.swift_readme import methods_table
from slmdeploy.export.options import ExecutorchOptions

__all__ = ["delegate_readme"]

_HEAD = Template(
    """# $name

$model, compressed by recipe `$recipe`, as an ExecuTorch program for iOS 18 or later: each of its
methods is one call of ExecuTorch's Core ML delegate. Made and verified by slmdeploy on a computer
without Core ML: what the package within computes was held against PyTorch (`manifest.json`,
`verification`); how Core ML places and times it was not.

The app links ExecuTorch $version with its Core ML backend (`backend_coreml`), and has `$file` among
its resources. The delegate lets Core ML use `$units`. When a method is loaded first, the delegate
writes the package to disk and has it compiled there. `tokenizer/` and the chat template in it are
those of Hugging Face; [swift-transformers](https://github.com/huggingface/swift-transformers) reads
them. `LICENSE.model` is the model's licence.

Arguments go by position, in this order:

"""
)

_DECODER = Template(
    """
The cache of $capacity tokens is no state: it goes in as `k_cache` and `v_cache` (zeros at first),
and comes out with the new tokens in it as second and third output: the inputs of the next call,
whichever method that is. Together they have $bytes bytes.

```swift
import ExecuTorch

let module = Module(filePath: path)
try module.load("prefill")
try module.load("decode")
let empty = AnyTensor.zeros(shape: $shape, dataType: .half)
var keys: ValueConvertible = empty, values: ValueConvertible = empty

/// Logits after `tokens`, the first of which is number `position` of the text.
func call(_ method: String, _ tokens: [Int32], at position: Int, size: Int) throws -> Value {
    let filled = tokens + Array(repeating: 0, count: size - tokens.count)
    var inputs: [ValueConvertible] = [
        Tensor<Int32>(filled, shape: [1, size]),
        Tensor<Int32>([Int32(position)], shape: [1]),
    ]
$last    let outputs = try module.execute(method, inputs + [keys, values])
    (keys, values) = (outputs[1], outputs[2])
    return outputs[0]
}

let chunk = $chunk, capacity = $capacity
var logits: Value!
for start in stride(from: 0, to: prompt.count, by: chunk) {
    // A chunk must end within the cache: the last one then starts earlier.
    let first = min(start, capacity - chunk)
    let tokens = Array(prompt[first..<min(start + chunk, prompt.count)])
    logits = try call("prefill", tokens, at: first, size: chunk)
}
var position = prompt.count
while position < $context {
    let next = pick(logits)  // $rows
    if stops.contains(next) { break }
    logits = try call("decode", [next], at: position, size: 1)
    position += 1
}
```

A new text starts at position 0; what an older one left in the cache is never seen. The names are
those of ExecuTorch's Swift API, which it calls experimental; slmdeploy had no device to try it on.
"""
)

_LAST = (
    '    if method == "prefill" { inputs.append(Tensor<Int32>([Int32(tokens.count - 1)], '
    "shape: [1])) }\n"
)

_GENERIC = Template(
    """
```swift
import ExecuTorch

let module = Module(filePath: path)
let outputs = try module.execute("$method", inputs)
```
"""
)


def delegate_readme(manifest: Manifest, options: ExecutorchOptions) -> str:
    """The text.

    Args:
        manifest: Of the bundle; its artifact is a ``.pte`` of backend ``coreml``.
        options: What it was made with.
    """
    versions = manifest.provenance.get("versions", {})
    head = _HEAD.substitute(
        name=manifest.name,
        model=manifest.model.name,
        recipe=manifest.recipe.name,
        file=manifest.artifact.file,
        units=options.units,
        version=versions.get("executorch", ""),
    )
    if manifest.cache is not None:
        return head + methods_table(manifest) + _decoder(manifest)
    method = next(iter(manifest.artifact.methods))
    return head + methods_table(manifest) + _GENERIC.substitute(method=method)


def _decoder(manifest: Manifest) -> str:
    cache, one_row = manifest.cache, manifest.logits == "last"
    shapes = [
        list(tensor.shape)
        for method in manifest.artifact.methods.values()
        for tensor in method.inputs
        if tensor.name == "k_cache"
    ]
    return _DECODER.substitute(
        capacity=None if cache is None else cache.capacity,
        bytes=None if cache is None else cache.bytes,
        shape=shapes[0],
        last=_LAST if one_row else "",
        chunk=manifest.prefill_chunk,
        context=manifest.context,
        rows="float16 logits of one row" if one_row else "of prefill, the row of the last token",
    )
