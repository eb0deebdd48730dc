"""Gradient models of the same structure, batched as one by `torch.func`.

Each tensor of an ensemble stacks those of its members along a new first dimension. Losses are pure
functions, so `vmap` of `grad` computes the gradients of all members in one call, and an optimiser
moves all of them in one step.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.func import functional_call, grad, vmap

from genbench.data.types import Batch
from genbench.model import Logs
from genbench.training.arithmetic import Compiled, casting, rounding
from genbench.training.gradient import GradientModel
from genbench.training.stacked_optimizer import StackedOptimizer

Tensors = dict[str, torch.Tensor]  # [members, ...] each


class Ensemble:
    """Models that were set up, and whose settings differ only in numbers that are weights of the
    loss, learning rates or seeds.

    Members stay complete: their parameters, their buffers and the states of their optimisers become
    views of the stacks. So each can be evaluated, drawn and saved at any time, and none must take a
    step alone before `dissolve`.
    """

    def __init__(self, members: Sequence[GradientModel]) -> None:
        self.members, self.lead = list(members), members[0]
        for member in members:
            member.copy_initial_weights()
        named = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in members]
        self.tensors: Tensors = {}
        for name in named[0]:
            self.tensors[name] = torch.stack([tensors[name].detach() for tensors in named])
        for name, stack in self.tensors.items():
            for tensors, row in zip(named, stack, strict=True):
                tensors[name].data = row
        self.optimizers = {
            name: StackedOptimizer(self.members, self.tensors, name)
            for name in self.lead.objectives
        }
        self.compiled = Compiled(self._differentiated, self.lead.settings, self.lead.device)
        self.kept_weights: tuple[list[Mapping[str, float]], Tensors] = ([], {})

    def step(self, batches: Sequence[Batch]) -> list[Logs]:
        """What `GradientModel.step` does, for each member with its own batch."""
        logs: dict[str, torch.Tensor] = {}
        weights = self._weights([m.annealed(m.clock) for m in self.members])
        rate, settings, due = self.lead.rate_now, self.lead.settings, self.lead.due
        for name in due:
            noises = [m.noise_now(name, len(b.x)) for m, b in self._pairs(batches)]
            _, batch, noise = self._coupled(name, batches, noises, learning=True)
            with rounding(settings, self.lead.device):
                gradients, terms = self.compiled(name, self.tensors, batch, noise, weights)
            terms = self.compiled.kept(terms)
            if settings.grad_clip is not None:
                gradients, norms = clipped(gradients, settings.grad_clip)
                terms |= {f"{name}_gradient_norm": norms}
            self.optimizers[name].step(gradients, rate)
            self._after_step(name, self.tensors)
            logs |= terms
        self._move_averages(due, self.tensors)
        for member in self.members:
            member.clock += 1
        return self._apart(logs)

    @torch.no_grad()
    def evaluate(self, batches: Sequence[Batch], rngs: Sequence[torch.Generator]) -> list[Logs]:
        """What `GradientModel.evaluate` does, for each member with its own batch and generator."""
        logs: dict[str, torch.Tensor] = {}
        weights = self._weights([m.weights for m in self.members])
        for name in self.lead.objectives:
            noises = [
                m.draw_noise(name, len(b.x), rng)
                for (m, b), rng in zip(self._pairs(batches), rngs, strict=True)
            ]
            _, batch, noise = self._coupled(name, batches, noises, learning=False)
            loss = vmap(partial(self._loss, "loss_and_terms", name), _dimensions(batch))
            logs |= loss({}, self.tensors, batch, noise, weights)[1]
        return self._apart(logs)

    def rehearse(self, batches: Sequence[Batch]) -> None:
        """Compute a step without taking it; whatever `torch.func` raises if a model cannot be
        batched, and ValueError if a member's terms are not those that it has alone.

        They are not if its loss depends on what is neither in a tensor of the model nor in the
        batch, the noise or the weights, such as an attribute that the seed decides.
        """
        tensors = _copies(self.tensors)
        each = [m.annealed(m.clock) for m in self.members]
        weights = self._weights(each)
        for name in self.lead.objectives:
            noises = [m.noise_now(name, len(b.x)) for m, b in self._pairs(batches)]
            pairs, batch, noise = self._coupled(name, batches, noises, learning=True)
            with rounding(self.lead.settings, self.lead.device):
                gradients, _ = self._differentiated(name, tensors, batch, noise, weights)
            clipped(gradients, 1.0)
            with torch.no_grad():
                joint = vmap(partial(self._loss, "step_loss", name), _dimensions(batch))
                terms = self._apart(joint({}, tensors, batch, noise, weights)[1])
                for i, (member, pair) in enumerate(zip(self.members, pairs, strict=True)):
                    state = {key: tensor[i] for key, tensor in _copies(self.tensors).items()}
                    call = ("step_loss", name, *pair, each[i])
                    alone = functional_call(member, state, call)[1]
                    if any(not _are_close(terms[i][key], alone[key]) for key in alone):
                        raise ValueError(f"the loss of {type(member).__name__} is not pure")
            self._after_step(name, _copies(tensors), rehearsed=True)
        self._move_averages([*self.lead.objectives], _copies(tensors), rehearsed=True)

    def dissolve(self) -> None:
        """Give every member tensors of its own."""
        for member in self.members:
            for tensor in (*member.parameters(), *member.buffers()):
                tensor.data = tensor.data.clone()
        for stacked in self.optimizers.values():
            stacked.dissolve()

    def _pairs(self, batches: Sequence[Batch]) -> Iterator[tuple[GradientModel, Batch]]:
        return zip(self.members, batches, strict=True)

    def _coupled(
        self, objective: str, batches: Sequence[Batch], noises: Sequence[Tensors], learning: bool
    ) -> tuple[list[tuple[Batch, Tensors]], Batch, Tensors]:
        """What each member pairs its batch and noise to, and the stacks of both."""
        pairs = [
            member.coupled(objective, batch, noise, learning)
            for (member, batch), noise in zip(self._pairs(batches), noises, strict=True)
        ]
        return pairs, _stacked_batch([b for b, _ in pairs]), _stacked([noise for _, noise in pairs])

    def _loss(
        self, method: str, objective: str, moved: Tensors, others: Tensors, *arguments: Any
    ) -> tuple[torch.Tensor, Logs]:
        """The loss of one member, by this method, and its terms, with its tensors in place of the
        first one's.
        """
        call = (method, objective, *arguments)
        loss, terms = functional_call(self.lead, {**others, **moved}, call)
        return loss, terms

    def _cast_loss(self, *arguments: Any) -> tuple[torch.Tensor, Logs]:
        """`_loss` in the precision of training steps."""
        with casting(self.lead.settings, self.lead.device):
            return self._loss(*arguments)

    def _differentiated(
        self, objective: str, tensors: Tensors, batch: Batch, noise: Tensors, weights: Tensors
    ) -> tuple[Tensors, Logs]:
        """The gradients of all members, and the terms of their losses."""
        moved = {name: tensors[name] for name in self.lead.parameters_of(objective)}
        others = {name: tensor for name, tensor in tensors.items() if name not in moved}

        loss = grad(partial(self._cast_loss, "step_loss", objective), has_aux=True)
        return vmap(loss, _dimensions(batch))(moved, others, batch, noise, weights)

    def _after_step(self, objective: str, tensors: Tensors, rehearsed: bool = False) -> None:
        """What a model does after its step, for all members at once.

        ValueError, when it is rehearsed, for a tensor that is not changed in place.
        """
        if type(self.lead).after_step is not GradientModel.after_step:
            self._change(("at_raw_weights", "after_step", objective), tensors, rehearsed)

    def _move_averages(self, due: Sequence[str], tensors: Tensors, rehearsed: bool = False) -> None:
        """Move the averages of all members that there are, after a step of these objectives."""
        if self.lead.averages_move(due):
            self._change(("move_averages",), tensors, rehearsed)

    def _change(self, call: tuple[str, ...], tensors: Tensors, rehearsed: bool) -> None:
        """Call a method of all members that changes tensors in place."""

        def after(tensors: Tensors) -> Tensors:
            after = functional_call(self.lead, tensors, ("tensors_after", *call))
            return after if rehearsed else {}

        for name, value in vmap(after)(tensors).items():
            if not torch.equal(value, tensors[name]):
                raise ValueError(f"after_step of {type(self.lead).__name__} assigns {name} anew")

    def _weights(self, weights: Sequence[Mapping[str, float]]) -> Tensors:
        """The weights of all members by name; not copied to the device while they are the same."""
        if weights != self.kept_weights[0]:
            columns = {name: [w[name] for w in weights] for name in weights[0]}
            tensors = {
                name: torch.tensor(column).to(self.lead.device, non_blocking=True)
                for name, column in columns.items()
            }
            self.kept_weights = [dict(one) for one in weights], tensors
        return self.kept_weights[1]

    def _apart(self, logs: Logs) -> list[Logs]:
        """The terms of each member."""
        columns = {name: value.unbind() for name, value in logs.items()}
        return [
            {name: column[i] for name, column in columns.items()} for i in range(len(self.members))
        ]


def _dimensions(batch: Batch) -> tuple[Any, ...]:
    """Over which dimensions the arguments of a loss are batched: the first, of all tensors."""
    return 0, 0, Batch(0, None if batch.y is None else 0), 0, 0  # type: ignore[arg-type]


def clipped(gradients: Tensors, most: float) -> tuple[Tensors, torch.Tensor]:
    """Gradients whose norm, over all tensors of a member, is at most `most`, and the norms
    [members] before that, as `torch.nn.utils.clip_grad_norm_` has them.
    """
    norms = torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
    factors = (most / (norms + 1e-6)).clamp(max=1)
    return {n: g * factors.view(-1, *[1] * (g.dim() - 1)) for n, g in gradients.items()}, norms


def _copies(tensors: Tensors) -> Tensors:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _are_close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two terms differ by rounding only."""
    return torch.allclose(one.float(), other.float(), rtol=1e-3, atol=1e-5, equal_nan=True)


def _stacked(tensors: Sequence[Mapping[str, torch.Tensor]]) -> Tensors:
    """Stack the tensors of each name."""
    return {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}


def _stacked_batch(batches: Sequence[Batch]) -> Batch:
    labels = [batch.y for batch in batches if batch.y is not None]
    return Batch(torch.stack([b.x for b in batches]), torch.stack(labels) if labels else None)
