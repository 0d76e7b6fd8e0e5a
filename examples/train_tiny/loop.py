"""The training loop of the embedded models, on CPU with bfloat16 matrix products.

The learning rate follows the processor time that each process has used (warm up, hold, fall to zero), so a run of --minutes ends
well on any machine, and a busy one only takes longer by the clock.
One process a core, each with one thread and its own batches, gradients averaged at each step: faster than one process with two threads.
Matrices are trained by Muon (Jordan et al. 2024: momentum, orthogonalised by five Newton-Schulz steps), the rest by AdamW.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn

from .dataset import Tokens, read

MAX_TOKENS = 288
EASY_TOKENS, EASY_EXAMPLES = 150, 8_000


class Task(Protocol):
    """What is trained, on what, and how it is stored."""

    def new_model(self, options: dict[str, Any]) -> nn.Module: ...

    def batch(self, data: Tokens, group: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """The examples with these numbers; [examples, width] first."""
        ...

    def loss(self, model: nn.Module, *batch: Tensor) -> Tensor: ...

    def save(self, model: nn.Module, masters: list[Tensor], folder: Path) -> None: ...


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix updates are replaced by the nearest (scaled) orthogonal matrix."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(buffer, group["momentum"]))
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonal(g: Tensor) -> Tensor:
    """Five quintic Newton-Schulz steps; the coefficients are those of the Muon reference."""
    x = g.bfloat16()
    x = x.T if g.shape[0] > g.shape[1] else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if g.shape[0] > g.shape[1] else x).float()


def batches(task: Task, data: Tokens, tokens_per_batch: int, seed: int, easy: int) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches of examples of similar lengths. `easy` short ones come first."""
    rng = np.random.default_rng(seed)
    lengths = np.diff(data.starts)
    order = rng.permutation(np.flatnonzero(lengths <= EASY_TOKENS))[:easy]
    while True:
        for window in np.array_split(order, max(1, len(order) // 4096)):
            window = window[np.argsort(lengths[window], kind="stable")]
            groups = _groups(window, lengths, tokens_per_batch)
            for i in rng.permutation(len(groups)):
                yield task.batch(data, groups[i], rng)
        order = rng.permutation(np.flatnonzero(lengths <= MAX_TOKENS))


def _groups(window: np.ndarray, lengths: np.ndarray, tokens_per_batch: int) -> list[np.ndarray]:
    groups, first = [], 0
    for last in range(1, len(window) + 1):
        if last == len(window) or lengths[window[last]] * (last + 1 - first) > tokens_per_batch:
            groups.append(window[first:last])
            first = last
    return groups


def width_of(data: Tokens, group: np.ndarray) -> int:
    """The longest of these examples, rounded up."""
    width = int(max(data.starts[i + 1] - data.starts[i] for i in group))
    return width + -width % 16


def schedule(done: float, warm: float = 0.01, fall_from: float = 0.5) -> float:
    """The factor on the learning rate after a share `done` of the time."""
    return min(1.0, done / warm + 0.01, max(0.0, (1 - done) / (1 - fall_from)))


class Trainer:
    """bfloat16 parameters for the passes, float32 masters for the updates, and gradients averaged over the processes."""

    def __init__(self, task: Task, model: nn.Module, muon_lr: float, adam_lr: float) -> None:
        self.task, self.model = task, model
        self.parameters = list(model.parameters())
        self.masters = [nn.Parameter(p.detach().float()) for p in self.parameters]
        matrices = [m for m, (name, _) in zip(self.masters, model.named_parameters(), strict=True) if m.ndim == 2 and "layers" in name]
        others = [m for m in self.masters if all(m is not matrix for matrix in matrices)]
        self.optimizers = [Muon(matrices, muon_lr, decay=0.1), torch.optim.AdamW(others, adam_lr, betas=(0.9, 0.98), weight_decay=0.0)]
        self.bases = [muon_lr, adam_lr]
        model.bfloat16()

    def step(self, batch: tuple[Tensor, ...], done: float, factor: float) -> tuple[float, float]:
        """One update; returns the loss and the share of time done, averaged over the processes so that all of them agree."""
        loss = self.task.loss(self.model, *batch)
        loss.backward()
        message = torch.cat([*(p.grad.flatten().float() for p in self.parameters), torch.tensor([loss.item(), done])])
        if dist.is_initialized():
            dist.all_reduce(message, op=dist.ReduceOp.SUM)
            message /= dist.get_world_size()
        *gradients, last = message.split([*(p.numel() for p in self.parameters), 2])
        for p, master, gradient in zip(self.parameters, self.masters, gradients, strict=True):
            master.grad, p.grad = gradient.view_as(master), None
        for optimizer, base in zip(self.optimizers, self.bases, strict=True):
            optimizer.param_groups[0]["lr"] = base * factor
            optimizer.step()
        for p, master in zip(self.parameters, self.masters, strict=True):
            p.data.copy_(master)
        return float(last[0]), float(last[1])


def train(rank: int, task: Task, options: dict[str, Any]) -> None:
    """One process of the run."""
    torch.set_num_threads(1)
    if options["processes"] > 1:
        dist.init_process_group("gloo", init_method=options["rendezvous"], rank=rank, world_size=options["processes"])
    torch.manual_seed(options["seed"])
    model = task.new_model(options)
    trainer = Trainer(task, model, options["muon_lr"], options["adam_lr"])
    log = print if rank == 0 else (lambda *_, **__: None)
    log(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    saved = time.monotonic()
    begun = time.process_time()
    smooth, n_tokens, done = 0.0, 0, 0.0
    for step, batch in enumerate(
        batches(task, read(options["data"]), options["tokens"], options["seed"] * 100 + rank, 0 if options["start"] else EASY_EXAMPLES)
    ):
        loss, done = trainer.step(batch, (time.process_time() - begun) / 60 / options["minutes"], schedule(done))
        smooth += (loss - smooth) * max(0.02, 1 / (step + 1))
        n_tokens += batch[0].numel() * options["processes"]
        if step % 50 == 0:
            seconds = time.process_time() - begun
            figures = {"minutes": round(seconds / 60, 2), "loss": round(smooth, 4), "tokens_per_second": round(n_tokens / seconds)}
            log(json.dumps({"step": step, **figures}), flush=True)
        if done >= 1:
            break
        if rank == 0 and time.monotonic() - saved > 240:
            task.save(model, trainer.masters, options["folder"])
            saved = time.monotonic()
    if rank == 0:
        task.save(model, trainer.masters, options["folder"])


def main(task: Task, description: str | None, width: int = 192, layers: int = 5) -> None:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path, help="where checkpoints go")
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--minutes", type=float, default=60, help="of processor time, per process")
    parser.add_argument("--width", type=int, default=width)
    parser.add_argument("--layers", type=int, default=layers)
    parser.add_argument("--tokens", type=int, default=2048, help="per batch and process")
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=0.004)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = vars(parser.parse_args())
    options["folder"].mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as rendezvous:
        options["rendezvous"] = f"file://{rendezvous}/store"
        torch.multiprocessing.spawn(train, (task, options), nprocs=options["processes"])
