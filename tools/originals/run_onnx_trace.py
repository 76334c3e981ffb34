"""Runs npblender's ONNX graph of a model with ONNX Runtime, and writes every named point as a trace.

    PYTHON -m tools.originals.run_onnx_trace --model FOLDER --inputs FILE.json --out FILE --dialect D [--threads N]

PYTHON is the interpreter of the environment `onnxruntime` (`python -m tools originals`). The graph is written by
`tools/onnx_graph`; every number is ONNX Runtime's own, its LayerNormalization, Gelu, Softmax and products, in float32.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from npblender import BlenderbotSmallForConditionalGeneration
from npblender.groundtruth.tracing.trace_file import Trace
from npblender.transformer.parameters import to_arrays
from tools.onnx_graph.write import whole_graph


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--inputs", "--out", "--dialect"):
        parser.add_argument(name, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--unfused", action="store_true", help="run the graph as it is written, without optimising it")
    options = parser.parse_args()
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(
        options.model, dtype="float32", dialect=options.dialect
    )
    inputs = json.loads(Path(options.inputs).read_text())
    given = {name: np.array(value, bool if name.endswith("mask") else np.int64) for name, value in inputs.items()}
    given.setdefault("attention_mask", np.ones(given["input_ids"].shape, bool))
    given.setdefault("decoder_attention_mask", np.ones(given["decoder_input_ids"].shape, bool))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    if options.unfused:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = whole_graph(model.config, to_arrays(model.weights), model.dialect)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    arrays = dict(zip(names, session.run(names, given), strict=True))
    producer = {"onnxruntime": onnxruntime.__version__}
    trace = Trace(arrays, dtype="float32", dialect=options.dialect, config=model.config.to_dict(), inputs=inputs,
                  producer=producer)  # fmt: skip
    trace.save(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
