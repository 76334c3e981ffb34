"""Lists the options that ParlAI's agent of this model has, in ParlAI's environment.

    PYTHON -m tools.originals.run_parlai_options ANSWERS

PYTHON is the interpreter of ParlAI's environment (`python -m tools originals`). ANSWERS gets JSON: the version, and for
every option its group, its spellings on the command line, its default, and its choices where it has some.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from parlai.agents.transformer.transformer import TransformerGeneratorAgent
from parlai.core.params import ParlaiParser


def main() -> int:
    (out,) = sys.argv[1:]
    parser = ParlaiParser(False, False)
    TransformerGeneratorAgent.add_cmdline_args(parser, None)
    options = {}
    for group in parser._action_groups:
        for action in group._group_actions:
            if action.dest == "help":
                continue
            choices = None if action.choices is None or action.dest == "optimizer" else sorted(action.choices)
            options[action.dest] = {
                "group": group.title,
                "spelt": list(action.option_strings),
                "default": action.default,
                "choices": choices,
            }
    content = {"version": importlib.metadata.version("parlai"), "options": options}
    Path(out).write_text(json.dumps(content), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
