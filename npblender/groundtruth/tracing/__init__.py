"""Recording a run: every named array of a forward pass, with its float32 noise.

In reading order:
    points        the names of all intermediates, their axes and causal order
    inputs        what can be run: `TraceInputs`, checked into a `Run`
    text_inputs   inputs from texts, by a tokenizer
    evaluate      one forward pass, whole or in cached steps, that passes every named array on
    record        `trace` and `record`: a pass in a chosen dtype, and the measured noise of each point
    trace_file    `Trace`, what was recorded, and its file
    tensor_file   safetensors and NPZ
    table         a trace as a printed table
"""
