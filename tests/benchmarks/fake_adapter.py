"""A worker that fits nothing: it answers as its first argument says (see the protocol in worker.py).

Arguments: the mode, the seconds to claim, a file to log each call to, and the job file, which it reads.
"""

import json
import sys
import time
from pathlib import Path

mode, claimed, log, job_file = sys.argv[1:]
job = json.loads(Path(job_file).read_text(encoding="utf-8"))
n_rows = Path(job["columns"][0]["path"]).stat().st_size // 8

if mode == "unloadable":
    print(json.dumps({"error": "ImportError: no such library"}), flush=True)
    sys.exit(1)
print("chatter that is no answer")
ready = {"ready": True, "loaded_rss_mb": 10.0, "versions": {mode: "1.0"}, "error": None}
print(json.dumps(ready), flush=True)

for number, _ in enumerate(sys.stdin):
    with Path(log).open("a", encoding="utf-8") as calls:
        calls.write(mode + "\n")
    if mode == "silent":
        time.sleep(60)
    if mode == "crashing":
        print("the last words", file=sys.stderr)
        sys.exit(3)
    if mode == "failing" and number == 1:
        print(json.dumps({"error": "ValueError: bad | luck"}), flush=True)
        sys.exit(1)
    answer = {
        "seconds": float(claimed) * (10 if number == 0 else number),
        "criterion": float(n_rows) + {"short": 0.5, "below": -0.5}.get(mode, 0.0),
        "beta": [1.0],
        "theta": None,
        "varcomp": None,
        "peak_rss_mb": 12.0 - number,
        "warnings": [],
        "error": None,
    }
    print(json.dumps(answer), flush=True)
