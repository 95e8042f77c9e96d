"""Settings of sources: the YouTube Data API, downloads and their rate."""

from __future__ import annotations

from pydantic import Field, SecretStr

from kb.settings.part import SettingsPart
from kb.types import Keep


class DownloadSettings(SettingsPart):
    """Settings of sources: the YouTube Data API, downloads and their rate."""

    prefetch_gb: float = Field(
        20.0,
        alias="KB_PREFETCH_GB",
        gt=0,
        description="Media fetched but not yet transcribed, in GB, at most.",
    )
    yt_api_endpoint: str = Field(
        "",
        alias="YT_API_ENDPOINT",
        description="Address of the YouTube Data API; empty takes Google's.",
    )
    yt_feed_url: str = Field(
        "",
        alias="YT_FEED_URL",
        pattern=r"^(?:|none|https?://.*\{id\}.*)$",
        description="Feed of a channel's newest videos, with {id} for the channel's id in its "
        "address: a look at a followed channel reads it first, without quota. Empty takes "
        "YouTube's (none with another YT_API_ENDPOINT); none reads the list's first page instead.",
    )
    yt_watch_url: str = Field(
        "https://www.youtube.com/watch?v={id}",
        alias="YT_WATCH_URL",
        pattern=r"^https?://.*\{id\}",
        description="Page of a video, with {id} in its address; downloads start there.",
    )
    yt_api_keys_file: str = Field(
        "YT_API_keys.txt",
        alias="YT_API_KEYS_FILE",
        description="File with YouTube Data API keys, one a line, # begins a comment. A relative "
        "path here begins at the folder of the .env, never at the current folder.",
    )
    yt_api_keys: SecretStr = Field(
        SecretStr(""),
        alias="YT_API_KEYS",
        description="Further keys, separated by commas. Never written to logs or the database.",
    )
    listing_reuse_s: float = Field(
        900.0,
        alias="KB_LISTING_REUSE_S",
        ge=0,
        description="Age, in seconds, up to which a finished listing is used again, without quota.",
    )
    keep: Keep = Field(
        "audio",
        alias="KB_KEEP",
        description="File that a download keeps: audio (as the site has it), mp3 or mp4.",
    )
    download_pause_s: float = Field(
        10.0,
        alias="KB_DOWNLOAD_PAUSE_S",
        ge=0,
        description="Minimum seconds between the starts of two downloads on this machine.",
    )
    download_pause_max_s: float = Field(
        20.0,
        alias="KB_DOWNLOAD_PAUSE_MAX_S",
        ge=0,
        description="Maximum seconds between them; the pause is random between the two.",
    )
    download_cooldown_s: float = Field(
        900.0,
        alias="KB_DOWNLOAD_COOLDOWN_S",
        ge=0,
        description="Pause of all downloads, in seconds, when a site limits them; "
        "it doubles each time in a row.",
    )
    download_cooldown_max_s: float = Field(
        21_600.0,
        alias="KB_DOWNLOAD_COOLDOWN_MAX_S",
        ge=0,
        description="Longest such pause, in seconds.",
    )
    download_retries: int = Field(
        10,
        alias="KB_DOWNLOAD_RETRIES",
        ge=0,
        description="Number of reconnections within one download.",
    )
    download_attempts: int = Field(
        3,
        alias="KB_DOWNLOAD_ATTEMPTS",
        ge=1,
        description="Number of tries of one download before it counts as failed.",
    )
    download_rate: int = Field(
        0,
        alias="KB_DOWNLOAD_RATE",
        ge=0,
        description="Maximum bytes a second of one download; 0 for no limit.",
    )
    proxy: SecretStr = Field(
        SecretStr(""),
        alias="KB_PROXY",
        description="Proxy for listings and downloads, as http://user:password@host:port; "
        "socks5:// and socks5h:// (names are looked up by the proxy) too.",
    )
    cookies_file: str = Field(
        "",
        alias="KB_COOKIES_FILE",
        description="Cookies in Netscape format for sites that ask for a login. They put the "
        "account at risk: empty is safer.",
    )
    captions: str = Field(
        "",
        alias="KB_CAPTIONS",
        description="Languages of captions to fetch beside the medium, such as de,en.",
    )
    witness: bool = Field(
        True,
        alias="KB_WITNESS",
        description="Fetch captions that people made, where a medium has any in its language, "
        "and compare the transcript with them.",
    )
    captions_first: bool = Field(
        False,
        alias="KB_CAPTIONS_FIRST",
        description="Make captions searchable at once, marked as such, until the transcript is "
        "there; as with --captions-first.",
    )
    thumbnail: bool = Field(
        False,
        alias="KB_THUMBNAIL",
        description="Fetch the preview picture beside the medium.",
    )
