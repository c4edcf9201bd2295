//! What a user is told when something ends the run: one sentence, one way out, one exit code.

/// How the process ends. Stable: scripts branch on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Served and stopped, also by Ctrl-C or SIGTERM.
    Ok,
    /// Something failed.
    Failed,
    /// The command line or a configuration file makes no sense.
    Usage,
    /// A prompt was cancelled.
    Cancelled,
    /// The code of the COMMAND after `--`.
    Command(u8),
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Cancelled => 130,
            Self::Command(code) => code,
        }
    }
}

/// The end of a run, in the user's words.
///
/// `message` names the thing, says the cause once and carries no secret; `hint` is what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Error {
    /// A failure: exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Failed }
    }

    /// The system refuses a thread.
    pub fn no_threads() -> Self {
        Self::failed("the system gives this program no more threads")
            .hint("ulimit -u shows how many processes and threads this user may have; end some, or raise it")
    }

    /// A mistake in what was typed or configured: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: Exit::Usage }
    }

    /// A prompt that the user left: exit code 130, nothing more to say.
    pub fn cancelled() -> Self {
        Self { message: String::new(), hint: None, exit: Exit::Cancelled }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Changes how the process ends.
    #[must_use]
    pub fn exit_with(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The sentence, without a final period.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Message and hint where the run goes on.
    pub fn one_line(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{hint}", self.message)
    }

    /// How the process ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// What the system says of a failure, fit to stand behind a colon: without its error number.
pub fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let Some((words, _)) = text.rsplit_once(" (os error") else { return text };
    // Windows speaks in sentences.
    let mut characters = words.trim_end_matches('.').chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// `text` of a library in words for people: without the system's error numbers, and without addresses of a library's manual.
pub fn plain_words(text: &str) -> String {
    const MANUAL: &str = ": https://docs.rs/";
    let mut words = text.to_owned();
    while let Some((start, end)) = part(&words, " (os error ", |rest| rest.find(')').map(|at| at + 1)) {
        words.replace_range(start..end, "");
    }
    while let Some((start, end)) = part(&words, MANUAL, |rest| rest.find([' ', ')', '"', '\n']).or(Some(rest.len()))) {
        words.replace_range(start..end, "");
    }
    words
}

/// Where `beginning` is in `text`, and what follows it up to where `end` says.
fn part(text: &str, beginning: &str, end: impl Fn(&str) -> Option<usize>) -> Option<(usize, usize)> {
    let start = text.find(beginning)?;
    let after = start + beginning.len();
    Some((start, after + end(&text[after..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_in_words() {
        let check = |text: &str, expect: &str| assert_eq!(plain_words(text), expect);
        check(
            "cannot read: Connection reset by peer (os error 104), twice (os error 1)",
            "cannot read: Connection reset by peer, twice",
        );
        let manual = "https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
        check(
            &format!("peer closed connection without sending TLS close_notify: {manual}"),
            "peer closed connection without sending TLS close_notify",
        );
        check(&format!("(eof: {manual}) and (os error x"), "(eof) and (os error x");
        check("as it is", "as it is");
    }

    #[test]
    fn the_system_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let missing = std::fs::read(folder.path().join("missing")).unwrap_err();
        let words = system_words(&missing);
        assert!(
            !words.contains("os error") && !words.ends_with('.') && !words.starts_with(char::is_uppercase),
            "{words}"
        );
        if cfg!(unix) {
            assert_eq!(words, "no such file or directory");
        }
        assert_eq!(system_words(&std::io::Error::other("As it is")), "As it is");
    }
}
