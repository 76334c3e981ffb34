"""Writes the model as ONNX graphs, node by node, from a configuration, a dialect and weights.

    graph    a list of nodes under construction, each value under a name
    model    the mathematics: encoder, cross keys, decoder, head, with this project's names for every point
    write    whole graphs, and the command line

A graph run by ONNX Runtime is a port of the model that shares no arithmetic with NumPy: its float32 noise is another.
The same graphs, without their inner points, are that engine's side of the benchmark.
"""
