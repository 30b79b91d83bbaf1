"""Texts for the tokenizer fixtures: written by hand for this project, and mixed from a fixed seed."""

import random
import unicodedata

SENTENCES = [
    "The quick brown fox jumps over the lazy dog; it's what foxes do, they'll say.",
    "She'd have sold 48 clips for $3.75 each, hadn't she? I'M sure WE'RE right, he'S not.",
    "Déjà vu: l'été, où naïveté et cœur se mêlent. Größe, Straße, Übermut, ŒUVRE.",
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň. Iğdır'da ılık şarap. Þórður ætlar.",
    "Η γρήγορη αλεπού πηδά πάνω από τον τεμπέλη σκύλο. ΆΈΉΊΌΎΏ ϊΐ.",
    "Съешь ещё этих мягких булок, да выпей же чаю. Ёлка, їжак, ґанок, љубав.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول. مُحَمَّدٌ ١٢٣٤٥.",
    "השועל החום המהיר קופץ מעל הכלב העצלן. שָׁלוֹם עֲלֵיכֶם",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। क्षत्रिय १२३।",
    "সে একটি বই পড়ছে। தமிழ் மொழி இனிது। తెలుగు భాష. ಕನ್ನಡ മലയാളം",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ ๑๒๓ ลาว: ພາສາລາວ ខ្មែរ မြန်မာ",
    "敏捷的棕色狐狸跳过了懒狗。一二三,四五六!「引號」『測試』、。",
    "素早い茶色の狐がのろまな犬を飛び越える。カタカナ ひらがな ー々〆 ﾊﾝｶｸ",
    "날쌘 갈색 여우가 게으른 개를 뛰어넘는다. 한글 자모: ㄱㄴㄷ",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ ☃ 🏳️‍🌈 1️⃣2️⃣ 🤷🏾‍♀️ 😀😃😄",
    "e\u0301 a\u0308 n\u0303 o\u0302\u0323 \u1e69 s\u0323\u0307 \u212b \u00c5 A\u030a \uac00 \u1100\u1161",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β), ∑_{i=1}^{n} i² ≤ √(n³)/½, 10⁻⁶, x₁₂, Ⅷ ⅓ ㊷",
    "def f(x: int) -> str:\n    return f\"{x:>8}\"  # comment\n\n\tfor i in range(10):\n\t\tprint(i, end='')\n",
    "if (a && b || !c) { x[i++] ^= 0xFF << 3; } /* c */ // d\n#include <vector>\nint main() {}\n",
    "SELECT * FROM t WHERE a='b' AND c<>4; -- x\r\nGET /index.html?q=1&r=%20 HTTP/1.1\r\n\r\n",
    "{\"key\": [1, 2.5e-3, null, true], \"nested\": {\"a\": \"\\u00e9\"}}",
    "Natalia sold 48/2 = 24 clips in May.\nShe sold 48+24 = 72 clips altogether.\n#### 72",
    "$\\frac{9}{s} + t = 4$ and $x^{2}+y_{1}=\\boxed{204}$",
    "a  b   c    d\t\te\n\nf\n\n\ng \n h  \n  i\r\nj\u00a0k\u2003l\u3000m\u2028n\u0085o",
    "2024-01-31 12:34:56.789 +0200, 1,234,567.89, 007, 3.14159265358979, 1e10, ²³¹, 0b1010, ٣٫١٤",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    "x<|endoftext|>y<|im_start|><|im_end|> z <|im_end|>",
    "<|im_start <|im_start|x> |im_end|> <<|im_end|>> <|IM_END|>",
    "a <mask> b<mask>c  <mask>\n<mask>", "a <pad>  b<pad>\n\nc <pad>", "foo word bar, wordy sword word. word",
    "café<mask>café\u0301 <pad> \u00a0word\u3000", "wordword word1 1word _word é-word-é", "<mask><pad><mask> <pad> ",
    "caf\u0065\u0301 token cafe\u0301token \u212bngstr\u00f6m A\u030angstro\u0308m Caf\u00e9",
    "I'll've 'Tis 'twas o'clock '' ''' 'll 'LL 'Re 'VE don\u2019t rock\u2019n\u2019roll ſ'ſ 'ſ",
    "\x00\x01\x02 \x07\x08 \x1b[31m \x7f \x80 \u200b\u200c\u200d\u2060\ufeff \ufffd \ufffe \U0010ffff \ue000",
    "\u180e \u180ex a\u180eb \u202f\u205f\u1680 \u2009.\u2009", "\u0e33\u0e4d\u0e32 \u0f0b\u0f0d \u1361 \u16eb",
    "", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "a", " a", "  a", "a ", "a  ", "1", " 1", "12", " 12",
    "123", "1234", "12345", "  1", "   12", "1 2", "1  2", "a1", "1a", "a 1", "é", "🙂", " 🙂", "🙂🙂", ".", "..", "...", " .",
    "!?", "a.b", "a. b", "'s", " 's", "'", "'s's", "\u3000", "\u00a0", "a\u00a0", "Ġ", "Ċ", "ĠĠ a", "▁", "▁a", "<0x41>", "<unk>",
]

