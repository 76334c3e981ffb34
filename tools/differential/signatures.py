"""Compares a table of the originals' arguments with the installed originals, and npblender with the table.

    python -m tools compare arguments

torch classes are asked in their own environments. The TF and Flax classes of 4.52.4 cannot be imported without those
frameworks, so their source is parsed. Ends with 1 where the typed-in table is not what is installed, or where npblender
neither takes an argument nor refuses it by its name. Which values are honoured is shown by the tests, not here.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from npblender import BlenderbotSmallConfig, BlenderbotSmallForCausalLM, BlenderbotSmallForConditionalGeneration
from npblender import BlenderbotSmallModel as BaseModel
from npblender.models.signatures import argument_names
from reference_tests.support.original_signatures import KWARGS_5, SIGNATURES, names
from tools.originals.environments import oracle_python

FAMILY = "BlenderbotSmall"
ENVIRONMENTS = {
    "torch 4": "transformers-4",
    "torch 5": "transformers-5",
    "TF": "transformers-4",
    "Flax": "transformers-4",
}
SOURCES = {
    "TF": ("models/blenderbot_small/modeling_tf_blenderbot_small.py", "generation/tf_utils.py"),
    "Flax": ("models/blenderbot_small/modeling_flax_blenderbot_small.py", "generation/flax_utils.py"),
}

ASK = """
import inspect, json, sys
from transformers.models.blenderbot_small import modeling_blenderbot_small as module
wanted, found = json.load(sys.stdin), []
for class_name, method in wanted:
    parameters = inspect.signature(getattr(getattr(module, class_name), method)).parameters.values()
    found.append([p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name != "self"])
try:
    from transformers.utils import TransformersKwargs
    declared = list(TransformersKwargs.__annotations__)
except ImportError:
    declared = []
print(json.dumps([found, declared]))
"""
WHERE = "import transformers; print(transformers.__path__[0])"


def run(original: str, code: str, given: str = "") -> str:
    """What the original's own Python prints."""
    command = [str(oracle_python(ENVIRONMENTS[original])), "-W", "ignore", "-c", code]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def torch_signatures(original: str, methods: list[tuple[str, str]]) -> tuple[list[list[str]], list[str]]:
    """The arguments of torch classes, and what their `**kwargs` declare."""
    wanted = [(f"{FAMILY}{class_name}", method) for class_name, method in methods]
    found, declared = json.loads(run(original, ASK, json.dumps(wanted)))
    return found, declared


def parsed_signatures(original: str, methods: list[tuple[str, str]]) -> list[list[str]]:
    """The arguments of TF or Flax classes, from their source."""
    place = Path(run(original, WHERE).strip())
    functions = {
        (node.name, child.name): [argument.arg for argument in child.args.args if argument.arg != "self"]
        for source in SOURCES[original]
        for node in ast.parse((place / source).read_text()).body
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, ast.FunctionDef)
    }

    def owner(class_name: str, method: str) -> str:
        return f"{original}GenerationMixin" if method == "generate" else f"{original}{FAMILY}{class_name}"

    return [functions[owner(class_name, method), method] for class_name, method in methods]


def our_method(class_name: str, method: str) -> Any:
    """The method of npblender that stands for one of the originals'."""
    sizes: dict[str, Any] = {"vocab_size": 7, "d_model": 4, "encoder_layers": 1, "decoder_layers": 1}
    sizes |= {"encoder_attention_heads": 1, "decoder_attention_heads": 2, "max_position_embeddings": 5}
    tiny = BlenderbotSmallConfig(**sizes, encoder_ffn_dim=3, decoder_ffn_dim=5)
    classes = {"Model": BaseModel, "ForCausalLM": BlenderbotSmallForCausalLM}
    model = classes.get(class_name, BlenderbotSmallForConditionalGeneration).from_config(tiny, seed=0)
    owner = {"Encoder": "get_encoder", "Decoder": "get_decoder"}.get(class_name)
    return getattr(getattr(model, owner)() if owner else model, {"call": "forward"}.get(method, method))


def refuses(method: Any, name: str) -> bool:
    """Whether a call with this argument alone ends in a TypeError that names it."""
    inputs = {"inputs": [[3, 4]]} if method.__name__ == "generate" else {}
    try:
        method(**inputs, **{name: None})
    except TypeError as error:
        return repr(name) in str(error)
    except ValueError:
        return False
    return False


def main() -> int:
    wrong = 0
    print(f"{'original':8} {'class':26} {'method':26} honoured refused by name")
    for original in ENVIRONMENTS:
        methods = [(class_name, method) for source, class_name, method in SIGNATURES if source == original]
        if original in SOURCES:
            found, declared = parsed_signatures(original, methods), list[str]()
        else:
            found, declared = torch_signatures(original, methods)
        if original == "torch 5" and declared != KWARGS_5.split():
            print(
                f"torch 5 declares other keywords than the table has: {sorted(set(declared) ^ set(KWARGS_5.split()))}"
            )
            wrong += 1
        for (class_name, method), arguments in zip(methods, found, strict=True):
            if arguments != SIGNATURES[original, class_name, method].split():
                print(f"{original} {class_name}.{method} takes {arguments}, which is not what the table has")
                wrong += 1
            ours = our_method(class_name, method)
            honoured = [name for name in names(original, class_name, method) if name in argument_names(ours)]
            refused = [name for name in names(original, class_name, method) if name not in honoured]
            silent = [name for name in refused if not refuses(ours, name)]
            if silent:
                print(f"{original} {class_name}.{method}: neither honoured nor refused by name: {', '.join(silent)}")
                wrong += 1
            print(f"{original:8} {class_name:26} {method:26} {len(honoured):8} {', '.join(refused) or '-'}")
    print("the table is what is installed, and nothing is ignored" if not wrong else f"{wrong} disagreements")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
