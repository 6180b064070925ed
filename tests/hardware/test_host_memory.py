"""Memory is kept between tensors, and nothing else changes."""

import subprocess
import sys

SCRIPT = """
import resource, sys
if sys.argv[1] == "kept":
    from semiseg.hardware import host_memory
    host_memory.keep()
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
layer, images = torch.nn.Conv2d(3, 16, 3, padding=1), torch.randn(4, 3, 128, 128)

def step():
    loss = torch.nn.functional.relu(layer(images)).square().mean()
    loss.backward()
    return loss.item()

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
losses = [step() for _ in range(30)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, sum(losses), layer.weight.grad.sum().item())
"""


def run(how):
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    faults, *computed = done.stdout.split()
    return int(faults), computed


def test_tensors_find_their_pages_where_the_last_ones_left_them():
    (faults, computed), (kept_faults, kept_computed) = run("as it comes"), run("kept")
    assert kept_faults < faults / 5
    assert kept_computed == computed
