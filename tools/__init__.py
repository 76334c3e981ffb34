"""What a contributor runs: `python -m tools --list`, from the root of the repository. It is not installed.

`tasks` is the list; each task is a module of a folder here, or a program such as ruff:

    originals/      environments with ParlAI, both transformers, Keras and Flax, and the programs that run in them
    differential/   npblender beside the originals, on the same random models, searches, texts and folders
    goldens/        numbers that the originals compute, stored for the tests
    measure/        errors, noise, tolerances and times behind the tables of docs/
    bench/          npblender beside other engines
    docs/           the pages: their code blocks and the tables that are made from the code
    pictures/       the pictures of docs/, and photographs of what a browser makes of them
    onnx_graph/     the model as an ONNX graph
    demo/           the training of the model that comes with the package

`torch_trace.py` is a file by itself, to be copied beside a program that uses torch.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository. Every task runs here."""
