//! A cable between the plugin's machine and the API server, with everything that happens to networks: another address, a plug
//! pulled, packets that vanish, a relay that stands still.
//!
//! The far end is in a network namespace of its own, where this program, started again, passes connections on.

use std::env;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};

use support::cluster::Cluster;
use support::network_turn::{NetworkTurn, NetworkUse};
use support::stream::read_until;

/// Set where this program is the relay: its kind, its cable's number, and whereto it leads.
const RELAY: &str = "SVCPROXY_TEST_RELAY";

/// What the relay speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayKind {
    /// It passes everything on.
    Plain,
    /// It is an HTTP proxy.
    Connect,
    /// It is a SOCKS proxy.
    Socks,
}

/// Two cables: this end's device, the network, the far end's device. By the second the relay reaches the API server.
const CABLES: [(&str, &str, &str); 2] = [("near", "10.91", "far"), ("base", "10.92", "back")];

/// The cable. It is gone when this is dropped, and its far end with the relay.
pub(crate) struct Uplink {
    kind: RelayKind,
    number: u8,
    relay: Child,
    _stdin: ChildStdin,
    _turn: NetworkTurn,
}

impl Uplink {
    /// A cable that nobody else uses, whose far end leads to the API server.
    pub(crate) async fn lay(kind: RelayKind) -> Self {
        let turn = NetworkTurn::take(NetworkUse::Changing).await;
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut relay = Command::new("unshare")
            .args(["--net", "--"])
            .arg(env::current_exe().unwrap())
            .env(RELAY, format!("{kind:?} {number} {}", Cluster::authority_of_url()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = relay.stdin.take().unwrap();
        let mut said = BufReader::new(relay.stdout.take().unwrap()).lines();
        assert_eq!(said.next_line().await.unwrap().as_deref(), Some("is apart"));
        let apart = relay.id().expect("it runs").to_string();
        for (near, address, far) in CABLES {
            let (near, far) = (format!("{near}{number}"), format!("{far}{number}"));
            ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &apart]).await;
            ip(&["address", "add", &format!("{address}.{number}.1/24"), "dev", &near]).await;
            ip(&["link", "set", &near, "up"]).await;
        }
        stdin.write_all(b"the cables are there\n").await.unwrap();
        assert_eq!(said.next_line().await.unwrap().as_deref(), Some("listens"));
        Self { kind, number, relay, _stdin: stdin, _turn: turn }
    }

    /// What leads the plugin over it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let far = format!("10.91.{}.2:6443", self.number);
        match self.kind {
            RelayKind::Plain => vec![format!("--server=https://{far}"), "--tls-server-name=localhost".to_owned()],
            RelayKind::Connect => vec![format!("--proxy-url=http://{far}")],
            RelayKind::Socks => vec![format!("--proxy-url=socks5://{far}")],
        }
    }

    /// This end of it.
    pub(crate) fn address(&self) -> String {
        format!("10.91.{}.1", self.number)
    }

    fn near(&self) -> String {
        format!("near{}", self.number)
    }

    /// The machine is at another address from now on, as after the change of a Wi-Fi or a VPN.
    pub(crate) async fn move_to_another_address(&self) {
        ip(&["address", "delete", &format!("{}/24", self.address()), "dev", &self.near()]).await;
        ip(&["address", "add", &format!("10.91.{}.3/24", self.number), "dev", &self.near()]).await;
    }

    /// The plug is pulled.
    pub(crate) async fn pull(&self) {
        ip(&["link", "set", &self.near(), "down"]).await;
    }

    /// The plug is put in again.
    pub(crate) async fn plug_in(&self) {
        ip(&["link", "set", &self.near(), "up"]).await;
    }

    /// Packets vanish, both ways and without a word: they go to a card that nobody has.
    pub(crate) async fn swallow(&self) {
        for (other, device, namespace) in self.ways() {
            let nobodys = ["neighbour", "replace", &other, "lladdr", "02:00:00:00:00:99", "nud", "permanent"];
            ip_in(&namespace, &[&nobodys[..], &["dev", &device]].concat()).await;
        }
    }

    /// They arrive again.
    pub(crate) async fn pass(&self) {
        for (other, device, namespace) in self.ways() {
            ip_in(&namespace, &["neighbour", "delete", &other, "dev", &device]).await;
        }
    }

    /// The address of the other end, the device, and the options of `nsenter`, for both ends.
    fn ways(&self) -> [(String, String, Vec<String>); 2] {
        let (number, relay) = (self.number, self.relay.id().expect("it runs"));
        let apart = vec![format!("--net=/proc/{relay}/ns/net")];
        [
            (format!("10.91.{number}.2"), self.near(), Vec::new()),
            (format!("10.91.{number}.1"), format!("far{number}"), apart),
        ]
    }

    /// Few octets a second get through from here.
    pub(crate) async fn slow_down(&self) {
        let bucket = ["root", "tbf", "rate", "800kbit", "burst", "5kb", "latency", "2000ms"];
        run("tc", &[&["qdisc", "add", "dev", &self.near()][..], &bucket].concat()).await;
    }

    /// The relay stands still: its kernel acknowledges, and nobody answers.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.relay.id().expect("it runs")).unwrap();
        kill_process(Pid::from_raw(pid).expect("a child has a number"), signal).unwrap();
    }
}

impl Drop for Uplink {
    /// The kernel would take the devices away some time after the relay's end, perhaps under a browser.
    fn drop(&mut self) {
        for (near, ..) in CABLES {
            let _ =
                std::process::Command::new("ip").args(["link", "delete", &format!("{near}{}", self.number)]).output();
        }
    }
}

async fn ip(arguments: &[&str]) {
    run("ip", arguments).await;
}

async fn ip_in(namespace: &[String], arguments: &[&str]) {
    match namespace {
        [] => ip(arguments).await,
        [enter, ..] => run("nsenter", &[&[enter.as_str(), "--", "ip"][..], arguments].concat()).await,
    }
}

async fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs the relay, where this program is one.
pub(crate) fn run_relay() -> Option<ExitCode> {
    let asked = env::var(RELAY).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(relay(&asked));
    Some(ExitCode::SUCCESS)
}

async fn relay(asked: &str) {
    let words: Vec<&str> = asked.split(' ').collect();
    let [kind, number, to] = words[..] else { panic!("{asked}") };
    println!("is apart");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for (_, address, device) in CABLES {
        ip(&["address", "add", &format!("{address}.{number}.2/24"), "dev", &format!("{device}{number}")]).await;
        ip(&["link", "set", &format!("{device}{number}"), "up"]).await;
    }
    ip(&["route", "add", "10.77.0.0/16", "via", &format!("10.92.{number}.1")]).await;
    let listener = TcpListener::bind(format!("10.91.{number}.2:6443")).await.unwrap();
    println!("listens");
    while let Ok((client, _)) = listener.accept().await {
        let (kind, to) = (kind.to_owned(), to.to_owned());
        tokio::spawn(async move { pass_on(client, &kind, &to).await });
    }
}

async fn pass_on(mut client: TcpStream, kind: &str, to: &str) -> Option<()> {
    match kind {
        "Connect" => {
            read_until(&mut client, "\r\n\r\n").await.ok()?;
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        }
        "Socks" => {
            // One method, then a request for an IPv4 address (RFC 1928).
            client.read_exact(&mut [0; 3]).await.ok()?;
            client.write_all(&[5, 0]).await.ok()?;
            client.read_exact(&mut [0; 10]).await.ok()?;
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
        }
        _ => {}
    }
    let mut server = TcpStream::connect(to).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
