//! A relay that makes what is near far: each octet takes half a round trip, and the first of a connection one more, as if TCP
//! had to shake hands over the distance too. Who connects is let in at once, as by a tunnel that begins on the same machine. The
//! kernel of most test machines has no netem. Threads, since the timers of an executor are a millisecond late, which six times
//! is a goal missed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::figures::median;

const PIECE: usize = 64 * 1024;

/// One that listens until the program ends.
pub struct FarRelay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl FarRelay {
    /// At the address `at`, leads `to` there, `round_trip` away.
    pub fn start(at: SocketAddr, to: SocketAddr, round_trip: Duration) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counter = Arc::clone(&connections);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::Relaxed);
                let first = Instant::now() + round_trip;
                let Ok(far) = TcpStream::connect(to) else { continue };
                let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true)); // it may be gone
                delay(&near, &far, round_trip / 2, first);
                delay(&far, &near, round_trip / 2, first);
            }
        });
        Self { address, connections }
    }

    /// What a round trip of `round_trip` through one takes on this machine: threads wake up late.
    pub fn measure(round_trip: Duration) -> Duration {
        const EXCHANGES: usize = 9;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Self::start((Ipv4Addr::LOCALHOST, 0).into(), listener.local_addr().unwrap(), round_trip);
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            std::io::copy(&mut &stream, &mut &stream)
        });
        let mut stream = TcpStream::connect(relay.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut exchange = || {
            let started = Instant::now();
            stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0])).unwrap();
            started.elapsed()
        };
        exchange(); // with the handshake
        median((0..EXCHANGES).map(|_| exchange()).collect())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Carries octets, each for as long as `by`, none of them away before `first`. The end of the stream takes as long.
fn delay(from: &TcpStream, to: &TcpStream, by: Duration, first: Instant) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let length = from.read(&mut piece).unwrap_or(0);
            piece.truncate(length);
            if sender.send((Instant::now().max(first) + by, piece)).is_err() || length == 0 {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let written = if piece.is_empty() { to.shutdown(Shutdown::Write) } else { to.write_all(&piece) };
            if written.is_err() {
                return;
            }
        }
    });
}
