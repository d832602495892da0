//! Opening the control socket: never a second daemon on one, never open to more than its owner and group.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon answers there.
    #[error("another director answers on {}; stop it, or give this one a control_socket of its own", .0.display())]
    InUse(PathBuf),
    /// The folder or the socket cannot be made.
    #[error("cannot open the control socket {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket cannot be given to `control_group`.
    #[error("cannot give the control socket to the group {group:?} (is the director's user a member of it?)")]
    Group {
        /// Its name.
        group: String,
        /// What the system said.
        source: io::Error,
    },
    /// `control_group` names no group.
    #[error("control_group = {0:?} is no group of this host")]
    NoSuchGroup(String),
}

/// The socket's file; gone when this is dropped, unless a successor has put its own in the place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _already_gone = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Opens the socket with mode 0660 and the given group, replacing what a dead daemon has left.
///
/// To be called while the process has one thread: it changes the umask for a moment, so that nobody can connect
/// before the mode is right.
pub fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, SocketFile), SocketError> {
    let io_error = |source| SocketError::Io { path: path.to_owned(), source };
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    let group = group.map(|name| group_id(name).map(|id| (name, id))).transpose()?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(io_error)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if is_socket(&found) => std::fs::remove_file(path).map_err(io_error)?,
        Ok(_) => {
            return Err(io_error(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is no socket")));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(error)),
    }
    let umask = rustix::process::umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(umask);
    let listener = listener.map_err(io_error)?;
    let file = SocketFile::new(path).map_err(io_error)?;
    if let Some((group, id)) = group {
        chown(path, None, Some(id))
            .map_err(|source| SocketError::Group { group: group.to_owned(), source })?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(io_error)?;
    listener.set_nonblocking(true).map_err(io_error)?;
    Ok((listener, file))
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}

fn group_id(name: &str) -> Result<u32, SocketError> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) | Err(_) => Err(SocketError::NoSuchGroup(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_dead_socket_but_not_a_live_one_nor_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/control.sock");

        let live = bind(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&path, None), Err(SocketError::InUse(_))));
        // As a process that is killed leaves it.
        let (listener, file) = live;
        std::mem::forget(file);
        drop(listener);
        let successor = bind(&path, None).unwrap();
        drop(successor);
        assert!(!path.exists(), "an end in order leaves nothing");

        let file = folder.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        let refused = format!("{:#}", anyhow::Error::from(bind(&file, None).unwrap_err()));
        assert!(refused.ends_with(": it exists and is no socket"), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), b"data");
    }

    #[test]
    fn a_successors_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (_listener, file) = bind(&path, None).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let _successor = bind(&path, None).unwrap();

        drop(file);

        assert!(path.exists());
    }

    #[test]
    fn an_unknown_group_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = bind(&folder.path().join("s"), Some("no-such-group")).unwrap_err();
        assert_eq!(error.to_string(), "control_group = \"no-such-group\" is no group of this host");
    }
}
