"""Checks rendered overlays: python3 check DEFINITIONS RENDERED.yaml…

Each is compared with the schemas and the rules. Then every promise is broken once, in a copy of the first, and must be missed:
a check that accepts everything is not mistaken for one that found nothing.
"""

import pathlib
import sys

import yaml

import mutants
from fleet import Fleet
from rules import RULES
from schemas import KUBERNETES, Schemas


def problems(schemas: Schemas, manifests: list):
    """What is wrong: the promise that is broken, and where."""
    broken = False
    for manifest in manifests:
        for problem in schemas.problems(manifest):
            broken = True
            yield "schemas", f"{manifest['kind']} {manifest['metadata']['name']}: {problem}"
    if broken:
        return  # The rules take for granted what schemas promise.
    fleet = Fleet(manifests)
    for rule in RULES:
        for problem in rule(fleet):
            yield rule.__name__, problem


def main() -> int:
    definitions, *rendered = map(pathlib.Path, sys.argv[1:])
    schemas = Schemas(definitions)
    failed = 0
    overlays = {path.stem: [m for m in yaml.safe_load_all(path.read_text()) if m] for path in rendered}
    for overlay, manifests in overlays.items():
        found = list(problems(schemas, manifests))
        failed += len(found)
        for promise, problem in found:
            print(f"k8s: {overlay}: {promise}: {problem}", file=sys.stderr)
        if not found:
            print(f"k8s: {overlay}: {len(manifests)} manifests are valid from Kubernetes {KUBERNETES[0]} to {KUBERNETES[-1]}, "
                  f"and keep {len(RULES)} rules")
    if failed:
        return 1
    first = next(iter(overlays.values()))
    missed = mutants.missed(first, lambda manifests: {promise for promise, _ in problems(schemas, manifests)})
    for mutant in missed:
        print(f"k8s: not refused: {mutant}", file=sys.stderr)
    untested = {"schemas", *(rule.__name__ for rule in RULES)} - {promise for promise, *_ in mutants.MUTANTS}
    for promise in sorted(untested):
        print(f"k8s: {promise} was never seen to fail", file=sys.stderr)
    print(f"k8s: {len(mutants.MUTANTS) - len(missed)} of {len(mutants.MUTANTS)} broken fleets are refused, each for its reason")
    return 1 if missed or untested else 0


sys.exit(main())
