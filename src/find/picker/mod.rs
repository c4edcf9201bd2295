//! Choosing Targets interactively.
//!
//! `row`, `narrow`, `filter_text`, `state` and `frame` are pure: Services and keys in, styled text out. `screen` is the
//! terminal, and this file puts the two together: rows arrive while the user types. `line_prompt` asks where the terminal
//! takes no orders, with the lines of `numbered_list`.

pub mod filter_text;
pub mod frame;
mod line_prompt;
mod narrow;
pub mod numbered_list;
pub mod row;
pub mod screen;
pub mod state;

use std::io;

use crossterm::event::EventStream;
use dialoguer::Select;
use dialoguer::console::Term;
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, system_words};
use crate::service::{Service, ServicePort};
use crate::terminal::signals::StopSignals;
use frame::{PickerPlace, frame, page};
use row::port_text;
use screen::{PickerScreen, TerminalInput, input};
use state::{PickerLook, PickerState, PickerStep, ReadinessLookup};

pub use line_prompt::{ask_port_by_number, pick_by_number};
pub use row::{PickedPort, PickedRow};

/// What arrives while the user is choosing.
pub enum PickerArrival {
    /// A page of Services.
    Services(Vec<Service>),
    /// All Services are there.
    ServicesComplete,
    /// All endpoints are there.
    Readiness(ReadinessLookup),
    /// Looked for elsewhere than asked.
    Narrowed {
        /// The scope instead.
        scope: String,
        /// Its namespaces.
        listed: Vec<String>,
        /// A sentence that says why.
        why: String,
    },
    /// No list may be had, of this namespace or of any.
    NotListed(Option<String>, Error),
    /// The list failed; what is there stays.
    Failed(Error),
}

/// What arrives, for as long as it is held.
pub struct PickerFeed {
    /// In order of arrival.
    pub arrivals: mpsc::Receiver<PickerArrival>,
    /// Who asks.
    pub feeder: AbortOnDropHandle<()>,
}

