"""A logger that keeps what it gets."""

from types import SimpleNamespace

from genbench.runs.loggers.interface import Logger, tags


class Remembering(Logger):
    """Keeps what it gets by the key of the run, as a server would."""

    name = "mlflow"
    servers: dict = {}
    broken: set = set()

    def open(self, epoch, mark):
        self.fail("open")
        self.mine = self.servers.setdefault(
            self.run.key, SimpleNamespace(points=[], finals=[], pictures=set(), closed=0)
        )
        return len(self.mine.points)

    def point(self, point):
        self.fail("point")
        if point["epoch"] > len(self.mine.points):
            self.mine.points.append((point["epoch"], tags(point)))

    def final(self, values, epoch):
        self.mine.finals.append(values)

    def picture(self, tag, png, shape, epoch):
        self.mine.pictures.add(tag.partition("/")[0])

    def close(self):
        self.mine.closed += 1

    def fail(self, what):
        if what in self.broken:
            raise ConnectionError("no server answers")
