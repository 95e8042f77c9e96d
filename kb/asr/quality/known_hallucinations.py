"""Phrases that Whisper often invents where there is no speech.

Whisper was trained on subtitles as they were published, with credits and farewells, and it writes
these on silence, noise or music. The list follows Barański et al., "Investigation of Whisper ASR
Hallucinations Induced by Non-Speech Audio" (2025, arXiv:2501.11378), whose bag of hallucinations
ranks them highest, and, for languages other than English, the threads of Whisper's users. A phrase
alone proves nothing: people do say thank you.
"""

from __future__ import annotations

_PHRASES = """
    thank you
    thanks for watching
    thank you for watching
    thank you very much for watching
    thank you so much for watching
    thanks for listening
    please subscribe
    please subscribe to my channel
    like and subscribe
    subscribe to the channel
    see you in the next video
    see you next time
    subtitles by the amara org community
    subtitles by
    transcription by castingwords
    transcribed by otter ai
    untertitel der amara org community
    untertitel im auftrag des zdf
    untertitelung des zdf
    untertitelung im auftrag des zdf
    untertitel von stephanie geiges
    vielen dank
    vielen dank fürs zuschauen
    danke fürs zuschauen
    das wars für heute
    bis zum nächsten mal
    copyright wdr
    swr
    sous titres réalisés par la communauté d amara org
    sous titrage société radio canada
    sous titrage st 501
    merci d avoir regardé cette vidéo
    subtítulos realizados por la comunidad de amara org
    suscríbete al canal
    gracias por ver el video
    legendas pela comunidade amara org
    sottotitoli creati dalla comunità amara org
    sottotitoli e revisione a cura di qtss
    ondertitels ingediend door de amara org gemeenschap
    ondertiteling door
    napisy stworzone przez społeczność amara org
    dziękuję za uwagę
    редактор субтитров
    субтитры сделал dimatorzok
    продолжение следует
    ご視聴ありがとうございました
    字幕由 amara org 社区提供
    请不吝点赞 订阅 转发 打赏支持明镜与点点栏目
"""

KNOWN_HALLUCINATIONS: tuple[tuple[str, ...], ...] = tuple(
    sorted((tuple(line.split()) for line in _PHRASES.strip().splitlines()), key=len, reverse=True)
)
"""Phrases as words without case and punctuation, the longest first."""
