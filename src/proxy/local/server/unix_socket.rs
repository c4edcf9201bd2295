//! The Unix socket: made for this user only, taken over only from the dead, removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::listener::BindError;

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file we made.
    file: Option<(u64, u64)>,
}

impl UnixSocket {
    pub(crate) async fn bind(path: &Path) -> Result<Self, BindError> {
        make_room(path).await?;
        let listener = bind_for_owner(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => BindError::SocketTaken(path.to_owned()),
            _ => BindError::Socket(path.to_owned(), cause),
        })?;
        Ok(Self { listener, path: path.to_owned(), file: identity(path) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
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
async fn make_room(path: &Path) -> Result<(), BindError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|cause| BindError::Socket(path.to_owned(), cause))
        }
        Err(cause) => Err(BindError::Socket(path.to_owned(), cause)),
        Ok(_) => Err(BindError::SocketTaken(path.to_owned())),
    }
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
