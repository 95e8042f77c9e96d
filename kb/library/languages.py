"""Names of languages, by which files name them, and the code of each.

The languages are those of Whisper, with its codes. A file names one by its code of two letters
(ISO 639-1), of three (ISO 639-2, both forms), with a region (`pt-BR`), or in English.
"""

from __future__ import annotations

import re

_TABLE = """
    en english eng; zh chinese zho chi mandarin; de german deu ger; es spanish spa castilian; ru
    russian rus; ko korean kor; fr french fra fre; ja japanese jpn; pt portuguese por; tr turkish
    tur; pl polish pol; ca catalan cat valencian; nl dutch nld dut flemish; ar arabic ara; sv
    swedish swe; it italian ita; id indonesian ind in; hi hindi hin; fi finnish fin; vi vietnamese
    vie; he hebrew heb iw; uk ukrainian ukr; el greek ell gre; ms malay msa may; cs czech ces cze;
    ro romanian ron rum moldavian moldovan; da danish dan; hu hungarian hun; ta tamil tam; no
    norwegian nor nob nb; th thai tha; ur urdu urd; hr croatian hrv; bg bulgarian bul; lt
    lithuanian lit; la latin lat; mi maori mri mao; ml malayalam mal; cy welsh cym wel; sk slovak
    slk slo; te telugu tel; fa persian fas per; lv latvian lav; bn bengali ben; sr serbian srp; az
    azerbaijani aze; sl slovenian slv; kn kannada kan; et estonian est; mk macedonian mkd mac; br
    breton bre; eu basque eus baq; is icelandic isl ice; hy armenian hye arm; ne nepali nep; mn
    mongolian mon; bs bosnian bos; kk kazakh kaz; sq albanian sqi alb; sw swahili swa; gl galician
    glg; mr marathi mar; pa punjabi pan panjabi; si sinhala sin sinhalese; km khmer khm; sn shona
    sna; yo yoruba yor; so somali som; af afrikaans afr; oc occitan oci; ka georgian kat geo; be
    belarusian bel; tg tajik tgk; sd sindhi snd; gu gujarati guj; am amharic amh; yi yiddish yid
    ji; lo lao lao; uz uzbek uzb; fo faroese fao; ht haitian_creole hat haitian; ps pashto pus
    pushto; tk turkmen tuk; nn nynorsk nno; mt maltese mlt; sa sanskrit san; lb luxembourgish ltz
    letzeburgesch; my myanmar mya bur burmese; bo tibetan bod tib; tl tagalog tgl fil; mg malagasy
    mlg; as assamese asm; tt tatar tat; haw hawaiian; ln lingala lin; ha hausa hau; ba bashkir
    bak; jw javanese jav jv; su sundanese sun; yue cantonese
"""  # code, English name, other codes and names


_ENTRIES = [[name.replace("_", " ") for name in entry.split()] for entry in _TABLE.split(";")]
_CODES = {name: entry[0] for entry in _ENTRIES for name in entry}
_NAMES = {entry[0]: entry[1] for entry in _ENTRIES}


def language_name(code: str) -> str:
    """Return the English name of a language in small letters; the code if it is not known."""
    return _NAMES.get(code, code)


def language_code(name: str) -> str:
    """Return the code of a language; empty for a name that is none.

    `en`, `EN`, `en-US`, `eng`, `English` and `english` all give `en`.
    """
    known = name.strip().lower()
    if known in _CODES:
        return _CODES[known]
    language, _, region = known.replace("_", "-").partition("-")
    return _CODES.get(language, "") if re.fullmatch(r"[a-z0-9-]{2,}", region) else ""
