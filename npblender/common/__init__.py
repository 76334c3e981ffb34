"""Types, checks and files that every room uses. In reading order:

array_types    the types that signatures name: `Array`, `Ids`, `Mask`
checks         checks of one value: a whole number, a switch, a misspelt name, ids, masks, embeddings
json_files     a model's folder and the JSON files in it
printable      text of unknown origin, made safe to print
version        the version of this package
"""
