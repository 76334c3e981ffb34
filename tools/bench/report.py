"""Results as JSON and as the tables that people read. It measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.bench.machine import has_avx512
from tools.bench.peers import PEERS, PRODUCTS
from tools.bench.rounds import Timings
from tools.bench.summary import Spread, ratios, spread
from tools.bench.works import FLOAT, WORKS, Cost, Work
from tools.docs.tables import markdown

MIB = 2**20


def result_of(work: Work, timings: Timings, cost: Cost | None, agreed: Mapping[str, str]) -> dict[str, Any]:
    """One work's part of the JSON: raw seconds, medians, ratios to the first peer, nearness to the bound."""
    ours = timings.seconds[work.first]
    result: dict[str, Any] = {"about": work.about, "first": work.first, "agree": dict(agreed), **timings.as_json()}
    result["median"] = {name: spread(seconds).as_json() for name, seconds in timings.seconds.items()}
    result["ratio"] = {
        name: ratios(seconds, ours).as_json() for name, seconds in timings.seconds.items() if name != work.first
    }
    if PRODUCTS in timings.seconds:
        least = {"products": timings.seconds[PRODUCTS]}
        if timings.interpreter:  # a whole process has its interpreter within
            least["both"] = [p + i for p, i in zip(least["products"], timings.interpreter, strict=True)]
        if timings.functions:
            before = least.get("both", least["products"])
            least["all"] = [b + f for b, f in zip(before, timings.functions, strict=True)]
        result["at_most"] = {
            name: {what: ratios(seconds, own).as_json() for what, own in least.items()}
            for name, seconds in timings.seconds.items()
            if name not in (PRODUCTS, work.first)
        }
        result["over_products"] = ratios(ours, least["products"]).as_json()
    if cost is not None:
        bounds = [cost.seconds(b, p) for b, p in zip(timings.bandwidth, timings.peak, strict=True)]
        reads = [cost.bytes / b for b in timings.bandwidth]
        result["bound"] = {
            "weights_bytes": cost.bytes,
            "operations": cost.operations,
            "seconds": spread(bounds).as_json(),
            "nearness": spread([b / s for b, s in zip(bounds, ours, strict=True)]).as_json(),
            "nearness_of_reading_alone": spread([r / s for r, s in zip(reads, ours, strict=True)]).as_json(),
        }
    return result


def shown(work: Work, seconds: float, words: float = 0.0) -> str:
    """A time in the work's unit.

    >>> shown(WORKS["greedy"], 0.32), shown(WORKS["batch"], 2.0), shown(WORKS["load"], 0.25)
    ('10.0', '512', '0.25')
    """
    if work.unit == "words/s":
        return f"{words / seconds:,.0f}"
    if work.unit.endswith("/s"):
        return f"{work.per / seconds:,.0f}"
    if work.unit == "s":
        return f"{seconds:.2f}"
    return f"{1e3 * seconds / work.per:.1f}"


def in_words(found: Mapping[str, Any]) -> str:
    """A ratio with its spread.

    >>> in_words({"median": 2.0, "low": 1.9, "high": 2.25})
    '2.00 (1.90-2.25)'
    """
    return f"{found['median']:.2f} ({found['low']:.2f}-{found['high']:.2f})"


def works_table(works: Mapping[str, Any], avx512: bool = True) -> str:
    """The main table: what each engine took, and how many times as long as npblender."""
    shown_peers = [name for name in PEERS if name != PRODUCTS and any(name in r["median"] for r in works.values())]
    head = ["work", *(PEERS[name].about for name in shown_peers), "bound", "of the bound", "wanted"]
    rows = []
    for name, work in WORKS.items():
        if name not in works:
            continue
        result = works[name]
        words = spread(result["words"]).median if result.get("words") else 0.0
        row = [work.about]
        for peer in shown_peers:
            cell = "-"
            if peer in result["median"]:
                cell = shown(work, result["median"][peer]["median"], words)
                if peer != work.first:
                    cell += f": x {in_words(result['ratio'][peer])}"
            row.append(cell)
        bound = result.get("bound")
        row.append(shown(work, bound["seconds"]["median"]) if bound else "-")
        row.append(in_words(bound["nearness"]) if bound else "-")
        rows.append([*row, wanted_of(work, avx512)])
    return markdown(head, rows)


