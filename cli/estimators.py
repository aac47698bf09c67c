"""Estimators and rows as people write them on a command line."""

from __future__ import annotations

from typing import Any

import click

from runtime import strict_json


def parse_estimator(text: str, params: tuple[str, ...]) -> dict[str, Any]:
    """A class name with `NAME=VALUE` parameters (values are JSON, or text where they are none), or JSON whole."""
    if text.lstrip().startswith("{"):
        if params:
            raise click.UsageError("--param goes with a class name, not with an estimator written as JSON")
        return _json_object(text, "--estimator")
    return {"class": text, "params": dict(_parameter(item) for item in params)}


def parse_rows(arguments: tuple[str, ...]) -> list[Any]:
    """Rows to predict for: each argument a JSON object or array, or a comma-separated list of values, or `NAME=VALUE`
    pairs separated by commas."""
    return [_row(text) for text in arguments]


def _parameter(item: str) -> tuple[str, Any]:
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--param {item!r}: expected NAME=VALUE, for example --param alpha=0.5")
    return name, parse_value(value)


def _row(text: str) -> Any:
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        try:
            return strict_json.loads(stripped)
        except ValueError as error:
            raise click.UsageError(f"row {text!r} is no JSON: {error}") from error
    parts = [part.strip() for part in stripped.split(",")]
    if all("=" in part for part in parts):
        return dict(_parameter(part) for part in parts)
    return [parse_value(part) for part in parts]


def parse_value(text: str) -> Any:
    """JSON where it is some, else the text itself; NaN and Infinity, which JSON does not have, are text."""
    try:
        return strict_json.loads(text)
    except ValueError:
        return text


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        found = strict_json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{what}: expected a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{what}: expected a JSON object, found {type(found).__name__}")
    return found
