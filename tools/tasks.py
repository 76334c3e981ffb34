"""The list of tasks: what each is called, what it is for, and which commands it runs.

A command is the words after `python -m`. One of a module of `tools` is called within this process; any other is a
process of its own. Whatever is written after the task's name goes to its command.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

Command = tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One task. One with several commands runs them all, even if one fails, and takes no arguments of its own."""

    about: str
    commands: tuple[Command, ...] = ()
    named: tuple[tuple[str, str, str], ...] = ()  # instead: (name, module, what it is for), chosen by the next word


LINT = (("ruff", "check", "."), ("ruff", "format", "--check", "."))
STRUCTURE = (
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "-m",
    "",
    "reference_tests/test_structure.py",
    "reference_tests/test_words.py",
)
DOCTESTS = (
    ("pytest", "-q", "-p", "no:cacheprovider", "-p", "reference_tests.support.doctest_names", "--doctest-modules"),
    (
        "npblender",
        "tools/docs",
        "tools/site",
        "tools/originals/exchange.py",
        "tools/originals/toys.py",
        "tools/differential/measure.py",
    ),
)

UNCOUNTED = ("--deselect", "reference_tests/cli/test_chat.py::test_nothing_optional_is_imported_for_a_reply")
"""What counting lines imports would count as well."""