def wanted_of(work: Work, avx512: bool) -> str:
    """What this project asks of itself.

    >>> wanted_of(WORKS["greedy"], avx512=True), wanted_of(WORKS["load"], avx512=False)
    ('2.4', '-')
    """
    return (not avx512 and work.wanted_avx2) or work.wanted or "-"


def least_table(works: Mapping[str, Any], avx512: bool = True) -> str:
    """What the products alone take, what the interpreter takes, and the ratio to transformers that they leave."""
    rows = []
    for name, result in works.items():
        if PRODUCTS not in result["median"]:
            continue
        work, most = WORKS[name], result["at_most"].get("transformers", {})
        row = [work.about, shown(work, result["median"][work.first]["median"])]
        row.append(shown(work, result["median"][PRODUCTS]["median"]))
        row += [shown(work, share_of(result, name)) if name in result else "-" for name in ("interpreter", "functions")]
        row += [f"x {in_words(most[key])}" if key in most else "-" for key in ("products", "both", "all")]
        rows.append([*row, wanted_of(work, avx512)])
    heads = ["npblender", "products alone", "interpreter alone", "functions alone"]
    heads += ["at most, by the products", "and the interpreter", "and the functions"]
    return "\n" + markdown(["work", *heads, "wanted"], rows) if rows else ""


def share_of(result: Mapping[str, Any], name: str) -> float:
    """The seconds of what a work takes besides its products: "interpreter" (a tiny model) or "functions"."""
    return spread(result[name]).median


def limits_table(works: Mapping[str, Any], avx512: bool = True) -> str:
    """What each work may take at most by this project's target, beside what it takes at least: is the target reachable?

    It is out of reach where it is larger than the largest ratio, by the products and the interpreter, in most rounds;
    and without faster functions (for a whole process: import and tokenizer), where it is larger than these leave, too.
    """
    rows = []
    for name, result in works.items():
        most = result.get("at_most", {}).get("transformers")
        wanted = wanted_of(WORKS[name], avx512)
        if most is None or wanted == "-":
            continue
        work = WORKS[name].in_time()
        theirs, ours, least = (result["median"][key]["median"] for key in ("transformers", work.first, PRODUCTS))
        shares = [share_of(result, name) for name in ("interpreter", "functions") if name in result]
        row = [work.about, shown(work, theirs), f"{shown(work, theirs / float(wanted))} (x {wanted})"]
        row.append(" + ".join(shown(work, seconds) for seconds in (least, *shares)))
        out = {name for name, ratio in most.items() if ratio["median"] < float(wanted)}
        row.append("yes" if out & {"products", "both"} else "without faster functions" if out else "no")
        times = f"{shown(work, ours)}: x {in_words(result['over_products'])}"
        if not avx512 and work.of_products_avx2:
            times += f", wanted: {work.of_products_avx2}"
        rows.append([*row, times])
    heads = [
        "transformers",
        "so it may take",
        "products + interpreter + functions",
        "out of reach",
        "npblender, times the products",
    ]
    return markdown(["work", *heads], rows) if rows else ""


def memory_table(works: Mapping[str, Any], weights: int) -> str:
    """Peak memory of the processes that the work `start` timed, over the weights."""
    peaks = works.get("start", {}).get("memory", {})
    if not peaks:
        return ""
    rows = [
        [PEERS[name].about, f"{values['median'] / MIB:.0f}", f"{(values['median'] - weights) / MIB:+.0f}"]
        for name, values in peaks.items()
    ]
    heads = ["process from its start to 20 tokens", "peak, MiB", f"over the weights' {weights / MIB:.0f} MiB"]
    return "\n" + markdown(heads, rows)


