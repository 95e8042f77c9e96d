"""Words for what is written shorter than it is said, by language."""

from __future__ import annotations

MONTHS = {
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September",
        "Oktober", "November", "Dezember",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
}  # fmt: skip

ABBREVIATIONS = {
    "de": {
        "z. B.": "zum Beispiel", "z.B.": "zum Beispiel", "d. h.": "das heißt", "d.h.": "das heißt",
        "u. a.": "unter anderem", "u.a.": "unter anderem", "usw.": "und so weiter",
        "bzw.": "beziehungsweise", "ca.": "circa", "evtl.": "eventuell", "ggf.": "gegebenenfalls",
        "inkl.": "inklusive", "Dr.": "Doktor", "Prof.": "Professor", "Nr.": "Nummer",
        "Str.": "Straße", "Mio.": "Millionen", "Mrd.": "Milliarden", "vgl.": "vergleiche",
        "Abb.": "Abbildung", "sog.": "sogenannt", "etc.": "et cetera",
    },
    "en": {
        "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "vs.": "versus",
        "Mr.": "Mister", "Mrs.": "Missis", "Dr.": "Doctor", "Prof.": "Professor",
        "No.": "number", "approx.": "approximately", "Fig.": "figure", "St.": "Saint",
    },
}  # fmt: skip

UNITS = {
    "de": {
        "km/h": "Kilometer pro Stunde", "km": "Kilometer", "m": "Meter", "cm": "Zentimeter",
        "mm": "Millimeter", "kg": "Kilogramm", "g": "Gramm", "mg": "Milligramm", "l": "Liter",
        "ml": "Milliliter", "%": "Prozent", "°C": "Grad Celsius", "kW": "Kilowatt",
        "kWh": "Kilowattstunden", "MB": "Megabyte", "GB": "Gigabyte", "Hz": "Hertz",
        "kHz": "Kilohertz", "MHz": "Megahertz", "s": "Sekunden", "min": "Minuten", "h": "Stunden",
    },
    "en": {
        "km/h": "kilometres per hour", "km": "kilometres", "m": "metres", "cm": "centimetres",
        "mm": "millimetres", "kg": "kilograms", "g": "grams", "mg": "milligrams", "l": "litres",
        "ml": "millilitres", "%": "percent", "°C": "degrees Celsius", "kW": "kilowatts",
        "kWh": "kilowatt hours", "MB": "megabytes", "GB": "gigabytes", "Hz": "hertz",
        "kHz": "kilohertz", "MHz": "megahertz", "s": "seconds", "min": "minutes", "h": "hours",
    },
}  # fmt: skip

SIGNS = {
    "de": {"&": "und", "§": "Paragraf", "=": "gleich", ".": "Punkt"},
    "en": {"&": "and", "§": "section", "=": "equals", ".": "dot"},
}
