"""Types, checks and files that every room uses. In reading order:

array_types    the types that signatures name: `Array`, `Ids`, `Mask`
checks         checks of one value: a whole number, a switch, a misspelt name, ids, masks, embeddings
mistaken_files what lies under a file's name in its place: a Git LFS pointer, a web page, ...
json_files     a model's folder and the JSON files in it
hub            the folder of a model by its name on the Hugging Face Hub
instead        what to write in place of the names that one imports from transformers
locking        a lock on a file that one process writes to
printable      text of unknown origin, made safe to print
replacing      a file or folder is replaced whole, or not at all
version        the version of this package
"""
