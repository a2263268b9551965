"""Words of the simulated catalogue: titles and descriptions whose meaning follows the genre."""

from dataclasses import dataclass

import numpy as np

DOMAINS = ("films", "songs")
"""The two domains; genre ``g`` of the one appeals to those who like genre ``g`` of the other."""


@dataclass(frozen=True)
class Genre:
    """Words of a genre.

    Attributes:
        name: what it is called, and the first tag of its items.
        adjectives: words that begin a title, and further tags.
        nouns: words that end a title.
        subjects: what an item of the genre is about or sounds like.
    """

    name: str
    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]
    subjects: tuple[str, ...]


GENRES: dict[str, tuple[Genre, ...]] = {
    "films": (
        Genre(
            "science fiction",
            ("Distant", "Stellar", "Frozen", "Quantum", "Orbital", "Silent"),
            ("Galaxy", "Starship", "Planet", "Android", "Nebula", "Colony"),
            ("a crew stranded near a dying star", "robots that learn to dream", "first contact with aliens"),
        ),
        Genre(
            "crime",
            ("Crooked", "Midnight", "Dirty", "Hidden", "Cold", "Last"),
            ("Heist", "Detective", "Alibi", "Suspect", "Verdict", "Gangster"),
            ("a detective hunting a murderer", "thieves who plan one last robbery", "a corrupt police station"),
        ),
        Genre(
            "romance",
            ("Tender", "Secret", "Summer", "Endless", "Sweet", "Forgotten"),
            ("Wedding", "Kiss", "Promise", "Letter", "Heart", "Bride"),
            ("two lovers parted by the sea", "a marriage saved by old letters", "a summer love in a small town"),
        ),
        Genre(
            "comedy",
            ("Clumsy", "Crazy", "Awkward", "Lucky", "Silly", "Perfect"),
            ("Roommate", "Vacation", "Uncle", "Prank", "Mix-Up", "Party"),
            ("a family holiday where all goes wrong", "two roommates and a stolen cake", "a hopeless office prank"),
        ),
        Genre(
            "horror",
            ("Haunted", "Bloody", "Cursed", "Crawling", "Rotten", "Screaming"),
            ("Cellar", "Ghost", "Asylum", "Grave", "Demon", "Mansion"),
            ("a ghost that follows a family home", "a demon under an old asylum", "teenagers hunted in the woods"),
        ),
        Genre(
            "nature documentary",
            ("Wild", "Living", "Deep", "Green", "Hidden", "Northern"),
            ("Ocean", "Forest", "Savannah", "Glacier", "River", "Reef"),
            ("whales on their way to the north", "a year in the rain forest", "wolves that raise their young"),
        ),
    ),
    "songs": (
        Genre(
            "electronic",
            ("Neon", "Digital", "Orbital", "Cosmic", "Liquid", "Infinite"),
            ("Signal", "Satellite", "Circuit", "Pulse", "Horizon", "Machine"),
            ("synthesizers drifting through space", "a pulsing drum machine", "cold electronic arpeggios"),
        ),
        Genre(
            "jazz",
            ("Smoky", "Blue", "Crooked", "Late", "Lonesome", "Midnight"),
            ("Alley", "Swing", "Corner", "Saxophone", "Cigarette", "Quartet"),
            ("a smoky saxophone over brushed drums", "a walking double bass", "a muted trumpet after midnight"),
        ),
        Genre(
            "soul ballad",
            ("Tender", "Broken", "Endless", "Sweet", "Golden", "Faithful"),
            ("Embrace", "Tears", "Forever", "Devotion", "Goodbye", "Darling"),
            ("a tender voice that sings of love", "strings under a promise to stay", "a slow dance for two"),
        ),
        Genre(
            "pop",
            ("Sunny", "Happy", "Bubblegum", "Dancing", "Sparkling", "Crazy"),
            ("Weekend", "Holiday", "Lollipop", "Radio", "Birthday", "Jump"),
            ("a cheerful chorus to sing along to", "handclaps and a bouncing bass", "a silly summer dance"),
        ),
        Genre(
            "heavy metal",
            ("Black", "Burning", "Bloody", "Iron", "Savage", "Cursed"),
            ("Throne", "Hammer", "Skull", "Inferno", "Wrath", "Tomb"),
            ("distorted guitars and screams", "furious double bass drums", "a dark riff about demons"),
        ),
        Genre(
            "acoustic folk",
            ("Mossy", "Wandering", "Quiet", "Green", "Morning", "Northern"),
            ("Meadow", "Creek", "Sparrow", "Campfire", "Valley", "Pine"),
            ("a fingerpicked guitar beside a river", "a fiddle and birdsong", "voices around a campfire"),
        ),
    ),
}


@dataclass(frozen=True)
class Item:
    """A simulated item, without its media.

    Attributes:
        item_id: its id.
        domain: ``films`` or ``songs``.
        genre_index: index of its genre in its domain.
        title: its title, unique in the catalogue.
        body: one or two sentences.
        tags: its genre and a mood.
    """

    item_id: str
    domain: str
    genre_index: int
    title: str
    body: str
    tags: tuple[str, ...]


def compose(n_items: int, rng: np.random.Generator) -> list[Item]:
    """Items of all genres in turn; the domains take turns as well."""
    items: list[Item] = []
    used: dict[str, int] = {}
    for index in range(n_items):
        domain = DOMAINS[index % len(DOMAINS)]
        genre_index = index // len(DOMAINS) % len(GENRES[domain])
        genre = GENRES[domain][genre_index]
        adjective, noun = str(rng.choice(genre.adjectives)), str(rng.choice(genre.nouns))
        title = f"The {adjective} {noun}" if domain == "films" else f"{adjective} {noun}"
        used[title] = used.get(title, 0) + 1
        if used[title] > 1:
            title = f"{title}, Part {used[title]}"
        first, second = rng.permutation(len(genre.subjects))[:2]
        kind = domain.removesuffix("s")
        body = (
            f"{genre.name.capitalize()} {kind}: {genre.subjects[first]}. "
            f"{adjective} and full of {noun.lower()}, with {genre.subjects[second]}."
        )
        items.append(Item(f"{kind}-{index + 1:04d}", domain, genre_index, title, body, (genre.name, adjective.lower())))
    return items
