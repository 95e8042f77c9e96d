"""The GPU tab."""

EN: dict[str, str] = {
    "gpu_device": "Device",
}

DE: dict[str, str] = {
    "gpu_device": "Gerät",
}
