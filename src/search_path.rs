//! Which file the name of a program means: by `PATH`, and on Windows by `PATHEXT` too (Go `os/exec`, `LookPath`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What Windows takes for programs where `PATHEXT` says nothing.
const DEFAULT_EXTENSIONS: &str = ".com;.exe;.bat;.cmd";

/// Where programs are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    /// With their dots; none but on Windows.
    extensions: Vec<String>,
}

/// Why a name means no program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProgram {
    /// There is none of that name, or it is not executable.
    NotFound,
    /// It is only there because of a relative folder in `PATH`: whoever can write to the current folder would choose what runs.
    Relative(PathBuf),
}

impl SearchPath {
    /// Of `PATH` and `PATHEXT`. The latter counts on Windows only.
    pub fn new(path: Option<&OsStr>, extensions: Option<&OsStr>) -> Self {
        let extensions = if cfg!(windows) { extensions_of(extensions.and_then(OsStr::to_str)) } else { Vec::new() };
        Self { folders: path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default(), extensions }
    }

    /// The file that `name` means; a name with a folder means itself.
    ///
    /// # Errors
    /// When there is none that may be run by its name.
    pub fn find(&self, name: &OsStr) -> Result<PathBuf, NoProgram> {
        self.find_by(name, is_program)
    }

    fn find_by(&self, name: &OsStr, is_program: impl Fn(&Path) -> bool) -> Result<PathBuf, NoProgram> {
        let program = |path: PathBuf| self.spellings(path).into_iter().find(|path| is_program(path));
        if Path::new(name).components().count() != 1 || Path::new(name).file_name() != Some(name) {
            return program(PathBuf::from(name)).ok_or(NoProgram::NotFound);
        }
        let found = self.folders.iter().find_map(|folder| program(folder.join(name))).ok_or(NoProgram::NotFound)?;
        if found.is_absolute() { Ok(found) } else { Err(NoProgram::Relative(found)) }
    }

    /// `path` as it is where it may be a program's, and with each extension.
    fn spellings(&self, path: PathBuf) -> Vec<PathBuf> {
        let extended = |extension: &String| {
            let mut name = OsString::from(&path);
            name.push(extension);
            PathBuf::from(name)
        };
        let extended: Vec<PathBuf> = self.extensions.iter().map(extended).collect();
        let as_it_is = (self.extensions.is_empty() || path.extension().is_some()).then_some(path);
        as_it_is.into_iter().chain(extended).collect()
    }
}

/// `PATHEXT` taken apart.
fn extensions_of(variable: Option<&str>) -> Vec<String> {
    let text = variable.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_EXTENSIONS);
    let dotted = |text: &str| if text.starts_with('.') { text.to_owned() } else { format!(".{text}") };
    text.split(';').filter(|text| !text.is_empty()).map(dotted).collect()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `name` means where `files` are programs.
    fn found(folders: &[&str], extensions: &[&str], files: &[&str], name: &str) -> Result<String, NoProgram> {
        let path = SearchPath {
            folders: folders.iter().map(|folder| native(folder).into()).collect(),
            extensions: extensions.iter().map(|&text| text.to_owned()).collect(),
        };
        let is_program = |path: &Path| files.iter().any(|file| Path::new(&native(file)) == path);
        let found = path.find_by(OsStr::new(&native(name)), is_program);
        found.map(|path| path.display().to_string().replace('\\', "/").trim_start_matches("C:").to_owned())
    }

    /// On Windows no path is absolute without a drive.
    fn native(path: &str) -> String {
        let drive = if cfg!(windows) && path.starts_with('/') { "C:" } else { "" };
        format!("{drive}{path}")
    }

    #[test]
    fn the_first_folder_that_has_it() {
        let check = |name: &str, expect: Result<&str, NoProgram>| {
            let files = ["/b/aws", "/c/aws", "/x/tool", "sub/tool", "here", "/b/here"];
            assert_eq!(found(&["/a", "/b", "", "/c"], &[], &files, name), expect.map(str::to_owned), "{name}");
        };
        check("aws", Ok("/b/aws"));
        check("tool", Err(NoProgram::NotFound));
        check("/x/tool", Ok("/x/tool"));
        check("sub/tool", Ok("sub/tool"));
        check("./aws", Err(NoProgram::NotFound));
        check("here", Ok("/b/here"));
    }

    #[test]
    fn a_relative_folder_gives_nothing() {
        let relative = found(&["", "/b"], &[], &["aws", "/b/aws"], "aws");
        assert_eq!(relative, Err(NoProgram::Relative(PathBuf::from("aws"))));
        let relative = found(&["bin"], &[], &["bin/aws"], "aws");
        assert_eq!(relative, Err(NoProgram::Relative(PathBuf::from("bin/aws"))));
    }

    #[test]
    fn extensions_of_windows() {
        let extensions: Vec<String> = extensions_of(Some(".COM;.EXE;cmd;"));
        assert_eq!(extensions, [".COM", ".EXE", ".cmd"]);
        assert_eq!(extensions_of(None), [".com", ".exe", ".bat", ".cmd"]);
        let check = |files: &[&str], name: &str, expect: Result<&str, NoProgram>| {
            let found = found(&["/bin", "/sbin"], &[".exe", ".cmd"], files, name);
            assert_eq!(found, expect.map(str::to_owned), "{name}");
        };
        check(&["/bin/az.cmd"], "az", Ok("/bin/az.cmd"));
        check(&["/bin/npm", "/bin/npm.cmd"], "npm", Ok("/bin/npm.cmd"));
        check(&["/bin/az.cmd", "/bin/az.exe"], "az", Ok("/bin/az.exe"));
        check(&["/sbin/az.exe", "/bin/az.cmd"], "az", Ok("/bin/az.cmd"));
        check(&["/bin/az.cmd"], "az.cmd", Ok("/bin/az.cmd"));
        check(&["/bin/az.v2.exe"], "az.v2", Ok("/bin/az.v2.exe"));
        check(&["/opt/az.cmd"], "/opt/az", Ok("/opt/az.cmd"));
        check(&["/bin/az"], "az", Err(NoProgram::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn only_what_may_be_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login");
        std::fs::write(&file, "").unwrap();
        let path = SearchPath::new(Some(folder.path().as_os_str()), None);
        assert_eq!(path.find(OsStr::new("login")), Err(NoProgram::NotFound));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(path.find(OsStr::new("login")), Ok(file));
    }
}
