"""Where images come from: scanning folders and tables, splitting, decoding, checking. Pillow and numpy; no Qt, no torch.

`scan.scan` reads names and headers, `verify.verify` decodes every file, `check.find_issues` looks for what harms a result.
The user's folder is only ever read.
"""
