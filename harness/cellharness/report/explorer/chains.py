"""Outlines of all cells of a label image as one short text that a page can draw at any size.

An outline follows the edges between pixels, a cell on its right-hand side. It is written as the
corner where it starts and then one turn a step, so that a step costs a fifth of a letter.

The text holds one outline after the other. Four digits of base 81, the highest first, give the
corner as ``row * (width + 1) + column``; the first step goes right from there. Each further letter
is a number below 81 whose base-3 digits, the lowest first, are turns: 0 straight on, 1 left, 2
right. The outline ends where it comes back to its first step; what is left of that letter is
padding. Digits and numbers are ASCII letters from ``#`` on without the backslash.
"""

from __future__ import annotations

import numpy as np

from cellharness.compiled import compiled

#: No image may have more corners, or the first ones could not be written.
MOST_CORNERS = 81**4
_LETTERS = np.array([code for code in range(35, 117) if chr(code) != "\\"], np.uint8)


def write_outlines(labels: np.ndarray) -> tuple[str, np.ndarray]:
    """Write the outlines of all cells, holes and loose parts included.

    Parameters
    ----------
    labels : ndarray of unsigned int, (H, W)
        Label image; ``(H + 1) * (W + 1)`` is at most `MOST_CORNERS`.

    Returns
    -------
    text, cells : str, ndarray of int64
        The text, see the module, and of each outline in it the cell it belongs to. Pixels that
        touch at a corner only are not connected.

    Raises
    ------
    ValueError
        If the image is not 2-D or too large.

    Examples
    --------
    >>> text, cells = write_outlines(np.array([[0, 7]], np.uint8))
    >>> text, cells.tolist()
    ('###$t', [7])
    """
    if labels.ndim != 2 or (labels.shape[0] + 1) * (labels.shape[1] + 1) > MOST_CORNERS:
        valid = f"2-D ones with at most {MOST_CORNERS} corners"
        msg = f"a label image of shape {labels.shape} cannot be outlined; valid are {valid}"
        raise ValueError(msg)
    framed = np.zeros((labels.shape[0] + 2, labels.shape[1] + 2), np.int64)
    framed[1:-1, 1:-1] = labels
    letters, cells = _letters(framed)
    return bytes(_LETTERS[letters]).decode("ascii"), cells


@compiled
def _letters(framed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk around every cell of an image with a frame of background; numbers are below 81."""
    rows, columns = framed.shape[0] - 2, framed.shape[1] - 2
    walked = np.zeros((rows + 2, columns + 2), np.bool_)
    # Right, down, left, up; then the pixel ahead to the right and ahead to the left of a corner.
    step_row, step_column = (0, 1, 0, -1), (1, 0, -1, 0)
    right_row, right_column = (1, 1, 0, 0), (1, 0, 0, 1)
    left_row, left_column = (0, 1, 1, 0), (1, 1, 0, 0)

    edges = 0
    for row in range(1, rows + 2):
        for column in range(1, columns + 2):
            cell = framed[row, column]
            edges += int(framed[row - 1, column] != cell) + int(framed[row, column - 1] != cell)
    # Each of them may lie between two cells. An outline has at least four edges, and costs four
    # letters and one for every four edges.
    letters = np.empty(edges // 2 * 6 + 8, np.uint8)
    cells = np.empty(edges // 2, np.int64)
    used = outlines = 0

    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            cell = framed[row, column]
            if cell == 0 or framed[row - 1, column] == cell or walked[row, column]:
                continue
            cells[outlines] = cell
            outlines += 1
            # In corners of the image without its frame, the pixel's upper left one.
            y, x = row - 1, column - 1
            start = y * (columns + 1) + x
            for power in (531_441, 6561, 81, 1):
                letters[used] = start // power % 81
                used += 1
            heading, number, weight = 0, 0, 1
            while True:
                if heading == 0:
                    walked[y + 1, x + 1] = True
                y, x = y + step_row[heading], x + step_column[heading]
                if framed[y + right_row[heading], x + right_column[heading]] != cell:
                    turn = 2
                    heading = (heading + 1) % 4
                elif framed[y + left_row[heading], x + left_column[heading]] == cell:
                    turn = 1
                    heading = (heading + 3) % 4
                else:
                    turn = 0
                number += turn * weight
                weight *= 3
                ended = heading == 0 and y == row - 1 and x == column - 1
                if weight == 81 or ended:
                    letters[used] = number
                    used += 1
                    number, weight = 0, 1
                if ended:
                    break
    return letters[:used], cells[:outlines]
