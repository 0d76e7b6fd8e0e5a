"""Who decides which drafts to keep. All but those named lossy leave the target's law exactly as it is.

| verifier | drafts | source |
|---|---|---|
| `GreedyMatch` | any; the output is greedy decoding | Stern et al., arXiv 1811.03115 |
| `SampleFollow` | any; the best for drafts without chance | see `following` |
| `GumbelCoupled` | any; one seed, one text | arXiv 2408.07978 |
| `TraversalVerification` | any kinds, any tree; the best for drawn ones | arXiv 2505.12398 |
| `RecursiveRejection` | any kinds, any tree; token-wise on a chain, RSD without replacement | arXiv 2211.17192, 2402.14160 |
| `BlockVerification` | chains | arXiv 2403.10444 |
| `KSeq` | independent siblings | arXiv 2310.15141 |
| `MultiPathBlock` | independent chains | after arXiv 2602.16961 |
| `LossyTypicalAcceptance` | any; another law | arXiv 2401.10774 |
| `LossyJudge` | any; another law; needs a trained head | arXiv 2501.19309 |
| `LossyArbitrage` | whole steps; another law; needs a trained router | arXiv 2512.05033 |
"""

from structgen.speculative.verifiers.block import BlockVerification
from structgen.speculative.verifiers.following import GreedyMatch, GumbelCoupled, SampleFollow
from structgen.speculative.verifiers.k_seq import KSeq
from structgen.speculative.verifiers.lossy_arbitrage import LossyArbitrage
from structgen.speculative.verifiers.lossy_judge import LossyJudge
from structgen.speculative.verifiers.lossy_typical import LossyTypicalAcceptance
from structgen.speculative.verifiers.multi_path import MultiPathBlock
from structgen.speculative.verifiers.rejection import RecursiveRejection
from structgen.speculative.verifiers.traversal import TraversalVerification

__all__ = [
    "BlockVerification",
    "GreedyMatch",
    "GumbelCoupled",
    "KSeq",
    "LossyArbitrage",
    "LossyJudge",
    "LossyTypicalAcceptance",
    "MultiPathBlock",
    "RecursiveRejection",
    "SampleFollow",
    "TraversalVerification",
]
