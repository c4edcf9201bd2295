//! What is known of the terminal, and of the desk that it stands on, before a run begins.

use std::path::PathBuf;

use super::editor_front::EditorFront;

/// What `main` finds out about where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TerminalFacts {
    /// Whether a person can type.
    pub stdin_is_terminal: bool,
    /// Whether a person reads stdout.
    pub stdout_is_terminal: bool,
    /// Whether a person reads stderr.
    pub stderr_is_terminal: bool,
    /// Whether that terminal takes no orders: `TERM` is `dumb`.
    pub terminal_is_dumb: bool,
    /// Whether the session came by SSH.
    pub over_ssh: bool,
    /// Whether a window can be opened.
    pub has_display: bool,
    /// Whether `BROWSER` names a program.
    pub has_browser_variable: bool,
    /// The editor on another machine that shows the ports of this one.
    pub editor: Option<EditorFront>,
    /// Files that the environment has programs trust, by variable.
    pub ca_files: Vec<(&'static str, PathBuf)>,
}

impl TerminalFacts {
    /// How a prompt can be shown and answered. Without a terminal on both sides it would spin or hang. Pure.
    pub fn prompting(&self) -> PromptWay {
        match (self.stdin_is_terminal && self.stderr_is_terminal, self.terminal_is_dumb) {
            (false, _) => PromptWay::Never,
            (true, true) => PromptWay::Lines,
            (true, false) => PromptWay::Screen,
        }
    }
}

/// How the user can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PromptWay {
    /// Not at all.
    #[default]
    Never,
    /// By lines that are printed and read: the terminal takes no orders.
    Lines,
    /// On a screen.
    Screen,
}

impl PromptWay {
    /// Whether the user can be asked.
    pub fn is_possible(self) -> bool {
        self != Self::Never
    }
}
