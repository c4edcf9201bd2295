//! Where to listen. Both loopback addresses on one port or none, also where only one was asked for: a browser that finds `::1`
//! taken by somebody else would send them the user's requests (Chromium tries it first).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;

use super::connection::ClientSocket;
#[cfg(unix)]
use super::unix_socket::UnixSocket;
use crate::error::{Error, system_words};
use crate::message::host_port::url_authority;
use crate::message::scheme::Scheme;

/// Connections that may wait to be accepted; the system caps it.
const BACKLOG: i32 = 1024;
/// How often a port that is free on one loopback address and taken on the other is replaced by another one.
const ANY_PORT_TRIES: usize = 32;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenOn {
    /// On these addresses, all on one port.
    Tcp {
        /// None for 127.0.0.1 and ::1, or the one of them that the machine has.
        addresses: Vec<IpAddr>,
        /// This one, with 0 any that is free; `None` for the first free one of the preferred ports, or else any.
        port: Option<u16>,
    },
    /// On a Unix socket that only this user may open.
    UnixSocket(PathBuf),
}

/// Bound and reserved; connections queue up until `serve` takes them.
#[derive(Debug)]
pub struct LocalListener {
    pub(crate) sockets: Vec<ListeningSocket>,
    addresses: Vec<SocketAddr>,
}

/// One place where clients come in.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl ListeningSocket {
    pub(crate) async fn accept(&self) -> io::Result<ClientSocket> {
        match self {
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(ClientSocket::Tcp(socket))
            }
            #[cfg(unix)]
            Self::Unix(socket) => socket.listener.accept().await.map(|(socket, _)| ClientSocket::Unix(socket)),
        }
    }
}

impl LocalListener {
    /// Takes the place or fails. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the place is taken, forbidden, or not on this machine.
    pub async fn bind(listen: &ListenOn, preferred_ports: &[u16]) -> Result<Self, Error> {
        match listen {
            ListenOn::Tcp { addresses, port } if addresses.is_empty() => {
                bind_port(&loopback_addresses()?, None, *port, preferred_ports)
            }
            ListenOn::Tcp { addresses, port } => {
                bind_port(addresses, other_loopback(addresses), *port, preferred_ports)
            }
            #[cfg(unix)]
            ListenOn::UnixSocket(path) => {
                let socket = UnixSocket::bind(path).await?;
                Ok(Self { sockets: vec![ListeningSocket::Unix(socket)], addresses: Vec::new() })
            }
            #[cfg(not(unix))]
            ListenOn::UnixSocket(_) => Err(Error::failed("this system has no Unix sockets")),
        }
    }

    /// The same place once more, for whoever goes on serving there; `None` for a Unix socket, which belongs to one.
    pub fn once_more(&self) -> Option<Self> {
        let again = |socket: &ListeningSocket| match socket {
            ListeningSocket::Tcp(listener) => {
                let copy = socket2::SockRef::from(listener).try_clone().ok()?;
                TcpListener::from_std(copy.into()).ok().map(ListeningSocket::Tcp)
            }
            #[cfg(unix)]
            ListeningSocket::Unix(_) => None,
        };
        let sockets = self.sockets.iter().map(again).collect::<Option<_>>()?;
        Some(Self { sockets, addresses: self.addresses.clone() })
    }

    /// The port, the same on all addresses; `None` on a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.local_addrs().first().map(SocketAddr::port)
    }

    /// All addresses that were asked for; none on a Unix socket.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The path of the Unix socket.
    pub fn socket_path(&self) -> Option<&std::path::Path> {
        self.sockets.iter().find_map(|socket| match socket {
            ListeningSocket::Tcp(_) => None,
            #[cfg(unix)]
            ListeningSocket::Unix(socket) => Some(socket.path.as_path()),
        })
    }

    /// Whether a client on this machine that connects to `localhost` gets here.
    pub(crate) fn is_at_loopback(&self) -> bool {
        let mut addresses = self.local_addrs().iter().map(|address| reachable(*address).ip());
        self.local_addrs().is_empty() || addresses.any(|ip| ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST)
    }

    /// Host and port of URLs: 127.0.0.1 if that is listened on, else the first address, and for "all addresses" the
    /// loopback one of that family. On a Unix socket `localhost`, which clients then have to send.
    pub fn authority(&self) -> String {
        let addresses = self.local_addrs();
        let ipv4 = addresses.iter().find(|address| address.ip() == Ipv4Addr::LOCALHOST);
        match ipv4.or_else(|| addresses.first()) {
            Some(address) => url_authority(Scheme::Http, &reachable(*address).ip().to_string(), Some(address.port())),
            None => "localhost".to_owned(),
        }
    }
}

