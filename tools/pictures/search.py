"""A tree of beams, and the logit lens: steps go downwards, so that both fit a phone."""

from __future__ import annotations

from npblender.chat.explanation.search_tree import Node
from tools.pictures.demo import Demo
from tools.pictures.svg import WIDTH, Picture, on_heat

ROW = 46


def draw_beams(demo: Demo) -> str:
    """The search for the demo's reply, up to the step in which the best reply ended."""
    tree = demo.run.tree
    assert tree is not None
    nodes = [node for node in tree.nodes if node.total > -1e8]
    place = {id(node): at for at, node in enumerate(tree.nodes)}
    best = set(tree.path(tree.finished[0].node))
    last = tree.nodes[tree.finished[0].node].step
    steps: dict[int, list[Node]] = {}
    for node in nodes:
        if node.step <= last:
            steps.setdefault(node.step, []).append(node)
    beams = max(map(len, steps.values()))
    picture = Picture(
        "A beam search",
        f"Every line is a step, every box a token that a beam went on with and the sum of log-probabilities so far. "
        f"{beams} beams; the path with thick edges became the reply: {demo.run.reply}",
    )
    width = (WIDTH - 20) / beams
    spots = {}
    for step, line in steps.items():
        for beam, node in enumerate(line):
            spots[place[id(node)]] = (10 + beam * width, 26 + step * ROW)
    for number, (x, y) in spots.items():
        parent = tree.nodes[number].parent
        if parent is not None:
            a, b = spots[parent]
            a, x = a + width / 2, x + width / 2
            kind = "blue" if number in best else "line pale"
            picture.path(f"M{a:g} {b + 30}C{a:g} {b + 40} {x:g} {y - 10} {x:g} {y}", kind)
    for number, (x, y) in spots.items():
        node = tree.nodes[number]
        kind = (
            " best"
            if number in best
            else " good"
            if node.fate == "ended"
            else " pale"
            if node.fate == "dropped"
            else ""
        )
        picture.box(x + 2, y, width - 4, 30, f"box{kind}")
        kind = " bold" if number in best else " pale" if node.fate == "dropped" else ""
        picture.text(x + 8, y + 13, demo.words([node.token])[0], f"code small{kind}")
        picture.text(x + 8, y + 25, f"{node.total:.3f}", f"small soft{kind.replace(' bold', '')}")
    picture.text(10, 16, "sums of log-probabilities; blue: the reply; green: another; pale: dropped", "soft small")
    return picture.finished(26 + (last + 1) * ROW)


def draw_lens(demo: Demo) -> str:
    """The most probable token after every layer of the decoder, at every step."""
    picture = Picture(
        "The logit lens",
        "The states after every layer of the decoder go to the output matrix as if it were the last one: the token "
        "that each layer would say, with its probability. The last column is what the model says.",
    )
    lens, chosen = demo.run.lens, demo.run.chosen
    left, top, height = 78, 40, 30
    width = (WIDTH - left - 8) / len(lens)
    picture.text(8, 16, "read so far ends in", "soft small")
    for column in range(len(lens)):
        name = "embedding" if column == 0 else f"layer {column}"
        picture.text(left + (column + 0.5) * width, top - 6, name, "small soft middle")
    for row, token in enumerate(demo.words(demo.run.target)):
        y = top + row * height
        picture.text(left - 6, y + 18, token, "code small end")
        for column, layer in enumerate(lens):
            index, p = layer[row].best[0]
            x = left + column * width
            picture.box(x, y, width - 2, height - 2, "box")
            picture.box(x, y, width - 2, height - 2, "heat", fill_opacity=f"{p:.2f}")
            kind = on_heat(p) + (" bold" if index == chosen[row] else "")
            picture.text(x + width / 2 - 1, y + 13, demo.words([index])[0], f"code small middle{kind}")
            picture.text(x + width / 2 - 1, y + 24, f"{p:.2f}", f"small middle{kind}")
    picture.text(8, top + len(chosen) * height + 16, "bold: what was chosen at that step", "soft small")
    return picture.finished(top + len(chosen) * height + 26)
