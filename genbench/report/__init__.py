"""Reports: the tables, charts and page that compare finished runs."""

import sys
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """The package, which can be called: `genbench.report("outputs")`."""

    def __call__(self, *folders: Any, **options: Any) -> Any:
        """Do what `genbench.report.results.table_of` does, which imports pandas."""
        from genbench.report.results import table_of

        return table_of(*folders, **options)


sys.modules[__name__].__class__ = CallablePackage
