"""A process that claims work in a folder, says what it got, and holds it until its input ends or it is killed.

python claiming.py FOLDER KEY...
"""

from __future__ import annotations

import json
import sys

from maskcl.claims import Claims

if __name__ == "__main__":
    with Claims(sys.argv[1]) as claims:
        print(json.dumps(claims.take(sys.argv[2:])), flush=True)
        sys.stdin.read()
