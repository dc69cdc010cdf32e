//! CTRL for the operator of this machine: a socket in the MailRoot, without a password.
//!
//! Shape: `MailRoot/.tabmail.sock`, mode 0600, and the CTRL protocol from its greeting on, already logged in. Who may
//! connect is decided by the kernel: the owner of the server's process, and root; asked again for each connection.
//! The socket of a server that crashed is replaced when nobody answers it. A path that is too long for a socket
//! address (108 bytes) is reached through the directory's descriptor.
//!
//! Failures: without the socket (a file system that has none) the server serves all the same.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::net::Stream;

/// The socket's name in the MailRoot.
pub const SOCKET: &str = ".tabmail.sock";

/// Local sessions at once. Ours.
pub const SESSIONS_MAX: usize = 32;

/// Only the owner connects.
const MODE: u32 = 0o600;

/// A socket of a server, which vanishes with it.
#[derive(Debug)]
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Makes the socket in the MailRoot `root`. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when somebody answers there; else what the system says.
    pub fn bind(root: &Path) -> io::Result<Self> {
        let path = root.join(SOCKET);
        if connect(root).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Made aside and renamed: it never stands there without its mode, and a stale one is replaced.
        let aside = format!("{SOCKET}.{}", std::process::id());
        let aside_path = root.join(&aside);
        let _ = fs::remove_file(&aside_path);
        let listener = at_short_path(root, &aside, |path| StdListener::bind(path))?;
        fs::set_permissions(&aside_path, Permissions::from_mode(MODE))?;
        fs::rename(&aside_path, &path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, path })
    }

    /// The next client that may come in.
    pub(super) async fn accept(&self) -> Stream {
        let ours = rustix::process::geteuid().as_raw();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == ours || peer.uid() == 0 => return Stream::local_socket(stream),
                    Ok(peer) => tracing::warn!(uid = peer.uid(), "local CTRL refused"),
                    Err(error) => tracing::warn!(%error, "local CTRL refused"),
                },
                Err(error) => {
                    tracing::warn!(%error, "local CTRL cannot accept");
                    // Out of descriptors: without a pause the loop would spin.
                    tokio::time::sleep(crate::net::IO_TIMEOUT / 100).await;
                }
            }
        }
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the server of the MailRoot `root`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused`: no server is running there.
pub fn connect(root: &Path) -> io::Result<StdStream> {
    at_short_path(root, SOCKET, |path| StdStream::connect(path))
}

/// Calls `with` with a path of `name` in `root` that fits into a socket address.
fn at_short_path<T>(root: &Path, name: &str, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = root.join(name);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return with(&path);
    }
    let directory = File::open(root)?;
    with(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

/// What a socket address holds for sure (`sun_path` has 108 bytes on Linux, 104 elsewhere).
const SOCKET_PATH_BYTES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let stale = StdListener::bind(dir.path().join(SOCKET)).unwrap();
        assert_eq!(LocalSocket::bind(dir.path()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(stale);
        let socket = LocalSocket::bind(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(SOCKET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(LocalSocket::bind(dir.path()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(connect(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_long_path_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("x".repeat(120));
        fs::create_dir(&root).unwrap();
        let socket = LocalSocket::bind(&root).unwrap();
        let _client = connect(&root).unwrap();
        socket.accept().await;
    }
}