def growth_text(growth: Mapping[str, Any]) -> str:
    """What grew how, in a sentence a line."""
    lines = []
    for name, found in growth.get("steps", {"engines": {}})["engines"].items():
        steps = found["milliseconds"]
        lines.append(
            f"Steps of a greedy reply, {PEERS[name].about}: {steps[0]:.2f} ms at token 2, {steps[-1]:.2f} at token "
            f"{len(steps) + 1}; the last 16 take {found['last_over_first']:.3f} of the first 16 (attention included)."
        )
    if "widths" in growth:
        found = growth["widths"]
        each = ", ".join(f"{b}: {ms:.1f}" for b, ms in zip(found["beams"], found["milliseconds"], strict=True))
        lines.append(
            f"A step by beams, ms: {each}; from 2 on {found['offset_ms']:.1f} + {found['slope_ms']:.2f} a beam, "
            f"at most {found['farthest_from_line']:.0%} off that line."
        )
    if "texts" in growth:
        found = growth["texts"]
        pairs = (("words", "word", "text"), ("letters", "letter", "word"))
        for many, one, what in pairs:
            costs = zip(found[many], found[f"microseconds_a_{one}"], strict=True)
            figures = ", ".join(f"{count:,}: {cost:.2f}" for count, cost in costs)
            lines.append(f"Microseconds a {one}, by the {many} of one {what}: {figures}.")
    return "".join(f"\n{line}\n" for line in lines)


def made_by(result: Mapping[str, Any]) -> str:
    """The machine, the versions, the speeds, what is absent, and who agreed with whom."""
    m = result["machine"]
    lines = [
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads each, {m['system']}; Python {m['python']}, "
        f"NumPy {m['numpy']} on {m['blas']} with kernels for {m['kernels'] or 'what it found'} "
        f"({m['simd'] or 'no SIMD extension found'})."
    ]
    versions = {package: v for of in result["versions"].values() for package, v in of.items()}
    lines.append("Versions: " + ", ".join(f"{package} {version}" for package, version in versions.items()) + ".")
    bandwidths = [b for w in result["works"].values() for b in w["bandwidth"]]
    peaks = [p for w in result["works"].values() for p in w["peak"]]
    if bandwidths:
        read, peak = spread(bandwidths), spread(peaks)
        lines.append(
            f"Reading memory {in_gigas(read)} GB/s, products {in_gigas(peak)} GFLOP/s: medians (least-greatest) of "
            "the best way in each round."
        )
    for name, why in result["absent"].items():
        lines.append(f"Absent: {PEERS[name].about}: {why}.")
    lines += [WORKS[name].note for name in result["works"] if WORKS[name].note]
    texts = result.get("texts")
    if texts:
        lines.append(f"Tokenized: {texts}.")
    agreed = [f"{n} with {p} {count}" for n, w in result["works"].items() for p, count in w["agree"].items()]
    if agreed:
        lines.append(f"Rounds with the same ids or states as npblender's: {', '.join(agreed)}.")
    return "\n".join(lines) + "\n"


def in_gigas(found: Spread) -> str:
    """A speed in billions.

    >>> in_gigas(Spread(2e9, 1e9, 3e9, 5))
    '2.0 (1.0-3.0)'
    """
    return f"{found.median / 1e9:.1f} ({found.low / 1e9:.1f}-{found.high / 1e9:.1f})"


def text_of(result: Mapping[str, Any]) -> str:
    """Everything, as markdown."""
    weights, avx512 = FLOAT * result["parameters"], has_avx512(result["machine"])
    parts = [works_table(result["works"], avx512)] if result["works"] else []
    parts += [least_table(result["works"], avx512)]
    parts += [memory_table(result["works"], weights), growth_text(result["growth"]), "\n", made_by(result)]
    return "".join(parts)
