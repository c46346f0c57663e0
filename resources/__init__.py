"""Files the window needs beside code: colours, style sheet, fonts. In an installed Studio this folder is `studio.resources`."""
