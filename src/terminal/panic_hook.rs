//! The terminal as it was, also after a panic.

use std::panic;
use std::sync::Once;

/// Has `give_back` run before the message of a panic, once for each `hooked`. A release build aborts at a panic, so nothing is
/// dropped then; and the message must not end up where it is not read.
pub fn give_back_on_panic(hooked: &'static Once, give_back: fn()) {
    hooked.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            next(info);
        }));
    });
}
