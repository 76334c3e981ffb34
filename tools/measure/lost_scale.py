"""Shows what transformers lost between 4.52.4 and 4.53, with nothing but the two versions of transformers.

    python -m tools originals transformers-4 transformers-5      # once
    python -m tools measure lost-scale

The same random weights of the 90M's size, the same ids, one forward pass in each version. Up to 4.52 the decoder
multiplies its token embeddings by sqrt(d_model) when `scale_embedding` is set, as ParlAI did in training; from 4.53
on it does not. The LayerNorm right after hides the factor but for its epsilon: with eps = 0 LN(c x) would be LN(x).
npblender is not used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

from tools.originals.environments import oracle_python

ONE_PASS = """
import json, sys
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration

folder, role = sys.argv[1:]
config = BlenderbotSmallConfig(vocab_size=54944, scale_embedding=True, attn_implementation="eager")
torch.manual_seed(0)
model = BlenderbotSmallForConditionalGeneration(config).double().eval()
if role == "first":
    with torch.no_grad():
        model.model.shared.weight.normal_(std=512**-0.5)  # logits of standard deviation 1, as a trained model's
    names = {name for name, _ in model.named_parameters()}
    state = {name: tensor for name, tensor in model.state_dict().items() if name in names}
    save_file(state, f"{folder}/weights.safetensors")
else:
    model.load_state_dict(load_file(f"{folder}/weights.safetensors"), strict=False)
    model.tie_weights()
embedded = {}
model.model.decoder.layernorm_embedding.register_forward_hook(
    lambda module, given, result: embedded.update(before=given[0], after=result)
)
ids = torch.randint(5, config.vocab_size, (4, 32), generator=torch.Generator().manual_seed(1))
target = torch.randint(5, config.vocab_size, (4, 32), generator=torch.Generator().manual_seed(2))
with torch.no_grad():
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=target).logits
tensors = {"logits": logits, "before": embedded["before"], "after": embedded["after"]}
save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, f"{folder}/{role}.safetensors")
print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__}))
"""

COMPARE = """
import json, sys
from safetensors.torch import load_file

folder = sys.argv[1]
first, second = (load_file(f"{folder}/{role}.safetensors") for role in ("first", "second"))
found = {
    "scale": (first["before"].norm() / second["before"].norm()).item(),
    "after": (first["after"] - second["after"]).abs().max().item(),
    "logits": (first["logits"] - second["logits"]).abs().max().item(),
    "std": first["logits"].std().item(),
    "argmax": (first["logits"].argmax(-1) != second["logits"].argmax(-1)).sum().item(),
    "tokens": first["logits"][..., 0].numel(),
}
print(json.dumps(found))
"""


def run(name: str, code: str, *arguments: str) -> dict[str, float]:
    """Run code in an original's environment; it prints one JSON object last."""
    command = [str(oracle_python(name)), "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = run("transformers-4", ONE_PASS, folder, "first")
        new = run("transformers-5", ONE_PASS, folder, "second")
        found = run("transformers-5", COMPARE, folder)
    print(f"transformers {old['transformers']} against {new['transformers']}, torch {new['torch']}, float64")
    print(
        f"decoder embeddings before their LayerNorm: {found['scale']:.4f} times as large (sqrt(512) = {512**0.5:.4f})"
    )
    print(f"the same after it: largest difference {found['after']:.1e}")
    print(f"logits: largest difference {found['logits']:.1e}, at a standard deviation of {found['std']:.2f}")
    print(f"most likely token: differs at {found['argmax']:.0f} of {found['tokens']:.0f} positions")
    return 0 if found["logits"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
