#!/usr/bin/env python3
"""Writes what follows from charts/mirror/values.yaml and from `mirror schema`: values.schema.json, and the table in README.md.

    charts/generate.py --mirror target/debug/mirror            # write
    charts/generate.py --mirror target/debug/mirror --check    # say what is stale, and change nothing

A value's comment is its description, and a line `@schema {…}` of it goes over the schema that the value has by its type.
Needs Python's own library alone, so that whoever changes values.yaml can run it.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

CHART = pathlib.Path(__file__).parent / "mirror"
CONFIG = "mirror.yaml"
BEGIN, END = "<!-- values: charts/generate.py -->\n", "<!-- end of values -->\n"


class Value:
    """One key of values.yaml, with the keys below it."""

    def __init__(self, name, indent, text, said):
        self.name, self.indent, self.text, self.below, self.section = name, indent, text, [], None
        self.schema = {}
        description = []
        for line in said:
            if line.startswith("@schema "):
                self.schema |= json.loads(line.removeprefix("@schema "))
            else:
                description.append(line)
        self.description = " ".join(description)


def read(text):
    """The keys of values.yaml, as they are nested. It is read as the text that it is, for its comments; the tests read it as YAML too."""
    root = Value("", -1, "", [])
    path, said, section = [root], [], None
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("## "):
            section, said = bare.removeprefix("## "), []
        elif bare.startswith("#"):
            said.append(bare.removeprefix("#").strip())
        elif not bare:
            said = []
        else:
            indent = len(line) - len(line.lstrip())
            name, _, value = bare.partition(":")
            node = Value(name, indent, value.strip(), said)
            node.section = section
            while path[-1].indent >= indent:
                path.pop()
            path[-1].below.append(node)
            path.append(node)
            said = []
    return root


def of_text(text):
    """The schema of a value that is written so."""
    if text in ("true", "false"):
        return {"type": "boolean"}
    if re.fullmatch(r"\d+", text):
        return {"type": "integer"}
    if re.fullmatch(r"\d+\.\d+", text):
        return {"type": "number"}
    if text.startswith("{"):
        return {"type": "object"}
    if text.startswith("["):
        return {"type": "array"}
    return {"type": "string"}


def schema_of(value):
    """JSON Schema of a value and what is below it. Keys that values.yaml does not have are refused: they would be for nothing."""
    if value.below and "strategy" not in value.name.lower():
        own = {
            "type": "object",
            "properties": {child.name: schema_of(child) for child in value.below},
            "additionalProperties": False,
        }
    elif value.below:
        # Kubernetes' own, of which the chart only has a default.
        own = {"type": "object"}
    elif "$ref" in value.schema:
        own = {}
    else:
        own = of_text(value.text)
    if value.description:
        own = {"description": value.description} | own
    return own | value.schema


def whole_schema(root, config):
    """The chart's schema, with that of mirror.yaml among its definitions."""
    schema = schema_of(root)
    # Helm's own.
    schema["properties"]["global"] = {"type": "object"}
    definitions = config.pop("$defs")
    for key in ("$schema", "title"):
        config.pop(key, None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of chart mirror",
        **schema,
        "required": ["mode", "config"],
        "$defs": {CONFIG: config, **definitions},
    }


def default_of(value):
    if not value.text:
        # On the lines below it.
        return "see values.yaml"
    return f"`{value.text}`"


def table(root):
    """The values as Markdown, a table a section."""
    lines, section = [], None

    def add(value, prefix):
        nonlocal section
        name = f"{prefix}{value.name}"
        if value.below and "strategy" not in value.name.lower():
            if value.description and "@" not in value.description:
                lines.append(f"| `{name}` | {value.description} | |")
            for child in value.below:
                add(child, f"{name}.")
            return
        about = value.description
        if "enum" in value.schema and not all(f"`{word}`" in about for word in value.schema["enum"] if word):
            about = f"{about} One of {', '.join(f'`{word}`' for word in value.schema['enum'] if word)}.".strip()
        about = about.replace("|", "\\|")
        lines.append(f"| `{name}` | {about} | {default_of(value)} |")

    for value in root.below:
        if value.section != section:
            section = value.section
            lines.extend(["", f"### {section}", "", "| value | | default |", "|---|---|---|"])
        add(value, "")
    return "\n".join(lines[1:]) + "\n"


def written(mirror):
    """Each file and what is to be in it."""
    root = read((CHART / "values.yaml").read_text())
    config = json.loads(subprocess.run([mirror, "schema"], check=True, stdout=subprocess.PIPE).stdout)
    schema = json.dumps(whole_schema(root, config), indent=1, ensure_ascii=False) + "\n"
    readme = (CHART / "README.md").read_text()
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return {
        CHART / "values.schema.json": schema,
        CHART / "README.md": f"{before}{BEGIN}\n{table(root)}\n{END}{after}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", required=True, help="the built program, whose schema it is")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where something is stale")
    arguments = parser.parse_args()
    stale = []
    for path, text in written(arguments.mirror).items():
        if not path.exists() or path.read_text() != text:
            stale.append(path)
            if not arguments.check:
                path.write_text(text)
    for path in stale:
        print(f"{path.relative_to(CHART.parent.parent)}: {'is stale: run `make charts`' if arguments.check else 'written'}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