WORDS = (
    "the a of and to in is was for on that with as by it from at his her which or had an were are this be not have "
    "number apples pounds hours minutes dollars twice half sum total each every third remaining altogether answer "
    "cache token model attention budget window score evict keeps longest reasoning step because therefore however "
    "walks buys sells gives takes pays earns costs needs reads writes travels miles train river garden basket "
).split()

# First and last code point of blocks to draw from; unassigned ones are left out.
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF),
    (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF),
    (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20BF), (0x2100, 0x218F), (0x2190, 0x22FF), (0x2460, 0x24FF),
    (0x3000, 0x30FF), (0x3200, 0x32FF), (0x4E00, 0x4FFF), (0xAC00, 0xADFF), (0xFB00, 0xFB4F), (0xFF00, 0xFFEF),
    (0x1D400, 0x1D4FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1F9FF), (0x10900, 0x1091F), (0x20000, 0x200FF),
]
SPACES = [" ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\u00a0", "\u3000", "\u2003", "    ", "\v", "\f", "\u0085"]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<mask>", "<pad>", "word", "token", "<|begin_of_text|>"]


def assigned(block):
    return [chr(c) for c in range(block[0], block[1] + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def word_problem(rng):
    """A sentence with numbers, in the manner of school problems."""
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 12)))
    a, b = rng.randint(1, 5000), rng.randint(1, 99)
    return rng.choice([f"{words.capitalize()} {a}.", f"{words}: {a}+{b} = {a + b}\n", f"{words}, ${a}.{b:02d}; {b}% of {a} ",
                       f"Question: {words}?\nAnswer: {a}*{b}={a * b}\n#### {a * b}\n\n"])


def mixture(rng, blocks):
    """Random signs, words, numbers, blanks and special tokens next to each other."""
    parts = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.randrange(7)
        if kind == 0:
            parts.append(rng.choice(WORDS))
        elif kind == 1:
            parts.append(rng.choice(SPACES) * rng.randint(1, 3))
        elif kind == 2:
            parts.append(str(rng.randrange(10 ** rng.randint(1, 9))))
        elif kind == 3:
            parts.append(rng.choice(SPECIALS))
        elif kind == 4:
            sentence = rng.choice(SENTENCES)
            start = rng.randrange(len(sentence) + 1)
            parts.append(sentence[start:start + rng.randint(1, 12)])
        else:
            parts.append("".join(rng.choice(rng.choice(blocks)) for _ in range(rng.randint(1, 6))))
    return "".join(parts)


def training_text():
    rng = random.Random(1)
    return SENTENCES + [word_problem(rng) for _ in range(3000)]


def fixture_texts():
    """More than 500 different texts, the empty one among them."""
    rng = random.Random(2)
    blocks = [assigned(block) for block in BLOCKS]
    texts = list(SENTENCES)
    texts += [word_problem(rng) for _ in range(80)]
    texts += [mixture(rng, blocks) for _ in range(330)]
    texts += ["".join(rng.choice(SPACES) for _ in range(rng.randint(1, 12))) + "x" * rng.randrange(2) for _ in range(25)]
    texts += [" ".join(word_problem(rng) for _ in range(12)), "a" * 300, " " * 100, "ab" * 100 + "1" * 100]
    return list(dict.fromkeys(texts))


