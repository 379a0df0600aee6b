#!/usr/bin/env python3
"""Writes dashboards/*.json from boards/*.py. `build.py --check` writes nothing and says which files are not current."""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from boards import fleet, gpu, jobs, queues, storage  # noqa: E402 (after the setting)

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = {"fleet": fleet, "jobs": jobs, "queues": queues, "gpu": gpu, "storage": storage}


def main() -> int:
    stale = {path for path in FOLDER.glob("*.json") if path.stem not in BOARDS}
    for name, module in BOARDS.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(module.board(), indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.add(path)
    for path in sorted(stale):
        print(f"{path}: not what deploy/grafana/build.py writes; run it", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
