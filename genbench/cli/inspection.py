"""What a command would run, without running it: its settings, and what Hydra knows."""

import argparse
import sys
from typing import Any

import yaml
from hydra import compose

from genbench.cli.flags import flags_parser
from genbench.config.compose import CONFIG_NAME, hydra_ready, plain_values, resolved
from genbench.config.registry import Registry
from genbench.runs.directory import PlainDumper
from genbench.utils.errors import UserError


def inspect(flags: argparse.Namespace, settings: list[str], registry: Registry) -> int:
    """Print what --hydra-help, --info or --cfg asks for; returns the exit status."""
    if flags.cfg:
        sys.stdout.write(
            shown_settings(flags.cfg, flags.package, flags.resolve, settings, registry)
        )
        return 0
    with hydra_ready(registry) as (hydra, own):
        if flags.info:
            hydra.show_info(flags.info, CONFIG_NAME, [*own, *settings])
        else:
            args = argparse.Namespace(overrides=[*own, *settings])
            hydra.hydra_help(CONFIG_NAME, flags_parser(), args)
    return 0


def shown_settings(
    kind: str, package: str | None, resolve: bool, settings: list[str], registry: Registry
) -> str:
    """The settings of a command as YAML: those of its `job`, of `hydra` itself, or `all`.

    `package` is the dotted name of a part of them. UserError where they have no such part.
    """
    if kind == "job":
        return _part(resolved(settings, registry), package)
    with hydra_ready(registry) as (_, own):
        config = compose(CONFIG_NAME, [*own, *settings], return_hydra_config=True)
        content = plain_values(config, resolve=False)
        if resolve:
            from hydra.core.hydra_config import HydraConfig

            HydraConfig.instance().set_config(config)
            content = plain_values(config)
    for long in ("help", "hydra_help"):
        content["hydra"].pop(long)
    if kind == "all":
        content |= resolved(settings, registry)
    return _part({"hydra": content["hydra"]} if kind == "hydra" else content, package)


def _part(content: dict[str, Any], package: str | None) -> str:
    for name in [] if package in (None, "_global_") else package.split("."):
        if not isinstance(content, dict) or name not in content:
            raise UserError("--package", "no such part of the settings", package, "leave it out")
        content = content[name]
    if not isinstance(content, (dict, list)):
        return f"{content}\n"
    return yaml.dump(content, Dumper=PlainDumper, sort_keys=False, allow_unicode=True)
