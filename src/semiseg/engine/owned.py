"""A method's own modules, which become part of the student, and its buffers, which persist between steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg import methods
from semiseg.base.errors import UserError
from semiseg.hardware.device import memory
from semiseg.models.networks import Network

PROBE = 64  # largest side of a test image, which is used to find the number of feature channels


def give(students: Sequence[Network], method: methods.Method, crop: tuple[int, int]) -> None:
    """Add the method's modules to each student; they are trained, averaged and saved with its weights."""
    if type(method).owned is methods.Method.owned:
        return
    for student in students:
        student.owned.update(method.owned(_channels(student, crop)))


def _channels(student: Network, crop: tuple[int, int]) -> methods.Channels:
    image = torch.zeros(1, 3, *(min(side, PROBE) for side in crop))
    training = student.training
    with torch.no_grad():
        features = student.eval().encode(image)
        decoded = student.decode(features, image.shape[-2:]).features
    student.train(training)
    return methods.Channels(tuple(feature.shape[1] for feature in features), decoded.shape[1])


def make_buffers(method: methods.Method, device: torch.device) -> dict[str, Tensor]:
    """The method's buffers on the device; raises an error if they do not fit into its memory."""
    with torch.device("meta"):
        sizes = {name: buffer.nbytes for name, buffer in method.buffers().items()}
    if (wanted := sum(sizes.values())) > (there := memory(device)):
        largest = max(sizes, key=sizes.get)
        raise UserError(
            f"{largest}: the method's buffers take {_gib(wanted)} and {device} has {_gib(there)} of memory; "
            f"give {largest} a smaller value"
        )
    with torch.device(device):
        return method.buffers()


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
