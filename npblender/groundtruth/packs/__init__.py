"""Golden packs: folders of trusted data for every level of the model, for ports in other languages.

In reading order:
    manifest, files   what a pack is made of
    recipes, tiny     which cases a pack of a given model holds; the tiny model
    truth             operations, filters and search steps by their definitions
    sections          one module a kind of file: each makes its files and checks npblender against them
    export, verify    making and checking a whole pack; `verdict` is what a check finds
    convert           packs as NPZ, ONNX test data and source code
docs/golden-packs.md describes the format for its readers.
"""
