r"""How `tokenizer.ggml.pre` splits text before byte-level BPE.

A GGUF file names the splitting, it does not hold it. The patterns are those that llama.cpp
applies, each within the pieces of the one before (its llama-vocab.cpp and unicode.cpp), in the
syntax of the `tokenizers` library. Where llama.cpp simplifies the original tokenizer, these
follow llama.cpp:

- it has one class of letters (`\p{Lu}` and the like are `\p{L}`), and case for ASCII alone;
- only `\s` matches white space beyond ASCII, in classes of characters as well.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nanoaccel.errors import GGUFError


@dataclass(frozen=True, slots=True)
class Pretokenizer:
    """One way to split text, and the defaults that come with it.

    Attributes:
        patterns: What each step isolates; what lies between is kept as well.
        ignore_merges: A piece that is a token is that token, whatever the merges say.
        add_bos: Prompts start with BOS unless the file says otherwise.
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False


def find_pretokenizer(name: str) -> Pretokenizer:
    """The splitting that `tokenizer.ggml.pre` = `name` stands for.

    Raises:
        GGUFError: The name is unknown.
    """
    found = PRETOKENIZERS.get(name)
    if found is not None:
        return found
    close = difflib.get_close_matches(name, PRETOKENIZERS, n=5, cutoff=0.3)
    known = ", ".join(close + sorted(PRETOKENIZERS.keys() - set(close)))
    raise GGUFError(
        f"tokenizer.ggml.pre is '{name}'; known are {known}",
        "Pass the folder of the original tokenizer, or export the original checkpoint",
    )


_CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_SPACES = r"\s+(?!\S)|\s+"
_LINES = rf"\s*[\r\n]+|{_SPACES}"
_SYMBOLS = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_LINES}"
_PATH_SYMBOLS = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_LINES}"
_THREE_DIGITS = r"\p{N}{1,3}"
# Groups of three digits from the right; like llama.cpp, the first keeps the text before it.
_THOUSANDS = r"\P{N}*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"

_GPT2 = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"
_QWEN2_WITHOUT_CONTRACTIONS = rf"{_LEAD}\p{{L}}+|\p{{N}}|{_SYMBOLS}"
_QWEN2 = rf"{_CONTRACTION}|{_QWEN2_WITHOUT_CONTRACTIONS}"
_QWEN35 = (
    rf"{_CONTRACTION}|{_LEAD}[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_LINES}"
)
_LLAMA3 = rf"{_CONTRACTION}|{_LEAD}\p{{L}}+|{_THREE_DIGITS}|{_SYMBOLS}"
_JAIS2_SPACES = "|".join(rf"\s{{{2**power}}}(?!\S)" for power in range(9, 1, -1))
_JAIS2 = (
    rf"{_CONTRACTION}|{_LEAD}\p{{L}}+|{_THREE_DIGITS}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    rf"|\s*[\r\n]+|{_JAIS2_SPACES}|\s{{1,2}}(?!\S)|\s"
)
_MINICPM5 = rf"{_CONTRACTION}|{_LEAD}\p{{L}}+|\p{{N}}+|{_SYMBOLS}"
_SEED = rf"{_CONTRACTION}|{_LEAD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_LINES}"
_EXAONE_MOE = (
    rf"{_CONTRACTION}|{_LEAD}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|{_SPACES}"
)

# Words of any letters but a-z followed by any but A-Z: "camelCase" is two.
_UPPER, _LOWER = r"[\p{L}&&[^a-z]]", r"[\p{L}&&[^A-Z]]"
_TEKKEN = rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*|\p{{N}}|{_PATH_SYMBOLS}"
_GPT4O = (
    rf"{_LEAD}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_LEAD}{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|{_THREE_DIGITS}|{_PATH_SYMBOLS}"
)
_MARKED_WORD = rf"{_LEAD}[\p{{L}}\p{{M}}]+{_CONTRACTION}?"
_TINY_AYA = rf"{_MARKED_WORD}|{_THREE_DIGITS}|{_PATH_SYMBOLS}"
_YOUTU = rf"{_MARKED_WORD}|\p{{N}}|{_PATH_SYMBOLS}"
_YOUTU_SCRIPTS = (
    "[\uac00-\ud7a3\u3131-\u318e]+"
    "|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+"
    "|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
)

_FALCON_SYMBOLS = r"[\p{P}\$\+<=>\^~\|`]+"
_DEFAULT_SYMBOLS = r"[\p{P}\$\+<=>\^~\|]+"
_NO_SENTENCE_END = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

