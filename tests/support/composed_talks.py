"""Talks in several scripts with the time of every word, as a recognizer could give them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

from kb.settings import PROJECT_ROOT
from kb.types import Segment, Transcript, Word
from tests.support.random_transcripts import make_transcript

LATIN = (
    "We learn, grow and stop. Why? Because it is the old state-of-the-art machine. In the winter "
    "garden (behind the house) nobody spoke; the harbour was quiet. “Really?” Yes: “really!” "
    "An understanding of measurements helps 3.14 times more than 1,000 words."
)
GERMAN = (
    "Die Donaudampfschifffahrtsgesellschaftskapitänsmütze liegt im Haus. Warum? Weil die "
    "Rechtsschutzversicherungsgesellschaften-Mitarbeiterinnen und das "
    "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz, sagen wir, groß sind."
)
ADDRESSES = (
    "See https://example.org/a/very/long/address/that/no/line/can/hold?x=1&y=2#part or "
    "www.example.com/measuring-the-old-furnace-in-the-winter-garden/index.html and write to "
    "someone.with.a.long.name@department.example-university.example please."
)
ARABIC = "تعلمنا اليوم في المكتبة القديمة، ثم مشينا ببطء إلى الميناء. لماذا؟ لأن السفينة وصلت."
HINDI = "आज हमने पुस्तकालय में पुरानी मशीनों के बारे में बात की। फिर हम धीरे-धीरे बंदरगाह गए।"
KOREAN = "오늘은 겨울 도서관에서 오래된 기계와 마을 정원에 대해 이야기했습니다. 그리고 걸었어요."
EMOJI = "Grüße 👩‍👩‍👧 und 🇩🇪 dann e\u0301te\u0301 mit ﷽ und “日本語” gemischt."
# Scripts without spaces, cut as recognizers cut them: in pieces that are not words.
JAPANESE = (
    "今日は冬の図書館で古い機械と村の庭について話しました。それから、ちょっと港まで歩いて行きました。"
    "「本当ですか？」コンピューターは３台あります。"
)
CHINESE = (
    "今天我们在图书馆谈论了冬天的花园和古老的机器，然后慢慢走到港口去看船。为什么？因为船到了！"
)
MARKS = tuple("、。，！？」ーょっち")
THAI = "สวัสดีครับวันนี้เราจะพูดถึงการถอดเสียงและการแปลภาษาไทยให้เป็นข้อความที่อ่านง่ายสำหรับทุกคนในประเทศ"

SPACED = tuple(text.split() for text in (LATIN, GERMAN, ADDRESSES, ARABIC, HINDI, KOREAN, EMOJI))
UNSPACED = (JAPANESE, CHINESE, THAI)


def composed_talk(seed: int) -> Transcript:
    """Return one talk: a script, a pace, pauses, and in every third talk a second speaker."""
    rng = random.Random(seed)
    if seed % 10 < len(SPACED):
        tokens, glue = SPACED[seed % 10], " "
    else:
        tokens, glue = _pieces(UNSPACED[seed % 10 - len(SPACED)], rng), ""
    segments = _speech(tokens, glue, rng, start_s=rng.choice([0.0, 0.7, 3595.0]))
    if seed % 3 == 0:
        first, last = segments[0].start_s, segments[-1].end_s
        other = _speech(SPACED[0], " ", rng, start_s=rng.uniform(first, last))
        segments += other[: rng.randint(1, 4)]
    order = rng.random()
    if order < 0.3:
        rng.shuffle(segments)
    if order > 0.85:
        segments = [replace(segment, words=()) for segment in segments]
    return make_transcript(tuple(segments))


def _pieces(text: str, rng: random.Random) -> list[str]:
    parts: list[str] = []
    while text:
        size = rng.choice([1, 1, 2, 3, 5])
        while text[size : size + 1] in MARKS or text[size - 1 : size] == "「":
            size += 1
        parts.append(text[:size])
        text = text[size:]
    return parts


def _speech(
    tokens: Sequence[str], glue: str, rng: random.Random, *, start_s: float
) -> list[Segment]:
    segments: list[Segment] = []
    now_s = start_s
    letter_s = rng.choice([0.04, 0.06, 0.08, 0.12])
    if not glue:
        letter_s *= 2.5
    for _ in range(rng.randint(3, 9)):
        first = rng.randrange(len(tokens))
        chosen = (tokens[first:] + tokens[:first])[: rng.choice([1, 2, 6, 12, 20])]
        words: list[Word] = []
        for token in chosen:
            length_s = rng.choice([0.0, *[1.0] * 8, 1.5]) * letter_s * (1 + len(token))
            words.append(Word(now_s, now_s + length_s, token, 0.9))
            now_s += length_s + rng.choice([0.0, 0.0, 0.02, 0.1, 0.3])
        segments.append(Segment(words[0].start_s, words[-1].end_s, glue.join(chosen), tuple(words)))
        now_s += rng.choice([0.0, 0.05, 0.09, 0.3, 0.45, 0.7, 1.2, 4.0])
    return segments


def sample_talks() -> list[Transcript]:
    """Return the words of the sample recordings, a segment for each 12 of them."""
    talks: list[Transcript] = []
    for path in sorted((PROJECT_ROOT / "samples").glob("*.truth.json")):
        rows = json.loads(path.read_text("utf-8"))["words"]
        words = [Word(row["start"], row["end"], row["text"], 0.9) for row in rows]
        parts = [words[at : at + 12] for at in range(0, len(words), 12)]
        talks.append(
            make_transcript(
                tuple(
                    Segment(
                        part[0].start_s,
                        part[-1].end_s,
                        " ".join(word.text for word in part),
                        tuple(part),
                    )
                    for part in parts
                )
            )
        )
    return talks
