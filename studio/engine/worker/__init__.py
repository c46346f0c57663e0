"""The two long-lived helpers of the window. `preview` shows what augmentation does; `probe` describes, predicts, explains and exports.

Lines in: {"id": n, "method": "...", "params": {...}, "key": "..."} and {"cancel": n}.
Lines out: {"id": n, "progress": {"done", "total", "what"}}, then one of {"id": n, "result": {...}},
{"id": n, "error": {"sentence", "fix", "trace"}} and {"id": n, "cancelled": true}.
Pictures travel as files in the scratch folder given at the start, named in the result; the reader deletes them.
"""
