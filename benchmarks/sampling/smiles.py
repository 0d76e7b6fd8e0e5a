"""Molecules under partialsmiles, a Python parser that knows rings, valences and aromaticity: how many calls per token, how good?

    python -m benchmarks.sampling.smiles

The model is an n-gram over the 4,096 tokens of the embedded model, learnt from the 121 molecules of benchmarks/data/molecules.smi; it is no
chemist. partialsmiles says for a prefix whether a molecule may begin so. A mask asks it about every token, AWRS and ARS about those that
the model proposes. RDKit judges the results. Needs partialsmiles and rdkit (the extra "test"). Writes its table; about two minutes.
"""

from __future__ import annotations

import partialsmiles
from rdkit import Chem, RDLogger

import structgen as sg
from benchmarks.publish import ROOT
from benchmarks.sampling.models import NGram, tokenizer
from benchmarks.sampling.table import ANYTHING, Row, Task, measure, publish_table
from structgen.sampling import ARS, AWRS, SMC, Masking, SumAndSample, Target

MOLECULES = ROOT / "benchmarks" / "data" / "molecules.smi"
MAX_TOKENS = 40


def parses(text: str, partial: bool) -> bool:
    """Whether partialsmiles reads a SMILES, or its beginning."""
    if not text:
        return partial
    try:
        partialsmiles.ParseSmiles(text, partial=partial)
    except partialsmiles.Error:
        return False
    return True


MOLECULE = sg.potential(lambda text: parses(text, True), lambda text: parses(text, False))

ROWS = [
    Row("the model alone", ANYTHING, SMC(200, step=AWRS(), ess_threshold=0)),
    Row("masking", MOLECULE, Masking(2), is_weighted=False),
    Row("masking, its tokens drawn by AWRS", MOLECULE, SMC(200, step=AWRS(), ess_threshold=0), is_weighted=False),
    Row("SMC(25), AWRS", MOLECULE, SMC(25, step=AWRS()), 8),
    Row("SMC(25), head of 4 and a sample", MOLECULE, SMC(25, step=SumAndSample(head=4)), 8),
    Row("ARS(200)", MOLECULE, ARS(200)),
    Row("the grammar, then partialsmiles; SMC(25), AWRS", sg.grammar("smiles") & MOLECULE, SMC(25, step=AWRS()), 8),
]


def is_molecule(text: str) -> bool:
    return Chem.MolFromSmiles(text) is not None and bool(text)


def main() -> None:
    RDLogger.DisableLog("rdApp.*")
    known = [line.split(" ", 1)[0] for line in MOLECULES.read_text().splitlines()]
    model = NGram(known)
    columns = {"RDKit reads": is_molecule, "new": lambda text: text not in known}
    task = Task(lambda constraint: Target(model, constraint, tokenizer(), MAX_TOKENS), columns)
    publish_table("smiles", "python -m benchmarks.sampling.smiles", columns, [measure(row, [task]) for row in ROWS])


if __name__ == "__main__":
    main()
