"""Elements of a page, in which every text is escaped; tables of them."""

import unicodedata
from xml.etree import ElementTree


def element(name, *children, **attributes):
    """Builds an element.

    Args:
        name: String.
        children: Strings, elements, lists of these, or `None` for nothing.
        attributes: Their values become strings; `None` leaves one out. `class_` is the class,
            and other underscores are hyphens.
    """
    node = ElementTree.Element(name)
    for key, value in attributes.items():
        if value is not None:
            node.set(key.rstrip("_").replace("_", "-"), readable(str(value)))
    _append(node, children)
    return node


def table(head, rows, class_=None):
    """Builds a table that scrolls sideways where it is too wide.

    Args:
        head: List of strings.
        rows: List of lists of strings or elements, the first of each being its heading.
        class_: String or `None`.
    """
    cells = [element("th", text, scope="col") for text in head]
    body = [
        element(
            "tr",
            element("th", first, scope="row"),
            [element("td", cell) for cell in rest],
        )
        for first, *rest in rows
    ]
    parts = element("thead", element("tr", cells)), element("tbody", body)
    return element("div", element("table", *parts, class_=class_), class_="scroll")


def bar(share):
    """Builds a bar that a share in `[0, 1]` fills; nothing for `None`."""
    if share is None:
        return None
    width = f"width:{100 * min(max(share, 0.0), 1.0):.1f}%"
    return element("span", element("span", style=width), class_="bar", aria_hidden="true")


def to_html(node):
    """Returns a page as bytes."""
    text = ElementTree.tostring(node, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n".encode()


def readable(text):
    """Replaces what a page cannot hold: control characters and lone surrogates."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
        else "\ufffd"
        for character in text
    )


def _append(node, children):
    for child in children:
        if isinstance(child, (list, tuple)):
            _append(node, child)
        elif isinstance(child, str) and len(node):
            node[-1].tail = (node[-1].tail or "") + readable(child)
        elif isinstance(child, str):
            node.text = (node.text or "") + readable(child)
        elif child is not None:
            node.append(child)
