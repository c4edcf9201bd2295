//! The short question: which of a Service's ports.

use dialoguer::Select;
use dialoguer::console::Term;
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};

use super::row::port_text;
use crate::error::Error;
use crate::service::{Service, ServicePort};

/// Asks which of `ports` of `service` is meant. Needs a terminal as stdin and stderr, and somebody who listens for
/// Ctrl-C: it then comes back as an interrupted read instead of ending the process with the cursor hidden.
///
/// # Errors
/// When the user leaves (exit code 130), or the terminal fails.
pub async fn ask_port(service: &Service, ports: Vec<ServicePort>, colour: bool) -> Result<ServicePort, Error> {
    let question = format!("Which port of {}/{}?", service.namespace, service.name);
    let items: Vec<String> = ports.iter().map(port_text).collect();
    let answer = tokio::task::spawn_blocking(move || ask(&question, &items, colour)).await;
    let index = answer.map_err(|_| Error::cancelled())??;
    ports.into_iter().nth(index).ok_or_else(Error::cancelled)
}

fn ask(question: &str, items: &[String], colour: bool) -> Result<usize, Error> {
    let theme: &dyn Theme = if colour { &ColorfulTheme::default() } else { &SimpleTheme };
    let terminal = Term::stderr();
    let answer = Select::with_theme(theme)
        .with_prompt(question)
        .items(items)
        .default(0)
        .report(false)
        .interact_on_opt(&terminal);
    if answer.is_err() {
        // dialoguer leaves it hidden when it is interrupted.
        let _ = terminal.show_cursor();
    }
    answer.ok().flatten().ok_or_else(Error::cancelled)
}
