"""Guidance by a hidden Markov model: how probable it is that what follows a prefix will satisfy the constraint.

A language model cannot say that, a hidden Markov model (HMM) of the same texts can, exactly and fast (GeLaTo, Zhang et al. 2023, arXiv
2304.07438; Ctrl-G, 2406.13892; Deco-G, 2510.03595). `HiddenMarkov` is the model, `distil` makes one from a language model, `HMMProduct`
puts it together with an automaton, `HMMGuided` and `HMMTwist` decode with it. Needs torch; see docs/hmm.md.
"""

from structgen.sampling.hmm.guided import HMMGuided, HMMTwist
from structgen.sampling.hmm.model import HiddenMarkov
from structgen.sampling.hmm.product import HMMProduct, Prefix
from structgen.sampling.hmm.training import distil, draw

__all__ = ["HMMGuided", "HMMProduct", "HMMTwist", "HiddenMarkov", "Prefix", "distil", "draw"]
