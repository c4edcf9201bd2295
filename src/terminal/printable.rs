//! Text of others as it is shown: names, messages, paths and logs come from outside, and whoever wrote them may have meant a
//! terminal to obey them, or a reader to be misled. The one place for it. Pure.

/// `text` with everything that a terminal could obey or that could hide the rest made visible: controls (C0, C1, DEL),
/// what has no width, and what turns the direction of writing; tabs and line ends stay.
pub fn printable(text: &str) -> String {
    shown(text, |character| is_unsafe(character) && character != '\n')
}

/// The same in one line, whatever it was: nobody's text looks like a line of this program's own.
pub fn printable_line(text: &str) -> String {
    shown(text, is_unsafe)
}

/// The same for lines of a log that is in colour: those were put in by who wrote the line, who took all others out.
pub fn printable_log(text: &str, has_colours: bool) -> String {
    shown(text, |character| is_unsafe(character) && character != '\n' && !(has_colours && character == '\u{1b}'))
}

/// The JSON of `json` with the same characters escaped, so that it stays JSON and means the same. What is neither in a text nor
/// a line end is not in JSON (RFC 8259 section 2).
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unsafe(character) && character != '\n' {
            safe.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// `value` as JSON in one line that is safe to show.
pub fn json_line(value: &impl serde::Serialize) -> String {
    printable_json(&serde_json::to_string(value).expect("texts, numbers and lists of them always serialise"))
}

fn shown(text: &str, is_hidden: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' if is_hidden('\n') => shown.push_str("\\n"),
            _ if is_hidden(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Whether a terminal could obey it, or it could hide or reorder the rest.
fn is_unsafe(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_printed_is_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\u{7}\u{9b}c\u{202e}d\r"), "a\\u{1b}[31mb\\u{7}\\u{9b}c\\u{202e}d\\u{d}");
        assert_eq!(printable("Grüße, 世界\t1\n2"), "Grüße, 世界\t1\n2");
        assert_eq!(printable("\u{61c}\u{2028}\u{e0041}"), "\\u{61c}\\u{2028}\\u{e0041}");
    }

    #[test]
    fn one_line_stays_one() {
        assert_eq!(printable_line("a\r\nerror: b\tc"), "a\\u{d}\\nerror: b\tc");
    }

    #[test]
    fn colours_of_a_log() {
        assert_eq!(printable_log("\u{1b}[2mx\u{9b}\u{202e}\n", true), "\u{1b}[2mx\\u{9b}\\u{202e}\n");
        assert_eq!(printable_log("\u{1b}[2mx\n", false), "\\u{1b}[2mx\n");
    }

    proptest! {
        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let json = json_line(&text);
            prop_assert!(!json.chars().any(is_unsafe), "{json}");
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn nothing_unsafe_is_left(text in any::<String>()) {
            prop_assert!(!printable_line(&text).chars().any(is_unsafe));
        }
    }
}
