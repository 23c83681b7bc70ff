"""The fixed text that fingerprints encode. Changing it changes every fingerprint: bump VERSION.

It has what sets tokenizers apart: runs of digits, blank lines, indentation, contractions, letters of
many scripts, emoji with joiners, punctuation in rows, code. It is in Unicode's form NFC, because
a GGUF file does not say whether text is normalised first.
"""

from __future__ import annotations

from collections.abc import Iterable

PROBE_VERSION = 1

_PROSE = """\
So, the answer is 42. Thus x = 3.14159265 and y = 1,234,567.89; now 2024-11-05T09:30:00Z.
I'm sure you'll say we've shown it's right, he'd agree, they're done, and I DON'T KNOW IF IT'S SO.
1 12 123 1234 12345 123456 1234567 12345678 123456789 0.1 00.001 1e-9 0xFF 50% $3.50 #1 7th 3/4
Wait... what?! "Really?" (yes), [no], {maybe} -- well; 'so be it': a+b=c, a*b/c^2 <= 10 && d != 0.
Okay, let me think. First, I need the speed; next, the time. Therefore 12 apples * 7 = 84 apples.
Hmm, alternatively (wait), "Now," she said, "this cannot be so: know, also, thus405, So So\tSo"...
The end.\n\n\nA new paragraph.\r\n\r\nAnother one.\n \n\t\n  Indented   words    with     gaps \n
"""
_SCRIPTS = """\
Ünïcödé naïve café Straße ŒUVRE ĲSSELMEER ǅ ﬁ Ångström fiancée señor Łódź Ţara İstanbul ıslak.
Привет, мир! Это тест № 5: съешь ещё этих мягких французских булок. Γειά σου Κόσμε; Καλημέρα.
שלום עולם. مرحبا بالعالم، كيف حالك؟ ١٢٣ नमस्ते दुनिया १२३ สวัสดีชาวโลก ๑๒๓ မင်္ဂလာပါ Xin chào thế giới.
你好，世界！答案是42。因此，我们得到结果：三加四等于七；「好」。日本語のテスト：カタカナとひらがな、漢字。
한국어 시험입니다. 그래서 답은 7입니다! 繁體中文：龍龜鬱。㈱ ① Ⅳ ½ ² ₃ ∑∫√≈≠≤∞ → ⇒ ∀x∈ℝ ‖v‖ ⟨a,b⟩ ℵ₀
😀😃 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇯🇵 🏳️‍🌈 ✅❌⚠️ 𝕏𝒜𝔅 𐍈 \u200b\u00a0\u3000\u2028 “quotes” ‘single’ «guillemets» – — … • ™ ©
"""
_CODE = r"""
def add_carry(a: int, b: int, *, base=10) -> tuple[int, int]:
    '''Adds two digits.'''
    total = a + b  # may be >= base
    if total >= base and not (a < 0 or b < 0):
        return total % base, total // base
    return (total, 0)


for (int i = 0; i < n; ++i) { sum += arr[i] << 2; }	// tab	tab
SELECT name, COUNT(*) FROM users WHERE id IN (1, 22, 333) GROUP BY name;
<div class="box" id='x'>&nbsp;<br/></div> https://example.org/a/b?c=d&e=%20f#g user@mail.com
{"name": "get_weather", "arguments": {"city": "Zürich", "days": [1, 2, 3], "ok": true, "x": null}}
$$\int_0^1 x^2\,dx = \frac{1}{3}$$ \(a_{ij}\) \[ \boxed{405} \] $\mathbb{R}^n$ ```python
print("Hello, world!\n" * 3)
```
| a | b |
|---|---|
| 1 | 2 |

1. First
2. Second
   - nested **bold** _italic_ `code`
* * *
=== ---- ____ ######## //////// ........ !!!!!!!! ???? ~~~~ @@@@ ;;;; ::::
getHTTPResponseCode snake_case_name CONSTANT_VALUE camelCase kebab-case v2.0.1-rc3 x86_64 utf8
"""
_RANGES = (
    (0x20, 0x7F),  # ASCII
    (0xA1, 0x180),  # Latin
    (0x391, 0x3A2),  # Greek
    (0x410, 0x450),  # Cyrillic
    (0x3041, 0x3097),  # Hiragana
    (0x4E00, 0x4E40),  # Han
    (0xAC00, 0xAC30),  # Hangul
)
_LETTERS = "\n".join("".join(map(chr, range(*bounds))) for bounds in _RANGES)

PROBE_TEXT = _PROSE + _SCRIPTS + _CODE + _LETTERS + "\n\n  \n   trailing blanks   \n"
"""Some 4 KB of UTF-8."""


def probe_text(special_texts: Iterable[str]) -> str:
    """The probe, then every special token between full stops.

    No blank stands beside a special token: whether one swallows it is not written in GGUF files.
    """
    return PROBE_TEXT + "." + "".join(f"{text}." for text in special_texts)
