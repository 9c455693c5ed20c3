import pytest

from rocmr_keras.data.emoji.captions import code_points
from rocmr_keras.data.emoji.families import families

NAMES = {
    "\U0001f3c3": "person running",
    "\U0001f3c3\u200d\u2640\ufe0f": "woman running",
    "\U0001f468\u200d\U0001f373": "man cook",
    "\U0001f469\u200d\U0001f373": "woman cook",
    "\U0001f9d1\u200d\U0001f373": "cook",
    "\U0001f373": "cooking",
    "\U0001f550": "one o'clock",
    "\U0001f55c": "one thirty",
    "\u2b05": "left arrow",
    "\u2b06": "up arrow",
    "\U0001f34e": "red apple",
    "\U0001f34f": "green apple",
    "\U0001f1fa\U0001f1ec": "uganda",
    "\U0001f1f3\U0001f1f4": "norway",
    "\U0001f3f4\u200d\u2620\ufe0f": "pirate flag",
    "1\ufe0f\u20e3": "keycap 1",
    "2\ufe0f\u20e3": "keycap 2",
    "\U0001f42e": "cow face",
    "\U0001f404": "cow",
    "\U0001f4eb": "closed mailbox with raised flag",
    "\U0001f4ed": "open mailbox with lowered flag",
    "\U0001f34c": "banana",
    "\U0001f468": "man",
    "\U0001f469": "woman",
    "\U0001f408": "cat",
    "\U0001f408\u200d\u2b1b": "black cat",
    "\U0001f431": "cat face",
}
GROUPS = [
    {"person running", "woman running"},
    {"man cook", "woman cook", "cook"},
    {"cooking"},
    {"one o'clock", "one thirty"},
    {"left arrow", "up arrow"},
    {"red apple", "green apple"},
    {"uganda", "norway", "pirate flag"},
    {"keycap 1", "keycap 2"},
    {"cow face", "cow"},
    {"closed mailbox with raised flag", "open mailbox with lowered flag"},
    {"banana"},
    {"man", "woman"},
    {"cat", "black cat", "cat face"},
]


def test_variants_are_of_one_family():
    names = {code_points(text): name for text, name in NAMES.items()}
    groups = [{names[codes] for codes in group} for group in families(names)]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, GROUPS))
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)


@pytest.mark.parametrize("step", [-1, 5])
def test_order_of_the_input_does_not_matter(step):
    names = {code_points(text): name for text, name in NAMES.items()}
    items = list(names.items())
    turned = dict(items[::step] + items)
    assert families(turned) == families(names)
