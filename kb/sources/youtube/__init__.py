"""YouTube through its Data API, yt-dlp for media."""
