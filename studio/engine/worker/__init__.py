"""The two long-lived helpers of the window. `preview` shows what augmentation does; `probe` describes, predicts, explains and exports.

Lines in: {"id": n, "method": "...", "params": {...}, "key": "..."} and {"cancel": n}.
Lines out: {"id": n, "progress": {"done", "total", "what"}}, then one of {"id": n, "result": {...}},
{"id": n, "error": {"sentence", "fix", "trace", "repair"}} and {"id": n, "cancelled": true}.
Pictures travel behind the line that names them: its "blobs" are their numbers of bytes, and {"blob": i, "width", "height"} stands for the i-th.
"""
