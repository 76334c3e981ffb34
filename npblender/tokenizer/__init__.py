"""Text to ids and back. In reading order:

pretokenize        text -> special tokens and pieces, and tokens -> text, in ParlAI's way and in transformers'
bpe                byte-pair encoding: a word -> the symbols that its merges leave
codec              `TextCodec`: pieces, merges and vocabulary put together, and back
tokenizer          `BlenderbotSmallTokenizer`, the public class; its methods by idea in
                   named_tokens, conversion and encoding
encoding_options   the options of a call, one row each
batching           texts -> rows -> a padded batch
offsets            where each token stands in its text
fast_file          the tokenizer.json of the Rust library `tokenizers`
fast               `BlenderbotSmallTokenizerFast`, with that library inside
instead            names of transformers' tokenizers that mean nothing here, and what does
vocabulary         what a vocabulary and its merges must be, and a tokenizer's files, read and written
shortcuts          everything that makes it fast and changes no id
example            a vocabulary small enough to follow by hand
"""

from npblender.tokenizer.batching import BatchEncoding
from npblender.tokenizer.bpe import BytePairEncoding, Merge
from npblender.tokenizer.codec import Explanation
from npblender.tokenizer.pretokenize import NEWLINE, AddedToken, pretokenize_parlai, pretokenize_transformers
from npblender.tokenizer.tokenizer import BlenderbotSmallTokenizer

__all__ = [
    "NEWLINE",
    "AddedToken",
    "BatchEncoding",
    "BlenderbotSmallTokenizer",
    "BytePairEncoding",
    "Explanation",
    "Merge",
    "pretokenize_parlai",
    "pretokenize_transformers",
]