EVERY_CHANGE = {
    "check": Task("what to run before a commit: lint, types, structure; seconds", (*LINT, ("mypy",), STRUCTURE)),
    "lint": Task("ruff: rules and format", LINT),
    "structure": Task("where things go, what imports what, what pages and docstrings point to", (STRUCTURE,)),
    "types": Task(
        "mypy --strict over the package, the tools and the tests' support; pyright over calls as users write them",
        (("mypy",), ("pyright", "--pythonpath", sys.executable)),
    ),
    "tests": Task(
        'the tests; `-m ""` with the slow ones, `--hypothesis-profile thorough` with more examples of every law',
        (("pytest", "-p", "no:cacheprovider"),),
    ),
    "doctests": Task("the examples in the docstrings", (sum(DOCTESTS, ()),)),
    "docs": Task(
        "run every code block of README.md and docs/, compare what it prints",
        (("tools.docs.run_blocks",),),
    ),
    "pages": Task(
        "compare the pages with the code: links, order, the map of the house, the API reference, points, settings",
        (
            ("tools.docs.links",),
            ("tools.docs.book", "--check"),
            ("tools.measure.curve", "--check"),
            ("tools.docs.house", "--check"),
            ("tools.docs.api", "--check"),
            ("tools.docs.points", "--check"),
            ("tools.docs.settings", "--check"),
            ("tools.pictures.draw", "--check"),
            ("tools.docs.habits", "--check"),
            ("tools.docs.drop_in", "--check"),
            ("tools.docs.from_parlai", "--check"),
            ("tools.docs.shell", "--check"),
        ),
    ),
    "coverage": Task(
        "run all tests and report which lines of the package they reach",
        (
            ("coverage", "run", "-m", "pytest", "-p", "no:cacheprovider", "-m", "", *UNCOUNTED),
            ("coverage", "combine", "--quiet"),
            ("coverage", "report"),
        ),
    ),
}
PAGES = {
    "api": Task("docs/api.md from the docstrings", (("tools.docs.api",),)),
    "book": Task(
        "docs/README.md, the order of the pages, and the lines that docs/questions.md points to",
        (("tools.docs.book",),),
    ),
    "site": Task(
        "the pages as a searchable site in build/site/html, with code, API reference and notebooks; needs '.[site]'",
        (("tools.site.build",),),
    ),
    "notebooks": Task("notebooks of four pages, made from their blocks; needs '.[site]'", (("tools.site.notebooks",),)),
    "house": Task(
        "the map in README.md and docs/architecture.md from the code",
        (("tools.docs.house",),),
    ),
    "links": Task("whether everything exists that the pages point to", (("tools.docs.links",),)),
    "points": Task("docs/points.md from the code", (("tools.docs.points",),)),
    "settings": Task(
        "the table of all settings in docs/generation.md from the code",
        (("tools.docs.settings",),),
    ),
    "from-parlai": Task("the tables of options in docs/from-parlai.md", (("tools.docs.from_parlai",),)),
    "drop-in": Task("the table of code that people write, in docs/from-transformers.md", (("tools.docs.drop_in",),)),
    "habits": Task(
        "the tables of docs/from-transformers.md that say what to write instead, from the code",
        (("tools.docs.habits",),),
    ),
    "shell": Task("completions and the manual page of the command, from its parser", (("tools.docs.shell",),)),
    "dialects": Task("the table of docs/dialects.md from the code", (("tools.docs.dialects",),)),
    "fault": Task(
        "plant a fault of the zoo in the demo: the first wrong point, and what it replies; docs/exercises.md",
        (("tools.docs.fault",),),
    ),
    "pictures": Task("the pictures of docs/pictures/ from the code and the demo", (("tools.pictures.draw",),)),
    "look": Task("photographs of pages and pictures in a real Chromium, to be looked at", (("tools.pictures.look",),)),
    "zoo": Task(
        "what `npblender compare` says of every fault of the zoo; docs/porting.md",
        (("tools.docs.zoo",),),
    ),
}
ORIGINALS = {
    "originals": Task(
        "make the environments of ParlAI, both transformers, Keras and Flax, or other engines",
        (("tools.originals.environments",),),
    ),
    "compare": Task(
        "the differential suites: npblender beside the originals; all of them, or one with arguments of its own",
        (("tools.differential.suites",),),
    ),
    "goldens": Task(
        "have the originals make the stored numbers of reference_tests/golden/, or check them",
        (("tools.goldens.run",),),
    ),
}
MEASURES = (
    ("erf", "tools.measure.derive_erf", "derive the coefficients of ops/erf_tables.py, or check them"),
    ("ops", "tools.measure.ops", "errors and times of the elementary operations; docs/ops.md"),
    ("truth", "tools.measure.truth", "the float64 pass beside exact arithmetic; docs/numbers-you-can-trust.md"),
    ("noise", "tools.measure.noise", "correct float32 ports in units of noise; the same page"),
    ("noise-time", "tools.measure.noise_time", "what measuring noise costs at the published size; the same page"),
    ("verdicts", "tools.measure.verdicts", "how often correct ports in C and JavaScript are accused; the same page"),
    ("causes", "tools.measure.causes", "which causes are named for 125 mistakes in the C port; docs/porting.md"),
    ("curve", "tools.measure.curve", "the losses of the demo's training, from its log; docs/training.md"),
    ("budget", "tools.measure.draw_budget", "the error budget of two models, and its figure; the same page"),
    ("tolerances", "tools.measure.tolerances", "how much of each tolerance the tests use; the same page"),
    ("lost-scale", "tools.measure.lost_scale", "what transformers lost between 4.52.4 and 4.53"),
    ("tokenizer", "tools.measure.tokenizer", "words a second, beside transformers and its Rust tokenizers"),
    ("lookup", "tools.measure.lookup", "what prompt lookup saves; docs/generation.md"),
    ("products", "tools.measure.products", "packed products beside plain ones; docs/performance.md"),
    ("formats", "tools.measure.formats", "memory and time of loading each file format; docs/checkpoints.md"),
    ("suites", "tools.differential.public_suites", "what the originals' public suites check; docs/differential.md"),
    ("halves", "tools.measure.halves", "cost and memory of 16-bit weights; docs/performance.md"),
)
NUMBERS = {
    "measure": Task("measure what a page states", named=MEASURES),
    "bench": Task("time npblender beside other engines; docs/performance.md", (("tools.bench.running",),)),
    "onnx": Task("write a model as an ONNX graph", (("tools.onnx_graph.write",),)),
    "demo": Task("train, export, evaluate the demo", (("tools.demo.__main__",),)),
}
RELEASE = {
    "fuzz": Task(
        "feed the readers of checkpoints with mutated files; docs/security.md",
        (("tools.fuzz.run",),),
    ),
    "fuzz-guided": Task("the same, guided by coverage; needs atheris", (("tools.fuzz.guided",),)),
    "releases": Task(
        "record what an earlier checkout and this one do, and compare bit for bit",
        (("tools.differential.releases.run",),),
    ),
    "kills": Task("kill every writer of files at random moments, and look for what is lost", (("tools.fuzz.kills",),)),
    "fuzz-files": Task("damaged files for all other readers, counted; docs/security.md", (("tools.fuzz.files",),)),
    "load": Task("many clients of `npblender serve` at once, and a kill; docs/server.md", (("tools.load",),)),
    "elsewhere": Task(
        "the plugin of llm, the recipes, ONNX and the extras, in a fresh environment", (("tools.elsewhere",),)
    ),
    "package": Task("build sdist and wheel, check their metadata, install and use both", (("tools.package",),)),
    "readme": Task("run one of the README's two commands as it stands there", (("tools.docs.readme",),)),
    "oldest": Task(
        "the tests with the oldest NumPy and safetensors that pyproject.toml allows",
        (("tools.oldest",),),
    ),
}
GROUPS = {
    "for every change": EVERY_CHANGE,
    "pages made from the code": PAGES,
    "beside the originals": ORIGINALS,
    "numbers": NUMBERS,
    "for a release": RELEASE,
}
TASKS = {name: task for group in GROUPS.values() for name, task in group.items()}
