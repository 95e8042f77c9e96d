"""Names of languages, by which files name them, and the code of each.

The languages are those of Whisper, with its codes. A file names one by its code of two letters
(ISO 639-1), of three (ISO 639-2, both forms), with a region (`pt-BR`), or in English.
"""

from __future__ import annotations

import re

_TABLE = """
    en eng english; zh zho chi chinese mandarin; de deu ger german; es spa spanish castilian; ru
    rus russian; ko kor korean; fr fra fre french; ja jpn japanese; pt por portuguese; tr tur
    turkish; pl pol polish; ca cat catalan valencian; nl nld dut dutch flemish; ar ara arabic; sv
    swe swedish; it ita italian; id ind in indonesian; hi hin hindi; fi fin finnish; vi vie
    vietnamese; he heb iw hebrew; uk ukr ukrainian; el ell gre greek; ms msa may malay; cs ces cze
    czech; ro ron rum romanian moldavian moldovan; da dan danish; hu hun hungarian; ta tam tamil;
    no nor nob nb norwegian; th tha thai; ur urd urdu; hr hrv croatian; bg bul bulgarian; lt lit
    lithuanian; la lat latin; mi mri mao maori; ml mal malayalam; cy cym wel welsh; sk slk slo
    slovak; te tel telugu; fa fas per persian; lv lav latvian; bn ben bengali; sr srp serbian; az
    aze azerbaijani; sl slv slovenian; kn kan kannada; et est estonian; mk mkd mac macedonian; br
    bre breton; eu eus baq basque; is isl ice icelandic; hy hye arm armenian; ne nep nepali; mn
    mon mongolian; bs bos bosnian; kk kaz kazakh; sq sqi alb albanian; sw swa swahili; gl glg
    galician; mr mar marathi; pa pan punjabi panjabi; si sin sinhala sinhalese; km khm khmer; sn
    sna shona; yo yor yoruba; so som somali; af afr afrikaans; oc oci occitan; ka kat geo
    georgian; be bel belarusian; tg tgk tajik; sd snd sindhi; gu guj gujarati; am amh amharic; yi
    yid ji yiddish; lo lao lao; uz uzb uzbek; fo fao faroese; ht hat haitian_creole haitian; ps
    pus pashto pushto; tk tuk turkmen; nn nno nynorsk; mt mlt maltese; sa san sanskrit; lb ltz
    luxembourgish letzeburgesch; my mya bur myanmar burmese; bo bod tib tibetan; tl tgl fil
    tagalog; mg mlg malagasy; as asm assamese; tt tat tatar; haw hawaiian; ln lin lingala; ha hau
    hausa; ba bak bashkir; jw jav jv javanese; su sun sundanese; yue cantonese
"""  # code, its other codes, its names


def _codes() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in _TABLE.split(";"):
        code, *others = entry.split()
        found.update({name.replace("_", " "): code for name in (code, *others)})
    return found


_CODES = _codes()


def language_code(name: str) -> str:
    """Return the code of a language; empty for a name that is none.

    `en`, `EN`, `en-US`, `eng`, `English` and `english` all give `en`.
    """
    known = name.strip().lower()
    if known in _CODES:
        return _CODES[known]
    language, _, region = known.replace("_", "-").partition("-")
    return _CODES.get(language, "") if re.fullmatch(r"[a-z0-9-]{2,}", region) else ""
