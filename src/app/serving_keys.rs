//! What single keys do while Services are served at a terminal.

use super::ready_block::ReadyBlock;
use crate::proxy::local::RequestLog;
use crate::terminal::browser::{self, BrowserOpening};
#[cfg(unix)]
use crate::terminal::key_presses::{KeyPress, KeyPresses};
use crate::terminal::output::{Output, width};

/// The keys in few words, for the line that stands below what is served.
pub const KEYS: &str = "o open · r requests · q quit";
#[cfg(unix)]
const HELP: &str = "o browser · r request log on, off · c clear · q quit, as Ctrl-C";

/// What the keys are about.
pub struct ServingDesk {
    /// Where everything is said.
    pub output: Output,
    /// What was said first.
    pub block: ReadyBlock,
    /// What `o` opens, and how.
    pub url: String,
    /// With which browser.
    pub opening: BrowserOpening,
    /// What `r` turns on and off.
    pub log: RequestLog,
}

impl ServingDesk {
    /// Says what is served.
    pub fn print_block(&self) {
        self.block.lines(width()).iter().for_each(|line| self.output.print_styled(line));
    }

    /// Obeys keys until one of them wants the end.
    #[cfg(unix)]
    pub async fn obey(&self) {
        let Some(mut keys) = KeyPresses::listen() else { return std::future::pending().await };
        loop {
            match keys.next().await {
                KeyPress::Key('q') => return,
                KeyPress::Key(key) => self.act(key),
                KeyPress::Suspend => {
                    self.output.hide_status();
                    keys.suspend();
                    self.output.redraw_status(false);
                }
            }
        }
    }

    /// There are no single keys here.
    #[cfg(not(unix))]
    pub async fn obey(&self) {
        std::future::pending().await
    }

    #[cfg(unix)]
    fn act(&self, key: char) {
        match key {
            'o' => self.open(),
            'r' => {
                let state = if self.log.toggle() { "on" } else { "off" };
                self.output.print_hint(&format!("request log {state}"));
            }
            'c' => {
                self.output.redraw_status(true);
                self.print_block();
            }
            '?' | 'h' => self.output.print_hint(HELP),
            _ => {}
        }
    }

    /// Opens the browser without waiting for it. A key asks for it, so the desktop's where none was to be opened.
    #[cfg(unix)]
    fn open(&self) {
        let opening = match &self.opening {
            BrowserOpening::Not(_) => BrowserOpening::Default,
            opening => opening.clone(),
        };
        open_browser(opening, self.url.clone(), self.output.clone());
    }
}

/// Opens `url` beside everything else, and says so where that fails.
pub fn open_browser(opening: BrowserOpening, url: String, output: Output) {
    tokio::task::spawn_blocking(move || {
        // It may be one that takes the terminal.
        output.catch_up();
        if let Err(cause) = browser::open(&opening, &url) {
            output.print_hint(&format!("could not open a browser ({cause}); open the URL yourself"));
        }
    });
}
