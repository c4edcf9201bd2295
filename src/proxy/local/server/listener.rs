//! Where to listen. Both loopback addresses on one port or none: a browser that finds `::1` taken by somebody else
//! would send them the user's requests (Chromium tries it first).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::connection::ClientSocket;
#[cfg(unix)]
use super::unix_socket::UnixSocket;
use crate::error::{Error, system_words};
use crate::proxy::local::{authority_of, with_port};

/// Connections that may wait to be accepted; the system caps it.
const BACKLOG: i32 = 1024;
/// How often a port that is free on one loopback address and taken on the other is replaced by another one.
const ANY_PORT_TRIES: usize = 32;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenOn {
    /// On 127.0.0.1 and ::1, or on the one of them that the machine has.
    Loopback(LocalPort),
    /// On exactly these addresses, all on one port.
    Addresses(Vec<IpAddr>, LocalPort),
    /// On a Unix socket that only this user may open.
    UnixSocket(PathBuf),
}

/// Which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalPort {
    /// This one or none.
    Exact(u16),
    /// The first of these that is free, any other if none is.
    Preferred(Vec<u16>),
    /// Any that is free.
    Any,
}

/// Why nothing listens.
#[derive(Debug)]
pub enum BindError {
    /// Another program listens there.
    Taken(SocketAddr),
    /// Only an administrator may listen there.
    Denied(SocketAddr),
    /// The machine does not have the address.
    NotHere(IpAddr),
    /// The machine has no loopback address at all.
    NoLoopback,
    /// Another program answers on that socket.
    SocketTaken(PathBuf),
    /// There is something at that path, and it is not a socket.
    NotASocket(PathBuf),
    /// The system has no Unix sockets.
    NoUnixSockets,
    /// Something else about that path.
    Socket(PathBuf, io::Error),
    /// Something else about that address.
    Other(SocketAddr, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(address) => write!(f, "{address} is already in use"),
            Self::Denied(address) => write!(f, "not allowed to listen on {address}"),
            Self::NotHere(address) => write!(f, "this machine does not have the address {address}"),
            Self::NoLoopback => f.write_str("this machine has no loopback address to listen on"),
            Self::SocketTaken(path) => write!(f, "another program listens on {}", path.display()),
            Self::NotASocket(path) => write!(f, "{} exists and is not a socket", path.display()),
            Self::NoUnixSockets => f.write_str("this system has no Unix sockets"),
            Self::Socket(path, cause) => write!(f, "cannot listen on {}: {}", path.display(), system_words(cause)),
            Self::Other(address, cause) => write!(f, "cannot listen on {address}: {}", system_words(cause)),
        }
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// What to do about it.
    fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::Taken(_) => Some("choose another port with --port, or leave the choice to the program without it"),
            Self::Denied(_) => Some("choose a port from 1024 up with --port"),
            Self::NotHere(_) => Some("--address takes addresses of this machine's own interfaces"),
            Self::SocketTaken(_) | Self::NotASocket(_) | Self::Socket(..) => {
                Some("choose another path with --unix-socket")
            }
            Self::NoLoopback | Self::NoUnixSockets | Self::Other(..) => None,
        }
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        let said = Self::failed(error.to_string());
        match error.way_out() {
            Some(hint) => said.hint(hint),
            None => said,
        }
    }
}

/// Bound and reserved; connections queue up until [`super::serve`] takes them.
#[derive(Debug)]
pub struct LocalListener {
    pub(crate) sockets: BoundSockets,
}

#[derive(Debug)]
pub(crate) enum BoundSockets {
    Tcp {
        listeners: Vec<TcpListener>,
        addresses: Vec<SocketAddr>,
    },
    #[cfg(unix)]
    Unix(UnixSocket),
}

/// One place where clients come in.
pub(crate) enum ListeningSocket<'a> {
    Tcp(&'a TcpListener),
    #[cfg(unix)]
    Unix(&'a UnixListener),
}

impl BoundSockets {
    pub(crate) fn doors(&self) -> Vec<ListeningSocket<'_>> {
        match self {
            Self::Tcp { listeners, .. } => listeners.iter().map(ListeningSocket::Tcp).collect(),
            #[cfg(unix)]
            Self::Unix(socket) => vec![ListeningSocket::Unix(socket.listener())],
        }
    }
}

