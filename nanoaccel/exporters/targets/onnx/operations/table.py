"""The operators that can be written, by their names in OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from nanoaccel.exporters.targets.onnx.operations import arithmetic, moves, rows
from nanoaccel.exporters.targets.onnx.operations.arithmetic import logical, same
from nanoaccel.exporters.targets.onnx.operations.operation import Operation
from nanoaccel.exporters.targets.onnx.operations.rows import reduce

_SAME = {
    "Abs": "Abs",
    "Add": "Add",
    "Ceiling": "Ceil",
    "Cos": "Cos",
    "Elu": "Elu",
    "Equal": "Equal",
    "Erf": "Erf",
    "Exp": "Exp",
    "Floor": "Floor",
    "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
    "Less": "Less",
    "LessEqual": "LessOrEqual",
    "Log": "Log",
    "Maximum": "Max",
    "Minimum": "Min",
    "Multiply": "Mul",
    "Negative": "Neg",
    "Power": "Pow",
    "Relu": "Relu",
    "Select": "Where",
    "Sigmoid": "Sigmoid",
    "Sign": "Sign",
    "Sin": "Sin",
    "SoftPlus": "Softplus",
    "Sqrt": "Sqrt",
    "Subtract": "Sub",
    "Tanh": "Tanh",
}
_REDUCED = {
    "ReduceL2": "ReduceL2",
    "ReduceMax": "ReduceMax",
    "ReduceMin": "ReduceMin",
    "ReduceProd": "ReduceProd",
}
_LOGICAL = {
    "BitwiseAnd": "And",
    "BitwiseNot": "Not",
    "BitwiseOr": "Or",
    "LogicalAnd": "And",
    "LogicalNot": "Not",
    "LogicalOr": "Or",
}
_OTHERS = {
    "Broadcast": Operation(moves.broadcast, (0,)),
    "Clamp": Operation(arithmetic.clamp),
    "Concat": Operation(moves.concat),
    "Convert": Operation(arithmetic.convert),
    "CumSum": Operation(rows.cumulative_sum, (0,)),
    "Divide": Operation(arithmetic.divide),
    "Gather": Operation(moves.gather, (0, 1)),
    "GatherElements": Operation(moves.gather_elements),
    "Gelu": Operation(arithmetic.gelu),
    "MatMul": Operation(rows.product),
    "NotEqual": Operation(arithmetic.not_equal),
    "Pad": Operation(moves.pad, (0, 3)),
    "ReduceMean": Operation(rows.add_up("ReduceMean"), (0,)),
    "ReduceSum": Operation(rows.add_up("ReduceSum"), (0,)),
    "Reshape": Operation(moves.reshape, (0,)),
    "ScatterElementsUpdate": Operation(moves.scatter_elements, (0, 1, 2)),
    "Slice": Operation(moves.cut, (0,)),
    "Softmax": Operation(rows.softmax),
    "Split": Operation(moves.split, (0,)),
    "SquaredDifference": Operation(arithmetic.squared_difference),
    "Squeeze": Operation(moves.reshape, (0,)),
    "StridedSlice": Operation(moves.strided_cut, (0,)),
    "Swish": Operation(arithmetic.swish, (0,)),
    "Tile": Operation(moves.tile, (0,)),
    "TopK": Operation(rows.top, (0,)),
    "Transpose": Operation(moves.transpose, (0,)),
    "Unsqueeze": Operation(moves.reshape, (0,)),
    "VariadicSplit": Operation(moves.split, (0,)),
}

# Operators that take numbers of fewer axes beside those of more.
NUMBER_BY_NUMBER = frozenset((*_SAME, "Divide", "NotEqual", "SquaredDifference"))

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        **{kind: Operation(same(name)) for kind, name in _SAME.items()},
        **{kind: Operation(reduce(name), (0,)) for kind, name in _REDUCED.items()},
        **{kind: Operation(logical(name)) for kind, name in _LOGICAL.items()},
        **_OTHERS,
    }
)
