//! Who is at the other end of a connection: on Linux the kernel knows which user a socket on this machine belongs to.

use std::net::SocketAddr;

use crate::proxy::local::guard::admit::ClientPeer;

/// Both ends of a TCP connection, as we see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionEnds {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// Who sent what arrives over a TCP connection with these `ends`. Connections to a loopback address come from this
/// machine whatever address they come from; to another address, those whose other end this machine does not have come
/// from elsewhere, which the user asked for by listening there.
#[cfg(target_os = "linux")]
pub(crate) fn of_tcp(ends: ConnectionEnds) -> ClientPeer {
    match super::socket_owner::find(ends) {
        Some(owner) => of_user(owner),
        None if is_loopback(ends.local) => ClientPeer::Unknown,
        None => ClientPeer::Trusted,
    }
}

/// Other systems do not say whose connection it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of_tcp(_: ConnectionEnds) -> ClientPeer {
    ClientPeer::Trusted
}

/// Root may do as it likes anyway.
#[cfg(unix)]
pub(crate) fn of_user(user: u32) -> ClientPeer {
    let own = rustix::process::geteuid().as_raw();
    if user == own || user == 0 { ClientPeer::Trusted } else { ClientPeer::OtherUser(user) }
}

#[cfg(target_os = "linux")]
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
