"""Write results/README.md from the results folders beside it: `python results/summary.py`.

What is claimed and what was published is said here; every number of ours is read from the stored rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hptransfer.analysis.results import Results, load_results
from hptransfer.analysis.verdict import AxisVerdict
from hptransfer.cli.direct_table import interval_text
from hptransfer.store.store import Store

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Claim:
    """One study: what is claimed, and what was published about it."""

    study: str
    claim: str
    published: str


CLAIMS = (
    Claim("quickstart", "HPs tuned on a dense proxy hold on a wider, sparser model under SμPar", "-"),
    Claim(
        "coordinate-check",
        "under SμPar activations keep their size as density falls; under SP and μP they do not (fig. 5)",
        "slope of log size on log density at step 0 / 10: SμPar 0.00 / 0.26 at most, μP 1.0 to 2.7",
    ),
    Claim(
        "width-transfer",
        "the best LR of a dense model moves with width under SP, not under μP",
        "μP flat over widths 256 to 2048",
    ),
    Claim(
        "density-lr",
        "the best LR stays put as density falls under SμPar, not under SP or μP (fig. 1, 6)",
        "SP's optimum rises 4 octaves over a 64-fold fall in density, SμPar's not at all (read off the plot)",
    ),
    Claim("density-init", "the best init stays put as density falls under SμPar (fig. 7)", "stable for SμPar alone"),
    Claim("half-corrections", "correcting only init or only LR is not enough (fig. 13, 14)", "both drift"),
    Claim(
        "wider-and-sparser", "the best LR stays put as width rises and density falls (fig. 9, 10)", "stable for SμPar"
    ),
    Claim("constant-nonzeros", "SP is stable at constant non-zeros per neuron (fig. 11)", "stable"),
    Claim(
        "own-best",
        "with each rule at its own best HPs, multipliers included, the gap is small (fig. 8)",
        "each at its best LR SμPar is better by 0.8% than SP and 2.1% than μP on average; SP wins near 75% sparsity",
    ),
    Claim(
        "own-best-long",
        "the same at 20 tokens per parameter",
        "as above: its runs have about 20 tokens per parameter",
    ),
    Claim(
        "sparsity-ladder",
        "with one dense-tuned set of base HPs SμPar loses least as sparsity rises to 99.2% (fig. 3)",
        "at 99.2%: 11.9% better than SP, 1.9% better than μP (610M parameters)",
    ),
    Claim(
        "multipliers",
        "a search of 64 proxy trials over five base HPs, replayed, ends within 0.5% of the best of 3,125",
        "350 random draws over four (the paper's proxy search)",
    ),
    Claim("few-weights", "SμPar breaks when few weights per neuron are left", "theory: needs d_in·ρ → ∞"),
    Claim("weight-decay", "coupled decay confounds the transfer at high sparsity", "not published"),
    Claim("two-four", "2:4 masks transfer as random masks of the same density do", "not published"),
    Claim("schedule", "decay to zero keeps the best LR in place better than decay to a tenth", "D2Z: more stable"),
)


def main() -> None:
    """Write the table of every study that has results."""
    for claim in CLAIMS:
        if (HERE / claim.study).is_dir():
            store = Store.open(str(HERE / claim.study), claim.study)
            with store.lock():
                store.merge()  # one file a kind: what is kept in git is small
    done = [(claim, load_results(str(HERE / claim.study))) for claim in CLAIMS if (HERE / claim.study).is_dir()]
    lines = [
        "# Reference results",
        "",
        "Written by `python results/summary.py` from the rows beside it. Regret is the loss given up by keeping the"
        " transferred HP, worst cell; drift is octaves of optimum per octave of the axis; both with 95% intervals."
        " Where nothing was tuned the transferred HP is the rule's own optimum at its densest, narrowest cell."
        " All runs on two CPU cores, on bytes of the Python standard library. The paper is arXiv 2405.15743 in its"
        " version 3.",
        "",
        "Every study but the quickstart has a `-full` variant, not run here for want of a GPU: the settings of the"
        " figure that it names, and what differs from them. The GPU-hours it names count dense FLOPs, for a GPU"
        " multiplies masked layers dense, at 400 TFLOP/s in bf16 and 27 in fp32, 40% of an H100's peak of 989 and 67."
        " Attention with ALiBi is written out here and not fused, so a run may well take longer.",
        "",
    ]
    for claim, results in done:
        lines += _section(claim, results)
    (HERE / "README.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _section(claim: Claim, results: Results) -> Iterator[str]:
    frame = results.frame
    hours = frame["wall_s"].sum() / 3600
    yield f"## {claim.study}"
    yield ""
    yield f"**Claim:** {claim.claim}. **Published:** {claim.published}."
    yield ""
    if results.judgement is not None and any(cell.optimum.n_points > 1 for cell in results.judgement.judged):
        yield "| series | axis | verdict | regret | drift |"
        yield "|---|---|---|---|---|"
        for verdict in results.judgement.verdicts:
            regret, drift = _interval(verdict, "regret", 100, "%"), _interval(verdict, "slope", 1, "")
            yield f"| {verdict.series} | {verdict.axis} | {verdict.verdict} | {regret} | {drift} |"
        yield ""
    if found := results.directly():
        yield "| searched in its cell | | own LR | own loss | transferred HPs lose, % | own loss against SμPar's, % |"
        yield "|---|---|---|---|---|---|"
        for own in found:
            shares = " | ".join(interval_text(share) for share in (own.given_up, own.against))
            lr = f"2^{math.log2(own.lr):.2f}" + ("?" if own.doubts else "")
            yield f"| {own.where} | {own.key.series} | {lr} | {own.loss:.4f} | {shares} |"
        yield ""
        yield from (f"? {own.key.series} at {own.where}: {doubt}." for own in found for doubt in own.doubts)
        yield ""
    for sentence in results.check_says or ():
        yield f"- {sentence}"
    if results.check_says:
        yield ""
    if (HERE / claim.study / "note.md").exists():
        yield (HERE / claim.study / "note.md").read_text(encoding="utf-8").strip()
    yield ""
    yield (
        f"Cost: {len(frame)} trials, {hours:.2f} core-hours, {frame['flops_dense'].sum():.2g} dense FLOPs."
        f" `hptransfer run sweeps/{claim.study}.yaml` · {_links(claim.study)}"
    )
    yield ""


def _links(study: str) -> str:
    """Its page, where it is kept in git (one of thousands of trials is not), and its pictures."""
    kept = [("report", f"{study}/report.html"), ("plots", f"{study}/plots")]
    return " · ".join(f"[{name}]({path})" for name, path in kept if (HERE / path).exists())


def _interval(verdict: AxisVerdict, name: str, scale: float, unit: str) -> str:
    value, low, high = (getattr(verdict, key) * scale for key in (name, f"{name}_low", f"{name}_high"))
    if math.isnan(value):
        return "unknown"
    return f"{value:.2f}{unit} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
