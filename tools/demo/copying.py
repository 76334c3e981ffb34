"""Room for copying: a network with a head more, through which the decoder can say again what the encoder read.

The first demo's encoder forgets which words it read: a linear map finds the token in half of its states after one layer
and in a third after two. So no training made it copy. `widen` adds as many dimensions as one head has. There every
token has a random code, which no older weight reads or changes; a new head of the cross-attention hands the codes it
looks at to the decoder, whose tied output favours the tokens that they are of. Only where to look is left to learn.
"""

import torch
from torch import Tensor, nn

from tools.demo.net import Attention, Net, Shape

SEED = 21
COPIED = 6.0  # the logit that a token has from its code alone where nothing else is looked at


def widen(old: Net, shape: Shape, source: Tensor, target: Tensor) -> Net:
    """A network of `shape`, one head wider than `old`, and of as many encoder layers or fewer, that says the same.

    `source` and `target` are a batch, by which the norms are set so that the older dimensions stay what they were.
    """
    torch.manual_seed(SEED)
    before, more = old.shape.d_model, shape.d_model - old.shape.d_model
    if more * old.shape.heads != before or shape.heads != old.shape.heads + 1:
        raise ValueError(f"{shape} is not one head wider than {old.shape}")
    net = Net(shape)
    state = net.state_dict()
    given = old.state_dict()
    for name, weight in state.items():
        if name not in given:
            continue
        _place(name, weight, given[name], before)
    codes = torch.nn.functional.normalize(torch.randn(shape.vocab_size, more), dim=1)
    smaller = old.scale / net.scale  # both scale their embeddings by the root of their width
    state["shared.weight"][:, :before] = given["shared.weight"] * smaller
    state["shared.weight"][:, before:] = codes
    net.load_state_dict(state)
    with torch.no_grad():
        for layer in net.decoder:
            _copy(layer.cross_attn, before)
        _match(old.eval(), net.eval(), source, target, before)
    return net


def _place(name: str, weight: Tensor, given: Tensor, before: int) -> None:
    """Put an older weight into its place in a wider one; what reads or writes the new dimensions begins near zero."""
    width = weight.shape[-1] if weight.ndim > 1 else weight.shape[0]
    if ".rest." in name or ".q." in name:  # rows are heads of queries, keys and values, each a head longer
        parts = weight.chunk(max(1, round(given.shape[0] / before)))
        for part, old in zip(parts, given.chunk(len(parts)), strict=True):
            if weight.ndim > 1:
                part[:before, before:] = 0
                part[:before, :before] = old
            else:
                part[:before] = old
    elif weight.ndim == 1:
        weight[: given.shape[0]] = given
    elif ".fc1." in name:
        weight[:, before:] *= 0.1
        weight[:, :before] = given
    elif ".out." in name:
        weight *= 0.1
        weight[before:] = 0
        weight[:before, :before] = given
    elif ".fc2." in name:
        weight[before:] = 0
        weight[:before] = given
    else:  # positions, and embeddings, which are set apart
        weight[:, before:width] = 0
        weight[: given.shape[0], :before] = given


def _copy(attention: Attention, before: int) -> None:
    """Let the new head hand on the new dimensions as they are, and look everywhere alike at first."""
    d = attention.out.weight.shape[0]
    value = attention.rest.weight[2 * d - (d - before) :]  # the last head of the values
    value.zero_()
    value[:, before:] = torch.eye(d - before)
    attention.rest.bias[2 * d - (d - before) :] = 0
    attention.out.weight[:, before:] = 0
    attention.out.weight[before:, before:] = torch.eye(d - before)


def _norms(net: Net) -> list[tuple[str, nn.LayerNorm]]:
    """All norms in the order in which they are computed."""
    out = [("encoder", net.encoder_norm)]
    for number, layer in enumerate(net.encoder):
        out += [(f"encoder {number} self", layer.self_norm), (f"encoder {number}", layer.norm)]
    out.append(("decoder", net.decoder_norm))
    for number, layer in enumerate(net.decoder):
        out += [
            (f"decoder {number} self", layer.self_norm),
            (f"decoder {number} cross", layer.cross_norm),
            (f"decoder {number}", layer.norm),
        ]
    return out


def _seen(net: Net, source: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What goes into every norm, and what comes out of it, at places that are no pad."""
    out: dict[str, tuple[Tensor, Tensor]] = {}
    keep = {"encoder": source != 0, "decoder": target != 0}
    hooks = [
        norm.register_forward_hook(
            lambda _, x, y, name=name: out.update({name: (x[0][keep[name[:7]]], y[keep[name[:7]]])})
        )
        for name, norm in _norms(net)
    ]
    memory, mask = net.encode(source)
    net.decode(target, memory, mask)
    for hook in hooks:
        hook.remove()
    return out


def _match(old: Net, net: Net, source: Tensor, target: Tensor, before: int) -> None:
    """Set the norms, one after the other, so that the older dimensions have the scale and place they had.

    A norm's own gain sets how large the codes are: as large as the older dimensions are where they are next normed, or
    nothing behind the decoder's first self-attention, so that a token does not speak for itself.
    """
    names = [name for name, _ in _norms(net)]
    theirs = _seen(old, source, target)
    top = {f"encoder {len(net.encoder) - 1}": theirs[f"encoder {len(old.encoder) - 1}"][1]}  # fewer layers end alike
    for number, (name, norm) in enumerate(_norms(net)):
        wanted = top.get(name, theirs[name][1])
        norm.weight[before:], norm.bias[before:] = 1, 0
        after = names[number + 1] if number + 1 < len(names) else None
        if name.startswith("decoder"):
            size = 0.0 if name in ("decoder", "decoder 0 self") else 1.0
        else:
            size = float(theirs[after][0].std()) if after and after[:7] == name[:7] else 1.0
        plain = _seen(net, source, target)[name][1][:, :before]
        plain = (plain - norm.bias[:before]) / norm.weight[:before]
        middle, spread = plain.mean(0), plain.std(0)
        fitted = ((plain - middle) * (wanted - wanted.mean(0))).mean(0) / spread**2
        norm.weight[:before] = fitted
        norm.bias[:before] = wanted.mean(0) - fitted * middle
        norm.weight[before:] = size
    larger = net.scale / old.scale
    final = net.decoder[-1].norm
    final.weight[:before] *= larger
    final.bias[:before] *= larger
    # a code alone has the length that makes its own token's logit COPIED
    memory, mask = net.encode(source[:, :1])
    state = net.decode(target[:, :1], memory, mask)[:, 0, before:]
    alone = (state * net.shared.weight[source[:, 0], before:]).sum(1).mean()
    final.weight[before:] *= COPIED / float(alone)
