"""Prompts for the target, which cover the uses of its draft."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

_TOPICS = (files(__package__) / "topics.txt").read_text(encoding="utf-8").splitlines()

_ASKS = (
    "Write a short story about {topic}.",
    "Write a poem about {topic}.",
    "Write an email to a colleague about {topic}.",
    "Write a blog post about {topic} with a title and three sections.",
    "Write a dialogue between two friends about {topic}.",
    "Explain {topic} to a ten-year-old.",
    "What should I know about {topic}?",
    "What are the advantages and disadvantages of {topic}?",
    "Give me {number} facts about {topic}.",
    "Give me a list of {number} ideas for a project on {topic}.",
    "How would you plan a lesson on {topic}? Answer step by step.",
    "I feel uncertain about {topic}. What would you advise?",
    "Compare {topic} with {other}.",
    "What do {topic} and {other} have in common?",
    "Write {number} questions about {topic} and answer each of them.",
    "Make a table in Markdown about {topic} with three columns.",
    "Describe {topic} in JSON with at least five fields.",
    "Write a Python class that models {topic}, with docstrings.",
    "Write a Python function that counts how often each word occurs in a text about {topic}.",
    "Write a JavaScript function that filters a list of objects about {topic} by a field.",
    "Write an SQL schema for an application about {topic}, and {number} queries.",
    "Write a unit test for a program about {topic}.",
    "Write an HTML page about {topic}.",
    "Fix this code and explain what was wrong: def total(xs): for x in xs: s += x return s",
    "A shop sells things for {topic}. {number} of them cost {price} dollars. What does one cost, "
    "and what do {more} cost? Show your work.",
    "Someone walks {more} km in {number} hours and rests {price} minutes. What is the speed? "
    "Think step by step.",
    "What is {price} times {number}? And {price} plus {more}? Explain how you get there.",
    "Translate into French: I read a book about {topic} and told my friends about {other}.",
    "Translate into Spanish: The most important thing about {topic} is patience.",
    "Translate into German: Yesterday we talked about {topic} and about {other}.",
    "Who would be interested in {topic}, and why?",
    "What is the most common mistake people make with {topic}?",
    "Tell me something surprising about {topic}.",
    "How did {topic} change in the last hundred years?",
    "Write a product description for something to do with {topic}.",
    "Write a formal letter of complaint about {topic}.",
    "Write a short speech about {topic}.",
    "Write the first page of a novel that begins with {topic}.",
    "Write a haiku about {topic}, then explain it.",
    "Write a recipe, a plan or instructions for {topic}, in numbered steps.",
    "Write a diary entry of somebody who has to do with {topic}.",
    "Write a Python program that asks the user about {topic} and prints the answers as a table.",
    "Write a shell script that backs up files about {topic}.",
    "Write a C function that stores {number} records about {topic} in an array.",
    "What does this regular expression match, and how could it be used for {topic}? ^[a-z]+[0-9]$",
    "There are {more} people at an event about {topic}. {number} of them leave every hour. "
    "How many are left after {number} hours?",
    "Solve for x: {number}x + {price} = {more}. Explain each step.",
    "What percentage of {more} is {number}?",
    "Which of these two is older: {topic} or {other}? Say why you think so.",
    "My friend says that {topic} is a waste of time. What would you answer?",
    "Positive, negative or neutral? I was disappointed by {topic}, but I liked {other}.",
    "Complete the sentence: When I think of {topic}, I",
    "Define {topic} in one sentence, then give an example.",
    "Translate into Italian: Could you tell me more about {topic}?",
    "Translate into English: ¿Dónde puedo aprender algo sobre {topic}?",
    "Hi! Can we talk about {topic}?",
)

# Texts that are continued as they are, also by a chat model.
_BEGINNINGS = (
    "The history of {topic} begins",
    "# {topic}\n\n",
    "Once upon a time, far from {topic} and even farther from {other}, there lived",
    "import json\n\n\nclass",
    "Q: What is {topic}?\nA:",
    "In a recent study of {topic}, researchers found that",
    "Dear editor,\n\nYour article about {topic}",
    "{number} reasons why {topic} matters:\n\n1.",
)

_ASKS_ABOUT_A_TEXT = (
    "Summarize this text in three sentences.\n\n{text}",
    "Summarize the following text as a list of bullet points.\n\n{text}",
    "What is this text about? Who or what is named in it?\n\n{text}",
    "Extract all names, numbers and places from this text as JSON.\n\n{text}",
    "Rewrite this text so that it is easier to read.\n\n{text}",
    "Correct the mistakes in this text.\n\n{text}",
    "Translate this text into French.\n\n{text}",
    "Read this text, then write three questions about it with their answers.\n\n{text}",
    "Answer from the text: why does it matter, and what happens?\n\n{text}",
    "Continue this text.\n\n{text}",
)
_ABOUT_A_TEXT = 0.35
_PLAIN = 0.08
_WORDS = (40, 150)


@dataclass(frozen=True, slots=True)
class Task:
    """A writing task.

    Args:
        text: A prompt.
        is_message: Whether it is what a user says, not a text to be continued.
    """

    text: str
    is_message: bool = True


def make_task(source: random.Random, texts: Sequence[str]) -> Task:
    """A prompt; one in three is about a text that was written before.

    Args:
        source: Chooses.
        texts: What to ask about; may be empty.
    """
    if texts and source.random() < _ABOUT_A_TEXT:
        words = source.choice(texts).split(" ")
        text = " ".join(words[: source.randint(*_WORDS)])
        return Task(source.choice(_ASKS_ABOUT_A_TEXT).format(text=text))
    is_message = source.random() >= _PLAIN
    topic, other = source.sample(_TOPICS, 2)
    number = source.randint(3, 9)
    text = source.choice(_ASKS if is_message else _BEGINNINGS).format(
        topic=topic,
        other=other,
        number=number,
        price=source.randint(2, 60),
        more=number * source.randint(2, 12),
    )
    return Task(text, is_message)
