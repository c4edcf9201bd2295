//! The command line: help, wrong usage, and that every flag is understood.

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;

/// Flags that a dry run of the Service `web` takes.
const FLAGS: [&str; 45] = [
    "-A",
    "--all-namespaces",
    "-l app=web",
    "--selector=app=web",
    "--svc-port=http",
    "--svc-port=80",
    "--scheme=http",
    "--path=/x?y",
    "-p 0",
    "--address=127.0.0.1",
    "--address=127.0.0.1,::1",
    "--address=localhost",
    "--origin=site",
    "--origin=localhost",
    "--origin=path",
    "--via=auto",
    "--via=service-proxy",
    "--via=port-forward",
    "--verify-tls",
    "--host-header=web",
    "--no-browser",
    "--wait",
    "--wait=1m30s",
    "--idle-timeout=5m",
    "--idle-timeout=0",
    "-o url",
    "--output=text",
    "--read-only",
    "--allow-host=a.example:80,b.example",
    "--allow-origin=http://a.example",
    "--allow-other-users",
    "--require-token",
    "-v",
    "-vv",
    "-v=6",
    "-v6",
    "-v 6",
    "--v=6",
    "-A=1",
    "--all-namespaces=false",
    "--require-token=F",
    "--log-format=json",
    "--log-requests",
    "-n default",
    "--namespace=default",
];

/// kubectl's global flags, which mean the same here.
const KUBECTL: [&str; 20] = [
    "--context=test",
    "--cluster=test",
    "--user=test",
    "--as=admin",
    "--as=admin --as-group=x --as-group=y",
    "--as=admin --as-uid=7 --as-user-extra=a=b",
    "--token=admin-token",
    "--insecure-skip-tls-verify=false",
    "--tls-server-name=localhost",
    "--request-timeout=30s",
    "--request-timeout=30",
    "--cache-dir=/tmp/x",
    "--disable-compression",
    "--match-server-version",
    "--context=",
    "--proxy-url=",
    "--kubeconfig=",
    "--request-timeout=",
    "--disable_compression=0",
    "--log-flush-frequency=5s --vmodule=a=1 --profile=none --profile-output=x --warnings-as-errors",
];

#[tokio::test]
async fn every_flag_is_understood() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for flags in FLAGS.iter().chain(&KUBECTL) {
        let plugin = Plugin::new(&fake).plain().args(["web", "--dry-run", "--port=0"]).args(flags.split(' '));
        let finished = plugin.finish().await;
        let told = finished.stderr.lines().filter(|line| !is_logged(line)).count();
        assert_eq!((finished.code(), told), (0, 0), "{flags}: {}", finished.stderr);
        assert_eq!(finished.stderr.is_empty(), !flags.starts_with("-v") && !flags.starts_with("--v="), "{flags}");
    }
}

/// Whether a line on stderr is one of the log: a time, then a level.
fn is_logged(line: &str) -> bool {
    line.split_whitespace().nth(1).is_some_and(|level| ["INFO", "DEBUG", "TRACE"].contains(&level))
}

/// What a run decided, told in about ten lines.
#[tokio::test]
async fn v_tells_what_was_decided() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let finished = Plugin::new(&fake).plain().args(["web", "--dry-run", "--port=0", "-v"]).finish().await;
    for decision in [
        "reads the kubeconfig",
        "context=\"test\"",
        "credentials=",
        "proxy=",
        "port=",
        "why_port=",
        "via=Auto",
        "listens",
    ] {
        assert!(finished.stderr.contains(decision), "{decision} in {}", finished.stderr);
    }
    let lines = finished.stderr.lines().count();
    assert!((6..=12).contains(&lines), "{}", finished.stderr);
    let finished = Plugin::new(&fake).plain().args(["web", "--dry-run", "--port=0", "-v=2"]).finish().await;
    let call = finished.stderr.lines().find(|line| line.contains("/api/v1/namespaces/default/services/web"));
    assert!(
        call.is_some_and(|call| call.contains("status=200") && call.contains("milliseconds=")),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn help_speaks_of_kubectl() {
    let fake = FakeApiServer::start().await;
    for flag in ["-h", "--help"] {
        let finished = Plugin::new(&fake).plain().args([flag]).finish().await;
        assert_eq!((finished.code(), &finished.stderr[..]), (0, ""));
        assert!(finished.stdout.contains("Usage: kubectl svcproxy [OPTIONS] [SERVICE]..."), "{}", finished.stdout);
        let longest = finished.stdout.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(110), "{longest:?} characters in a line");
    }
    let short = Plugin::new(&fake).plain().args(["-h"]).finish().await.stdout;
    assert!(short.lines().count() <= 60, "{} lines\n{short}", short.lines().count());
    assert!(short.starts_with("Examples:\n") && !short.contains("--certificate-authority"), "{short}");
    let version = Plugin::new(&fake).plain().args(["--version"]).finish().await;
    assert_eq!(version.stdout, format!("kubectl-svcproxy {}\n", env!("CARGO_PKG_VERSION")));
    fake.end_unasked();
}

