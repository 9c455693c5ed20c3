import collections
import heapq
import itertools
import re

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
# The tokenizer maps longer words to the unknown token anyway.
_LONGEST_WORD = 50


def check_strings(name, texts, kinds=(str,)):
    """Refuses texts that are not strings.

    Args:
        name: String, the argument they were given as.
        texts: Iterable.
        kinds: Tuple of the types that are taken. Defaults to strings alone.

    Raises:
        ValueError: If one is something else, or one string was given for a list.
    """
    if isinstance(texts, (str, bytes)):
        raise ValueError(
            f"`{name}` must be a list of strings, or its letters are taken for texts. "
            f"Received: {name}={texts!r:.80}. Put it into a list."
        )
    for position, text in enumerate(texts):
        if not isinstance(text, kinds):
            raise ValueError(
                f"`{name}` must be strings. Received: {text!r:.80} at position {position}. "
                "Leave it out, or write ''."
            )


def learn_vocabulary(captions, vocabulary_size, lowercase=True):
    """Learns a WordPiece vocabulary from captions, the same on every run.

    Starts from single characters and keeps joining the pair of neighbouring
    pieces that occurs most often, as `tokenizers` does for BERT. Against
    `keras_hub.tokenizers.compute_word_piece_vocabulary` it keeps pieces seen
    fewer than ten times, of which a small set is full; it keeps the parts of
    common words beside the words, so that an unseen word does not fall apart
    into letters; and it takes a fraction of the time.

    Args:
        captions: Iterable of strings.
        vocabulary_size: Integer, the largest number of pieces, special ones included.
        lowercase: Boolean, whether to fold case first. Defaults to `True`.

    Returns:
        A list of at most `vocabulary_size` strings: special tokens, characters,
        then joined pieces, the most useful first.

    Raises:
        ValueError: If captions are not strings or hold no word, or `vocabulary_size` leaves no
            room.
    """
    if vocabulary_size <= len(SPECIAL_TOKENS):
        raise ValueError(
            f"`vocabulary_size` must be greater than the {len(SPECIAL_TOKENS)} special tokens. "
            f"Received: vocabulary_size={vocabulary_size}. Some thousands are usual."
        )
    captions = captions if isinstance(captions, (str, bytes)) else list(captions)
    check_strings("captions", captions)
    counts = _count_words(captions, lowercase)
    if not counts:
        raise ValueError(
            "`captions` must hold at least one word to learn a vocabulary from. "
            "Received: no word. Check that the captions are not empty."
        )
    room = vocabulary_size - len(SPECIAL_TOKENS)
    words = [(_characters(word), count) for word, count in sorted(counts.items())]
    alphabet = _by_frequency(words)[:room]
    return [*SPECIAL_TOKENS, *alphabet, *_joined_pieces(words, room - len(alphabet))]


def _count_words(captions, lowercase):
    counts = collections.Counter()
    for caption in captions:
        caption = caption.encode("utf-8", "replace").decode("utf-8")
        counts.update(_WORD.findall(caption.casefold() if lowercase else caption))
    return {word: count for word, count in counts.items() if len(word) <= _LONGEST_WORD}


def _characters(word):
    return [word[0], *("##" + character for character in word[1:])]


def _by_frequency(words):
    counts = collections.Counter()
    for pieces, count in words:
        counts.update(dict.fromkeys(pieces, count))
    return sorted(counts, key=lambda piece: (-counts[piece], piece))


def _joined_pieces(words, room):
    totals, places = collections.Counter(), collections.defaultdict(set)
    for index, (pieces, count) in enumerate(words):
        for pair in itertools.pairwise(pieces):
            totals[pair] += count
            places[pair].add(index)
    queue = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(queue)
    joined = {}
    while queue and len(joined) < room:
        total, pair = heapq.heappop(queue)
        # A pair stays queued under its former totals: those are passed over.
        if total == -totals[pair] < 0:
            joined[_join(pair)] = None
            changed = set()
            for index in places.pop(pair):
                changed |= _rewrite(words, index, pair, totals, places)
            for other in changed:
                heapq.heappush(queue, (-totals[other], other))
    return joined


def _rewrite(words, index, pair, totals, places):
    pieces, count = words[index]
    before = collections.Counter(itertools.pairwise(pieces))
    position = 0
    while position < len(pieces) - 1:
        if (pieces[position], pieces[position + 1]) == pair:
            pieces[position : position + 2] = [_join(pair)]
        position += 1
    after = collections.Counter(itertools.pairwise(pieces))
    for other in before | after:
        totals[other] += count * (after[other] - before[other])
        places[other].add(index)
    return set(before | after)


def _join(pair):
    return pair[0] + pair[1][2:]
