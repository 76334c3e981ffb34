"""An ONNX graph under construction: operators are called like functions and give back the name of their result.

It knows no model. Needs the `onnx` package, and NumPy.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20  # the first with Gelu
IR_VERSION = 10
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


class Graph:
    """Nodes, constants and inputs so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.made: set[str] = set()

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """One operator with one result; `name` is the result's name.

        ValueError for a name that is taken, or for an input that nothing has made.
        """
        result = name or f"{kind.lower()}_{len(self.nodes)}"
        for value in inputs:
            if value and value not in self.made:
                raise ValueError(f"{kind} wants {value!r}, which no node, constant or input has made")
        self._make(result)
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name=result, **attributes))
        return result

    def ops(self, kind: str, *inputs: str, names: Sequence[str], **attributes: Any) -> list[str]:
        """One operator with several results."""
        for name in names:
            self._make(name)
        self.nodes.append(helper.make_node(kind, list(inputs), list(names), name=names[0], **attributes))
        return list(names)

    def constant(self, name: str, array: Any) -> str:
        """A constant under a name; asking again for the same name gives the one that is there."""
        if name not in self.constants:
            self._make(name)
            self.constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        """A constant list of whole numbers."""
        return self.constant(f"ints{list(values)}", np.array(values, np.int64))

    def int(self, value: int) -> str:
        """A constant whole number without axes."""
        return self.constant(f"int[{value}]", np.int64(value))

    def float(self, value: float) -> str:
        """A constant number without axes, rounded to float32."""
        return self.constant(f"float[{np.float32(value)!r}]", np.float32(value))

    def input(self, name: str, dtype: str, axes: str) -> str:
        """An input of the graph; `axes` are letters, or numbers where a size is fixed."""
        self._make(name)
        self.inputs.append(_described(name, dtype, axes))
        return name

    def size(self, value: str, axis: builtins.int) -> str:
        """How long an axis is, without axes."""
        shape = self.op("Shape", value)
        return self.op("Gather", shape, self.int(axis))

    def model(self, outputs: Iterable[tuple[str, str, str]], about: str) -> onnx.ModelProto:
        """The finished model; `outputs` are names, dtypes and axes. Only what leads to an output is kept."""
        wanted = list(outputs)
        needed = {name for name, _, _ in wanted}
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        values = [_described(*output) for output in wanted]
        constants = [tensor for name, tensor in self.constants.items() if name in needed]
        inputs = [value for value in self.inputs if value.name in needed]
        graph = helper.make_graph(kept[::-1], about, inputs, values, constants)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="npblender")

    def _make(self, name: str) -> None:
        if name in self.made:
            raise ValueError(f"two values of the graph would be called {name!r}")
        self.made.add(name)


def _described(name: str, dtype: str, axes: str) -> onnx.ValueInfoProto:
    shape = [int(axis) if axis.isdigit() else axis for axis in axes.split()]
    return helper.make_tensor_value_info(name, TYPES[dtype], shape)
