"""Types, checks and files that every room uses. In reading order:

array_types    the types that signatures name: `Array`, `Ids`, `Mask`
field_checks   checks of one setting: a whole number, a switch, a name that may be misspelt
array_checks   checks of one array: ids, masks, embeddings, positions
json_files     a model's folder and the JSON files in it
printable      text of unknown origin, made safe to print
version        the version of this package
"""
