"""The engine's interface for a method at one iteration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from semiseg.feed.draws import Draws
from semiseg.hardware import distributed
from semiseg.models.outputs import Output
from semiseg.models.student import Student


class Step:
    """One iteration: networks, keyed draws, the supervised criterion, and operations across processes."""

    def __init__(
        self,
        *,
        iteration: int,
        iterations: int,
        students: list[Student],
        teacher: Student | None,
        auxiliary: Callable[[Tensor], Tensor] | None,
        buffers: dict[str, Tensor],
        criterion: Callable[[Output, Tensor], Tensor],
        draws: Draws,
        rows: slice,
        of_labelled: tuple[Draws, slice] | None = None,
        joint: bool = True,
        needed: Mapping[str, Callable[[Tensor], Output]] | None = None,
        control: Callable[[Tensor], Tensor],
    ) -> None:
        self.iteration, self.iterations = iteration, iterations
        self.student = students[0]
        self.second = students[1] if len(students) > 1 else None
        self.student_eval = students[0].frozen
        self.teacher: Any = teacher.frozen if teacher else None
        self.auxiliary, self.buffers = auxiliary, buffers
        self.owned = students[0].owned
        self.teacher_owned: Any = teacher.owned if teacher else None
        self.supervised = criterion
        self.draws, self.rows = draws, rows
        self.joint, self.needed = joint, needed or {}
        self._of_labelled = of_labelled
        self.targets = control
        self.gather, self.global_mean = distributed.gather, distributed.global_mean

    @property
    def labelled(self) -> Step:
        """The same step, with the draws and the rows of the labelled images."""
        step = copy.copy(self)
        step.draws, step.rows = self._of_labelled
        return step
