"""The arrays of one name, end to end in a flat file, and where each of them ends.

    Column(folder, "inputs.0", name="input_ids").add([3, 1, 2]) ... .seal()  ->  mapped(folder, "inputs.0", ...)

An array (NumPy's, a tensor) has the type that it came with.  A list is kept in the smallest of int32, int64 and float64
(or bool) that holds every list of its name exactly; an empty one goes with any type.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    import numpy as np

FLUSHED = 1 << 19  # bytes of an array that wait in memory
BLOCK = 1 << 22  # numbers that are brought into another type in one go


class Unlike(ValueError):
    """What a task gave cannot be kept as it is; what it gave, and what could be."""

    def __init__(self, name: str, now: str, wanted: str):
        super().__init__(f"{name}: {now}, not {wanted}")
        self.name, self.now, self.wanted = name, now, wanted


class Column:
    """Appends arrays of any length, of one type and with the same axes behind the first."""

    def __init__(self, folder: Path, stem: str, *, name: str, before: int = 0):
        self._folder, self._stem, self._name = folder, stem, name
        # The `before` examples that were there before anything of this name came hold nothing of it.
        self._bounds = array("q", [0]) * (before + 1)
        self._end = 0
        self._waiting = bytearray()
        self._dtype: np.dtype | None = None
        self._inner: tuple[int, ...] | None = None
        self._lists = True  # only lists so far, whose type may still widen
        self._plain = True  # whole numbers of 32 bits in one axis, as nearly always: no need to look closely

    def add(self, values: Any) -> None:
        """The array of one example.

        Raises:
            Unlike: it cannot stand beside those before it as it is.
        """
        if self._plain and type(values) is list and values and type(values[0]) is int:
            try:
                self._waiting += array("i", values)
            except (TypeError, OverflowError):
                self._add(values)
            else:
                if self._dtype is None:
                    self._dtype, self._inner = _dtype("int32"), ()
                self._end += len(values)
        else:
            self._add(values)
        self._bounds.append(self._end)
        if len(self._waiting) > FLUSHED:
            self._flush()

    def _add(self, values: Any) -> None:
        listed = isinstance(values, list | tuple)
        if listed and not len(values):
            return
        found = self._read(values, listed=listed)
        if self._inner is None:
            self._inner = found.shape[1:]
        if found.shape[1:] != self._inner:
            self._refuse(f"(n, {_axes(found.shape[1:])})", f"(n, {_axes(self._inner)})")
        if found.size or not listed:
            found = self._settled(found, listed=listed)
        self._waiting += found.tobytes()
        self._end += len(found)
        self._plain = self._inner == () and (self._dtype is None or self._dtype == _dtype("int32"))

    def _read(self, values: Any, *, listed: bool) -> np.ndarray:
        import numpy as np

        try:
            found = np.asarray(values)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            self._refuse(str(error), "an array of numbers")
        if found.dtype.kind not in "biuf" or not found.ndim:
            self._refuse(f"{found.dtype} with {found.ndim} axes", "an array of numbers")
        if not listed:
            return found
        if found.dtype.kind == "f":
            found = found.astype("float64")
            exact = np.asarray(values, dtype=object)
            if not ((found == exact) | (found != found)).all():
                self._refuse("numbers that float64 does not hold", "an array of numbers")
        elif found.dtype.kind in "iu":
            small = _exactly(found, _dtype("int32"))
            found = found if small is None else small
        return found

    def _settled(self, found: np.ndarray, *, listed: bool) -> np.ndarray:
        """The array in the type of the column, which only lists may change."""
        import numpy as np

        if self._dtype is None:
            self._dtype = found.dtype
        was, exact = self._dtype, True
        if was != found.dtype and self._lists:
            wide = np.result_type(was, found.dtype) if listed else found.dtype
            exact = self._widen(was, wide)
        self._lists = self._lists and listed
        # The type of an array is meant; that of a list is whatever holds it.
        same = _exactly(found, self._dtype) if exact and (listed or self._dtype == found.dtype) else None
        if same is None:
            self._refuse(str(found.dtype), str(was))
        return same

    def _widen(self, was: np.dtype, dtype: np.dtype) -> bool:
        """What is there in another type; False where that would change a number."""
        self._flush()
        file, aside = self._file("values"), self._file("wide")
        old = flat(file, was)
        with aside.open("wb") as wide:
            for start in range(0, len(old), BLOCK):
                new = _exactly(old[start : start + BLOCK], dtype)
                if new is None:
                    return False
                new.tofile(wide)
        os.replace(aside, file)
        self._dtype = dtype
        return True

    def _refuse(self, now: str, wanted: str) -> Never:
        raise Unlike(self._name, now, wanted)

    def _file(self, what: str) -> Path:
        return self._folder / f"{self._stem}.{what}.bin"

    def _flush(self) -> None:
        with self._file("values").open("ab") as file:
            file.write(self._waiting)
        with self._file("bounds").open("ab") as file:
            self._bounds.tofile(file)
        self._waiting.clear()
        del self._bounds[:]

    def seal(self) -> dict[str, Any]:
        """Everything is written; what `mapped` must know."""
        self._flush()
        return {"dtype": (self._dtype or _dtype("int32")).str, "inner": list(self._inner or ())}


def mapped(folder: Path, stem: str, facts: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """All arrays of a name end to end, and their bounds: those of example i are values[bounds[i] : bounds[i + 1]]."""
    bounds = flat(folder / f"{stem}.bounds.bin", "int64")
    values = flat(folder / f"{stem}.values.bin", facts["dtype"])
    return values.reshape(int(bounds[-1]), *facts["inner"]) if facts["inner"] else values, bounds


def flat(file: Path, dtype: str | np.dtype) -> np.ndarray:
    """A file of numbers, mapped into memory."""
    import numpy as np

    if not file.stat().st_size:
        return np.empty(0, dtype)
    # As a plain array: slices of a `memmap` take several times as long to make.
    return np.asarray(np.memmap(file, dtype, mode="r"))


def _exactly(values: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """The same numbers in another type; None where one of them would change."""
    import numpy as np

    if values.dtype == dtype:
        return values
    with np.errstate(all="ignore"):
        found = values.astype(dtype)
        back = found.astype(values.dtype)
    # Minus one becomes 2 ** 64 - 1 and minus one again: the sign must be the same too.
    same = (back == values) & ((found < 0) == (values < 0))
    return found if (same | ((found != found) & (values != values))).all() else None


def _dtype(name: str) -> np.dtype:
    import numpy as np

    return np.dtype(name)


def _axes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
