"""The merges of a word, and the map of an attention."""

from __future__ import annotations

from npblender.tokenizer.bpe import symbols_of_word
from tools.pictures.demo import Demo
from tools.pictures.svg import WIDTH, Picture, on_heat

WORD = "unbelievably"
END = "</w>"


def draw_merges(demo: Demo) -> str:
    """Every merge of a word that splits into several tokens, one a line."""
    (step,) = demo.tokenizer.explain(WORD)
    picture = Picture(
        f"The merges of \u201c{WORD}\u201d",
        "Byte-pair encoding begins with the letters and merges, again and again, the neighbouring pair that was "
        f"learned first. What is left when no pair is known are the tokens: {', '.join(step.tokens)}.",
    )
    merges = list(step.merges)
    y = 12.0
    lines = [(None, tuple(symbols_of_word(WORD))), *((merge, merge.symbols) for merge in merges)]
    for merge, symbols in lines:
        x = 8.0
        for symbol in symbols:
            made = merge is not None and symbol == merge.left + merge.right
            name = symbol.removesuffix(END)
            width = 10 + 7.3 * len(name)
            picture.box(x, y, width, 19, "box new" if made else "box")
            picture.text(x + width / 2, y + 13.5, name, "code middle")
            x += width + 3
        picture.text(WIDTH - 8, y + 13.5, "letters" if merge is None else f"merge {merge.rank}", "soft small end")
        y += 25
    picture.text(8, y + 12, f"tokens: {'  '.join(step.tokens)}", "code bold")
    picture.text(8, y + 30, f"ids: {'  '.join(map(str, step.ids))}", "code soft")
    return picture.finished(y + 40)


def draw_attention(demo: Demo, layer: int = 0) -> str:
    """What every word of the reply looks at in the text: one layer's attention to the source, averaged over heads."""
    weights = (demo.run.passed.attentions or {})["cross"][layer].mean(axis=0)  # [H, T, S] -> [T, S]
    read, text = demo.words(demo.run.target), demo.words(demo.source)
    picture = Picture(
        "What the reply looks at",
        f"Attention of the decoder's layer {layer + 1} to the text, averaged over its heads: a row for each token that "
        "the decoder has read, a column for each token of the text. Every row sums to 1.",
    )
    left, top, height = 84, 44, 24
    width = (WIDTH - left - 8) / len(text)
    for column, token in enumerate(text):
        picture.text(left + (column + 0.5) * width, top - 8, token, "code small middle")
    picture.text(8, 16, f"decoder, layer {layer + 1}: attention to the source, average of the heads", "soft small")
    for row, token in enumerate(read):
        y = top + row * height
        picture.text(left - 6, y + 16, token, "code small end")
        for column in range(len(text)):
            weight = float(weights[row, column])
            x = left + column * width
            picture.box(x, y, width - 2, height - 2, "box")
            picture.box(x, y, width - 2, height - 2, "heat", fill_opacity=f"{weight:.2f}")
            picture.text(x + width / 2 - 1, y + 15, f"{weight:.2f}", f"small middle{on_heat(weight)}")
    return picture.finished(top + len(read) * height + 8)
