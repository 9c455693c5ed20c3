from rocmr_keras.reports.pictures.changes import changed_words
from rocmr_keras.reports.pictures.checks import check_entries
from rocmr_keras.reports.pictures.checks import check_item
from rocmr_keras.reports.pictures.checks import check_rank
from rocmr_keras.reports.pictures.sheet import GREEN
from rocmr_keras.reports.pictures.sheet import INK
from rocmr_keras.reports.pictures.sheet import MARGIN
from rocmr_keras.reports.pictures.sheet import MUTED
from rocmr_keras.reports.pictures.sheet import RED
from rocmr_keras.reports.pictures.sheet import Sheet

#: More than a line of large pictures are shown smaller, captions in two columns.
_LARGE, _NUM_RESULTS = 5, 10


def retrieval_sheet(path, rows, title=None):
    """Draw queries with the first results of each, as a PNG of 1200 pixels width.

    Right results stand in a thick green frame with a tick, wrong ones in a thin gray one. Below
    each result is its place and score, at the end of the row the rank of the first right one.

    Args:
        path: String or path of the PNG file. Missing folders are created, an existing file is
            replaced in one step.
        rows: Non-empty list of dicts, one for each query, with

            - `"query"`: a string, or an image: array of shape `(height, width, 3)`, uint8 or
              float in `[0, 1]`;
            - `"results"`: list of 1 to 10 images or strings, best first;
            - `"scores"`: list of as many floats;
            - `"correct"`: list of as many booleans;
            - `"rank"`: integer, rank of the first right result in the whole gallery;
            - `"rank_before"`: integer, the rank before an attack. Optional;
            - `"query_before"`: string, a text query before an attack, whose changed words are
              marked. Optional;
            - `"label"`: string above the query, instead of its kind. Optional.
        title: String above the sheet, or None. Defaults to `None`.

    Raises:
        ValueError: A `path` that does not end in `.png`, or a row that is not as above.
        ImportError: matplotlib is missing.

    Example:

    ```python
    rows = [{"query": "red apple", "results": [apple, cherry], "scores": [0.61, 0.35],
             "correct": [True, False], "rank": 1}]
    retrieval_sheet("retrieval.png", rows)
    ```
    """
    keys = ("query", "results", "scores", "correct", "rank")
    check_entries(rows, "rows", keys, ("rank_before", "query_before", "label"))
    for position, row in enumerate(rows):
        _check_results(row, f"rows[{position}]")
    sheet = Sheet(path, title)
    for row in rows:
        sheet.rule()
        _draw_query_row(sheet, row)
    sheet.save()


def _draw_query_row(sheet, row):
    top = sheet.top
    is_text = isinstance(row["query"], str)
    label = row.get("label") or ("text query" if is_text else "image query")
    sheet.text(MARGIN, top, label, 12, MUTED)
    if is_text:
        words = _query_words(row)
        bottom = sheet.paragraph(MARGIN, top + 26, 196, words, 16, max_lines=6)
    else:
        bottom = sheet.picture(MARGIN, top + 26, 152, row["query"])
    draw = _draw_captions if isinstance(row["results"][0], str) else _draw_images
    results_bottom = draw(sheet, 252, top, row)
    sheet.top = max(bottom, results_bottom) + 20
    middle = (top + sheet.top - 20) / 2
    color = GREEN if any(row["correct"]) else RED
    sheet.text(1124, middle - 34, "first right", 12, MUTED, align="center")
    sheet.text(1124, middle - 14, f"{row['rank']:,}", 26, color, bold=True, align="center")
    if row.get("rank_before"):
        before = f"before: {row['rank_before']:,}"
        sheet.text(1124, middle + 22, before, 12, MUTED, align="center")


def _query_words(row):
    words = changed_words(row.get("query_before", row["query"]), row["query"])[1]
    marked = [(f"[{word}]", RED) if changed else (word, None) for word, changed in words]
    texts, colors = zip(*marked) if marked else ([""], [None])
    return list(zip(f"“{' '.join(texts)}”".split(" "), colors))


def _draw_images(sheet, left, top, row):
    size, gap, letters = (152, 12, 13) if len(row["results"]) <= _LARGE else (73, 9, 11)
    for place, (image, score, right) in enumerate(_results(row), start=1):
        sheet.picture(left, top + 4, size, image)
        sheet.frame(left, top + 4, size, size, right)
        below, color = top + size + 10, GREEN if right else INK
        sheet.text(left, below, f"{place}", letters, MUTED)
        sheet.text(left + size, below, f"{score:.3f}", letters, color, right, align="right")
        if right:
            sheet.tick(left + size - 26, top + 4)
        left += size + gap
    return top + size + 28


def _draw_captions(sheet, left, top, row):
    results = list(enumerate(_results(row), start=1))
    if len(results) <= _LARGE:
        return _draw_column(sheet, left, top, 808, results)
    columns = results[:_LARGE], results[_LARGE:]
    return max(_draw_column(sheet, left + 412 * i, top, 396, columns[i]) for i in range(2))


def _draw_column(sheet, left, top, width, results):
    top += 4
    for place, (caption, score, right) in results:
        words = [(word, None) for word in caption.split()]
        bottom = sheet.paragraph(left + 96, top + 5, width - 144, words, 14, max_lines=2)
        sheet.frame(left, top, width, bottom - top + 6, right)
        sheet.text(left + 12, top + 6, f"{place}", 13, MUTED)
        sheet.text(left + 36, top + 6, f"{score:.3f}", 13, GREEN if right else INK, right)
        if right:
            sheet.tick(left + width - 26, top)
        top = bottom + 14
    return top - 8


def _results(row):
    return zip(row["results"], row["scores"], row["correct"], strict=True)


def _check_results(row, name):
    check_item(row["query"], f"{name}['query']")
    count = len(row["results"])
    if not 1 <= count <= _NUM_RESULTS or not count == len(row["scores"]) == len(row["correct"]):
        raise ValueError(
            f"`{name}` must have 1 to {_NUM_RESULTS} results with a score and a `correct` each. "
            f"Received: {count} results, {len(row['scores'])} scores, {len(row['correct'])} "
            "correct. Cut all three lists to the first ten."
        )
    for position, result in enumerate(row["results"]):
        check_item(result, f"{name}['results'][{position}]")
    if len({isinstance(result, str) for result in row["results"]}) > 1:
        raise ValueError(
            f"`{name}['results']` must be all images or all strings. Received: both. Make two "
            "rows of them."
        )
    check_rank(row["rank"], f"{name}['rank']")
    if row.get("rank_before") is not None:
        check_rank(row["rank_before"], f"{name}['rank_before']")
