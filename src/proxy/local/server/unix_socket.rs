//! The Unix socket: made for this user only, taken over only from the dead, removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, system_words};

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
    /// Device and inode of the file we made.
    file: Option<(u64, u64)>,
}

impl UnixSocket {
    pub(crate) async fn bind(path: &Path) -> Result<Self, Error> {
        make_room(path).await?;
        let listener = bind_for_owner(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => taken(path),
            _ => cannot_listen(path, &cause),
        })?;
        Ok(Self { listener, path: path.to_owned(), file: identity(path) })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // Somebody may have put another socket in its place; ours being gone already is as good as removed.
        if self.file.is_some() && self.file == identity(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Removes a socket that nobody answers on any more.
async fn make_room(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(with_way_out(format!("{} exists and is not a socket", path.display())));
    }
    match UnixStream::connect(path).await {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|cause| cannot_listen(path, &cause))
        }
        Err(cause) => Err(cannot_listen(path, &cause)),
        Ok(_) => Err(taken(path)),
    }
}

fn taken(path: &Path) -> Error {
    with_way_out(format!("another program listens on {}", path.display()))
}

fn cannot_listen(path: &Path, cause: &io::Error) -> Error {
    with_way_out(format!("cannot listen on {}: {}", path.display(), system_words(cause)))
}

fn with_way_out(words: String) -> Error {
    Error::failed(words).hint("choose another path with --unix-socket")
}

/// The mask makes the file the owner's from the first moment; the mode then says so whatever the mask was.
fn bind_for_owner(path: &Path) -> io::Result<UnixListener> {
    let everybody = rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO;
    let before = rustix::process::umask(everybody);
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound?;
    fs::set_permissions(path, fs::Permissions::from_mode(OWNER_ONLY))?;
    Ok(listener)
}
