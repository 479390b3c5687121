"""A nightly job that may be killed and run again: python examples/batch_job.py BUNDLE FOLDER OUT

Each text of FOLDER gets a one-line summary in OUT/summaries.csv. Requests and answers are files
between the steps; a second run answers only what is missing.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

CHARACTERS = 4000  # of a text that are read


def write_requests(folder: Path, file: Path) -> None:
    """A request for each text, found again by the name of its file."""
    with file.open("w", encoding="utf-8") as lines:
        for text in sorted(folder.glob("*.txt")):
            content = text.read_text(encoding="utf-8")[:CHARACTERS]
            prompt = f"Summarize this in one sentence.\n\n{content}"
            body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 60}
            request = {
                "custom_id": text.name,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            }
            lines.write(json.dumps(request) + "\n")


def read_answers(file: Path) -> dict[str, str]:
    """The answer to each request that has one, by its id."""
    answers = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        found = json.loads(line)
        response = found["response"]
        if response is not None and response["status_code"] == 200:
            answers[found["custom_id"]] = response["body"]["choices"][0]["message"]["content"]
    return answers


def main(bundle: str, folder: str, out: str) -> None:
    work = Path(out)
    work.mkdir(parents=True, exist_ok=True)
    requests, answers = work / "requests.jsonl", work / "answers.jsonl"
    write_requests(Path(folder), requests)
    command = [sys.executable, "-m", "nanoaccel", "batch", bundle, str(requests), str(answers)]
    code = subprocess.run(command, check=False).returncode
    if code not in (0, 3):  # 3: all are answered, some with an error
        sys.exit(code)
    rows = sorted(read_answers(answers).items())
    with (work / "summaries.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "summary"), *rows])
    print(f"{len(rows)} summaries in {work / 'summaries.csv'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
