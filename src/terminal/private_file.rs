//! Files of this program that others may read while it writes them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many names beside a file may be taken already.
const MAX_TRIES: u32 = 16;

/// Puts a file of `bytes` in the place of `path`, as a whole: whoever reads it meanwhile meets the old one or the new one.
/// `mode` is its permission bits on Unix.
///
/// # Errors
/// When the folder cannot be written to; then the old file stays.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (mut file, new) = create_beside(path, mode)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// A new file beside `path`. What is there by its name, left over or laid by somebody, is neither written to nor followed.
fn create_beside(path: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut tries = 0;
    loop {
        let mut beside = OsString::from(path);
        beside.push(format!(".{}-{tries}", std::process::id()));
        let new = PathBuf::from(beside);
        match create(&new, mode) {
            Ok(file) => return Ok((file, new)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MAX_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg_attr(windows, expect(unused_variables, reason = "Windows has no permission bits"))]
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let file = options.open(path)?;
    // The umask may have taken bits away.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    Ok(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_that_were_laid_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("history.json"), folder.path().join("victim"));
        fs::write(&victim, "kept").unwrap();
        for tries in 0..2 {
            let laid = folder.path().join(format!("history.json.{}-{tries}", std::process::id()));
            std::os::unix::fs::symlink(&victim, laid).unwrap();
        }
        write_atomically(&path, b"new", 0o600).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&victim).unwrap()),
            ("new".into(), "kept".into())
        );
    }
}
