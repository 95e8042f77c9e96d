"""yt-dlp: metadata, captions and media of web pages."""