/// A client cannot connect to "all addresses".
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Binds `addresses`, and `also`, on the port that was asked for, or the first free one of the preferred ports, or else any.
fn bind_port(
    addresses: &[IpAddr],
    also: Option<IpAddr>,
    asked: Option<u16>,
    preferred_ports: &[u16],
) -> Result<LocalListener, Error> {
    let all: Vec<IpAddr> = addresses.iter().copied().chain(also).collect();
    let preferred = || preferred_ports.iter().find_map(|port| bind_all(&all, *port).ok());
    let listeners = match asked.is_none().then(preferred).flatten() {
        Some(listeners) => listeners,
        None => bind_all(&all, asked.unwrap_or(0))?,
    };
    let bound = listeners.iter().filter_map(|listener| listener.local_addr().ok());
    let addresses = bound.filter(|bound| addresses.contains(&bound.ip())).collect();
    Ok(LocalListener { sockets: listeners.into_iter().map(ListeningSocket::Tcp).collect(), addresses })
}

/// The loopback address that `addresses` leave to others on this machine, while they have the one of the other family: to
/// browsers a name below `localhost` is both, so that one is served too.
fn other_loopback(addresses: &[IpAddr]) -> Option<IpAddr> {
    let ours = |loopback: IpAddr, all: IpAddr| addresses.contains(&loopback) || addresses.contains(&all);
    let [ipv4, ipv6] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let other = match (ours(ipv4, Ipv4Addr::UNSPECIFIED.into()), ours(ipv6, Ipv6Addr::UNSPECIFIED.into())) {
        (true, false) => ipv6,
        (false, true) => ipv4,
        _ => return None,
    };
    is_here(&other).then_some(other)
}

/// IPv6 may be switched off.
fn is_here(address: &IpAddr) -> bool {
    listen_on(SocketAddr::new(*address, 0)).is_ok()
}

fn loopback_addresses() -> Result<Vec<IpAddr>, Error> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let here: Vec<IpAddr> = both.into_iter().filter(is_here).collect();
    if here.is_empty() {
        return Err(Error::failed("this machine has no loopback address to listen on"));
    }
    Ok(here)
}

/// Binds all `addresses` on one port; with port 0 one that is free on all of them.
fn bind_all(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, Error> {
    let mut tries = 0;
    loop {
        match try_bind_all(addresses, port) {
            Ok(listeners) => return Ok(listeners),
            Err((_, cause)) if port == 0 && cause.kind() == io::ErrorKind::AddrInUse && tries < ANY_PORT_TRIES => {
                tries += 1;
            }
            Err((address, cause)) => return Err(cannot_listen(address, &cause)),
        }
    }
}

/// Binds the first address on `port`, or with port 0 on any, and the others on the same.
fn try_bind_all(addresses: &[IpAddr], mut port: u16) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        let listener = listen_on(address).map_err(|cause| (address, cause))?;
        port = listener.local_addr().map_err(|cause| (address, cause))?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn cannot_listen(address: SocketAddr, cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::AddrInUse => Error::failed(format!("{address} is already in use"))
            .hint("choose another port with --port, or leave the choice to the program without it"),
        io::ErrorKind::PermissionDenied => {
            Error::failed(format!("not allowed to listen on {address}")).hint("choose a port from 1024 up with --port")
        }
        io::ErrorKind::AddrNotAvailable => {
            Error::failed(format!("this machine does not have the address {}", address.ip()))
                .hint("--address takes addresses of this machine's own interfaces")
        }
        _ => Error::failed(format!("cannot listen on {address}: {}", system_words(cause))),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` must not take IPv4 as well: whoever wants both says so.
        socket.set_only_v6(true)?;
    }
    // A port that was ours a moment ago is free again. On Windows the option would mean sharing it with others.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
