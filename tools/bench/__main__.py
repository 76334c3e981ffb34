"""Times npblender beside other engines: the same works in turn, with fresh inputs in every round.

    python -m tools bench                                # everything that is installed
    python -m tools bench --works greedy,beam --peers transformers,ctranslate2
    python -m tools bench --works greedy,beam --json results.json
    python -m tools bench --works load,start --json results.json --add
    python -m tools bench --config small --rounds 2      # to try the tool itself
    python -m tools bench --json results.json --add --works "" --write-docs    # tables of what was measured before

The peers' environments are made by `python -m tools originals transformers-5 ctranslate2 onnxruntime`; one that is not
there is named as absent. NPBLENDER_SHARED names a folder with the published tokenizer and dialogue corpora (as in
tools/differential/tokenizers.py); without it the demo's tokenizer and made-up text are used. The weights are random
and of the published sizes. Run it on a machine that does nothing else. The parts are in tools/bench/.
"""

import sys

from tools.bench.running import main

if __name__ == "__main__":
    sys.exit(main())