#[tokio::test]
async fn wrong_usage_is_2_and_touches_nothing() {
    let fake = FakeApiServer::start().await;
    for (line, error) in [
        ("web --porrt=1", "error: unexpected argument '--porrt' found"),
        ("web --port=99999", "error: invalid value '99999' for '--port <PORT>': not a number from 0 to 65535\n"),
        ("web --port=x", "error: invalid value 'x' for '--port <PORT>': not a number from 0 to 65535\n"),
        (
            "web --address=nonsense",
            "error: invalid value 'nonsense' for '--address <ADDRESS>': neither an IP address nor localhost\n",
        ),
        (
            "web --allow-origin=dev.example",
            "error: invalid value 'dev.example' for '--allow-origin <ORIGIN>': not an origin such as \
             http://localhost:3000\n",
        ),
        (
            "web --allow-host=http://dev.example",
            "error: invalid value 'http://dev.example' for '--allow-host <HOST>': not a host such as dev.example or \
             dev.example:8443\n",
        ),
        (
            "web 8080:80",
            "error: SERVICE \"8080:80\" is a local port and a Service's, and no name\nhint: that is spelled web:80 -p 8080\n",
        ),
        (
            "ingress/web",
            "error: SERVICE \"ingress/web\" is of kind ingress, and only a Service can be opened\nhint: kubectl describe ingress web",
        ),
        ("web --list=maybe", "error: unexpected value 'maybe' for '--list'"),
        (":80", "error: SERVICE \":80\" does not name a Service; it is [scheme:]name[:port]\n"),
        ("web --idle-timeout=soon", "error: invalid value 'soon' for '--idle-timeout <DURATION>'"),
        ("web --svc-port=99999", "error: invalid value '99999' for '--svc-port <NAME|NUMBER>'"),
        ("web --scheme=ftp", "error: invalid value 'ftp' for '--scheme <SCHEME>'"),
        ("web --pick --list", "error: the argument '--pick' cannot be used with '--list'"),
        ("web --no-browser --browser=x", "error: the argument '--no-browser' cannot be used with '--browser <CMD>'"),
        ("pod/web", "error: SERVICE \"pod/web\" is of kind pod, and only a Service can be opened"),
        ("web:80 --svc-port=81", "error: --svc-port 81 contradicts \"web:80\""),
        ("a:b:c:d", "error: SERVICE \"a:b:c:d\""),
        ("web -o wide", "error: -o wide, yaml and name are for --list"),
        ("--list -o url", "error: --list knows"),
        ("web --dry-run -- true", "error: --dry-run opens nothing"),
        ("--list -- true", "error: --list opens nothing"),
        ("- web", "error: - opens what was opened last, and stands alone"),
    ] {
        let finished = Plugin::new(&fake).plain().args(line.split(' ')).finish().await;
        assert_eq!((finished.code(), &finished.stdout[..]), (2, ""), "{line}");
        assert!(finished.stderr.starts_with(error), "{line}: {}", finished.stderr);
        assert!(!finished.stderr.contains("'-- "), "what follows -- is COMMAND: {}", finished.stderr);
    }
    fake.end_unasked();
}
