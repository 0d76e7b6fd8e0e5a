"""Fill gaps: in a C++ function, in JSON with fixed keys, in a molecule with a given scaffold. The whole is always valid.

    python examples/infilling.py [MODEL]         # a causal model, by default the one that comes with structgen
    python examples/infilling.py --diffusion     # the masked diffusion model that comes with structgen

The models that come with it have learnt to extract JSON and nothing else: of C++ and molecules the syntax is right, no more.
"""

import json
import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from structgen.models.tiny_diffusion_model import TINY_DIFFUSION_PATH, TinyDiffusion
from structgen.models.tiny_prompt import TINY_MODEL_PATH, prompt

ADA = "Ada Lovelace, born 10 December 1815 in London, was a mathematician and writer."
SCHEMA = json.loads((Path(__file__).parent / "person.schema.json").read_text())
FUNCTION = ["int sum(int n) { int x = 0; ", sg.gap(16), " for (int i = 0; i < n; ++i) { ", sg.gap(16), " } return x; }"]
RECORD = [
    '{"name": "', sg.gap(12), '", "birth": {"date": "', sg.gap(16), '", "city": "', sg.gap(8), '", "country": null}',
    ', "century": ', sg.gap(4), ', "gender": ', sg.gap(8), ', "occupations": ["', sg.gap(16), '"], "field": "science", "works": []}',
]  # fmt: skip
MOLECULE = ["CC(=O)", sg.gap(6), "c1ccc(", sg.gap(6), ")cc1"]
TASKS = {
    "C++": ("// The sum of the numbers below n.\n", FUNCTION, sg.grammar("cpp")),
    "JSON": (prompt(ADA, SCHEMA), RECORD, SCHEMA),
    "SMILES": ("", MOLECULE, sg.grammar("smiles")),
}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--diffusion"]:
        model, tokenizer = TinyDiffusion.load(), AutoTokenizer.from_pretrained(TINY_DIFFUSION_PATH)
    else:
        name = arguments[0] if arguments else TINY_MODEL_PATH
        model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    for task, (before, parts, constraint) in TASKS.items():
        found = sg.infill(model, tokenizer, parts, constraint, prompt=before)
        print(f"{task}: {found.text}")
        for i, text in enumerate(found.gaps, 1):
            print(f"    gap {i}: {text!r}")


if __name__ == "__main__":
    main()
