//! Runs the calling test program in namespaces of its own: a private network, in which every address and port is free, and
//! private processes, all of which end when it ends.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use super::programs::{Programs, SEARCH_PATH};

/// Set once the program runs isolated.
const ENTERED: &str = "SVCPROXY_TEST_ISOLATED";

/// What `unshare` of util-linux is told. Without `--kill-child` an API server whose etcd ended first hangs on for minutes.
const UNSHARE: [&str; 7] = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Programs of the distribution's packages that [`enter`] itself starts.
const OWN: [&str; 4] = ["unshare", "ip", "mount", "umount"];

/// Whether this program runs isolated already.
pub fn is_inside() -> bool {
    env::var_os(ENTERED).is_some()
}

/// Starts this program again, isolated; there it prepares the network and returns a folder in memory for everybody's files.
/// `needed` are the programs of the distribution's packages that the caller starts.
///
/// An error is the reason why that cannot be done here, in words for the person who runs the tests.
pub fn enter(needed: &[&str]) -> Result<PathBuf, String> {
    if is_inside() {
        return Ok(furnish());
    }
    if let Some(missing) = OWN.iter().chain(needed).find(|program| !is_installed(program)) {
        return Err(format!("{missing} is not installed"));
    }
    let programs = Programs::find()?;
    let may = Command::new("unshare").args(UNSHARE).arg("true").stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return Err("this user may not create namespaces with unshare".to_owned());
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let error = Command::new("unshare")
        .args(UNSHARE)
        .arg(own)
        .args(env::args_os().skip(1))
        .env(ENTERED, "1")
        .env(SEARCH_PATH, programs.search_path())
        .exec();
    Err(format!("unshare did not start: {error}"))
}

fn is_installed(program: &str) -> bool {
    // Debian keeps nginx out of the PATH of ordinary users.
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}

/// What is done once, as the first process of the new namespaces.
fn furnish() -> PathBuf {
    run("ip", ["link", "set", "lo", "up"]);
    // On the loopback device a prefix makes each of its addresses local.
    run("ip", ["address", "add", "10.77.0.1/16", "dev", "lo"]);
    add_networks_without_hosts();
    let directory = tempfile::Builder::new().prefix("svcproxy-e2e-").tempdir();
    let directory = directory.expect("the folder for temporary files is writable").keep();
    // In memory, and gone with the namespace, however that ends.
    run("mount", ["-t", "tmpfs", "tmpfs"].map(OsString::from).into_iter().chain([directory.clone().into()]));
    directory
}

/// Each is a cable whose other end nobody looks at. On one the addresses must be asked for, and nobody answers; on the other
/// everything is sent, and nobody takes it.
fn add_networks_without_hosts() {
    for (device, v4, v6) in
        [("silent", "10.79.0.1/24", "2001:db8:1::1/64"), ("vanish", "10.79.1.1/24", "2001:db8:2::1/64")]
    {
        let end = format!("{device}-end");
        run("ip", ["link", "add", device, "type", "veth", "peer", "name", &end]);
        run("ip", ["address", "add", v4, "dev", device]);
        // Without waiting for others who might have the address.
        run("ip", ["address", "add", v6, "dev", device, "nodad"]);
        run("ip", ["link", "set", &end, "up"]);
    }
    run("ip", ["link", "set", "vanish", "arp", "off"]);
    run("ip", ["link", "set", "silent", "up"]);
    run("ip", ["link", "set", "vanish", "up"]);
}

fn run<A: AsRef<std::ffi::OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} failed in the new namespace");
}

/// Takes the empty mount point away again and ends the program, and with it every process in here.
pub fn leave(directory: &Path, code: i32) -> ! {
    let _ = Command::new("umount").arg("--lazy").arg(directory).status();
    let _ = fs::remove_dir(directory);
    #[expect(clippy::exit, reason = "the first process of its namespace takes every other one along")]
    process::exit(code)
}
