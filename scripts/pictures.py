"""Converts the output of `tmux capture-pane -e` to an SVG: pictures.py TITLE COLUMNS <screen >picture.svg"""

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text


TEXT = re.compile(r'<text class="(?P<classes>[^"]+)" x="(?P<x>[^"]+)" y="(?P<y>[^"]+)" textLength="(?P<length>[^"]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)</text>')
SPACE = "&#160;"


def strip_outer_spaces(match: re.Match[str]) -> str:
    """Removes leading and trailing spaces, which not every viewer renders, and adjusts the position and length."""
    text = match["text"]
    leading = (len(text) - len(re.sub(f"^({SPACE})+", "", text))) // len(SPACE)
    stripped = re.sub(f"^({SPACE})+|({SPACE})+$", "", text)
    columns = len(re.sub(r"&[^;]+;", "x", text))
    if not stripped:
        return ""
    cell_width = float(match["length"]) / columns
    x = float(match["x"]) + leading * cell_width
    length = len(re.sub(r"&[^;]+;", "x", stripped)) * cell_width
    return f'<text class="{match["classes"]}" x="{x:.1f}" y="{match["y"]}" textLength="{length:.1f}"{match["rest"]}>{stripped}</text>'


def main() -> None:
    title, columns = sys.argv[1], int(sys.argv[2])
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.from_ansi(sys.stdin.read().rstrip("\n")), soft_wrap=True)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="t")
    # Only local fonts: a picture downloads nothing.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = TEXT.sub(strip_outer_spaces, svg)
    print("\n".join(line.rstrip() for line in svg.splitlines()))


main()
