"""Text to ids and back: pre-tokenizers, byte-pair encoding, and the public class with transformers' face."""

from npblender.tokenizer.batching import BatchEncoding
from npblender.tokenizer.bpe import BytePairEncoding, Merge
from npblender.tokenizer.codec import Explanation
from npblender.tokenizer.pretokenize import NEWLINE, pretokenize_parlai, pretokenize_transformers
from npblender.tokenizer.special_tokens import AddedToken
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
