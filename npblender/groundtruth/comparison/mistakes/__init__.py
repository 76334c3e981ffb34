"""The mistakes that ports make, operation by operation: each recomputes an output as a port with that mistake would.

In reading order:
    operation   what an operation can be recomputed from, and the roundings of narrow formats
    products    linear maps, logits, scores and contexts
    norms       LayerNorm, softmax, log-softmax and the loss
    places      embeddings, masks, sums, scales and activations
"""
