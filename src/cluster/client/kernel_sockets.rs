//! What the kernel knows of octets on their way: whether the other end says that they arrive (Linux: `/proc/net/tcp`, see
//! `Documentation/networking/proc_net_tcp.rst`). Elsewhere nobody can be asked without `unsafe`, and nothing is known.
//!
//! Not `TCP_USER_TIMEOUT`: it ends an upload, too, whose receiver acknowledges everything and wants no more for a while (a
//! window of zero, `tcp_probe_timer` in Linux).

use std::net::{IpAddr, SocketAddr};

/// The table of connections, as it was.
pub(super) struct SocketTable {
    v4: String,
    v6: String,
}

/// What is under way on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentOctets {
    /// So many octets are not acknowledged, or not sent yet.
    pub(super) queued: u64,
    /// Whether what was sent again, or a question whether the other end is there, got no answer.
    pub(super) unheard: bool,
}

/// A timer of the kernel that sends again what was not acknowledged.
const RETRANSMISSION: &str = "01";
/// A timer of the kernel that asks whether the other end is there or takes more.
const PROBES: [&str; 2] = ["02", "04"];
/// One question may just be on its way.
const MAX_OPEN_PROBES: u64 = 1;

impl SocketTable {
    /// As it is now; empty where there is none.
    pub(super) fn read() -> Self {
        let read = |path| if cfg!(target_os = "linux") { std::fs::read_to_string(path).ok() } else { None };
        Self { v4: read("/proc/net/tcp").unwrap_or_default(), v6: read("/proc/net/tcp6").unwrap_or_default() }
    }

    /// The connection between `local` and `remote`, if it is in the table.
    pub(super) fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<SentOctets> {
        let table = if local.is_ipv4() { &self.v4 } else { &self.v6 };
        let (local, remote) = (in_hexadecimal(local), in_hexadecimal(remote));
        table.lines().find_map(|line| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let is_it = columns.next() == Some(&local) && columns.next() == Some(&remote);
            if is_it { sent_octets(columns) } else { None }
        })
    }
}

/// Reads a line from the column of the state on.
fn sent_octets<'a>(mut columns: impl Iterator<Item = &'a str>) -> Option<SentOctets> {
    let (queued, _) = columns.nth(1)?.split_once(':')?;
    let (timer, _) = columns.next()?.split_once(':')?;
    let retransmitted = u64::from_str_radix(columns.next()?, 16).ok()?;
    let probes: u64 = columns.nth(1)?.parse().ok()?;
    Some(SentOctets {
        queued: u64::from_str_radix(queued, 16).ok()?,
        unheard: (timer == RETRANSMISSION && retransmitted > 0)
            || (PROBES.contains(&timer) && probes > MAX_OPEN_PROBES),
    })
}

/// Words of 32 bits in the machine's octet order, and the port.
fn in_hexadecimal(address: SocketAddr) -> String {
    let word = |octets: &[u8]| format!("{:08X}", u32::from_ne_bytes(octets.try_into().expect("four octets")));
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words: String = octets.chunks(4).map(word).collect();
    format!("{words}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_table() {
        let line = |queues: &str, timer: &str, retransmitted: u32, probes: u32| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                 0: 0100007F:1F40 0200007F:192B 01 {queues} {timer}:0000004A {retransmitted:08X}  1000        {probes} 48190 \
                 1 0000000000000000 20 4 30 10 -1\n"
            )
        };
        let check = |queues: &str, timer: &str, retransmitted: u32, probes: u32, queued: u64, unheard: bool| {
            let table = SocketTable { v4: line(queues, timer, retransmitted, probes), v6: String::new() };
            let found = table.find("127.0.0.1:8000".parse().unwrap(), "127.0.0.2:6443".parse().unwrap());
            assert_eq!(found, Some(SentOctets { queued, unheard }), "{queues} {timer} {retransmitted} {probes}");
        };
        check("00000000:00000000", "02", 0, 0, 0, false);
        check("0000001F:00000000", "01", 0, 0, 31, false);
        check("0000001F:00000010", "01", 3, 0, 31, true);
        // The receiver wants no more for now, and says so.
        check("0039B600:00000000", "04", 0, 1, 0x0039_B600, false);
        check("0039B600:00000000", "04", 0, 2, 0x0039_B600, true);
        check("00000000:00000000", "02", 0, 2, 0, true);
        let table = SocketTable { v4: line("00000000:00000000", "00", 0, 0), v6: String::new() };
        assert_eq!(table.find("127.0.0.1:8001".parse().unwrap(), "127.0.0.2:6443".parse().unwrap()), None);
        assert_eq!(in_hexadecimal("[::1]:80".parse().unwrap()), "00000000000000000000000001000000:0050");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_receiver_that_does_not_read_is_no_stall() {
        use std::io::Write as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _far = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        while near.write(&[0; 65536]).is_ok() {}
        let ends = (near.local_addr().unwrap(), near.peer_addr().unwrap());
        let found = SocketTable::read().find(ends.0, ends.1).unwrap();
        assert!(found.queued > 0 && !found.unheard, "{found:?}");
    }
}
