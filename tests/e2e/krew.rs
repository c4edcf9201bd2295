//! Released archives through the real krew, and krew's own validator.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use svcproxy::app::args::CommandLine;
use tokio::process::Command;

use support::cluster::Cluster;
use support::{Backend, Canned, Finished, Running};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        the_manifest_in_the_repository_is_valid,
        installs_works_and_goes_away_without_a_trace,
        every_platform_of_a_release_installs,
    ]
}

const PLATFORMS: [(&str, &str); 6] = [
    ("linux-amd64", "kubectl-svcproxy"),
    ("linux-arm64", "kubectl-svcproxy"),
    ("darwin-amd64", "kubectl-svcproxy"),
    ("darwin-arm64", "kubectl-svcproxy"),
    ("windows-amd64", "kubectl-svcproxy.exe"),
    ("windows-arm64", "kubectl-svcproxy.exe"),
];

/// A folder in which `kubectl krew` and everything it installs can be found.
struct Krew {
    root: PathBuf,
    path: String,
}

impl Krew {
    fn new(cluster: &Cluster) -> Self {
        let bin = cluster.scratch();
        for (program, name) in [("kubectl", "kubectl"), ("krew", "kubectl-krew")] {
            symlink(cluster.programs().path(program).unwrap(), bin.join(name)).unwrap();
        }
        let root = cluster.scratch();
        Self { path: format!("{}:{}:/usr/bin:/bin", root.join("bin").display(), bin.display()), root }
    }

    async fn run<A: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = A>) -> Finished {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.root)
            .env("KREW_ROOT", &self.root);
        command.stdin(std::process::Stdio::null());
        Running::spawn(command).end().await
    }

    async fn kubectl(&self, line: &str) -> Finished {
        self.run(Path::new("kubectl"), line.split_whitespace()).await
    }
}

/// Packs this build as every platform's: what is tested here is the packing, not compilers.
async fn release(cluster: &Cluster, address: &str) -> PathBuf {
    let (binaries, out) = (cluster.scratch(), cluster.scratch());
    // As in a release; six copies with debug information would take minutes to pack.
    let stripped = cluster.scratch().join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_kubectl-svcproxy"));
    assert_eq!(Running::spawn(strip).end().await.code(), 0);
    for (platform, program) in PLATFORMS {
        fs::create_dir(binaries.join(platform)).unwrap();
        fs::copy(&stripped, binaries.join(platform).join(program)).unwrap();
    }
    fs::write(binaries.join("kubectl-svcproxy.1"), support::manual_page(CommandLine::command())).unwrap();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/release"));
    command.arg(&binaries).arg(&out).arg(address);
    let packed = Running::spawn(command).end().await;
    assert_eq!((packed.code(), &packed.stderr[..]), (0, ""));
    out
}

fn archive(out: &Path, platform: &str) -> PathBuf {
    out.join(format!("kubectl-svcproxy-v{}-{platform}.tar.gz", env!("CARGO_PKG_VERSION")))
}

async fn the_manifest_in_the_repository_is_valid(cluster: &'static Cluster) {
    let krew = Krew::new(cluster);
    let manifest = cluster.scratch().join("svcproxy.yaml");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.yaml"), &manifest).unwrap();
    let validator = cluster.programs().path("validate-krew-manifest").unwrap();
    let valid =
        krew.run(&validator, [OsStr::new("-skip-install"), OsStr::new("-manifest"), manifest.as_os_str()]).await;
    assert_eq!(valid.code(), 0, "{}", valid.stderr);
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains(&format!("  version: v{}\n", env!("CARGO_PKG_VERSION"))), "not the version of Cargo.toml");
    is_as_reviewers_ask(&text);
}