_DEEPSEEK_LETTERS = (
    "A-Za-z"
    "\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15"
    "\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d"
    "\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
    "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d"
    "\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183"
    "\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
_DEEPSEEK_CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff&&\\S]+"
_DEEPSEEK_LLM = (
    r"[\r\n]",
    rf"\s?[{_DEEPSEEK_LETTERS}]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3001\u3002]+",
    r"\s+\z",
    _DEEPSEEK_CJK,
    r"\p{N}+",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_CJK, r"\p{N}")
_HAN_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_DEEPSEEK3_WORD = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
)
_DEEPSEEK3_MAIN = rf"{_DEEPSEEK3_WORD}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_LINES}"
_DEEPSEEK3 = (_THREE_DIGITS, _HAN_KANA, _DEEPSEEK3_MAIN)
_SPARK = (
    _THREE_DIGITS,
    _HAN_KANA,
    rf"{_DEEPSEEK3_WORD}| ?[\p{{P}}\p{{S}}]+|[\r\n]|{_SPACES}",
    r"\p{N}",
)
_AFMOE_SCRIPTS = (
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf"
    "\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af"
    "\u1100-\u11ff]+"
)
_CHAMELEON = (
    r"<sentinel:[0-9]+>",
    r"IMGIMG[A-I]{1,4}Z",
    r"[\t\n]|    |  ",
    r"\p{N}",
    r"[\p{P}!-/:-@\[-`{-~]",
    _GPT2,
)


def _table() -> dict[str, Pretokenizer]:
    digits_then_words = Pretokenizer((r"\p{N}", _GPT2))
    llama3 = Pretokenizer((_LLAMA3,), ignore_merges=True, add_bos=True)
    families = {
        "default": Pretokenizer(
            (_DEFAULT_SYMBOLS, _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
        ),
        "gpt-2 phi-2 mpt olmo jais trillion gigachat a.x-4.0 mellum exaone4 granite-docling": (
            Pretokenizer((_GPT2,))
        ),
        "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2": digits_then_words,
        "falcon": Pretokenizer((_FALCON_SYMBOLS, _GPT2, "[0-9][0-9][0-9]")),
        "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2": llama3,
        "dbrx smaug-bpe chatglm-bpe": Pretokenizer((_LLAMA3,)),
        "glm4 glm5": Pretokenizer((_LLAMA3,), ignore_merges=True),
        "jais-2": Pretokenizer((_JAIS2,)),
        "minicpm5": Pretokenizer((_THREE_DIGITS, _MINICPM5), ignore_merges=True),
        "qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez kormo f2llmv2 solar-open grok-2"
        " bailingmoe bailingmoe2 llada-moe": Pretokenizer((_QWEN2,)),
        "qwen35": Pretokenizer((_QWEN35,)),
        "ufakzeka": Pretokenizer((_QWEN2_WITHOUT_CONTRACTIONS,)),
        "laguna": Pretokenizer((r"[^\n]+|\n+", _QWEN2)),
        "seed-coder": Pretokenizer((_SEED,)),
        "exaone-moe": Pretokenizer((_EXAONE_MOE,)),
        "tekken": Pretokenizer((_TEKKEN,), ignore_merges=True, add_bos=True),
        "gpt-4o llama4 kanana2 talkie minimax-m2": Pretokenizer((_GPT4O,)),
        "tiny_aya cohere2moe": Pretokenizer((_THOUSANDS, _TINY_AYA)),
        "youtu": Pretokenizer((_YOUTU_SCRIPTS, _YOUTU), ignore_merges=True),
        "deepseek-llm": Pretokenizer(_DEEPSEEK_LLM),
        "deepseek-coder": Pretokenizer(_DEEPSEEK_CODER),
        "deepseek-v3 hunyuan-dense joyai-llm hy_v4": Pretokenizer(_DEEPSEEK3),
        "spark2_5": Pretokenizer(_SPARK),
        "afmoe": Pretokenizer((_THOUSANDS, _AFMOE_SCRIPTS, _DEEPSEEK3_MAIN)),
        "poro-chat bloom gpt3-finnish": Pretokenizer((_NO_SENTENCE_END,)),
        "viking": Pretokenizer((_NO_SENTENCE_END, r"\p{N}")),
        "chameleon": Pretokenizer(_CHAMELEON, add_bos=True),
        "superbpe": Pretokenizer((r"\p{N}+", r"(?=([0-9]{3})+(?![0-9]))")),
    }
    return {name: splitting for names, splitting in families.items() for name in names.split()}


PRETOKENIZERS: Mapping[str, Pretokenizer] = MappingProxyType(_table())
