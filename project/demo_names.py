"""The words that the demo's people and products are named with, and where its people live."""

FIRST = ["Ada", "Bela", "Chidi", "Dana", "Emre", "Freya", "Goran", "Hana", "Igor", "Jana", "Kofi", "Lena", "Mateo"]
LAST = ["Adler", "Baker", "Castillo", "Dvorak", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya"]
COUNTRIES = {"United Kingdom": 60, "Germany": 12, "France": 10, "EIRE": 6, "Spain": 5, "Netherlands": 4, "Belgium": 3}

COLOURS = ["Amber", "Black", "Blue", "Copper", "Cream", "Green", "Grey", "Ivory", "Pink", "Red", "Silver", "White"]
MATERIALS = ["Bamboo", "Ceramic", "Cotton", "Felt", "Glass", "Linen", "Metal", "Paper", "Wicker", "Wooden", "Woollen"]
THINGS = ["Basket", "Bowl", "Box", "Clock", "Cushion", "Doormat", "Frame", "Lantern", "Mug", "Plate", "Tray", "Vase"]
