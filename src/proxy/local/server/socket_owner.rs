//! Asks the Linux kernel for the owner of the other end of a connection: over netlink (`sock_diag(7)`), which finds
//! one socket among many at once, and where that is not to be had by reading `/proc/net/tcp` (`proc_pid_net(5)`).

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with};

/// Both ends of a TCP connection, as we see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionEnds {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// The user who owns the remote end, if it is a live socket of this machine. A socket that its program has closed
/// already has no owner any more, though it may still deliver what was sent before: the kernel shows it as root's.
pub(crate) fn find(ends: ConnectionEnds) -> Option<u32> {
    match ask_kernel(ends) {
        Ok(found) => found.owner(),
        Err(_) => spellings(ends).into_iter().find_map(from_table)?.owner(),
    }
}

fn from_table(ends: ConnectionEnds) -> Option<FoundSocket> {
    in_table(&fs::read_to_string(table(ends)).ok()?, ends)
}

/// How the system may have the other end: a program that speaks IPv4 by a socket for IPv6, as those in Java do, has addresses
/// like `::ffff:127.0.0.1` (RFC 4291 section 2.5.5.2).
fn spellings(ends: ConnectionEnds) -> Vec<ConnectionEnds> {
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    let as_mapped = ConnectionEnds { local: mapped(ends.local), remote: mapped(ends.remote) };
    if as_mapped == ends { vec![ends] } else { vec![ends, as_mapped] }
}

/// What the kernel says of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FoundSocket {
    user: u32,
    /// Zero if no program holds it.
    inode: u32,
}

impl FoundSocket {
    const NONE: Self = Self { user: 0, inode: 0 };

    fn owner(self) -> Option<u32> {
        (self.inode != 0).then_some(self.user)
    }
}

/// Asks for the socket whose own end is our remote one.
fn ask_kernel(ends: ConnectionEnds) -> io::Result<FoundSocket> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&socket, &question(ends), SendFlags::empty(), &kernel)?;
    let mut answer = [0; ANSWER_LIMIT];
    // The kernel has answered by the time that sending returns.
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    understand(&answer[..length], ends)
}

/// Octets of an answer that are of any interest.
const ANSWER_LIMIT: usize = 512;
/// `SOCK_DIAG_BY_FAMILY`, of questions and answers.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `TCP_LISTEN`: a socket that happens to have the port, and no end of this connection.
const LISTENING: u8 = 10;
/// Octets of `struct nlmsghdr`.
const HEADER: usize = 16;

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/netlink.h, linux/inet_diag.h), in the machine's octet order
/// but for ports and addresses.
fn question(ends: ConnectionEnds) -> Vec<u8> {
    const LENGTH: u32 = 72;
    let scope = match ends.remote {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(remote) => remote.scope_id(),
    };
    let mut question = Vec::with_capacity(LENGTH as usize);
    question.extend(LENGTH.to_ne_bytes());
    question.extend(BY_FAMILY.to_ne_bytes());
    question.extend(REQUEST.to_ne_bytes());
    question.extend([0; 8]);
    question.extend([family(ends), TCP, 0, 0]);
    question.extend(u32::MAX.to_ne_bytes()); // whatever its state
    question.extend(identity(ends));
    question.extend(scope.to_ne_bytes());
    question.extend([0xFF; 8]); // no cookie
    question
}

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

fn family(ends: ConnectionEnds) -> u8 {
    let family = if ends.remote.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    u8::try_from(family.as_raw()).expect("both are small numbers")
}

/// Ports and addresses of `struct inet_diag_sockid`, source first, in network order.
fn identity(ends: ConnectionEnds) -> [u8; 36] {
    let mut identity = [0; 36];
    identity[..2].copy_from_slice(&ends.remote.port().to_be_bytes());
    identity[2..4].copy_from_slice(&ends.local.port().to_be_bytes());
    put_address(&mut identity[4..20], ends.remote.ip());
    put_address(&mut identity[20..], ends.local.ip());
    identity
}

fn put_address(place: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(address) => place[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => place.copy_from_slice(&address.octets()),
    }
}

/// Reads the answer: `struct inet_diag_msg`, or an error number.
fn understand(answer: &[u8], ends: ConnectionEnds) -> io::Result<FoundSocket> {
    let not_understood = || io::Error::from(io::ErrorKind::InvalidData);
    let number = |at: usize| answer.get(at..at + 4).and_then(|octets| octets.try_into().ok()).map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|octets| octets.try_into().ok()).map(u16::from_ne_bytes);
    match kind.ok_or_else(not_understood)? {
        BY_FAMILY => {
            let state = answer.get(HEADER + 1).ok_or_else(not_understood)?;
            let found = answer.get(HEADER + 4..HEADER + 40).ok_or_else(not_understood)?;
            let is_it = *state != LISTENING && spellings(ends).into_iter().any(|ends| found == identity(ends));
            let user = number(HEADER + 64).ok_or_else(not_understood)?;
            let inode = number(HEADER + 68).ok_or_else(not_understood)?;
            Ok(if is_it { FoundSocket { user, inode } } else { FoundSocket::NONE })
        }
        ERROR => {
            match number(HEADER).map(|number| rustix::io::Errno::from_raw_os_error((number as i32).wrapping_neg())) {
                Some(rustix::io::Errno::NOENT) => Ok(FoundSocket::NONE),
                _ => Err(not_understood()),
            }
        }
        _ => Err(not_understood()),
    }
}

