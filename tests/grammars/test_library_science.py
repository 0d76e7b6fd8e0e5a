"""The grammars of molecules, plans, chess games and regular expressions on texts that other programs write and read."""

from __future__ import annotations

import re
from functools import cache
from random import Random

import pytest

import structgen as sg
from structgen.automaton import TokenAutomaton
from structgen.enumeration import byte_automaton
from structgen.grammars import library

chem = pytest.importorskip("rdkit.Chem")
chess = pytest.importorskip("chess")
chess_pgn = pytest.importorskip("chess.pgn")


@cache
def automaton(name: str, start: str | None = None) -> TokenAutomaton:
    return byte_automaton(library.grammar(name, start))


MOLECULES = {
    "aspirin": "CC(=O)OC1=CC=CC=C1C(=O)O",
    "caffeine": "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "fluorene": "c1ccc-2c(c1)Cc1c2cccc1",
    "imatinib": "CC1=C(C=C(C=C1)NC(=O)C2=CC=C(C=C2)CN3CCN(CC3)C)NC4=NC=CC(=N4)C5=CN=CC=C5",
    "morphine": "CN1CC[C@]23C4=C5C=CC(O)=C4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5",
    "adamantane": "C1C2CC3CC1CC(C2)C3",
    "salt": "[NH4+].[O-]S(=O)(=O)[O-].[NH4+]",
    "ferrocene": "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1",
    "cyclooctene": r"C1=C/CCCCCC/1",
    "taxane core": "CC1=C2C(C(=O)C3(C(CC4C(C3C(C(C2(C)C)(CC1O)O)O)(CO4)O)O)C)O",
}


@pytest.mark.parametrize("name", MOLECULES)
def test_molecules_as_rdkit_writes_them(name: str) -> None:
    molecule = chem.MolFromSmiles(MOLECULES[name])
    written = {chem.MolToSmiles(molecule, isomericSmiles=isomeric) for isomeric in (True, False)}
    written |= {chem.MolToSmiles(molecule, allHsExplicit=True), chem.MolToSmiles(molecule, allBondsExplicit=True)}
    chem.Kekulize(molecule, clearAromaticFlags=True)
    written.add(chem.MolToSmiles(molecule, kekuleSmiles=True))
    for smiles in written:
        assert automaton("smiles").accepts(smiles), smiles
        assert automaton("smiles", "syntax").accepts(smiles)


def test_rdkit_reads_molecules_of_the_grammar() -> None:
    """All without a second bond between two atoms, which is the one thing that RDKit checks and the grammar does not."""
    n_read = 0
    for word in sg.random_words(library.grammar("smiles"), 150, seed=1, typical_length=12):
        molecule = chem.MolFromSmiles(word.decode(), sanitize=False)
        if molecule is not None:
            n_read += 1
        else:
            assert doubles_a_bond(word.decode()), word
    assert n_read > 80


def doubles_a_bond(smiles: str) -> bool:
    """Whether two atoms are bonded twice: bonds are read off a list of tokens, with a stack of branches."""
    bonds: set[tuple[int | None, int | None]] = set()
    opened: dict[str, int | None] = {}
    stack: list[int | None] = []
    last: int | None = None
    n = 0
    for token in re.findall(r"\[[^]]*\]|Cl|Br|[A-Za-z*]|[0-9.()]", smiles):
        if token == "(":
            stack.append(last)
        elif token == ")":
            last = stack.pop()
        elif token == ".":
            last = None
        elif token.isdigit() and token not in opened:
            opened[token] = last
        else:
            if token.isdigit():
                pair = opened.pop(token), last
            else:
                pair, last, n = (last, n), n, n + 1
            if pair in bonds:
                return True
            bonds |= {pair, pair[::-1]} if None not in pair else set()
    return False


@pytest.mark.parametrize("smiles", ["C%12CCCCC%12", "C0CC0", "C=1CCCCC=1", "C1CC", "C(((((((C)))))))"])
def test_rings_that_only_the_syntax_has(smiles: str) -> None:
    assert not automaton("smiles").accepts(smiles)
    assert automaton("smiles", "syntax").accepts(smiles) == ("((" not in smiles)


