"""The sections of a pack, one module each; all have `make` and `check`.

scalars       functions of one number, as CSV
tensors       softmax, layer norm, linear, ... as cases
forward       whole passes, as traces
parts         which tensors of the traces go into each part of the model (`parts_check` runs them)
filters       logits processors
searches      whole searches, step by step
texts         tokenizer cases
chats         conversations
"""
