"""The Settings tab."""

EN: dict[str, str] = {
    "health": "This machine",
    "health_checking": "Looking at this machine …",
    "health_again": "Check again",
    "health_ok": "Everything works.",
    "health_warn": "It works; {count} remarks below.",
    "health_warn_one": "It works; one remark below.",
    "health_fail": "Something is missing: see below.",
    "settings": "Settings",
    "settings_help": "Change them in `.env` or in the environment, then start again. `.env.example` "
    "explains each.",
    "setting_default": "default",
    "setting_name": "Setting",
    "setting_value": "Value",
}

DE: dict[str, str] = {}
