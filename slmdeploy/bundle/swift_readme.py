"""The README of a bundle with a Core ML package: how an app calls it, in its own numbers."""

from __future__ import annotations

from string import Template

from slmdeploy.bundle.manifest import Manifest, MethodInfo, TensorInfo
from slmdeploy.bundle.methods import lengths_of
from slmdeploy.export.options import CoremlOptions

__all__ = ["README_NAME", "methods_table", "swift_readme"]

README_NAME = "README.md"

_HEAD = Template(
    """# $name

$model, compressed by recipe `$recipe`, as a Core ML package for $system or later. Made and
verified by slmdeploy on a computer without Core ML: what the package computes was held against
PyTorch (`manifest.json`, `verification`); how Core ML places and times it was not.

Add `$file` to the app's target; Xcode compiles it. `tokenizer/` and the chat template in it
are those of Hugging Face; [swift-transformers](https://github.com/huggingface/swift-transformers)
reads them. `LICENSE.model` is the model's licence.

"""
)

_FUNCTIONS = """
| function | feature | shape | type |
|---|---|---|---|
"""

_STATEFUL = Template(
    """
The cache of $context tokens is a state (`k_cache`, `v_cache`, $bytes bytes): one state object goes
through both functions. Calls that use it must not overlap.

```swift
import CoreML

let configuration = MLModelConfiguration()
configuration.computeUnits = .$units
configuration.functionName = "prefill"
let prefill = try MLModel(contentsOf: url, configuration: configuration)
configuration.functionName = "decode"
let decode = try MLModel(contentsOf: url, configuration: configuration)
let state = prefill.makeState()

func ints(_ values: [Int32], _ shape: [NSNumber]) throws -> MLMultiArray {
    let array = try MLMultiArray(shape: shape, dataType: .int32)
    for (index, value) in values.enumerated() { array[index] = NSNumber(value: value) }
    return array
}

/// Logits after `tokens`, the first of which is number `position` of the text.
func call(_ model: MLModel, _ tokens: [Int32], at position: Int, size: Int) throws -> MLMultiArray {
    let filled = tokens + Array(repeating: 0, count: size - tokens.count)
    var inputs: [String: Any] = [
        "ids": try ints(filled, [1, NSNumber(value: size)]),
        "position": try ints([Int32(position)], [1]),
    ]
$last    let features = try MLDictionaryFeatureProvider(dictionary: inputs)
    let output = try model.prediction(from: features, using: state)
    return output.featureValue(for: "logits")!.multiArrayValue!
}

let chunk = $chunk, capacity = $capacity
var logits: MLMultiArray!
for start in stride(from: 0, to: prompt.count, by: chunk) {
    // A chunk must end within the cache: the last one then starts earlier.
    let first = min(start, capacity - chunk)
    let tokens = Array(prompt[first..<min(start + chunk, prompt.count)])
    logits = try call(prefill, tokens, at: first, size: chunk)
}
var position = prompt.count
while position < $context {
    let next = pick(logits)  // $rows
    if stops.contains(next) { break }
    logits = try call(decode, [next], at: position, size: 1)
    position += 1
}
```

A new text needs a new state, or the same one from position 0: what an older text left behind the
position is never seen. That both functions take one state object follows
apple/coremltools#2686; slmdeploy had no device to try it.
"""
)

_STATELESS = Template(
    """
$system has no states: the cache goes in as `k_cache` and `v_cache` ($shape, float16, zeros at
first) and comes out as `k_cache_out` and `v_cache_out`, which are the next call's inputs. Each
package has one function.

```swift
let configuration = MLModelConfiguration()
configuration.computeUnits = .$units
let prefill = try MLModel(contentsOf: prefillURL, configuration: configuration)
let decode = try MLModel(contentsOf: decodeURL, configuration: configuration)

let output = try decode.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))
inputs["k_cache"] = output.featureValue(for: "k_cache_out")
inputs["v_cache"] = output.featureValue(for: "v_cache_out")
```

A prompt goes through `prefill` in chunks of $chunk, filled up with id 0; `position` is the
place of the chunk's first token. A chunk must end within the $capacity places of the cache: the
last one then starts earlier. After it, `decode` takes one token at a time.
"""
)

_GENERIC = Template(
    """
```swift
let configuration = MLModelConfiguration()
configuration.computeUnits = .$units
${chosen}let model = try MLModel(contentsOf: url, configuration: configuration)
let output = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))
```
$lengths"""
)

_CHOSEN = 'configuration.functionName = "$function"  // the shortest that the text fits\n'
_LENGTHS = """
All functions compute the same with the same weights, for texts of so many tokens as their names
say. A shorter text is filled up with the padding token, and `attention_mask` is 0 there.
"""

_LAST = '    if model === prefill { inputs["last"] = try ints([Int32(tokens.count - 1)], [1]) }\n'


def swift_readme(manifest: Manifest, options: CoremlOptions) -> str:
    """The text.

    Args:
        manifest: Of the bundle; its artifact is a Core ML package.
        options: What it was made with.
    """
    system = f"{options.deployment_target[:3]} {options.deployment_target[3:]}"
    cache = manifest.cache
    chosen = _GENERIC if cache is None else _STATEFUL if options.states else _STATELESS
    one_row = manifest.logits == "last"
    values = {
        "name": manifest.name,
        "model": manifest.model.name,
        "recipe": manifest.recipe.name,
        "system": system,
        "file": manifest.artifact.file,
        "units": options.compute_units,
        "context": manifest.context,
        "chunk": manifest.prefill_chunk,
        "last": _LAST if one_row else "",
        "rows": "float16 logits of one row" if one_row else "of prefill, the row of the last token",
        "capacity": None if cache is None else cache.capacity,
        "bytes": None if cache is None else cache.bytes,
        "shape": "" if cache is None else cache.layout,
        **_of_lengths(manifest),
    }
    return _HEAD.substitute(values) + methods_table(manifest) + chosen.substitute(values)


def _of_lengths(manifest: Manifest) -> dict[str, str]:
    """What is said where there is a function for each of several lengths."""
    functions = list(lengths_of(manifest))
    if not functions:
        return {"chosen": "", "lengths": ""}
    return {"chosen": _CHOSEN.replace("$function", functions[0]), "lengths": _LENGTHS}


def _kinds(method: MethodInfo) -> tuple[tuple[str, tuple[TensorInfo, ...]], ...]:
    return ("", method.inputs), (" (state)", method.states), (" (output)", method.outputs)


def methods_table(manifest: Manifest) -> str:
    """What goes into the functions or methods of the artifact and comes out, as a table."""
    rows = [
        f"| `{name}` | `{tensor.name}`{kind} | {list(tensor.shape)} | {tensor.dtype} |"
        for name, method in manifest.artifact.methods.items()
        for kind, tensors in _kinds(method)
        for tensor in tensors
    ]
    return _FUNCTIONS.lstrip() + "\n".join(rows) + "\n"
