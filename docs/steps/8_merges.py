"""Step 8: where the merges of a tokenizer come from: 50 of them, learned from a text.

The pair of symbols that stands side by side most often becomes one symbol; then look again (Sennrich et al. 2016). The
last letter of a word carries `</w>`, so that an ending and the same letters inside a word are different symbols.
Run it: python docs/steps/8_merges.py
"""

import re
from collections import Counter
from itertools import pairwise

TEXT = """
Do you have any pets? Yes, I have two dogs and a cat. Do you have any pets? No, but I would like to have a dog.
What do you do for fun? I like to play games and to watch movies. What kind of movies do you like? I like the funny
ones. Do you like music? I love music, and I play the guitar. That is nice. How long have you been playing? I have been
playing since I was ten. My brother plays the drums, and my sister is singing. Are you working today? No, I am not
working today. I was walking the dogs and then I was reading. I liked the reading more than the walking.
"""


def words_of(text):
    """Every word of a text as its symbols, with the number of times that it is there."""
    counts = Counter(re.findall(r"\w+|\S", text.lower()))
    return {(*word[:-1], word[-1] + "</w>"): count for word, count in counts.items()}


def merge_pair(symbols, pair):
    """The symbols with every occurrence of the pair as one symbol, from left to right.

    >>> merge_pair(("a", "b", "a", "b</w>"), ("a", "b"))
    ('ab', 'a', 'b</w>')
    """
    merged, at = [], 0
    while at < len(symbols):
        both = symbols[at : at + 2] == pair
        merged.append("".join(pair) if both else symbols[at])
        at += 2 if both else 1
    return tuple(merged)


def learn(words, count):
    """The merges in the order of learning, each with how often its pair was there, and the words after all of them."""
    merges = []
    for _ in range(count):
        pairs = Counter()
        for symbols, times in words.items():
            for pair in pairwise(symbols):
                pairs[pair] += times
        if not pairs:
            break  # every word is one symbol
        best = max(pairs, key=lambda pair: (pairs[pair], pair))  # among equals the last in the alphabet
        if pairs[best] < 2:
            break  # what was seen once teaches nothing
        merges.append((best, pairs[best]))
        words = {merge_pair(symbols, best): times for symbols, times in words.items()}
    return merges, words


merges, words = learn(words_of(TEXT), 50)

if __name__ == "__main__":
    for rank in range(0, len(merges), 5):
        line = [f"{left} + {right} ({times})" for (left, right), times in merges[rank : rank + 5]]
        print(f"{rank:2}:", "   ".join(line))
    print(" ".join("|".join(symbols).removesuffix("</w>") for symbols in list(words)[:24]))
