//! Which text can be told apart by people who read it.
//!
//! The properties are those of the Unicode Character Database, as `icu_properties` has them; what looks
//! alike is said by UTS #39, as `unicode-security` has it.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier,
        ExtendedPictographic, GeneralCategory, JoiningType,
    },
};
use unicode_security::skeleton;

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
/// Says that the character before it is text or an emoji.
const VARIATIONS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
/// What has a width and no ink, and is neither a space nor ignorable: the blank of Braille and the null
/// notehead of music.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// Whether the text can be an id, or a part of one: visible characters in Unicode's form NFC, in which
/// one text has one spelling, and single spaces of ASCII between them.
pub(crate) fn is_id(text: &str) -> bool {
    if text.is_ascii() {
        // Most ids; on the way of every trigger.
        return text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && is_spaced(text);
    }
    let seen =
        |c: char| c == ' ' || (!is_unseen(c) && category(c) != GeneralCategory::SpaceSeparator);
    is_spaced(text)
        && !starts_with_mark(text)
        && text.chars().all(seen)
        && ComposingNormalizerBorrowed::new_nfc().is_normalized(text)
}

/// Whether the text can be a name for people: visible characters, spaces between them, and what joins
/// emoji and letters where it does so.
pub(crate) fn is_label(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let seen = |(n, c): (usize, &char)| !is_unseen(*c) || joins(&characters, n);
    is_trimmed(text) && !starts_with_mark(text) && characters.iter().enumerate().all(seen)
}

/// Whether people could take the text for a name in lower-case letters of ASCII.
pub(crate) fn looks_like(text: &str, name: &str) -> bool {
    if text.is_ascii() && text.len() > 2 * name.len() {
        return false;
    }
    outline(text) == outline(name)
}

/// The same for all text that looks the same, in capitals or not.
fn outline(text: &str) -> String {
    let text = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    // Capitals of other scripts look like those of ASCII, and become small as such.
    let capitals: String = skeleton(&text).collect();
    let small: String = capitals.chars().flat_map(char::to_lowercase).map(small_capital).collect();
    skeleton(&small).collect()
}

/// The letter whose capital this looks like, at the size of a small one: UTS #39 tells these apart.
fn small_capital(c: char) -> char {
    match c {
        'ᴇ' => 'e',
        // What UTS #39 has for the small capital and the Cyrillic letter.
        'ʍ' => 'm',
        'ᴛ' => 't',
        c => c,
    }
}

/// Whether its spaces are seen: one at a time, between other characters.
fn is_spaced(text: &str) -> bool {
    is_trimmed(text) && !text.contains("  ")
}

/// Whether it neither begins nor ends with white space, where it would not be seen.
fn is_trimmed(text: &str) -> bool {
    text.trim().len() == text.len()
}

/// Whether it begins with a mark, which would be drawn on what stands before the text.
fn starts_with_mark(text: &str) -> bool {
    let mark = |c| {
        matches!(
            category(c),
            GeneralCategory::NonspacingMark
                | GeneralCategory::SpacingMark
                | GeneralCategory::EnclosingMark
        )
    };
    text.chars().next().is_some_and(mark)
}

