//! Released archives through the real krew, and krew's own validator.
//!
//! What is packed here is this build. `tests/run release` has a release built first, and says in [`RELEASE`] and [`OLD_ROOT`]
//! where it is, and where it is to start; then that is tested, too.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use serde_json::json;
use svcproxy::app::args::CommandLine;
use tokio::process::Command;

use support::cluster::Cluster;
use support::{Backend, Canned, Finished, Running, http};

/// Set to the folder that `.ci/release` filled.
const RELEASE: &str = "SVCPROXY_TEST_RELEASE";

/// Set to the folder that `tests/old-root` filled: the files of an old distribution.
const OLD_ROOT: &str = "SVCPROXY_TEST_OLD_ROOT";

pub(crate) fn tests() -> Vec<crate::Test> {
    let mut tests = crate::tests![
        the_manifest_in_the_repository_is_valid,
        cargo_binstall_knows_the_archives,
        installs_works_and_goes_away_without_a_trace,
        every_platform_of_a_release_installs,
    ];
    if env::var_os(RELEASE).is_some() {
        tests.extend(crate::tests![
            a_built_release_is_valid_and_complete,
            a_built_release_asks_for_an_old_glibc_and_no_more,
            a_built_release_serves_on_an_old_distribution,
        ]);
    }
    tests
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

/// Packs this build, and for other platforms stand-ins: what is tested here is the packing, not compilers.
async fn release(cluster: &Cluster, address: &str) -> PathBuf {
    let (binaries, out) = (cluster.scratch(), cluster.scratch());
    for (platform, program) in PLATFORMS {
        let folder = binaries.join(platform);
        fs::create_dir(&folder).unwrap();
        for file in [program, "THIRD-PARTY.txt", "THIRD-PARTY-RUST.html", "parts.cdx.json"] {
            fs::write(folder.join(file), format!("{file} of {platform}")).unwrap();
        }
    }
    // As in a release; packing the debug information would take longer than the test.
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(binaries.join(platform_here()).join("kubectl-svcproxy"));
    strip.arg(env!("CARGO_BIN_EXE_kubectl-svcproxy"));
    assert_eq!(Running::spawn(strip).end().await.code(), 0);
    fs::write(binaries.join("kubectl-svcproxy.1"), support::manual_page(CommandLine::command())).unwrap();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/release"));
    command.arg("pack").arg(&binaries).arg(&out).arg(address);
    let packed = Running::spawn(command).end().await;
    assert_eq!((packed.code(), &packed.stderr[..]), (0, ""));
    out
}

/// What krew calls this machine's platform.
fn platform_here() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-amd64" }
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

/// What `cargo binstall` downloads is what krew does.
async fn cargo_binstall_knows_the_archives(_: &'static Cluster) {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (package, manifest) = (read("Cargo.toml"), read("plugin.yaml"));
    let of_binstall: Vec<String> = package
        .lines()
        .filter_map(|line| line.strip_prefix("pkg-url = \"")?.strip_suffix('"'))
        .map(|url| url.replace("{ repo }", env!("CARGO_PKG_REPOSITORY")))
        .map(|url| url.replace("{ name }", env!("CARGO_PKG_NAME")).replace("{ version }", env!("CARGO_PKG_VERSION")))
        .collect();
    let of_krew: Vec<&str> = manifest.lines().filter_map(|line| line.strip_prefix("    uri: ")).collect();
    assert_eq!(of_binstall, of_krew);
    assert_eq!(of_krew.len(), PLATFORMS.len());
}

async fn installs_works_and_goes_away_without_a_trace(cluster: &'static Cluster) {
    let krew = Krew::new(cluster);
    let out = release(cluster, "http://127.0.0.1:9/nowhere").await;
    let (manifest, archive) = (out.join("svcproxy.yaml"), archive(&out, platform_here()));
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

/// How many files `checksums.txt` names, all of which are as it says.
async fn checked_sums(krew: &Krew, out: &Path) -> usize {
    let script = format!("cd {} && sha256sum --check checksums.txt", out.display());
    let sums = krew.run(Path::new("sh"), ["-c", &script]).await;
    assert_eq!(sums.code(), 0, "{}", sums.stderr);
    sums.stdout.lines().count()
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

    // Of each platform the archive, and the list of what is in it.
    assert_eq!(checked_sums(&krew, &out).await, 2 * PLATFORMS.len());
    let again = release(cluster, &format!("http://{}/download", server.address())).await;
    for (platform, _) in PLATFORMS {
        assert!(
            fs::read(archive(&out, platform)).unwrap() == fs::read(archive(&again, platform)).unwrap(),
            "{platform}"
        );
    }
}

fn built_release() -> PathBuf {
    PathBuf::from(env::var_os(RELEASE).unwrap())
}

/// The built release with its archive at `server` instead of the repository.
fn manifest_at(server: &Backend, cluster: &Cluster) -> PathBuf {
    let release = built_release();
    let archive = archive(&release, platform_here());
    let name = archive.file_name().unwrap().to_str().unwrap();
    server.answer(&format!("/{name}"), Canned { body: fs::read(&archive).unwrap(), ..Canned::default() });
    let published = concat!(env!("CARGO_PKG_REPOSITORY"), "/releases/download/v", env!("CARGO_PKG_VERSION")).to_owned();
    let manifest = fs::read_to_string(release.join("svcproxy.yaml")).unwrap();
    assert!(manifest.contains(&format!("uri: {published}/{name}\n")), "{manifest}");
    let served = cluster.scratch().join("svcproxy.yaml");
    fs::write(&served, manifest.replace(&published, &format!("http://{}", server.address()))).unwrap();
    served
}

async fn a_built_release_is_valid_and_complete(cluster: &'static Cluster) {
    let krew = Krew::new(cluster);
    let server = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    let manifest = manifest_at(&server, cluster);
    let validator = cluster.programs().path("validate-krew-manifest").unwrap();
    let valid = krew.run(&validator, [OsStr::new("-manifest"), manifest.as_os_str()]).await;
    assert_eq!(valid.code(), 0, "{}", valid.stderr);
    assert_eq!(checked_sums(&krew, &built_release()).await, 2);

    let unpacked = unpack(cluster).await;
    let licences = fs::read_to_string(unpacked.join("THIRD-PARTY.txt")).unwrap();
    let rust = fs::read_to_string(unpacked.join("THIRD-PARTY-RUST.html")).unwrap();
    let parts = format!(
        "{}.cdx.json",
        archive(&built_release(), platform_here()).display().to_string().trim_end_matches(".tar.gz")
    );
    let parts: serde_json::Value = serde_json::from_slice(&fs::read(parts).unwrap()).unwrap();
    let names: Vec<&str> =
        parts["components"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    for linked in ["rustls", "ring", "hyper", "tokio", "kube-client", "lol_html"] {
        assert!(names.contains(&linked), "{linked} is not in {names:?}");
        assert!(licences.contains(&format!("\n  {linked} ")), "{linked} has no licence in THIRD-PARTY.txt");
    }
    assert!(licences.contains("Mozilla Public License") && rust.contains("hashbrown"));
    assert!(fs::read_to_string(unpacked.join("kubectl-svcproxy.1")).unwrap().contains(".TH"));
}

/// The archive of this machine's platform, unpacked.
async fn unpack(cluster: &Cluster) -> PathBuf {
    let folder = cluster.scratch();
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--directory").arg(&folder).arg("--file").arg(archive(&built_release(), platform_here()));
    let unpacked = Running::spawn(tar).end().await;
    assert_eq!(unpacked.code(), 0, "{}", unpacked.stderr);
    folder
}

/// 2.17 is of 2012, and what every distribution of the last ten years has or exceeds.
async fn a_built_release_asks_for_an_old_glibc_and_no_more(cluster: &'static Cluster) {
    let mut readelf = Command::new("readelf");
    readelf.args(["--wide", "--dynamic", "--version-info"]).arg(unpack(cluster).await.join("kubectl-svcproxy"));
    let read = Running::spawn(readelf).end().await.stdout;
    let versions: Vec<(u32, u32)> = read
        .split("GLIBC_")
        .skip(1)
        .filter_map(|rest| {
            let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect();
    assert!(!versions.is_empty() && versions.iter().all(|version| *version <= (2, 17)), "{versions:?}");
    let needed: Vec<&str> = read.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.iter().any(|line| line.contains("[libc.so.6]")), "{needed:?}");
    assert!(!needed.iter().any(|line| line.contains("libgcc")), "{needed:?}");
}

/// krew installs it there, and kubectl runs it there.
async fn a_built_release_serves_on_an_old_distribution(cluster: &'static Cluster) {
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    let namespace = cluster.namespace().await;
    namespace.expose("web", backend.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let root = OldRoot::new(cluster).await;
    fs::copy(cluster.admin().kubeconfig(namespace.name()), root.folder.join("tmp/kubeconfig")).unwrap();

    let release = fs::read_to_string(root.folder.join("etc/debian_version")).unwrap();
    assert!(release.starts_with("11."), "{release}");
    let installed =
        root.run("kubectl krew install --manifest=/tmp/svcproxy.yaml --archive=/tmp/svcproxy.tar.gz").end().await;
    assert_eq!(installed.code(), 0, "{}", installed.stderr);
    let serving = root.run("kubectl svcproxy web --no-browser --port=0 --output=json").ready(1).await;
    let answer = http::get(&format!("{}hello", serving.proxy_url())).await;
    assert_eq!(answer.json()["target"], "/hello");
    serving.stop().await;
}

/// A copy of an old distribution's files, with kubectl, krew and the release in it.
struct OldRoot {
    folder: PathBuf,
}

impl OldRoot {
    async fn new(cluster: &Cluster) -> Self {
        let folder = cluster.scratch();
        let root = Self { folder: folder.clone() };
        let old = env::var(OLD_ROOT).unwrap();
        let (folder, programs) = (folder.display(), cluster.programs());
        let (kubectl, krew) = (programs.path("kubectl").unwrap(), programs.path("krew").unwrap());
        let (kubectl, krew, release) = (kubectl.display(), krew.display(), built_release());
        let (manifest, archive) = (release.join("svcproxy.yaml"), archive(&release, platform_here()));
        let script = format!(
            "set -e
            cp -a {old}/bin {old}/etc {old}/lib* {old}/usr {folder}/
            mkdir -p {folder}/dev {folder}/proc {folder}/tmp
            mount --rbind /dev {folder}/dev
            mount --rbind /proc {folder}/proc
            cp {kubectl} {folder}/usr/bin/kubectl
            cp {krew} {folder}/usr/bin/kubectl-krew
            cp {manifest} {folder}/tmp/svcproxy.yaml
            cp {archive} {folder}/tmp/svcproxy.tar.gz",
            manifest = manifest.display(),
            archive = archive.display(),
        );
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script);
        let made = Running::spawn(shell).end().await;
        assert_eq!(made.code(), 0, "{}", made.stderr);
        root
    }

    /// What is typed there.
    fn run(&self, line: &str) -> Running {
        let mut command = Command::new("chroot");
        command.arg(&self.folder).args(line.split_whitespace());
        command.env_clear().env("PATH", "/tmp/krew/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/tmp").env("KREW_ROOT", "/tmp/krew").env("KUBECONFIG", "/tmp/kubeconfig");
        command.stdin(std::process::Stdio::null());
        Running::spawn(command)
    }
}
