"""What does a constraint cost on a GPU: applying masks, drawing tokens, whole decoding steps, bytes sent to the device?

    python -m benchmarks.gpu --publish                                       # on a CUDA device: writes benchmarks/gpu.md
    python -m benchmarks.gpu --device cpu --vocabulary 2000 --rows 2 8 \\
        --batches 1 2 --steps 4 --layers 1 --hidden 64 --dtype float32       # only to see that it runs

Masks: half of the rows allow a handful of tokens, half nearly all (JSON's punctuation and its strings). Times are medians of
``--repeats``, of CUDA events on a GPU. XGrammar is measured if it is installed, on the same masks and in the same run, with its own choice
of kernel. The model has random weights: Llama's shape with ``--layers`` and ``--hidden`` (16 and 2048: 1.2B with 131,072 tokens).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

import structgen as sg
from benchmarks.publish import ROOT, provenance, publish
from structgen.automaton import TokenAutomaton
from structgen.gpu import DeviceAutomaton, MaskAhead, MaskPool, apply_masks, sample
from structgen.masking import unpack
from structgen.processor import LogitsProcessor

PAGE = ROOT / "benchmarks" / "gpu.md"
ITEM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["name", "n"],
    "additionalProperties": False,
}
SCHEMA = {"type": "array", "items": ITEM, "minItems": 999}
REGULAR = r"(\d{4}-\d{2}-\d{2} [a-z]{1,12}\n)*"


class Way(NamedTuple):
    """A way to mask: its name, one run of it, and the bytes it sends to the device."""

    name: str
    run: Callable[[], Any]
    sent: int


def main() -> None:
    options = arguments()
    device = torch.device(options.device)
    torch.manual_seed(0)
    vocab = vocabulary(options.vocabulary)
    tables = [
        *applying(options, device, "apply masks in place", masking_ways),
        *applying(options, device, "mask, temperature 1, draw", drawing_ways),
        *decoding(options, device, vocab),
    ]
    text = "\n".join(tables)
    print(text)
    if options.publish:
        if device.type != "cuda":
            raise SystemExit("figures are published from a CUDA device only")
        publish("gpu", f"{provenance('python -m benchmarks.gpu --publish')}, {torch.cuda.get_device_name()}.\n\n{text}", PAGE)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=["float16", "bfloat16", "float32"])
    parser.add_argument("--vocabulary", type=int, default=131072, help="tokens, logits likewise")
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--steps", type=int, default=64, help="decoding steps measured, after a quarter as many unmeasured")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--publish", action="store_true", help="write the tables into benchmarks/gpu.md")
    return parser.parse_args()


def vocabulary(size: int) -> sg.Vocabulary:
    """All bytes, then distinct random pieces of printable ASCII; the last token ends a text."""
    rng = np.random.default_rng(0)
    pieces = dict.fromkeys(bytes([b]) for b in range(256))
    while len(pieces) < size - 1:
        pieces[rng.integers(32, 127, rng.integers(2, 8), dtype=np.uint8).tobytes()] = None
    return sg.Vocabulary.from_bytes([*pieces, b""], eos_token_id=size - 1)


def applying(options: argparse.Namespace, device: torch.device, title: str, ways: Callable[..., Iterator[Way]]) -> Iterator[str]:
    """A table of the ways to mask, by rows."""
    yield from (f"\n{title}: [rows, {options.vocabulary}] {options.dtype}\n", "| rows | way | us | bytes sent |", "|--:|:--|--:|--:|")
    for rows in options.rows:
        logits = torch.randn(rows, options.vocabulary, device=device, dtype=getattr(torch, options.dtype))
        for way in ways(logits, packed_masks(rows, options.vocabulary)):
            yield f"| {rows} | {way.name} | {1e6 * seconds(way.run, device, options.repeats):,.1f} | {way.sent:,} |"


def packed_masks(rows: int, width: int) -> np.ndarray:
    """Masks [rows, words]: of every second a handful of bits, of the others nearly all."""
    rng = np.random.default_rng(1)
    few, most = (rng.random((rows, 32 * -(-width // 32))) < share for share in (5 / width, 0.98))
    bits = np.where(np.arange(rows)[:, None] % 2, few, most)
    bits[:, width:] = False
    bits[:, 0] = True
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint32)


def pooled(masks: np.ndarray, device: torch.device) -> tuple[MaskPool, list[np.ndarray]]:
    rows = list(masks)
    for row in rows:
        row.flags.writeable = False
    pool = MaskPool(masks.shape[1], device, rows=len(rows), max_rows=len(rows))
    pool.lease(rows).release()
    return pool, rows


def masking_ways(logits: torch.Tensor, masks: np.ndarray) -> Iterator[Way]:
    """Bytes sent: to get the masks of one step there. The buffer is masked over and over, which does not change the work."""
    pool, rows = pooled(masks, logits.device)
    host = torch.from_numpy(masks.view(np.int32).copy())
    host = host.pin_memory() if logits.is_cuda else host
    there, ids = host.to(logits.device), pool.lease(rows).ids
    width = logits.shape[1]

    def with_ids() -> None:
        with pool.lease(rows) as numbers:
            apply_masks(logits, pool.table, numbers)

    yield Way("structgen, rows and numbers there", lambda: apply_masks(logits, pool.table, ids), 0)
    yield Way("structgen, numbers sent", with_ids, 4 * len(rows))
    yield Way("structgen without Triton, numbers there", lambda: apply_masks(logits, pool.table, ids, backend="torch"), 0)
    yield Way("torch, bits unpacked, masked_fill_", lambda: logits.masked_fill_(~unpack(there, width), -torch.inf), 0)
    xgrammar = optional("xgrammar")
    if xgrammar:
        apply = xgrammar.apply_token_bitmask_inplace
        yield Way("XGrammar, masks there", lambda: apply(logits, there), 0)
        yield Way("XGrammar, masks sent", lambda: apply(logits, host.to(logits.device, non_blocking=True)), masks.nbytes)


def drawing_ways(logits: torch.Tensor, masks: np.ndarray) -> Iterator[Way]:
    pool, rows = pooled(masks, logits.device)
    ids = pool.lease(rows).ids

    def in_steps() -> torch.Tensor:
        scores = logits.clone()
        apply_masks(scores, pool.table, ids)
        return torch.multinomial(torch.softmax(scores.float(), -1), 1)

    yield Way("structgen, one pass, Gumbel", lambda: sample(logits, pool.table, ids, temperatures=1.0), 0)
    yield Way("structgen, one pass, greedy", lambda: sample(logits, pool.table, ids), 0)
    yield Way("masks applied, torch's softmax and multinomial", in_steps, 0)


def decoding(options: argparse.Namespace, device: torch.device, vocab: sg.Vocabulary) -> Iterator[str]:
    """Whole steps of one model: tokens drawn freely, and under constraints."""
    model = llama(options, device)
    size = sum(weights.numel() for weights in model.parameters())
    pushdown, regular = sg.compile(SCHEMA, vocab), sg.compile(sg.regex(REGULAR), vocab)
    tables = DeviceAutomaton(regular, device)
    yield from (f"\ndecoding: Llama with {size / 1e9:.2f}e9 random weights, {options.dtype}, {options.steps} steps\n",)
    yield from ("| batch | way | ms per step | overhead | bytes sent per step |", "|--:|:--|--:|--:|--:|")
    for batch in options.batches:
        free = None
        for name, run in {
            "free": lambda n: Free(n, device),
            "JSON, masks prepared on the host meanwhile": lambda n: Ahead(pushdown, n, device),
            "regular, tables on the device": lambda n: OnDevice(tables, n),
        }.items():
            time, sent = decode(model, run, batch, options.steps, device)
            free = free or time
            yield f"| {batch} | {name} | {1e3 * time:.3f} | {100 * (time / free - 1):+.1f}% | {sent:,.0f} |"
        plain, masked = (generate(model, processor, batch, options.steps, device) for processor in (None, pushdown.processor()))
        yield f"| {batch} | transformers' generate, free | {1e3 * plain:.3f} | | |"
        yield f"| {batch} | transformers' generate, JSON by the processor | {1e3 * masked:.3f} | {100 * (masked / plain - 1):+.1f}% | |"


def llama(options: argparse.Namespace, device: torch.device) -> Any:
    config = LlamaConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        intermediate_size=4 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        num_key_value_heads=max(1, options.hidden // 256),
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=options.vocabulary - 1,
        pad_token_id=options.vocabulary - 1,
    )
    with device:
        return LlamaForCausalLM(config).to(getattr(torch, options.dtype)).eval()


class Free:
    """Draws of n rows without a constraint."""

    sent = 0

    def __init__(self, n: int, device: torch.device) -> None:
        self.ids = torch.full((n,), -1, dtype=torch.int32, device=device)
        self.table = torch.zeros((1, 1), dtype=torch.int32, device=device)
        self.seeds = torch.arange(n, device=device)

    def draw(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        return sample(logits, self.table, self.ids, temperatures=1.0, seeds=self.seeds, positions=step).tokens


class OnDevice:
    """Draws with the tables of a regular constraint."""

    sent = 0

    def __init__(self, tables: DeviceAutomaton, n: int) -> None:
        self.tables, self.states = tables, tables.start(n)
        self.seeds = torch.arange(n, device=self.states.device)

    def draw(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        drawn, self.states = self.tables.sample(logits, self.states, temperatures=1.0, seeds=self.seeds, positions=step)
        return drawn.tokens


class Ahead:
    """Draws with masks that a thread prepares."""

    def __init__(self, automaton: TokenAutomaton, n: int, device: torch.device) -> None:
        self.pool = MaskPool(len(automaton.mask(automaton.initial)), device)
        self.rows = MaskAhead(automaton, self.pool, n)
        self.seeds = torch.arange(n, device=device)

    @property
    def sent(self) -> int:
        return self.pool.bytes_sent

    def draw(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        ids = self.rows.ids()
        tokens = sample(logits, self.pool.table, ids, temperatures=1.0, seeds=self.seeds, positions=step).tokens
        self.rows.take(tokens)
        return tokens


@torch.inference_mode()
def decode(model: Any, way: Callable[[int], Any], batch: int, steps: int, device: torch.device) -> tuple[float, float]:
    """Seconds and bytes sent per step, once every mask has been seen: the same texts are drawn unmeasured first."""
    for _ in range(2):
        drawer, cache = way(batch), DynamicCache()
        tokens = torch.zeros((batch, 1), dtype=torch.long, device=device)
        for step in range(steps + steps // 4):
            if step == steps // 4:
                synchronize(device)
                start, sent = perf_counter(), drawer.sent
            logits = model(tokens, past_key_values=cache, use_cache=True).logits[:, -1]
            tokens = drawer.draw(logits, step)[:, None]
        synchronize(device)
        result = (perf_counter() - start) / steps, (drawer.sent - sent) / steps
    return result


@torch.inference_mode()
def generate(model: Any, processor: LogitsProcessor | None, batch: int, steps: int, device: torch.device) -> float:
    """Seconds per step of `model.generate`, the second of two runs."""
    prompts = torch.zeros((batch, 4), dtype=torch.long, device=device)
    for _ in range(2):
        torch.manual_seed(0)
        if processor is not None:
            processor.reset()
        synchronize(device)
        start = perf_counter()
        model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            logits_processor=[processor] if processor else [],
            do_sample=True,
            min_new_tokens=None if processor else steps,
            max_new_tokens=steps,
        )
        synchronize(device)
        elapsed = perf_counter() - start
    return elapsed / steps


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """The median time of a run, by events on a GPU, after some that are not counted."""
    for _ in range(3):
        run()
    return median(timed(run, device) for _ in range(repeats))


def timed(run: Callable[[], Any], device: torch.device) -> float:
    if device.type != "cuda":
        start = perf_counter()
        run()
        return perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def optional(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


if __name__ == "__main__":
    main()
