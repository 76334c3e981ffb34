"""Time npblender beside other engines: the same works in turn, with fresh inputs in every round.

    python tools/bench/__main__.py                                # everything that is installed
    python tools/bench/__main__.py --works greedy,beam --peers transformers,ctranslate2
    python tools/bench/__main__.py --works greedy,beam --json results.json
    python tools/bench/__main__.py --works load,start --json results.json --add
    python tools/bench/__main__.py --config small --rounds 2      # to try the tool itself
    python tools/bench/__main__.py --json results.json --add --works "" --write-docs    # tables of what was measured before

The peers' environments are made by `python tools/originals/environments.py transformers-5 ctranslate2 onnxruntime`; one that is not
there is named as absent. NPBLENDER_SHARED names a folder with the published tokenizer and dialogue corpora (as in
tools/differential/tokenizers.py); without it the demo's tokenizer and made-up text are used. The weights are random and of
the published sizes. Run it on a machine that does nothing else. The parts are in tools/bench/.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.bench.running import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
