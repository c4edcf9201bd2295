//! The second program that kubectl looks for, which krew cannot install (kubernetes-sigs/krew#812): a script that
//! calls this one. On Windows a third: kubectl takes the plugin's whole file name for its name there, so that only
//! `kubectl svcproxy.exe` would be completed (kubectl `pkg/cmd/plugin/plugin_completion.go`), unless there is a file
//! without an extension too.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, system_words};
use crate::terminal::private_file::write_atomically;

/// The program's own name, which krew links.
const PROGRAM: &str = "kubectl-svcproxy";
/// What kubectl runs for completion (`pkg/cmd/plugin/plugin_completion.go`), without the extension of scripts on
/// Windows.
pub(super) const SHIM: &str = "kubectl_complete-svcproxy";
/// The first argument by which the script asks for candidates. No Service can be called so.
pub(super) const WORD: &str = "__complete";
/// How a script of ours is recognised.
const MARK: &str = "Written by kubectl svcproxy --install-completion";

/// File name and text of each script that kubectl needs on `PATH` to complete `kubectl svcproxy`, the one that it runs
/// first.
fn scripts(on_windows: bool) -> Vec<(String, String)> {
    // Silent where the plugin is gone: what is printed would end up in the line being typed.
    if on_windows {
        let answers = format!("@rem {MARK}\r\n@{PROGRAM}.exe {WORD} %* 2>nul\r\n");
        // Windows runs the .exe; shells from elsewhere run this.
        let names = format!("#!/bin/sh\n# {MARK}: its name is what kubectl offers.\nexec {PROGRAM}.exe \"$@\"\n");
        vec![(format!("{SHIM}.cmd"), answers), (PROGRAM.to_owned(), names)]
    } else {
        let text = format!(
            "#!/bin/sh\n# {MARK}: kubectl runs this at each Tab.\n\
             command -v {PROGRAM} >/dev/null && exec {PROGRAM} {WORD} \"$@\"\n"
        );
        vec![(SHIM.to_owned(), text)]
    }
}

/// The script that kubectl runs.
pub fn script() -> String {
    scripts(cfg!(windows)).swap_remove(0).1
}

/// Writes the script into `folder`, or else beside this program as found on `search_path` (`PATH`), and returns where.
///
/// # Errors
/// When there is no such folder, it cannot be written to, or something else is in the script's place.
pub fn install(folder: Option<&Path>, search_path: Option<&OsStr>) -> Result<PathBuf, Error> {
    let folder = folder.map(Path::to_owned).or_else(|| folder_on(search_path)).ok_or_else(|| {
        Error::failed(format!("{PROGRAM} is in no folder of PATH, so there is no telling where kubectl looks"))
            .hint("name a folder of your PATH: --install-completion=FOLDER")
    })?;
    install_all(&folder, &scripts(cfg!(windows)))
}

/// Nothing is written unless all can be.
fn install_all(folder: &Path, scripts: &[(String, String)]) -> Result<PathBuf, Error> {
    let files: Vec<PathBuf> = scripts.iter().map(|(name, _)| folder.join(name)).collect();
    if let Some(file) = files.iter().find(|file| is_something_else(file)) {
        return Err(Error::failed(format!("{} is something else, which is left as it is", file.display()))
            .hint("remove it, or name another folder of your PATH: --install-completion=FOLDER"));
    }
    for (file, (_, text)) in files.iter().zip(scripts) {
        write_atomically(file, text.as_bytes(), 0o755).map_err(|error| {
            Error::failed(format!("cannot write {}: {}", file.display(), system_words(&error)))
                .hint("name a folder of your PATH that you may write to: --install-completion=FOLDER")
        })?;
    }
    Ok(folder.join(&scripts[0].0))
}

fn is_something_else(file: &Path) -> bool {
    fs::read_to_string(file).map_or_else(|error| error.kind() == ErrorKind::InvalidData, |text| !text.contains(MARK))
}

/// Whether `folder` is one of `search_path`: elsewhere kubectl does not find the script.
pub fn is_on_path(folder: &Path, search_path: Option<&OsStr>) -> bool {
    search_path.is_some_and(|list| std::env::split_paths(list).any(|known| known == folder))
}

fn folder_on(search_path: Option<&OsStr>) -> Option<PathBuf> {
    let program = format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(search_path?).find(|folder| folder.join(&program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn goes_beside_the_program_and_can_be_run() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (empty, bin) = (folder.path().join("empty"), folder.path().join("bin"));
        fs::create_dir(&empty).unwrap();
        fs::create_dir(&bin).unwrap();
        let path = std::env::join_paths([&empty, &bin]).unwrap();
        assert!(install(None, Some(&path)).unwrap_err().message().contains("no folder of PATH"));
        fs::write(bin.join(PROGRAM), "").unwrap();
        for _ in 0..2 {
            let file = install(None, Some(&path)).unwrap();
            assert_eq!(file, bin.join(SHIM));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 2);
        assert!(is_on_path(&bin, Some(&path)) && !is_on_path(folder.path(), Some(&path)));
    }

    /// Go finds a program without its extension as any of `PATHEXT` (`os/exec/lp_windows.go`), `.cmd` among them; of
    /// plugins kubectl knows the names of all files that begin so, as they are.
    #[test]
    fn windows_gets_a_script_that_it_can_run_and_the_plugins_name_without_an_extension() {
        let folder = tempfile::tempdir().unwrap();
        let first = install_all(folder.path(), &scripts(true)).unwrap();
        assert_eq!(first, folder.path().join("kubectl_complete-svcproxy.cmd"));
        let lines = fs::read_to_string(&first).unwrap();
        assert!(lines.ends_with("\r\n@kubectl-svcproxy.exe __complete %* 2>nul\r\n"), "{lines}");
        let named = fs::read_to_string(folder.path().join("kubectl-svcproxy")).unwrap();
        assert!(named.starts_with("#!/bin/sh\n") && named.ends_with("\nexec kubectl-svcproxy.exe \"$@\"\n"), "{named}");
    }

    #[test]
    fn nothing_is_written_where_one_of_several_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubectl-svcproxy"), [0xff, 0xfe]).unwrap();
        assert!(install_all(folder.path(), &scripts(true)).unwrap_err().message().contains("something else"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn leaves_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = install(Some(folder.path()), None).unwrap();
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(install(Some(folder.path()), None).unwrap_err().message().contains("something else"));
        fs::write(&file, "#!/bin/sh\nexit 0\n").unwrap();
        assert!(install(Some(folder.path()), None).unwrap_err().message().contains("something else"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "#!/bin/sh\nexit 0\n");
    }

    #[test]
    fn a_folder_that_is_none_is_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = install(Some(&folder.path().join("none")), None).unwrap_err();
        assert!(error.message().starts_with("cannot write") && error.hint_text().is_some(), "{error}");
    }
}
