"""An optimiser that moves all members of an ensemble at once."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch

from genbench.training.gradient import GradientModel, laid_out_as
from genbench.training.optim import optimizer, scale_rates


class StackedOptimizer:
    """The optimiser of an objective of all members, with a group for each run of members that have
    the same learning rate.

    `states` of torch's optimisers hold tensors like the parameter and one number, the `step`.
    """

    def __init__(
        self,
        members: Sequence[GradientModel],
        tensors: Mapping[str, torch.Tensor],
        objective: str,
    ) -> None:
        self.names = [*members[0].parameters_of(objective)]
        self.own = [(m.moved[objective], m.optimizers[objective]) for m in members]
        rates = [m.learning_rates[objective] for m in members]
        self.spans: list[slice] = []
        groups: list[dict[str, Any]] = []
        for lr, same in groupby(range(len(rates)), key=rates.__getitem__):
            places = [*same]
            span = slice(places[0], places[-1] + 1)
            self.spans.append(span)
            groups.append({"params": [tensors[n][span] for n in self.names], "lr": lr})
        self.stacked = optimizer(groups, members[0].settings)
        for stack, rows in self._rows():
            states = [own.state[parameter] for own, parameter in rows if parameter in own.state]
            if states:  # then all have one
                self.stacked.state[stack] = {
                    key: _stacked_values(key, [state[key] for state in states]) for key in states[0]
                }
        self.is_shared = False

    def step(self, gradients: Mapping[str, torch.Tensor], factor: float) -> None:
        """Move the members along their gradients, with this factor of the learning rates."""
        for group, span in zip(self.stacked.param_groups, self.spans, strict=True):
            for parameter, name in zip(group["params"], self.names, strict=True):
                parameter.grad = laid_out_as(parameter, gradients[name][span])
        for one in (self.stacked, *(own for _, own in self.own)):
            scale_rates(one, factor)
        self.stacked.step()
        if not self.is_shared:  # an optimiser has states after its first step only
            self._share()

    def _rows(self) -> Iterator[tuple[torch.Tensor, list[tuple[torch.optim.Optimizer, Any]]]]:
        """Each stacked parameter with the members' optimisers and parameters that belong to it."""
        for group, span in zip(self.stacked.param_groups, self.spans, strict=True):
            for k, stack in enumerate(group["params"]):
                yield stack, [(own, moved[k]) for moved, own in self.own[span]]

    def _share(self) -> None:
        """Make the states of the members' optimisers views of the stacked ones."""
        self.is_shared = True
        for stack, rows in self._rows():
            state = self.stacked.state.get(stack) or {}  # some optimisers need none
            for i, (own, parameter) in enumerate(rows if state else ()):
                own.state[parameter] = {
                    key: value[i] if _is_like_parameter(key, value) else value
                    for key, value in state.items()
                }

    def dissolve(self) -> None:
        """Give the optimiser of every member states of its own."""
        for _, rows in self._rows():
            for own, parameter in rows:
                if parameter in own.state:
                    state = own.state[parameter].items()
                    own.state[parameter] = {key: _copied(value) for key, value in state}


def _is_like_parameter(key: str, value: Any) -> bool:
    return key != "step" and isinstance(value, torch.Tensor)


def _stacked_values(key: str, values: list[Any]) -> Any:
    return torch.stack(values) if _is_like_parameter(key, values[0]) else _copied(values[0])


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value