/// Whether nothing is drawn for it, or it changes how other characters are drawn: controls, those of
/// directions among them, separators of lines, private and unassigned characters.
fn is_unseen(c: char) -> bool {
    let unseen = matches!(
        category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    unseen || BLANK.contains(&c) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Whether the character at `n` is one that is not seen itself, but joins what is: emoji to another
/// emoji, or letters in scripts where they change their form (RFC 5892, A.1 and A.2).
fn joins(text: &[char], n: usize) -> bool {
    let (before, after) = (&text[..n], &text[n + 1..]);
    let Some(last) = before.last() else { return false };
    match text[n] {
        c if VARIATIONS.contains(&c) => CodePointSetData::new::<Emoji>().contains(*last),
        JOINER | NON_JOINER if is_virama(*last) => true,
        JOINER => {
            let tones = CodePointSetData::new::<EmojiModifier>();
            let is_modifier = |c: &&char| VARIATIONS.contains(c) || tones.contains(**c);
            let base = before.iter().rev().find(|c| !is_modifier(c));
            let pictures = CodePointSetData::new::<ExtendedPictographic>();
            [base, after.first()].into_iter().all(|c| c.is_some_and(|c| pictures.contains(*c)))
        }
        NON_JOINER => {
            let class = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
            let letter = |c: &&char| class(c) != JoiningType::Transparent;
            let before = before.iter().rev().find(letter).map(class);
            let after = after.iter().find(letter).map(class);
            let joins_next = [JoiningType::LeftJoining, JoiningType::DualJoining];
            let joins_last = [JoiningType::RightJoining, JoiningType::DualJoining];
            before.is_some_and(|class| joins_next.contains(&class))
                && after.is_some_and(|class| joins_last.contains(&class))
        }
        _ => false,
    }
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_visible_text_in_nfc_is_accepted() {
        for text in [
            "ann",
            "ann@example.com",
            "Ann Smith",
            "Zoë Müller",
            "李小龍",
            "김철수",
            "たなか",
            "محمد",
            "דוד",
            "นิด",
            "🐸",
            "a{b}:c/d?e#f",
            "x'\"<>&",
        ] {
            assert!(is_id(text), "{text}");
        }
    }

    #[test]
    fn id_of_text_that_is_not_seen_or_has_another_spelling_is_refused() {
        for (text, why) in [
            (" ann", "a space before"),
            ("ann ", "a space after"),
            ("Ann  Smith", "two spaces"),
            ("an\tn", "a tab"),
            ("an\nn", "a new line"),
            ("ann\u{7f}", "delete"),
            ("an\u{85}n", "a control beyond ASCII"),
            ("an\u{a0}n", "a space of another kind"),
            ("an\u{2003}n", "a wide space"),
            ("ann\u{3000}", "an ideographic space"),
            ("an\u{ad}n", "a soft hyphen"),
            ("an\u{200b}n", "a space of no width"),
            ("an\u{200c}n", "a non-joiner"),
            ("an\u{200d}n", "a joiner"),
            ("an\u{2060}n", "a word joiner"),
            ("\u{feff}ann", "a byte order mark"),
            ("an\u{180e}n", "a vowel separator"),
            ("an\u{115f}n", "a filler of Hangul"),
            ("an\u{3164}n", "another"),
            ("an\u{ffa0}n", "another"),
            ("an\u{34f}n", "a grapheme joiner"),
            ("an\u{fe0f}n", "a variation selector"),
            ("an\u{e0100}n", "another"),
            ("an\u{e0061}n", "a tag"),
            ("an\u{2800}n", "a blank of Braille"),
            ("an\u{1d159}n", "a null notehead"),
            ("an\u{202e}n", "an override"),
            ("an\u{202a}n", "an embedding"),
            ("an\u{2066}n", "an isolate"),
            ("an\u{200f}n", "a mark of direction"),
            ("an\u{61c}n", "another"),
            ("an\u{2028}n", "a separator of lines"),
            ("an\u{2029}n", "a separator of paragraphs"),
            ("an\u{e000}n", "a private character"),
            ("an\u{10fffd}n", "another"),
            ("an\u{378}n", "an unassigned character"),
            ("an\u{fdd0}n", "no character"),
            ("\u{301}ann", "a mark without a base"),
            ("\u{903}ann", "a spacing mark without a base"),
            ("Zoe\u{308}", "a decomposed letter"),
            ("\u{212b}", "a sign that is a letter"),
            ("\u{f900}", "an ideograph for compatibility"),
            ("👩\u{200d}💻", "emoji that are joined"),
        ] {
            assert!(!is_id(text), "{why}");
        }
    }

    #[test]
    fn label_with_emoji_and_joined_letters_is_accepted() {
        for text in [
            "General Chat",
            "Büro",
            "会议室　二",
            "10\u{202f}000 mètres",
            "👩\u{200d}💻 Coders",
            "👩🏽\u{200d}🚀",
            "👨\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈 Pride",
            "❤\u{fe0f}\u{200d}🔥",
            "1\u{fe0f}\u{20e3} First",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "Zoe\u{308}",
        ] {
            assert!(is_label(text), "{text:?}");
        }
    }

    #[test]
    fn label_that_hides_something_is_refused() {
        for text in [
            "",
            " ",
            "Gene\u{202e}lar",
            "Gene\u{200b}ral",
            "Gene\u{200c}ral",
            "Gene\u{200d}ral",
            "General\u{fe0f}",
            "\u{200d}💻",
            "👩\u{200d}",
            "👩\u{200d}\u{200d}💻",
            "👩\u{200d}a",
            "a\u{200d}💻",
            "م\u{200c}",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "a\nb",
            "General\u{2028}",
            "\u{301}a",
            " General",
        ] {
            assert!(text.is_empty() || !is_label(text), "{text:?}");
        }
    }

    #[test]
    fn name_in_letters_that_look_alike_is_recognised() {
        for text in [
            "system",
            "System",
            "SYSTEM",
            "sYsTeM",
            "systern",
            "SYSTEM",
            "ѕуѕtеm",
            "ѕуѕтем",
            "ЅҮЅТЕМ",
            "ЅYЅTЕМ",
            "Ꮪystem",
            "sүstem",
            "ｓｙｓｔｅｍ",
            "ＳＹＳＴＥＭ",
            "𝐬𝐲𝐬𝐭𝐞𝐦",
            "𝘚𝘺𝘴𝘵𝘦𝘮",
            "ⓢⓨⓢⓣⓔⓜ",
            "ˢʸˢᵗᵉᵐ",
            "ꜱʏꜱᴛᴇᴍ",
            "ſyſtem",
            "ѕysteｍ",
        ] {
            assert!(looks_like(text, "system"), "{text}");
        }
        for text in
            ["systems", "my system", "sys", "ann", "система", "systém", "", "system-1", "ystem"]
        {
            assert!(!looks_like(text, "system"), "{text}");
        }
    }
}
