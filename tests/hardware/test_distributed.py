"""The number of processes does not change the mathematics: two gloo processes, half a batch each, against one."""

from __future__ import annotations

import os
import socket

import pytest
import torch

from semiseg.hardware import distributed
from tests.engine.conftest import METHODS, SGD, distance, gradients, only_training, train_steps

STEPS = 2
IN_PARTS = SGD | {"accumulate": 2}


def run_two(folder, work):
    """`work(rank)` in two forked processes of one gloo group; what it returns, by rank."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        port = one.getsockname()[1]
    children = [_fork(folder, rank, port, work) for rank in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _fork(folder, rank, port, work):
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.environ |= {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                "MASTER_ADDR": "localhost", "MASTER_PORT": str(port),
            }  # fmt: skip
            torch.save(work(rank), folder / f"{rank}.pt")
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def outcome(training):
    losses = train_steps(training, STEPS)
    weights = {f"{name}.{key}": value for name, network in training.state.evaluated.items()
               for key, value in network.state_dict().items() if value.is_floating_point()}  # fmt: skip
    return losses, gradients(training), {key: value.clone() for key, value in weights.items()}


def test_two_processes_compute_what_one_does(build, tmp_path):
    """Losses, gradients and weights after two steps, for every method, through the engine's own loader and step."""
    alone, places = {}, {}
    for name, method, optimiser in [*((one, one, SGD) for one in METHODS), ("parts", "fixmatch", IN_PARTS)]:
        # Adam would turn rounding in a gradient near 0 into a whole step.
        criterion = {"class_weights": "balanced", "dice": 0.5} if name == "supervised" else {}
        training = build(method, name=name, optimiser=optimiser, criterion=criterion)
        places[name] = os.getcwd()
        alone[name] = outcome(training)

    def work(rank):
        found = {}
        for method, place in places.items():
            os.chdir(place)
            found[method] = outcome(only_training())
        return found

    for found in run_two(tmp_path, work):
        for method, (losses, slopes, weights) in alone.items():
            assert found[method][0] == pytest.approx(losses, rel=1e-4, abs=1e-6), method
            assert all(loss != 0 for loss in losses.values()), (method, losses)
            assert distance(slopes, found[method][1]) < 1e-3, method
            assert distance(weights, found[method][2]) < 1e-4, method


def test_the_mean_over_processes_is_that_of_their_elements(tmp_path):
    values = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])]

    def work(rank):
        distributed.start(torch.device("cpu"))
        own = values[rank].clone().requires_grad_()
        mean = distributed.global_mean(own.sum(), torch.tensor(own.numel()))
        mean.backward()
        return {
            "mean": distributed.average(mean.detach()),
            "slope": own.grad / 2,  # the engine averages gradients
            "gathered": distributed.gather(torch.tensor([[rank, rank + 1]])),
            "mask": distributed.gather(torch.tensor([rank == 1])),
            "smallest": distributed.smallest(torch.tensor([rank, -rank])),
            "agreed": [distributed.agree(rank == 1, torch.device("cpu"), iteration) for iteration in (9, 10)],
        }

    for found in run_two(tmp_path, work):
        assert found["mean"] == 4
        assert (found["slope"] == 0.25).all()
        assert found["gathered"].tolist() == [[0, 1], [1, 2]]
        assert found["mask"].tolist() == [False, True]
        assert found["smallest"].tolist() == [0, -1]
        assert found["agreed"] == [False, True]


@pytest.mark.parametrize("method", ["advsemiseg", "fixmatch"])
def test_accumulated_gradients_are_the_mean_of_the_parts(method, build, frozen_statistics):
    """A batch in two parts: as if each part were a batch, and the gradients averaged."""
    halves = build(method, optimiser=IN_PARTS)
    losses = train_steps(halves, 1)
    parts = build(method, name="parts", optimiser=SGD)
    [batch] = parts.loader.batches(0, 1)
    wanted, expected = [], []
    for part in range(2):
        parts.state.zero_grad()
        named = {}
        for turn, losses_of_one in enumerate(parts.losses(batch, part, 2)):
            sum(losses_of_one.values()).backward()
            named |= losses_of_one
            # In the students' turn the discriminator learns nothing; the second turn is its own.
            assert any(key.startswith("auxiliary") for key in gradients(parts)) == (turn == 1)
        wanted.append(gradients(parts))
        expected.append(named)
    mean = {key: (wanted[0][key] + wanted[1][key]) / 2 for key in wanted[0]}
    assert distance(mean, gradients(halves)) < 1e-5
    assert losses == pytest.approx(
        {name: float((expected[0][name] + expected[1][name]).detach()) / 2 for name in losses}
    )