def random_game(random: Random) -> str:
    """A legal game with comments, NAGs and variations, as python-chess writes it."""
    game = chess_pgn.Game({"Event": "A 'test'", "White": "Łasker", "Result": random.choice(("*", "1-0", "1/2-1/2"))})
    nodes = [game]
    for _ in range(random.randrange(40)):
        node = nodes[-1] if random.random() < 0.8 else random.choice(nodes)
        moves = list(node.board().legal_moves)
        if moves:
            node = node.add_variation(random.choice(moves))
            node.comment = random.choice(("", "", "good; (or not) 1-0"))
            node.nags = set(random.sample(range(256), random.choice((0, 0, 1, 2))))
            nodes.append(node)
    return str(game)


def test_games_as_python_chess_writes_them() -> None:
    random = Random(1)
    for _ in range(50):
        game = random_game(random)
        assert automaton("pgn").accepts(game), game
        assert automaton("pgn").accepts(f"{game}\n\n{game}\n") and automaton("pgn", "game").accepts(game)


def test_all_moves_of_random_games() -> None:
    random = Random(2)
    for _ in range(5):
        board = chess.Board()
        while not board.is_game_over() and board.fullmove_number < 80:
            moves = {board.san(move) for move in board.legal_moves}
            assert all(automaton("pgn").accepts(f"{move} *") for move in moves)
            board.push(random.choice(list(board.legal_moves)))


LOGISTICS = """\
; A domain with types, costs and a conditional effect.
(define (domain delivery)
  (:requirements :adl :typing :action-costs)
  (:types truck parcel - thing place - object)
  (:constants depot - place)
  (:predicates (at ?x - thing ?p - place) (in ?x - parcel ?t - truck) (road ?from ?to - place))
  (:functions (distance ?from ?to - place) - number (total-cost) - number)
  (:action drive
    :parameters (?t - truck ?from ?to - place)
    :precondition (and (at ?t ?from) (or (road ?from ?to) (road ?to ?from)) (not (= ?from ?to)))
    :effect (and (not (at ?t ?from)) (at ?t ?to)
                 (forall (?x - parcel) (when (in ?x ?t) (and (not (at ?x ?from)) (at ?x ?to))))
                 (increase (total-cost) (distance ?from ?to)))))
"""
TASK = """\
(define (problem one-parcel) (:domain delivery)
  (:objects t1 - truck p1 - parcel home - place)
  (:init (at t1 depot) (in p1 t1) (road depot home) (= (distance depot home) 2.5) (= (total-cost) 0))
  (:goal (exists (?t - truck) (and (at p1 home) (at ?t depot))))
  (:metric minimize (total-cost)))
"""


def test_plans() -> None:
    assert automaton("pddl").accepts(LOGISTICS) and automaton("pddl").accepts(TASK.upper())
    assert automaton("pddl", "problem").accepts(TASK.strip()) and not automaton("pddl", "domain").accepts(TASK.strip())
    for start in range(0, len(TASK), 7):
        assert not automaton("pddl").accepts(TASK[:start])


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
        r"^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$",
        r"(?i)^https?://(?:www\.)?[-\w@:%.+~#=]{1,256}\.[a-z]{2,6}\b(?:[-\w@:%+.~#?&/=]*)$",
        r'"(?:[^"\\]|\\.)*"',
        r"(?<![\w.])-?\d+(?:[.,]\d{3})*(?:\.\d+)?(?![\w.])",
        r"^(?=.*[A-Z])(?=.*[a-z])(?=.*\d)(?=.*[^\w\s]).{8,64}$",
        r"[\x00-\x1f\x7f]|[\u0400-\u052f]|[\u4e00-\u9fff]+",
    ],
)
def test_regular_expressions_that_people_write(pattern: str) -> None:
    assert automaton("regex").accepts(pattern)


def test_regular_expressions_of_the_grammar_compile_here_too() -> None:
    for word in sg.random_words(library.grammar("regex"), 40, seed=1, typical_length=15):
        sg.regex(word.decode())