# Added tokens of the model families in the middle of text, and what their patterns treat differently.
FAMILY_SENTENCES = [
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<think>2+2</think>4<tool_call>\n{\"name\": \"f\"}\n</tool_call><tool_response>x</tool_response>", "a<think> b </think> c",
    "<|vision_start|><|image_pad|><|vision_end|> <|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>", "<|endoftext|> <|endoftext|>\n",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>Be brief.<\uff5cUser\uff5c>Hi<\uff5cAssistant\uff5c><think>\nok\n</think>\n\nHo<\uff5cend\u2581of\u2581sentence\uff5c>",
    "x <\uff5cUser\uff5c> y<\uff5cUser\uff5c", "<|User|> <\uff5c User \uff5c> \uff5c\u2581\uff5c", "<\uff5ctool\u2581call\u2581begin\uff5c>function",
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|begin_of_text|><|begin_of_text|> <|python_tag|>print(1)<|eom_id|>", "<|reserved_special_token_0|>x<|reserved_special_token_1|>",
    "<s>[INST] Hi [/INST] Ho</s>[INST]again[/INST]", "[INST][INST] [/INST", "<s> a <s>b</s> <unk>c", "</s>", " </s> ", "<s><s>",
    "[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hi[/INST][TOOL_CALLS][{\"a\": 1}]", "<pad>", " <pad>x", "a <mask> b<mask>",
    "I'm You'RE he'LL WE'VE it'S 'TIS don'T x'd X'D 'S's'S", "HelloWorld helloWORLD McDonald XMLHttpRequest \u01c5e\u01c4E iPhone",
    "1234567890 12 345,678.90 1\u00b2\u00b3 \u2167\u2167\u2167\u2167 \u0661\u0662\u0663\u0664 \u4e00\u4e8c\u4e09 \u216012",
    "\u4e2d\u6587abc\u65e5\u672c\u8a9e\u3067\u3059\u3002\u30c6\u30b9\u30c8\uff01123\u5e74 \ud55c\uad6d\uc5b4 \u9fff\u3400 \u3005\u3006",
    "\u4e2d \u6587 \u30fb\u3042", "a//b /* c */\n//\n/\n", "!hello ?world (abc) [x]y {z} \\alpha ~tilde `code` _under __init__",
    "\u0301abc e\u0301 \u0915\u093f \u0e01\u0e33 a\u0308\u0301 \u1100\u1161\u11a8 \u212b \u2126 \uf900 \u0958 q\u0307\u0323",
    "line one\n\n\nline two\r\n\r\n  three\n \n\t\n", " leading", "  two", "   three", "trailing ", "in  the   middle    x", "\n x", "\t\tx",
    "x\u00a0y\u2009z \u3000w", "\u2581", "\u2581\u2581a \u2581b", "a\u2581", "<0x41><0x0A>", "<0xE4><0xB8><0xAD>", "\x00\x01\x7f\x80\u0085", "\ufffd",
    "\U0001f642\U0001f642 \U0001f469\u200d\U0001f4bb\U00020000", "\u00df\u1e9e\ufb01\u0130\u0131", "x" * 400, "ha" * 150 + " " * 40 + "7" * 50,
]


# The tokens of Phi, gpt-oss, Gemma, OLMo-2 and SmolLM3 with blanks around them, and what o200k's pattern treats differently.
LATER_SENTENCES = [
    "<|system|>\nBe brief.<|end|>\n<|user|>\n  Hi <|end|>\n\n<|assistant|> \t\nHo<|end|>", "<|user|>x<|user|>  <|user|>\u00a0y <|end",
    "a  <|im_start|>  system  <|im_sep|>\n\n b \t<|im_end|> \u3000c<|im_start|>user<|im_sep|>", "<|dummy_0|>  <|fim_prefix|> x <|im_end|>",
    "<|start|>system<|message|>Be brief.<|end|><|start|>assistant<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final"
    "<|message|>4<|return|>", "<|start|>functions.f to=assistant<|channel|>commentary <|constrain|>json<|message|>{\"a\": 1}<|call|> <|start|",
    "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<bos> <bos><eos> <unused0> <unused1> [multimodal]<table>x</b>",
    "a\n\nb\n\n\nc\n\n\n\nd\n\n\n\n\n\n\n\ne", "\t\tx\t\t\t y\t", "\u2581\u2581\u2581 \u2581\u2581x  y   z", " x  y\u2581 \u2581z ",
    "mail |||EMAIL_ADDRESS||| or |||PHONE_NUMBER||||||IP_ADDRESS|||x |||EMAIL_ADDRESS||", "<|pad|> <|pad|><|endoftext|>\n<|endofprompt|>",
    "<|tool|>[{}]<|/tool|><|tool_call|>f()<|/tool_call|> <|tool_response|> 3<|tag|>", "<|startoftext|>a<|reserved_200000|><|return|>b",
    "CamelCase'S camelCASE'll XMLHttp'Re \u00c9cole'D \u01c5ungla'T \u4e2d\u6587's ''s A'B 's'S \u017f'\u017f x'\u017f",
    "\u02b0\u02b1A\u02b0a \u0531\u0561\u0587 \u10d0\u1c90 A\u0301B\u0301c\u0301 \u0301\u0302 \u1d2c\u1d43 \u2160\u2170", "path/to//file.c//\n/\r\n// \n/",
    "1234567890 \u0661\u0662\u0663\u0664 \u00b2\u00b3\u2074\u2075 12a34b567c8901", "\u3042\u3044\u30a2\u30fc\uff76 \ud55c\uad6d\uc5b4\uc758 \u0e44\u0e17\u0e22",
]


def family_texts():
    """Some 270 texts for the families: every third of the others', and their own."""
    short = ["", " ", "  ", "\n", "a", " a", "a "]
    return list(dict.fromkeys(FAMILY_SENTENCES + fixture_texts()[::3] + short + LATER_SENTENCES))
