"""The interface in other languages: Blender looks up every name and tooltip of ours in here.

A language is complete when each text below has it; what it lacks stays English.
"""

import bpy

GERMAN = {
    "Place Photo": "Foto platzieren",
    "Use Render as Photo": "Rendering als Foto nehmen",
    "Adjust Horizon": "Horizont ausrichten",
    "Align by Two Lines": "An zwei Linien ausrichten",
    "Measure by a Known Length": "An bekannter Länge messen",
    "Measure in the 360° Picture": "Im 360°-Bild messen",
    "Match Photo Colours": "Farben des Fotos zeigen",
    "Build World": "Welt bauen",
    "Another World": "Andere Welt",
    "Use World": "Welt verwenden",
    "See World": "Welt ansehen",
    "Forget World": "Welt vergessen",
    "Use 360° Picture": "360°-Bild verwenden",
    "Add Stage": "Bühne hinzufügen",
    "Add Camera Path": "Kamerapfad hinzufügen",
    "Check Path": "Pfad prüfen",
    "Show What Is Known": "Bekanntes zeigen",
    "Start Service": "Dienst starten",
    "Install the service's wheel": "Das Wheel des Dienstes installieren",
    "Stop Service": "Dienst beenden",
    "Test Connection": "Verbindung prüfen",
    "Free Memory": "Speicher freigeben",
    "Copy Command": "Befehl kopieren",
    "Open Folder": "Ordner öffnen",
    "Copy Log": "Protokoll kopieren",
    "Preview Draft": "Entwurf ansehen",
    "Shoot": "Drehen",
    "Set Up Compositing": "Compositing einrichten",
    "Pack for Moving": "Zum Umziehen packen",
    "Cancel": "Abbrechen",
    "Resume": "Weitermachen",
    "Push In": "Heranfahren",
    "Orbit": "Umkreisen",
    "Look Around": "Umsehen",
    "Walk to 3D Cursor": "Zum 3D-Cursor gehen",
    "Crane": "Kran",
    "Scene Like the Photo": "Szene wie das Foto",
    "Steps, Seed and Files": "Schritte, Seed und Dateien",
    "Shot Seed": "Seed des Drehs",
    "Build Again": "Noch einmal bauen",
    "Load World": "Welt laden",
    "Delete World": "Welt löschen",
    "Use Take": "Take verwenden",
    "Play Shot": "Dreh abspielen",
    "Shoot Again": "Noch einmal drehen",
    "Load Shot": "Dreh laden",
    "Delete Take": "Take löschen",
    "Export Movie": "Film ausgeben",
    "Undo Found Angles": "Gefundene Winkel verwerfen",
    "Try the Example": "Beispiel ausprobieren",
    "Whole Message": "Ganze Meldung",
    "Preview and Queue": "Vorschau und Warteschlange",
    "Preferences": "Einstellungen",
    "Where Frames Are Shown": "Wo die Bilder erscheinen",
    "Seed, Prompt and Room": "Seed, Prompt und Raum",
    "Worlds": "Welten",
    "Takes": "Takes",
    "Start the Service When Needed": "Dienst bei Bedarf starten",
    "Load Models at the Start": "Modelle beim Start laden",
    "Delete": "Löschen",
    "Play": "Abspielen",
    "Movie": "Film",
    "More": "Mehr",
    "Dismiss": "Schließen",
    "Draft": "Entwurf",
    "Final": "Endfassung",
    "Look Through Photo's Camera": "Durch die Kamera des Fotos blicken",
    "Use Photo's Resolution": "Auflösung des Fotos nehmen",
    "Photo on a Plane": "Foto auf einer Ebene",
    "Remove from Queue": "Aus der Warteschlange nehmen",
    "Copy Message": "Meldung kopieren",
    "Export World": "Welt ausgeben",
    "Export Camera Move": "Kamerafahrt ausgeben",
    "Import Camera Move": "Kamerafahrt einlesen",
    "Add Splats": "Splats hinzufügen",
    "1  Photo": "1  Foto",
    "2  World": "2  Welt",
    "3  Path": "3  Pfad",
    "4  Shoot": "4  Dreh",
    "Service": "Dienst",
}
CONTEXTS = ("*", "Operator")


def register() -> None:
    texts = {(context, text): translated for text, translated in GERMAN.items() for context in CONTEXTS}
    bpy.app.translations.register(__package__, {"de_DE": texts, "de": texts})


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
