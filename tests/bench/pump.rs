//! What the machine can do at best: a program that looks for no Service, copies bytes between whoever connects and TLS to one
//! server, and looks at none of them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use support::tls_client::TlsClient;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpListener;

/// Given to a bench's own program, makes it the pump: on this port, to this URL, trusting this file.
const PUMP: &str = "--pump";
/// As much as the program itself buffers.
const BUFFER: usize = 64 * 1024;

/// Starts the pump on `port` that leads to `server`, whose authority's certificate is the file `authority`.
pub(crate) fn command(port: u16, server: &str, authority: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([PUMP, &port.to_string(), server]).arg(authority);
    command
}

/// Where this program was started by [`command`], is the pump until it is killed. It has one thread, as `kubectl svcproxy` has.
pub(crate) fn be_pump_if_told() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, pump, port, server, authority] = &arguments[..]
        && pump == PUMP
    {
        let client = TlsClient::trusting(&std::fs::read_to_string(authority).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(port.parse().unwrap(), server.clone(), client));
    }
}

/// The server is dialled at once, before the first client is there.
async fn serve(port: u16, server: String, client: TlsClient) -> ! {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let to = Arc::new((client, server));
    let mut ahead = Some(to.0.connect(&to.1, "").await.unwrap());
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let (to, ahead) = (to.clone(), ahead.take());
        tokio::spawn(async move {
            near.set_nodelay(true)?;
            let mut far = match ahead {
                Some(far) => far,
                None => to.0.connect(&to.1, "").await?,
            };
            copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await
        });
    }
}