/// Lets the user choose with `picker` among what arrives from `place`, first by `feed`, and by what `look` asks for when the
/// user wants to look once more. Needs a terminal as stdin and stderr.
///
/// # Errors
/// When the user leaves (exit code 130), the list fails before anything has arrived, or there is nothing to choose.
pub async fn pick(
    mut picker: PickerState,
    mut place: PickerPlace,
    colour: bool,
    mut feed: PickerFeed,
    mut look: impl FnMut(PickerLook) -> PickerFeed,
    signals: &mut StopSignals,
) -> Result<Vec<PickedRow>, Error> {
    let mut screen = PickerScreen::take(colour).map_err(no_terminal)?;
    let mut events = EventStream::new();
    let mut continued = continue_signals().map_err(no_terminal)?;
    loop {
        screen.show(&frame(&mut picker, &place, screen.size)).map_err(no_terminal)?;
        tokio::select! {
            biased;
            _ = signals.next() => return Err(Error::cancelled()),
            Some(()) = continued.next() => screen.retake().map_err(no_terminal)?,
            event = events.next() => {
                let event = event.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())).map_err(no_terminal)?;
                match after(input(event), &mut picker, &mut screen) {
                    PickerStep::Stay => {}
                    PickerStep::Suspend => suspend(&mut screen, &mut continued).await?,
                    PickerStep::Cancel => return Err(Error::cancelled()),
                    PickerStep::Look(again) => {
                        place.look(again);
                        picker.look(again);
                        feed = look(again);
                    }
                    PickerStep::Chosen(picked) => return Ok(picked),
                }
            }
            Some(arrival) = feed.arrivals.recv() => {
                take_in(arrival, &mut picker, &mut place)?;
                // Whatever else is there already is drawn together with it.
                while let Ok(arrival) = feed.arrivals.try_recv() {
                    take_in(arrival, &mut picker, &mut place)?;
                }
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn no_terminal(error: io::Error) -> Error {
    Error::failed(format!("cannot use the terminal to choose on: {}", system_words(&error)))
        .hint("name the Service: kubectl svcproxy SERVICE")
}

fn after(input: TerminalInput, picker: &mut PickerState, screen: &mut PickerScreen) -> PickerStep {
    match input {
        TerminalInput::Key(key) => picker.press(key, page(screen.size.height)),
        TerminalInput::Redraw => {
            screen.measure();
            PickerStep::Stay
        }
        TerminalInput::Nothing => PickerStep::Stay,
    }
}

fn take_in(arrival: PickerArrival, picker: &mut PickerState, place: &mut PickerPlace) -> Result<(), Error> {
    match arrival {
        PickerArrival::Services(services) => picker.add_services(services),
        PickerArrival::ServicesComplete => {
            picker.end_loading(true);
            if picker.rows.is_empty() {
                return Err(nothing_to_choose(place));
            }
        }
        PickerArrival::Readiness(readiness) => picker.set_readiness(readiness),
        PickerArrival::Narrowed { scope, listed, why } => {
            place.scope = scope;
            picker.add_remembered(|namespace| !listed.iter().any(|listed| listed == namespace));
            picker.note(why);
        }
        PickerArrival::NotListed(namespace, error) => {
            picker.add_remembered(|hidden| namespace.as_deref().is_none_or(|namespace| namespace == hidden));
            return not_whole(
                picker,
                error,
                Some("these were opened before · Esc, then kubectl svcproxy NAME for another"),
            );
        }
        PickerArrival::Failed(error) => return not_whole(picker, error, None),
    }
    Ok(())
}

/// What is there stays, and is all that there is.
fn not_whole(picker: &mut PickerState, error: Error, instead: Option<&str>) -> Result<(), Error> {
    picker.end_loading(false);
    if picker.rows.is_empty() {
        return Err(error);
    }
    picker.note(instead.unwrap_or(error.message()));
    Ok(())
}

fn nothing_to_choose(place: &PickerPlace) -> Error {
    let error = Error::failed(format!("there are no Services in {}", place.scope));
    if place.scope == frame::ALL_NAMESPACES { error } else { error.hint("look in all namespaces with -A") }
}

/// Stops this program and its job as Ctrl-Z does elsewhere, and takes the terminal again when it goes on.
#[cfg(unix)]
async fn suspend(screen: &mut PickerScreen, continued: &mut BoxStream<'static, ()>) -> Result<(), Error> {
    use rustix::process::{Signal, kill_current_process_group};
    use screen::give_back;
    use std::time::Duration;

    /// A job without a shell that could continue it is not stopped at all (POSIX: orphaned process groups).
    const STOP_TIMEOUT: Duration = Duration::from_millis(200);

    give_back();
    let _ = kill_current_process_group(Signal::TSTP);
    let _ = tokio::time::timeout(STOP_TIMEOUT, continued.next()).await;
    screen.retake().map_err(no_terminal)
}

/// Windows has no job control.
#[cfg(windows)]
async fn suspend(_screen: &mut PickerScreen, _continued: &mut BoxStream<'static, ()>) -> Result<(), Error> {
    Ok(())
}

/// SIGCONT: shells change the terminal's modes while a program is stopped. Windows has no job control.
fn continue_signals() -> io::Result<BoxStream<'static, ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut signal = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        Ok(stream::poll_fn(move |context| signal.poll_recv(context)).boxed())
    }
    #[cfg(windows)]
    Ok(stream::pending().boxed())
}

/// Asks which of `ports` of `service` is meant. Needs a terminal that takes orders as stdin and stderr, and somebody who listens
/// for Ctrl-C: it then comes back as an interrupted read instead of ending the process with the cursor hidden.
///
/// # Errors
/// When the user leaves (exit code 130), or the terminal fails.
pub async fn ask_port(service: &Service, ports: Vec<ServicePort>, colour: bool) -> Result<ServicePort, Error> {
    let (question, items) = port_question(service, &ports);
    let answer = tokio::task::spawn_blocking(move || ask(&question, &items, colour)).await;
    let index = answer.map_err(|_| Error::cancelled())??;
    ports.into_iter().nth(index).ok_or_else(Error::cancelled)
}

/// The question, and a line for each answer.
pub fn port_question(service: &Service, ports: &[ServicePort]) -> (String, Vec<String>) {
    (format!("Which port of {}/{}?", service.namespace, service.name), ports.iter().map(port_text).collect())
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