/// What the reviewers of krew's index ask of every new plugin, and the validator does not check: kubernetes-sigs/krew-index#3863.
fn is_as_reviewers_ask(manifest: &str) {
    let tagline = manifest.lines().find_map(|line| line.strip_prefix("  shortDescription: ")).unwrap();
    assert!(tagline.len() <= 50 && !tagline.contains("kubectl"), "{tagline}");
    let (_, description) = manifest.split_once("  description: |\n").unwrap();
    let description: Vec<&str> = description.lines().take_while(|line| !line.starts_with("  caveats")).collect();
    assert!(description.iter().all(|line| line.trim_start().len() <= 80), "{description:?}");
    assert!(!description.iter().any(|line| line.contains("kubectl svcproxy")), "an example of use: {description:?}");
}

async fn installs_works_and_goes_away_without_a_trace(cluster: &'static Cluster) {
    let krew = Krew::new(cluster);
    let out = release(cluster, "http://127.0.0.1:9/nowhere").await;
    let (manifest, archive) = (out.join("svcproxy.yaml"), archive(&out, "linux-amd64"));
    let installed =
        krew.kubectl(&format!("krew install --manifest={} --archive={}", manifest.display(), archive.display())).await;
    assert_eq!(installed.code(), 0, "{}", installed.stderr);
    assert!(installed.stderr.contains("kubectl svcproxy --install-completion"), "{}", installed.stderr);

    let help = krew.kubectl("svcproxy --help").await;
    assert_eq!((help.code(), &help.stderr[..]), (0, ""));
    assert!(help.stdout.contains("Usage: kubectl svcproxy"), "{}", help.stdout);
    let version = krew.kubectl("svcproxy --version").await;
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);

    let shim = krew.root.join("bin/kubectl_complete-svcproxy");
    let completion = krew.kubectl("svcproxy --install-completion").await;
    assert_eq!(completion.code(), 0, "{}", completion.stderr);
    assert!(completion.stderr.contains(&shim.display().to_string()), "{}", completion.stderr);
    let asked = krew.kubectl("__complete svcproxy --buil").await;
    assert_eq!(asked.stdout, "--builtin\tList what `kubectl cluster-info` shows, and exit\n:4\n");

    // krew takes nothing away before it has an index, which it would clone from the network.
    fs::create_dir_all(krew.root.join("index/default/.git")).unwrap();
    let removed = krew.kubectl("krew uninstall svcproxy").await;
    assert_eq!(removed.code(), 0, "{}", removed.stderr);
    assert_ne!(krew.kubectl("svcproxy --help").await.code(), 0);
    // The script stays, since krew does not know of it, and must not be heard.
    let asked = krew.run(&shim, [""]).await;
    assert_eq!((&asked.stdout[..], &asked.stderr[..]), ("", ""));
}

/// krew's validator downloads and installs the archive of each platform, and looks for a licence in it.
async fn every_platform_of_a_release_installs(cluster: &'static Cluster) {
    let krew = Krew::new(cluster);
    let server = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    let out = release(cluster, &format!("http://{}/download", server.address())).await;
    for (platform, _) in PLATFORMS {
        let archive = archive(&out, platform);
        let name = archive.file_name().unwrap().to_str().unwrap();
        let body = fs::read(&archive).unwrap();
        server.answer(&format!("/download/{name}"), Canned { body, ..Canned::default() });
    }
    let validator = cluster.programs().path("validate-krew-manifest").unwrap();
    let valid = krew.run(&validator, [OsStr::new("-manifest"), out.join("svcproxy.yaml").as_os_str()]).await;
    assert_eq!(valid.code(), 0, "{}", valid.stderr);
    assert!(valid.stderr.contains("all 6 spec.platforms installed fine"), "{}", valid.stderr);

    let sums =
        krew.run(Path::new("sh"), ["-c", &format!("cd {} && sha256sum --check checksums.txt", out.display())]).await;
    assert_eq!((sums.code(), sums.stdout.lines().count()), (0, PLATFORMS.len()), "{}", sums.stderr);
    let again = release(cluster, &format!("http://{}/download", server.address())).await;
    for (platform, _) in PLATFORMS {
        assert!(
            fs::read(archive(&out, platform)).unwrap() == fs::read(archive(&again, platform)).unwrap(),
            "{platform}"
        );
    }
}
