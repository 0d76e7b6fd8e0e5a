"""Sampling that keeps the model's own distribution: P(w) given that the constraint allows w, not masked token by token.

>>> import structgen as sg
>>> strategy = sg.sampling.SMC(n=10, step=sg.sampling.AWRS())  # for sg.generate(model, tokenizer, prompt, constraint, strategy=strategy)

See docs/sampling.md for which strategy to take, docs/notes/006-sampling.md for how they are built.
"""

from importlib import import_module
from typing import Any

from structgen.sampling.anchored import Anchored
from structgen.sampling.asap import ASAp
from structgen.sampling.awrs import AWRS, Geometric, Recursive, TwoLoop
from structgen.sampling.beam import Beam, DiverseBeam
from structgen.sampling.best_first import BestFirst
from structgen.sampling.cautious import CNTP
from structgen.sampling.choice import Choose, Seeded
from structgen.sampling.constraints import Conjunction, Potential, TokenConstraint, potential
from structgen.sampling.contrastive import Contrastive
from structgen.sampling.extract import Extract
from structgen.sampling.language_model import CallableModel, LanguageModel
from structgen.sampling.mcmc import MCMC
from structgen.sampling.rejection import ARS, CARS, RS, RSFT
from structgen.sampling.samples import Sample, Samples, SamplingFailed
from structgen.sampling.smc import SMC, Critic, Masking
from structgen.sampling.steps import MaskStep, StepSampler
from structgen.sampling.stepwise import Ancestral, Greedy, Stepwise
from structgen.sampling.strategy import DecodingStrategy
from structgen.sampling.sum_and_sample import SumAndSample
from structgen.sampling.superposed import Superposed
from structgen.sampling.switching import EntropySwitch
from structgen.sampling.target import Target
from structgen.sampling.trie import PrefixTrie
from structgen.sampling.weighted_cars import WeightedCARS

__all__ = [
    "ARS",
    "AWRS",
    "CARS",
    "CNTP",
    "MCMC",
    "RS",
    "RSFT",
    "SMC",
    "ASAp",
    "Ancestral",
    "Anchored",
    "Beam",
    "BestFirst",
    "CallableModel",
    "Choose",
    "Conjunction",
    "Contrastive",
    "Critic",
    "DecodingStrategy",
    "DiverseBeam",
    "EntropySwitch",
    "Extract",
    "Geometric",
    "Greedy",
    "LanguageModel",
    "MaskStep",
    "Masking",
    "Potential",
    "PrefixTrie",
    "Recursive",
    "Sample",
    "Samples",
    "SamplingFailed",
    "Seeded",
    "StepSampler",
    "Stepwise",
    "SumAndSample",
    "Superposed",
    "Target",
    "TokenConstraint",
    "TwoLoop",
    "WeightedCARS",
    "potential",
]


def __getattr__(name: str) -> Any:
    if name == "hmm":  # needs torch
        return import_module("structgen.sampling.hmm")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