impl ListeningSocket<'_> {
    pub(crate) async fn accept(&self) -> io::Result<ClientSocket> {
        match self {
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(ClientSocket::Tcp(socket))
            }
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await.map(|(socket, _)| ClientSocket::Unix(socket)),
        }
    }
}

impl LocalListener {
    /// Takes the place or fails. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the place is taken, forbidden, or not on this machine.
    pub async fn bind(listen: &ListenOn) -> Result<Self, BindError> {
        match listen {
            ListenOn::Loopback(port) => bind_port(&loopback_addresses()?, port),
            ListenOn::Addresses(addresses, port) => bind_port(addresses, port),
            #[cfg(unix)]
            ListenOn::UnixSocket(path) => Ok(Self { sockets: BoundSockets::Unix(UnixSocket::bind(path).await?) }),
            #[cfg(not(unix))]
            ListenOn::UnixSocket(_) => Err(BindError::NoUnixSockets),
        }
    }

    /// The port, the same on all addresses; `None` on a Unix socket.
    pub fn port(&self) -> Option<u16> {
        self.local_addrs().first().map(SocketAddr::port)
    }

    /// All addresses listened on; none on a Unix socket.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        match &self.sockets {
            BoundSockets::Tcp { addresses, .. } => addresses,
            #[cfg(unix)]
            BoundSockets::Unix(_) => &[],
        }
    }

    /// The path of the Unix socket.
    pub fn socket_path(&self) -> Option<&std::path::Path> {
        match &self.sockets {
            BoundSockets::Tcp { .. } => None,
            #[cfg(unix)]
            BoundSockets::Unix(socket) => Some(socket.path()),
        }
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
            Some(address) => authority_of(reachable(*address)),
            None => with_port("localhost", None),
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

/// Binds `addresses` on the port, or the first free port, that `port` asks for. Port 0 stands for any.
fn bind_port(addresses: &[IpAddr], port: &LocalPort) -> Result<LocalListener, BindError> {
    let listeners = match port {
        LocalPort::Exact(port) => bind_all(addresses, *port)?,
        LocalPort::Any => bind_all(addresses, 0)?,
        LocalPort::Preferred(ports) => match ports.iter().find_map(|port| bind_all(addresses, *port).ok()) {
            Some(listeners) => listeners,
            None => bind_all(addresses, 0)?,
        },
    };
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    Ok(LocalListener { sockets: BoundSockets::Tcp { listeners, addresses } })
}

fn loopback_addresses() -> Result<Vec<IpAddr>, BindError> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let here: Vec<IpAddr> = both.into_iter().filter(|address| is_here(*address)).collect();
    if here.is_empty() { Err(BindError::NoLoopback) } else { Ok(here) }
}

/// Whether the machine has `address`: IPv6 may be switched off.
fn is_here(address: IpAddr) -> bool {
    bind_one(SocketAddr::new(address, 0)).is_ok()
}

/// Binds all `addresses` on one port; with port 0 one that is free on all of them.
fn bind_all(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, BindError> {
    if port != 0 {
        return addresses.iter().map(|address| bind_one(SocketAddr::new(*address, port))).collect();
    }
    let Some((first, others)) = addresses.split_first() else { return Err(BindError::NoLoopback) };
    let mut tries = 0;
    loop {
        let listener = bind_one(SocketAddr::new(*first, 0))?;
        let port = listener.local_addr().map_err(|cause| BindError::Other(SocketAddr::new(*first, 0), cause))?.port();
        let others = others.iter().map(|address| bind_one(SocketAddr::new(*address, port)));
        match others.collect::<Result<Vec<_>, _>>() {
            Err(BindError::Taken(_)) if tries < ANY_PORT_TRIES => tries += 1,
            others => return others.map(|others| std::iter::once(listener).chain(others).collect()),
        }
    }
}

fn bind_one(address: SocketAddr) -> Result<TcpListener, BindError> {
    listen_on(address).map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken(address),
        io::ErrorKind::PermissionDenied => BindError::Denied(address),
        io::ErrorKind::AddrNotAvailable => BindError::NotHere(address.ip()),
        _ => BindError::Other(address, cause),
    })
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
