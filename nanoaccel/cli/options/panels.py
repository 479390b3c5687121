"""Options in the panels of the help: each takes what ``typer.Option`` does."""

from __future__ import annotations

from functools import partial

import typer

in_sampling = partial(typer.Option, rich_help_panel="Sampling")
in_engine = partial(typer.Option, rich_help_panel="Engine")
in_server = partial(typer.Option, rich_help_panel="Server")
in_cache = partial(typer.Option, rich_help_panel="Cache")
in_recipe = partial(typer.Option, rich_help_panel="Recipe")
in_limits = partial(
    typer.Option, rich_help_panel="Limits (the most sensitive layers get more bits)"
)
in_text = partial(typer.Option, rich_help_panel="Calibration and judgement")
in_tasks = partial(typer.Option, rich_help_panel="lm-evaluation-harness")
in_training = partial(typer.Option, rich_help_panel="Training")
in_data = partial(typer.Option, rich_help_panel="Data")
