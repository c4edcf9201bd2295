//! Words as kubectl's flag parser takes them (spf13/pflag `flag.go`) → as clap's does. Pure.
//!
//! `--all_namespaces`, `-A=1` and `--pick=false` of every flag that is on or off; `-v 6` and `-v6`; a value that begins with
//! `-`; an empty one takes back what was said before. What is not understood stays, for clap to say so.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

use clap::{Arg, ArgAction, Command};

/// One flag with its value, or any other word.
struct TypedFlag<'a> {
    /// `None`: not a flag that is known.
    flag: Option<&'a Arg>,
    word: OsString,
}

/// Reads words by the flags of `command`.
struct WordReader<'a, I: Iterator<Item = OsString>> {
    command: &'a Command,
    words: Peekable<I>,
    typed: Vec<TypedFlag<'a>>,
}

/// `words` without the program's name, for clap to read. What follows `--` stays as it is.
pub(crate) fn as_clap_takes_them(words: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut reader = WordReader { command, words: words.into_iter().peekable(), typed: Vec::new() };
    while let Some(word) = reader.words.next() {
        match word.to_str().map(str::to_owned) {
            Some(text) if text == "--" => {
                reader.push(None, word);
                let rest: Vec<OsString> = reader.words.by_ref().collect();
                rest.into_iter().for_each(|word| reader.push(None, word));
            }
            Some(text) if text.starts_with("--") => reader.long(&text, word),
            Some(text) if text.len() > 1 && text.starts_with('-') => reader.letters(&text, word),
            _ => reader.push(None, word),
        }
    }
    reader.typed.into_iter().map(|typed| typed.word).collect()
}

impl<'a, I: Iterator<Item = OsString>> WordReader<'a, I> {
    fn long(&mut self, text: &str, word: OsString) {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let name = name.trim_start_matches('-').replace('_', "-");
        let known = self.command.get_arguments().find(|flag| flag.get_long() == Some(&name));
        match known {
            Some(flag) => {
                let value = value.map(OsString::from).or_else(|| self.next_value(flag));
                self.flag(flag, value);
            }
            None => self.push(None, word),
        }
    }

    /// `-x`, `-xVALUE`, `-x=VALUE`, or several letters of which only the last takes a value.
    fn letters(&mut self, text: &str, word: OsString) {
        let mut read: Vec<(&'a Arg, Option<OsString>)> = Vec::new();
        for (at, letter) in text.char_indices().skip(1) {
            let Some(flag) = self.command.get_arguments().find(|flag| flag.get_short() == Some(letter)) else {
                return self.push(None, word);
            };
            let after = &text[at + letter.len_utf8()..];
            let is_value = !after.is_empty() && (takes_a_word(flag) || takes_level(flag) && is_number(after));
            if is_value || after.starts_with('=') {
                read.push((flag, Some(after.strip_prefix('=').unwrap_or(after).into())));
                break;
            }
            read.push((flag, None));
        }
        if let Some((flag, value @ None)) = read.last_mut() {
            *value = self.next_value(flag);
        }
        read.into_iter().for_each(|(flag, value)| self.flag(flag, value));
    }

    fn next_value(&mut self, flag: &Arg) -> Option<OsString> {
        self.words.next_if(|next| match next.to_str() {
            Some(next) => takes_a_word(flag) && !next.starts_with("--") || takes_level(flag) && is_number(next),
            None => takes_a_word(flag),
        })
    }

    fn flag(&mut self, flag: &'a Arg, value: Option<OsString>) {
        let mut word = OsString::from(format!("--{}", flag.get_long().unwrap_or_default()));
        let Some(value) = value else { return self.push(Some(flag), word) };
        match on_or_off(&value).filter(|_| !flag.get_action().takes_values()) {
            Some(true) => return self.push(Some(flag), word),
            Some(false) => return self.take_back(flag),
            None => {}
        }
        if value.is_empty() && takes_a_word(flag) {
            return self.take_back(flag);
        }
        word.push("=");
        word.push(&value);
        self.push(Some(flag), word);
    }

    fn push(&mut self, flag: Option<&'a Arg>, word: OsString) {
        self.typed.push(TypedFlag { flag, word });
    }

    /// The last one counts, and it says "not". Of what may stand several times the others still count.
    fn take_back(&mut self, flag: &Arg) {
        if !matches!(flag.get_action(), ArgAction::Append) {
            self.typed.retain(|typed| typed.flag.is_none_or(|other| other.get_id() != flag.get_id()));
        }
    }
}

fn takes_a_word(flag: &Arg) -> bool {
    flag.get_action().takes_values() && !flag.is_require_equals_set()
}

/// Whether it is one that stands several times, with a number or without.
fn takes_level(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append) && flag.is_require_equals_set()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As Go reads it (`strconv.ParseBool`).
fn on_or_off(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::args::CommandLine;
    use clap::CommandFactory;

    #[test]
    fn every_spelling_of_kubectl() {
        let command = CommandLine::command();
        let check = |typed: &str, expect: &str| {
            let words = typed.split(' ').map(|word| OsString::from(word.replace('_', " ").replace("''", "")));
            let words = as_clap_takes_them(words, &command);
            let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), expect, "{typed}");
        };
        check("nginx -v 6", "nginx --v=6");
        check("-v6 nginx", "--v=6 nginx");
        check("-v=6", "--v=6");
        check("--v 6 6", "--v=6 6");
        check("-v nginx", "--v nginx");
        check("-vv -vA", "--v --v --v --all-namespaces");
        check("-A=1", "--all-namespaces");
        check("-A=true --list=T", "--all-namespaces --list");
        check("-A --all-namespaces=false x", "x");
        check("-A=0 -A", "--all-namespaces");
        check("--list=maybe", "--list=maybe");
        check("-n a --namespace=", "");
        check("-n a --context '' x", "--namespace=a x");
        check("--as-group a --as-group ''", "--as-group=a");
        check("-na -n=b -n c", "--namespace=a --namespace=b --namespace=c");
        check("-An a", "--all-namespaces --namespace=a");
        check("--token -abc", "--token=-abc");
        check("-n --list", "--namespace --list");
        check("--wait web", "--wait web");
        check("--wait=5s - -x --unknown=1", "--wait=5s - -x --unknown=1");
        check("web -A=1 -- curl -v 6 -A=1", "web --all-namespaces -- curl -v 6 -A=1");
    }

    #[test]
    fn a_line_between_words_is_a_hyphen() {
        let words = as_clap_takes_them(["--all_namespaces=true".into()], &CommandLine::command());
        assert_eq!(words, ["--all-namespaces"]);
    }
}
