"""The files of other frameworks, read without them: where in a file each tensor lies.

Every reader here answers with the same record as a safetensors header, `StoredTensor`. So whatever the format, tensors
are read some rows at a time to where they stay, and the peak of memory is the model and one tensor. In reading order:

    errors          what a file is refused for
    opcodes         pickle's opcodes by name
    unpickler       a pickle as data: an allow-list, and nothing that runs
    zip_members     the members of a zip, strictly
    torch_zip       `torch.save` since torch 1.6: pytorch_model.bin, ParlAI's `model`
    torch_legacy    and before
    flax_msgpack    flax_model.msgpack
    keras_h5        tf_model.h5, whose datasets a process of its own lists (h5_index)
"""
