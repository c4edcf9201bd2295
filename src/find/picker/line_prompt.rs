//! Asking line by line, where the terminal takes no orders: everything is printed, and a whole line read.

use std::io;

use super::frame::PickerPlace;
use super::numbered_list::{NumberedAnswer, answer, numbered, numbered_rows};
use super::state::{PickerKey, PickerState};
use super::{PickedRow, PickerFeed, no_terminal, port_question, take_in};
use crate::error::Error;
use crate::service::{Service, ServicePort};
use crate::terminal::output::Output;
use crate::terminal::signals::StopSignals;

/// Lets the user choose with `picker` among what arrives from `place` by `feed`, when all of it is there.
///
/// # Errors
/// When the user leaves (exit code 130), the list fails, or there is nothing to choose.
pub async fn pick_by_number(
    mut picker: PickerState,
    mut place: PickerPlace,
    mut feed: PickerFeed,
    output: &Output,
    signals: &mut StopSignals,
) -> Result<Vec<PickedRow>, Error> {
    // Both lists at their ends: the sender is gone.
    while let Some(arrival) = heeding(signals, feed.arrivals.recv()).await? {
        take_in(arrival, &mut picker, &mut place)?;
    }
    loop {
        show(&picker, &place, output);
        let line = read_line(signals).await?;
        match answer(&line, picker.shown.len()) {
            NumberedAnswer::Leave => return Err(Error::cancelled()),
            NumberedAnswer::Filter(text) => {
                picker.press(PickerKey::Clear, 1);
                picker.press(PickerKey::Text(text), 1);
            }
            NumberedAnswer::Places(places) => match picker.chosen_at(&places) {
                Ok(chosen) => return Ok(chosen),
                Err(reason) => picker.note(reason),
            },
        }
    }
}

fn show(picker: &PickerState, place: &PickerPlace, output: &Output) {
    let context = place.context.as_ref().map(|context| format!("context {context}, ")).unwrap_or_default();
    output.print_notice(&format!("Services in {}, {context}{}:", place.scope, place.server));
    let rows: Vec<_> = (0..picker.shown.len()).filter_map(|index| picker.at(index)).map(|(row, _)| row).collect();
    numbered_rows(rows.into_iter()).iter().for_each(|line| output.print_notice(line));
    let nothing = picker.shown.is_empty().then(|| format!("nothing matches \"{}\"", picker.typed.as_str()));
    picker.note.iter().chain(&nothing).for_each(|note| output.print_notice(note));
    output.print_notice("Which? Numbers, or a part of the name; an empty line leaves.");
}

/// Asks which of `ports` of `service` is meant.
///
/// # Errors
/// As [`pick_by_number`].
pub async fn ask_port_by_number(
    service: &Service,
    ports: Vec<ServicePort>,
    output: &Output,
    signals: &mut StopSignals,
) -> Result<ServicePort, Error> {
    let (question, items) = port_question(service, &ports);
    output.print_notice(&question);
    loop {
        numbered(&items).iter().for_each(|line| output.print_notice(line));
        output.print_notice(&format!("A number from 1 to {}; an empty line leaves.", items.len()));
        match answer(&read_line(signals).await?, items.len()) {
            NumberedAnswer::Leave => return Err(Error::cancelled()),
            NumberedAnswer::Places(places) if places.len() == 1 => {
                return ports.into_iter().nth(places[0]).ok_or_else(Error::cancelled);
            }
            _ => {}
        }
    }
}

/// What is typed until Enter; the end of the input is a way to leave.
async fn read_line(signals: &mut StopSignals) -> Result<String, Error> {
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|octets| (octets > 0).then_some(line))
    });
    let line = heeding(signals, reading).await?.map_err(|_| Error::cancelled())?;
    line.map_err(no_terminal)?.ok_or_else(Error::cancelled)
}

async fn heeding<T>(signals: &mut StopSignals, question: impl Future<Output = T>) -> Result<T, Error> {
    tokio::select! {
        answer = question => Ok(answer),
        _ = signals.next() => Err(Error::cancelled()),
    }
}
