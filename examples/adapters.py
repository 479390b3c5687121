"""Each request with an adapter of its own: python examples/adapters.py BUNDLE ADAPTER ...

ADAPTER is a folder that nanoaccel finetune, or peft, has written for the model of the bundle. All
of them answer the same question in the same passes, and the model is in memory once.
"""

import sys
from pathlib import Path

from nanoaccel import LLM, RequestOptions, SamplingParams

QUESTION = [{"role": "user", "content": "It was on 3 March 1997."}]
PARAMS = SamplingParams(max_tokens=24, temperature=0.0)


def main(bundle: str, *folders: str) -> None:
    adapters = {Path(folder).name: folder for folder in folders}
    with LLM(bundle, adapters=adapters) as llm:
        names = [None, *llm.adapters]
        asked = [RequestOptions(adapter=name) for name in names]
        outputs = llm.generate([QUESTION] * len(names), PARAMS, asked)
        for name, output in zip(names, outputs, strict=True):
            print(f"{name or 'the model alone'}: {output.text!r}")

        # Adapters come and go while others are used.
        name, folder = next(iter(adapters.items()))
        llm.adapters.remove(name)
        llm.adapters.add("newer", folder)
        newer = llm.generate(QUESTION, PARAMS, RequestOptions(adapter="newer"))
        print(f"newer: {newer.text!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
