"""Markdown tables for the card."""


def table(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table; numbers are set to the right, floats with one decimal.

    >>> print(table(["a", "b"], [["x", 1.25]]))
    | a | b |
    |---|--:|
    | x | 1.2 |
    """
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    cells = [
        [f"{x:.1f}" if isinstance(x, float) else f"{x:,}" if isinstance(x, int) else str(x) for x in r] for r in rows
    ]
    rule = "|" + "|".join("--:" if r else "---" for r in right) + "|"
    return "\n".join(["| " + " | ".join(map(str, head)) + " |", rule, *("| " + " | ".join(r) + " |" for r in cells)])


def cell(text: str) -> str:
    """Text that can stand in a table."""
    return text.replace("|", "\\|").replace("\n", " / ")
