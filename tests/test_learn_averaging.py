from __future__ import annotations

import numpy as np
import pytest
import torch

from textrec.learn.averaging import Averaging, WeightAverage


def walk(
    averaging: Averaging, values: list[float], steps_an_epoch: int = 1
) -> tuple[torch.nn.Parameter, WeightAverage]:
    """A parameter that takes these values, one a step."""
    weight = torch.nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight], averaging)
    for step, value in enumerate(values, 1):
        weight.data.fill_(value)
        average.after_step()
        if step % steps_an_epoch == 0:
            average.after_epoch()
    return weight, average


def inside(weight: torch.nn.Parameter, average: WeightAverage) -> float:
    with average.in_place():
        return float(weight.detach()[0])


def test_exponential_is_the_recursion_with_a_young_start() -> None:
    values = np.random.default_rng(0).normal(size=40).tolist()
    weight, average = walk(Averaging("exponential", decay=0.7), values)
    slow = values[0]
    for step, value in enumerate(values, 1):
        decay = min(0.7, (1 + step) / (10 + step))
        slow = decay * slow + (1 - decay) * value
    assert inside(weight, average) == pytest.approx(slow, rel=1e-5)


def test_epochs_is_the_mean_of_the_last_ends() -> None:
    weight, average = walk(Averaging("epochs", epochs=3), [1, 2, 3, 4, 5, 6, 7, 8], steps_an_epoch=2)
    assert inside(weight, average) == (4 + 6 + 8) / 3
    weight, average = walk(Averaging("epochs", epochs=3), [1, 2, 3, 4], steps_an_epoch=2)
    assert inside(weight, average) == (2 + 4) / 2


@pytest.mark.parametrize("averaging", [Averaging(), Averaging("exponential"), Averaging("epochs")])
def test_training_goes_on_from_the_weights_themselves(averaging: Averaging) -> None:
    weight, average = walk(averaging, [1.0, 5.0])
    with average.in_place():
        held = float(weight.detach()[0])
    assert float(weight.detach()[0]) == 5
    assert held == 5 if averaging.kind == "none" else 1 < held < 5


def test_before_the_first_step_the_weights_are_their_average() -> None:
    weight, average = walk(Averaging("exponential"), [])
    assert inside(weight, average) == 0


@pytest.mark.parametrize("averaging", [Averaging(), Averaging("exponential"), Averaging("epochs", epochs=2)])
def test_it_goes_on_from_a_state(averaging: Averaging) -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    whole, expected = walk(averaging, [*values, 9.0, 2.0])
    state = walk(averaging, values)[1].state()
    weight, resumed = walk(averaging, [])
    resumed.resume(state)
    for value in (9.0, 2.0):
        weight.data.fill_(value)
        resumed.after_step()
        resumed.after_epoch()
    assert inside(weight, resumed) == inside(whole, expected)


def test_frozen_parameters_stay_as_they_are() -> None:
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    assert WeightAverage([frozen], Averaging("epochs")).parameters == []
