"""Fill the gaps of a C++ function: whatever the model writes, the whole is C++ (of the library's grammar).

    python examples/infill_cpp.py [MODEL]

Without a model it is the one that comes with structgen, which has learnt to extract JSON, not to program: the syntax is right, no more.
"""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

import structgen as sg
from structgen.models.tiny_prompt import TINY_MODEL_PATH

PARTS = ["int sum(int n) { int x = 0; ", sg.gap(16), " for (int i = 0; i < n; ++i) { ", sg.gap(16), " } return x; }"]


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else TINY_MODEL_PATH
    model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    found = sg.infill(model, tokenizer, PARTS, sg.grammar("cpp"), prompt="// The sum of the numbers below n.\n")
    print(found.text)
    for i, text in enumerate(found.gaps, 1):
        print(f"gap {i}: {text!r}")


if __name__ == "__main__":
    main()
