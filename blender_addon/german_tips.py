"""The operators' tooltips in German."""

TIPS = {
    "Open the photo in the Image Editor, to paint over people and things: the next world is built without them": (
        "Das Foto im Bildeditor öffnen, um Menschen und Dinge zu übermalen: die nächste Welt wird ohne sie gebaut"
    ),
    "Put what was cut out of the photo into the scene: cards that can be moved, hidden and animated": (
        "Was aus dem Foto ausgeschnitten wurde, in die Szene stellen: bewegliche, animierbare Aufsteller"
    ),
    "Write the scene's world for other programs": "Die Welt der Szene für andere Programme ausgeben",
    "Write the cameras of the scene's frames: .usda, .abc, .fbx, .chan, .jsx, .json, .txt, or a folder for COLMAP": (
        "Die Kameras der Bilder ausgeben: .usda, .abc, .fbx, .chan, .jsx, .json, .txt, oder einen Ordner für COLMAP"
    ),
    "Add a camera with the move from another program's file: transforms.json, USD, .chan, COLMAP, RealEstate10K": (
        "Eine Kamera, die sich bewegt, wie es die Datei eines anderen Programms sagt: transforms.json, USD, .chan,"
        " COLMAP, RealEstate10K"
    ),
    "Add the world as Gaussian splats, with parallax and with what is hidden behind things": (
        "Die Welt als Gauß-Splats hinzufügen: mit Parallaxe und dem, was hinter den Dingen steht"
    ),
    "Open the world's 360° picture in the Image Editor, to paint over what is to change, in any colour": (
        "Das 360°-Bild der Welt im Bildeditor öffnen, um zu übermalen, was sich ändern soll, mit beliebiger Farbe"
    ),
    "Build the world beyond a door from the shot's frame at the playhead, and link it; this world stays the scene's": (
        "Die Welt hinter einer Tür aus dem Bild der Aufnahme am Abspielkopf bauen und verbinden; diese Welt bleibt die"
        " der Szene"
    ),
    "Link the world that is chosen in the list to the scene's world, at the door between them": (
        "Die in der Liste gewählte Welt mit der Welt der Szene verbinden, an der Tür zwischen ihnen"
    ),
    "Remove a link of two worlds; both are kept": "Die Verbindung zweier Welten entfernen; beide bleiben",
    "Index among the scene's links, from 0": "Index unter den Verbindungen der Szene, ab 0",
    "Worlds that openings join": "Welten, die durch Öffnungen verbunden sind",
    "Folder of the world that the opening is in": "Ordner der Welt, in der die Öffnung ist",
    "Folder of the world beyond the opening": "Ordner der Welt hinter der Öffnung",
    "Begin with nothing marked": "Ohne Markierung neu beginnen",
    "Take out what is painted over: walls and floor go on there. The changed world is added; this one is kept": (
        "Herausnehmen, was übermalt ist: Wände und Boden gehen dort weiter. Die geänderte Welt kommt dazu, diese bleibt"
    ),
    "Make what is painted over anew, with another seed each time. The changed world is added; this one is kept": (
        "Das Übermalte neu machen, jedes Mal mit anderem Seed. Die geänderte Welt kommt dazu, diese bleibt"
    ),
    "What is to be there instead, such as: a plant in a pot. For presets that take a prompt": (
        "Was dort stattdessen sein soll, etwa: eine Topfpflanze. Für Presets, die einen Prompt nehmen"
    ),
    "Let the service plan a camera move that keeps clear of walls and things and stays where the world is known": (
        "Den Dienst eine Fahrt planen lassen, die Abstand von allem hält und dort bleibt, wo viel bekannt ist"
    ),
    "Past places that show much of the photo": "An Orten vorbei, von denen viel vom Foto zu sehen ist",
    "A clear way to the 3D cursor, at the camera's height": "Ein freier Weg zum 3D-Cursor, auf Höhe der Kamera",
    "To a good view of the 3D cursor, looking at it at the end": (
        "Zu einem guten Blick auf den 3D-Cursor, auf den sie am Ende schaut"
    ),
    "Where the way to the 3D cursor begins": "Wo der Weg zum 3D-Cursor beginnt",
    "The door between two worlds is where the 3D cursor is, this large; else the service looks for it": (
        "Die Tür zwischen zwei Welten ist am 3D-Cursor und so groß; sonst sucht der Dienst sie"
    ),
    "The door's width in metres": "Breite der Tür in Metern",
    "The door's height above the floor in metres": "Höhe der Tür über dem Boden in Metern",
    "Metres that a planned move keeps from walls and things": (
        "Abstand einer geplanten Fahrt zu Wänden und Dingen, in Metern"
    ),
    "Highest speed of a planned move, in metres per second": (
        "Höchstes Tempo einer geplanten Fahrt, in Metern je Sekunde"
    ),
    "Highest turning speed of a planned move, per second": "Höchstes Drehtempo einer geplanten Fahrt, je Sekunde",
    "End the scene's frame range where a planned move ends": "Den Bereich der Szene enden lassen, wo die Fahrt endet",
    "Add an editable curve and a camera that follows it": (
        "Eine Kurve, die sich bearbeiten lässt, und eine Kamera, die ihr folgt"
    ),
    "Check how much of each view along the path the world covers, and where the path goes too far": (
        "Prüfen, wie viel die Welt von jedem Blick auf dem Pfad zeigt, und wo der Pfad zu weit geht"
    ),
    "Colour the stage in this viewport by what is photo, invented or a hole; press again for its picture": (
        "In dieser Ansicht farbig zeigen, was an der Bühne Foto, erfunden und Loch ist; noch einmal drücken: ihr Bild"
    ),
    "Drag two handles onto the photo's horizon to set pitch and roll": (
        "Zwei Griffe auf den Horizont des Fotos ziehen: setzt Neigung und Rollen"
    ),
    "Drag two lines along vertical edges, or along parallel horizontal edges, to set pitch and roll": (
        "Zwei Linien an senkrechte oder an parallele waagerechte Kanten legen: setzt Neigung und Rollen"
    ),
    "Click the ends of a known length in the photo to set the camera's height, and so the scale of the world": (
        "Die Enden einer bekannten Länge im Foto anklicken: setzt die Höhe der Kamera und so den Maßstab der Welt"
    ),
    "Turn this photo's camera to match the other photos of the place": (
        "Die Kamera dieses Fotos so drehen, dass sie zeigt, was die anderen Fotos des Orts zeigen"
    ),
    "Separate this photo from its place; its camera stays where it is": (
        "Aus diesem Foto einen eigenen Ort machen; seine Kamera bleibt, wo sie ist"
    ),
    "Create the camera that took this photo": "Die Kamera erzeugen, die dieses Foto aufgenommen hat",
    "Use the last render of the scene's camera as the photo": "Das letzte Rendering der Szenenkamera als Foto nehmen",
    "Make the photo's camera the scene's camera and look through it": (
        "Die Kamera des Fotos zur Kamera der Szene machen und durch sie blicken"
    ),
    "Go back to the angles that are assumed for a photo without straight lines": (
        "Zurück zu den Winkeln, die für ein Foto ohne gerade Linien angenommen werden"
    ),
    "Set the scene's resolution to that of the photo": "Die Auflösung der Szene auf die des Fotos setzen",
    "Show the photo on a plane that fills its camera's frame": (
        "Das Foto auf einer Ebene zeigen, die das Bild seiner Kamera füllt"
    ),
    "Show the photo in its own colours, which Blender's default view transform changes": (
        "Das Foto in seinen eigenen Farben zeigen, die Blenders übliche Darstellung verändert"
    ),
    "Start the program that runs the models on this machine": (
        "Das Programm starten, das auf diesem Rechner die Modelle ausführt"
    ),
    "Stop the service; finished results are kept": "Den Dienst beenden; fertige Ergebnisse bleiben",
    "Connect to the service and show its devices": "Mit dem Dienst verbinden und seine Geräte zeigen",
    "Unload the models to free their memory; they load again when they are needed": (
        "Die Modelle entladen, um ihren Speicher freizugeben; sie werden bei Bedarf wieder geladen"
    ),
    "Copy the command, to be pasted into a terminal on the service's machine": (
        "Den Befehl kopieren, um ihn in ein Terminal auf dem Rechner des Dienstes einzufügen"
    ),
    "Open the preferences of Look Beyond": "Die Einstellungen von Look Beyond öffnen",
    "Preview the shot at once: play the stage through the scene's camera": (
        "Den Dreh sofort ansehen: die Bühne durch die Kamera der Szene abspielen"
    ),
    "Shoot the frames of the scene's camera in the world": "Die Bilder der Kamera der Szene in der Welt drehen",
    "Set up the compositor so that Blender renders the scene's objects into the shot, with correct occlusion": (
        "Den Compositor so einrichten, dass Blender die Objekte der Szene in den Dreh rendert, richtig verdeckt"
    ),
    "Copy all files of the scene's worlds and shots beside the .blend file and use the copies": (
        "Alle Dateien der Welten und Drehs neben die .blend-Datei kopieren und die Kopien verwenden"
    ),
    "Show the chosen take where the scene's shots are shown": (
        "Den gewählten Take dort zeigen, wo die Drehs der Szene erscheinen"
    ),
    "Play the chosen take from its first frame, in the sequencer": (
        "Den gewählten Take vom ersten Bild an im Sequencer abspielen"
    ),
    "Shoot the chosen take again, with its seed and with its camera as it is now": (
        "Den gewählten Take noch einmal drehen: mit seinem Seed und seiner Kamera, wie sie jetzt ist"
    ),
    "Show a shot from its folder, such as one that was made for another file": (
        "Einen Dreh aus seinem Ordner zeigen, etwa einen, der für eine andere Datei entstand"
    ),
    "Delete the chosen take's files and remove it from the list": (
        "Die Dateien des gewählten Takes löschen und ihn aus der Liste nehmen"
    ),
    "Write the chosen take as a movie": "Den gewählten Take als Film ausgeben",
    "Resume this unfinished job; what was finished before is kept": (
        "Diesen unfertigen Auftrag weitermachen; was schon fertig war, bleibt"
    ),
    "Try it with a photo that comes with Look Beyond: its world and a small shot, which take about a minute": (
        "Mit einem mitgelieferten Foto ausprobieren: seine Welt und ein kleiner Dreh, etwa eine Minute"
    ),
    "Cancel the running task; finished results are kept": "Die laufende Aufgabe abbrechen; fertige Ergebnisse bleiben",
    "Remove this task from the queue": "Diese Aufgabe aus der Warteschlange nehmen",
    "Open the folder of these results": "Den Ordner dieser Ergebnisse öffnen",
    "Show the whole message": "Die ganze Meldung zeigen",
    "Copy the message and the service's log to the clipboard, for a support request": (
        "Meldung und Protokoll des Dienstes in die Zwischenablage kopieren, für eine Anfrage"
    ),
    "Dismiss the message": "Die Meldung schließen",
    "Copy the message to the clipboard": "Die Meldung in die Zwischenablage kopieren",
    "Click the ends of a known length in the 360° picture to set its camera's height, and so the scale of the world": (
        "Die Enden einer bekannten Länge im 360°-Bild anklicken: setzt die Höhe seiner Kamera und den Maßstab der Welt"
    ),
    "Extend the photo to a panorama, or use the 360° picture, and make it the scene's world": (
        "Das Foto zum Panorama erweitern oder das 360°-Bild nehmen, und es zur Welt der Szene machen"
    ),
    "Build the world from an existing 360° picture; only distances are computed": (
        "Die Welt aus einem vorhandenen 360°-Bild bauen; nur Abstände werden berechnet"
    ),
    "Build another world from the same photo, with a new seed; the others are kept": (
        "Aus demselben Foto eine andere Welt bauen, mit neuem Seed; die übrigen bleiben"
    ),
    "Switch the scene to this world": "Die Szene auf diese Welt umstellen",
    "Show the world in this viewport; press again to return to solid mode": (
        "Die Welt in dieser Ansicht zeigen; noch einmal drücken: zurück zu Solid"
    ),
    "Remove the chosen world from the list; its files are kept": (
        "Die gewählte Welt aus der Liste nehmen; ihre Dateien bleiben"
    ),
    "Build the chosen world again: its seed and prompt, with the photo's camera as it is now": (
        "Die gewählte Welt noch einmal bauen: mit ihrem Seed und Prompt und der Kamera des Fotos, wie sie jetzt ist"
    ),
    "Use a world from its folder, such as one that was built for another file": (
        "Eine Welt aus ihrem Ordner verwenden, etwa eine, die für eine andere Datei entstand"
    ),
    "Delete the chosen world's files and remove it from the list": (
        "Die Dateien der gewählten Welt löschen und sie aus der Liste nehmen"
    ),
    "Make the chosen world an asset of this file, with its picture, to drag it into other scenes and files": (
        "Die gewählte Welt mit ihrem Bild zum Asset dieser Datei machen, um sie in andere Szenen und Dateien zu ziehen"
    ),
    "Add a mesh of the world's distances with the panorama as its texture, to place objects on": (
        "Ein Mesh aus den Abständen der Welt mit dem Panorama als Textur, um Objekte darauf zu stellen"
    ),
}