fn table(ends: ConnectionEnds) -> &'static str {
    if ends.remote.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" }
}

/// Looks a socket up in the text of the table.
fn in_table(table: &str, ends: ConnectionEnds) -> Option<FoundSocket> {
    let (own, other) = (in_hexadecimal(ends.remote), in_hexadecimal(ends.local));
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let is_it = columns.next() == Some(&own) && columns.next() == Some(&other);
        let user = columns.nth(4)?.parse().ok()?;
        let inode = columns.nth(1)?.parse().ok()?;
        is_it.then_some(FoundSocket { user, inode })
    })
}

/// Address and port as the table has them: each four octets as one number of the machine.
fn in_hexadecimal(address: SocketAddr) -> String {
    let words = |octets: &[u8]| -> String {
        let word = |word: &[u8]| word.try_into().map_or(0, u32::from_ne_bytes);
        octets.chunks(4).map(|octets| format!("{:08X}", word(octets))).collect()
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener, TcpStream};

    fn connected(address: &str) -> (TcpStream, TcpStream, ConnectionEnds) {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, remote) = listener.accept().unwrap();
        let local = server.local_addr().unwrap();
        (client, server, ConnectionEnds { local, remote })
    }

    fn own_user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn owner_in_table(ends: ConnectionEnds) -> Option<u32> {
        spellings(ends).into_iter().find_map(from_table)?.owner()
    }

    /// As every program in Java speaks IPv4.
    #[test]
    fn t4_a_socket_for_ipv6_that_speaks_ipv4_has_an_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
        socket.set_only_v6(false).unwrap();
        let address = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
        socket.connect(&address.into()).unwrap();
        let (server, remote) = listener.accept().unwrap();
        let ends = ConnectionEnds { local: server.local_addr().unwrap(), remote };
        assert_eq!(ask_kernel(ends).unwrap().owner(), Some(own_user()));
        assert_eq!(owner_in_table(ends), Some(own_user()));
    }

    #[test]
    fn both_ways_find_our_own_connection() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (_client, _server, ends) = connected(address);
            assert_eq!(find(ends), Some(own_user()), "{address}");
            assert_eq!(owner_in_table(ends), Some(own_user()), "{address}");
        }
    }

    #[test]
    fn t4_a_connection_without_a_program_is_nobodys() {
        let (client, _server, ends) = connected("127.0.0.1:0");
        drop(client);
        assert_eq!(find(ends), None);
        assert_eq!(owner_in_table(ends), None);
    }

    #[test]
    fn a_half_closed_connection_is_still_somebodys() {
        let (client, _server, ends) = connected("127.0.0.1:0");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(find(ends), Some(own_user()));
        assert_eq!(owner_in_table(ends), Some(own_user()));
    }

    #[test]
    fn t4_a_listener_on_the_port_is_not_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ends = ConnectionEnds { local: "127.0.0.1:9".parse().unwrap(), remote: listener.local_addr().unwrap() };
        assert_eq!(find(ends), None);
        assert_eq!(owner_in_table(ends), None);
    }

    #[test]
    fn the_table_of_the_manual() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     1: 0100007F:C350 0100007F:1F41 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1\n   \
                     2: 0100007F:C351 0100007F:1F41 05 00000000:00000000 03:00001770 00000000     0        0 0 3 0\n";
        let ends = |port| ConnectionEnds {
            local: "127.0.0.1:8001".parse().unwrap(),
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        if cfg!(target_endian = "little") {
            assert_eq!(in_table(table, ends(50000)).and_then(FoundSocket::owner), Some(1000));
            assert_eq!(in_table(table, ends(50001)).and_then(FoundSocket::owner), None);
            assert_eq!(in_table(table, ends(50002)), None);
        }
    }

    #[test]
    fn answers_that_are_cut_are_errors() {
        let (_client, _server, ends) = connected("127.0.0.1:0");
        let mut whole = vec![0; HEADER + 72];
        whole[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        whole[HEADER + 1] = 1;
        whole[HEADER + 4..HEADER + 40].copy_from_slice(&identity(ends));
        assert!(understand(&whole, ends).is_ok());
        for length in 0..whole.len() {
            assert!(understand(&whole[..length], ends).is_err(), "{length}");
        }
    }
}
