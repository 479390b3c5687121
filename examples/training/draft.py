"""A draft that learns what a bundle writes: python examples/training/draft.py BUNDLE OUT [TEXT]

With TEXT, a file, the draft learns from that instead. Half a million tokens or more make a good
one, which takes an hour for a small model; a run that was stopped goes on.
"""

import sys
from dataclasses import replace
from pathlib import Path

from nanoaccel import LLM, SamplingParams
from nanoaccel.finetune.drafts.make import train_draft
from nanoaccel.finetune.drafts.recipe import DraftRecipe
from nanoaccel.runtime.tools.draft_ranking import rank_drafts

RECIPE = DraftRecipe(tokens=500_000, epochs=6)


def main(bundle: str, out: str, text: str | None = None) -> None:
    recipe = replace(RECIPE, text=None if text is None else Path(text))
    made = train_draft(bundle, Path(out), recipe)
    rates = ", ".join(f"{share:.0%}" for share in made.survival)
    print(f"right on held-out text, for 1, 2, ... draft tokens: {rates}")

    for one in rank_drafts(Path(bundle), [made.folder], progress=print):
        print(f"{one.name}: {one.speed:.2f} times as fast as plain decoding")

    # It is used only where it pays, and changes no text.
    with LLM(bundle, draft=made.folder) as llm:
        llm.generate("The tide comes in twice a day, and", SamplingParams(max_tokens=64))
        found = llm.counters().speculation
    print(f"{found.accepted_tokens} of {found.drafted_tokens} draft tokens were accepted")


if __name__ == "__main__":
    main(*sys.argv[1:])
