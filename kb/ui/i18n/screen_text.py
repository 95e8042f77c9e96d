"""Texts about the text on the screen of a video."""

EN: dict[str, str] = {
    "screen_title": "On the screen",
    "screen_pages": "{count} pages of text",
    "screen_pages_one": "1 page of text",
    "screen_none": "No text was found on the screen.",
    "screen_no_picture": "This recording has no picture.",
    "screen_show": "Show the pages",
    "screen_more": "More pages",
    "screen_page": "Page {number} of the screen: {start}",
    "screen_at": "Play from {start}",
    "screen_times_more": "{count} more times",
    "screen_times_more_one": "1 more time",
    "screen_unread": "{count} places look like text and could not be read, such as another script.",
    "screen_unread_one": "1 place looks like text and could not be read, such as another script.",
    "screen_left_out": "{count} pictures changed too fast and were not read.",
    "screen_left_out_one": "1 picture changed too fast and was not read.",
    "screen_moving": "The picture did not rest for {time}: there it was read every 20 seconds "
    "only.",
}

DE: dict[str, str] = {
    "screen_title": "Auf dem Bildschirm",
    "screen_pages": "{count} Seiten Text",
    "screen_pages_one": "1 Seite Text",
    "screen_none": "Auf dem Bildschirm wurde kein Text gefunden.",
    "screen_no_picture": "Diese Aufnahme hat kein Bild.",
    "screen_show": "Seiten zeigen",
    "screen_more": "Weitere Seiten",
    "screen_page": "Seite {number} des Bildschirms: {start}",
    "screen_at": "Ab {start} abspielen",
    "screen_times_more": "{count} weitere Male",
    "screen_times_more_one": "1 weiteres Mal",
    "screen_unread": "{count} Stellen sehen wie Text aus und waren nicht lesbar, etwa eine andere "
    "Schrift.",
    "screen_unread_one": "1 Stelle sieht wie Text aus und war nicht lesbar, etwa eine andere "
    "Schrift.",
    "screen_left_out": "{count} Bilder wechselten zu schnell und wurden nicht gelesen.",
    "screen_left_out_one": "1 Bild wechselte zu schnell und wurde nicht gelesen.",
    "screen_moving": "Das Bild ruhte {time} lang nicht: dort wurde es nur alle 20 Sekunden "
    "gelesen.",
}
