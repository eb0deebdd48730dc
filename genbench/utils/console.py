"""The console: lines for people, which neither a closed pipe nor what a file holds can disturb."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from genbench.utils.errors import plain
from genbench.utils.output import Output


class PipeSafeConsole(Console):
    """A console that lets the work go on when it cannot be written, and on which no text of anybody steers a terminal.

    A text is printed as it is, in tables and titles, too: much of it is from files, and none is in rich's markup.
    """

    def __init__(self, **more):
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **more})

    @property
    def file(self) -> Output:
        """The stream that is written to."""
        stream = Console.file.fget(self)
        return stream if isinstance(stream, Output) else Output(stream)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed, in which characters that cannot be printed are escaped."""
        for piece in super().render(renderable, options):
            shown = piece.control or piece.text.isprintable()
            yield (
                piece
                if shown
                else piece._replace(text="\n".join(map(plain, piece.text.split("\n"))))
            )


def echo(text: str) -> None:
    """A line of plain words outside a run."""
    PipeSafeConsole(highlight=False, soft_wrap=True).print(plain(text), markup=False)
