from __future__ import annotations

import pytest
import torch

from textrec.learn.rates import Rates, RateSchedule, factor


def optimizer() -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.8, 0.02)]
    return torch.optim.Adam(groups)


def test_schedules_fall_from_one_to_a_tenth() -> None:
    places = (0.0, 0.5, 1.0)
    assert [factor("cosine", place) for place in places] == pytest.approx([1, 0.55, 0.1])
    assert [factor("linear", place) for place in places] == pytest.approx([1, 0.55, 0.1])
    assert [factor("constant", place) for place in places] == [1, 1, 1]
    assert factor("cosine", 0.25) == pytest.approx(0.1 + 0.9 * (1 + 2**-0.5) / 2)
    assert factor("linear", 0.25) == pytest.approx(0.775)


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.1), ("linear", 0.1), ("constant", 1.0)])
def test_every_group_moves_by_epochs(schedule: RateSchedule, last: float) -> None:
    moved = optimizer()
    rates = Rates(moved, schedule)
    rates.begin_epoch(3, 3)
    rates.begin_step()
    assert [group["lr"] for group in moved.param_groups] == pytest.approx([0.8 * last, 0.02 * last])
    rates.begin_epoch(1, 1)  # one epoch is the first, not the last
    assert [group["lr"] for group in moved.param_groups] == [0.8, 0.02]


def test_a_warm_up_rises_by_steps_to_the_schedule() -> None:
    moved = optimizer()
    rates = Rates(moved, "linear", warmup_steps=4)
    seen = []
    for epoch in (1, 2, 3):
        rates.begin_epoch(epoch, 3)
        for _ in range(3):
            rates.begin_step()
            seen.append(moved.param_groups[0]["lr"] / 0.8)
    assert seen == pytest.approx([0.25, 0.5, 0.75, *[0.55] * 3, *[0.1] * 3])
