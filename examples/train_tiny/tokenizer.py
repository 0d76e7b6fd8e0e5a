"""The byte-level BPE tokenizer of the embedded model, trained on its own synthetic data.

Words never carry their space, digits stand alone, and runs of punctuation may hold spaces. So a name has the same tokens in the text,
after `": "` and before `", "`, and extraction is copying, which a small model learns; and JSON's punctuation costs one token.
    python -m examples.train_tiny.tokenizer
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt

from .families import FAMILIES
from .records import dumps, sample
from .sources import Draw

VOCABULARY = 4096
EXAMPLES = 30_000
PAD, BOS, EOS = "<pad>", "<s>", "</s>"
WORDS = r"\p{Lu}?\p{Ll}+(?:_\p{Ll}+)*|\p{Lu}+(?!\p{Ll})|\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+(?: [^\s\p{L}\p{N}]+)* ?|\s+"


def texts() -> Iterator[str]:
    draw = Draw(random.Random(1), held_out=False)
    for i in range(EXAMPLES):
        example = sample(FAMILIES[i % len(FAMILIES)], draw, free=i % 2 == 0)
        yield prompt(example.text, example.schema)
        yield dumps(example.record)


def train() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, BOS, EOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, padding_side="left",
        clean_up_tokenization_spaces=False, model_max_length=1024,
    )  # fmt: skip


def save(tokenizer: PreTrainedTokenizerFast) -> None:
    """Write it with a class name that every version of transformers knows."""
    tokenizer.save_pretrained(TINY_MODEL_PATH)
    path = TINY_MODEL_PATH / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    save(train())
