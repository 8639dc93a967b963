"""A terminal's screen, as `tmux capture-pane -e` tells it, as an SVG: pictures.py TITLE COLUMNS <screen >picture.svg"""

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text


TEXT = re.compile(r'<text class="(?P<look>[^"]+)" x="(?P<x>[^"]+)" y="(?P<y>[^"]+)" textLength="(?P<length>[^"]+)"(?P<rest>[^>]*)>(?P<text>[^<]*)</text>')
BLANK = "&#160;"


def without_outer_blanks(found: re.Match[str]) -> str:
    """Not every reader gives blanks at the ends their room: the text begins where it begins."""
    text = found["text"]
    begin = (len(text) - len(re.sub(f"^({BLANK})+", "", text))) // len(BLANK)
    bare = re.sub(f"^({BLANK})+|({BLANK})+$", "", text)
    columns = len(re.sub(r"&[^;]+;", "x", text))
    if not bare:
        return ""
    wide = float(found["length"]) / columns
    x = float(found["x"]) + begin * wide
    length = len(re.sub(r"&[^;]+;", "x", bare)) * wide
    return f'<text class="{found["look"]}" x="{x:.1f}" y="{found["y"]}" textLength="{length:.1f}"{found["rest"]}>{bare}</text>'


def main() -> None:
    title, columns = sys.argv[1], int(sys.argv[2])
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text.from_ansi(sys.stdin.read().rstrip("\n")), soft_wrap=True)
    picture = console.export_svg(title=title, theme=MONOKAI, unique_id="t")
    # Only fonts that readers have: a picture fetches nothing.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.S)
    picture = picture.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    picture = re.sub(r"<!--.*?-->\s*", "", picture, flags=re.S)
    picture = TEXT.sub(without_outer_blanks, picture)
    print("\n".join(line.rstrip() for line in picture.splitlines()))


main()
