"""Values of an exported program's placeholders, and new ones."""

from __future__ import annotations

from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument
from torch.fx import Node

from slmdeploy.export.coreml.carry import carried_weights

__all__ = ["add_constant", "stored_values"]


def stored_values(exported: ExportedProgram) -> dict[Node, Tensor]:
    """Values of parameters, buffers and constants, by their placeholders.

    Args:
        exported: What changes in it, and the weights that are carried into a package by operators
            of their own, are left out.
    """
    nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    changed = exported.graph_signature.buffers_to_mutate.values()
    left = {*changed, *carried_weights(exported.state_dict)}
    values = {**exported.constants, **exported.state_dict}
    return {
        nodes[spec.arg.name]: values[spec.target]
        for spec in exported.graph_signature.input_specs
        if spec.target not in left and isinstance(values.get(str(spec.target)), Tensor)
    }


def add_constant(exported: ExportedProgram, value: Tensor, like: Node) -> Node:
    """Add a constant to a program.

    Args:
        exported: Whose graph gets a placeholder.
        value: What it shall stand for.
        like: A node of the same shape, after which it is named.
    """
    specs = exported.graph_signature.input_specs
    inputs = [i for i, spec in enumerate(specs) if spec.kind is InputKind.USER_INPUT]
    place = min(inputs, default=len(specs))
    with exported.graph.inserting_before([*exported.graph.nodes][place]):
        node: Node = exported.graph.placeholder(f"c_{like.name}_{len(specs)}")
    node.meta["val"] = like.meta["val"].to(value.dtype)
    made = TensorArgument(node.name)
    specs.insert(place, InputSpec(InputKind.CONSTANT_TENSOR, made, node.name, persistent=None))
    exported.constants[node.name] = value
    return node
