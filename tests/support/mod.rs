//! What every test of the running server needs: free ports, a server process that ends with its test, and waiting
//! for a condition with a deadline.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything the server should do at once may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition without an event of its own is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds and panics with `what` when it does not within [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "did not happen within {PATIENCE:?}: {what}");
}

/// Whether `condition` comes to hold before the time is over.
pub(crate) fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::park_timeout(POLL);
    }
}

/// Free ports on 127.0.0.1, all different.
///
/// They lie below the range that the system gives to clients: a port it lends to some connection between this answer
/// and the server's bind would be taken.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let next = || loop {
        let nth = ASKED.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + (std::process::id().wrapping_mul(97) + nth) % COUNT) as u16;
        if let Ok(held) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return (port, held);
        }
    };
    let held: [(u16, TcpListener); N] = std::array::from_fn(|_| next());
    held.map(|(port, _)| port)
}

/// A server process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    root: PathBuf,
    output: PathBuf,
}

impl ServerProcess {
    /// Starts the server on a MailRoot with XMail's flags; its output goes to `output`.
    ///
    /// The environment is empty besides the usual path, `MAIL_ROOT`, `XMAIL_PID_DIR` (the folder of `output`) and
    /// `variables`.
    pub(crate) fn start(
        root: &Path,
        output: &Path,
        flags: &[String],
        variables: &[(String, String)],
    ) -> Self {
        Self::launch(Command::new(env!("CARGO_BIN_EXE_tabmail")), root, output, flags, variables)
    }

    /// The same, but behind a shell that first runs `limits` (`ulimit …`), so that writes can be made to fail.
    pub(crate) fn start_limited(root: &Path, output: &Path, flags: &[String], limits: &str) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{limits}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_tabmail")]);
        Self::launch(command, root, output, flags, &[])
    }

    fn launch(
        mut command: Command,
        root: &Path,
        output: &Path,
        flags: &[String],
        variables: &[(String, String)],
    ) -> Self {
        let log = File::options().create(true).append(true).open(output).expect("the output file");
        let child = command
            .arg("serve")
            .args(flags)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/")
            .env("LANG", "C")
            .env("MAIL_ROOT", root)
            .env("XMAIL_PID_DIR", output.parent().expect("a folder"))
            .envs(variables.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the output file twice"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Self { child, root: root.to_owned(), output: output.to_owned() }
    }

    /// Waits until something accepts connections on the port.
    #[track_caller]
    pub(crate) fn wait_listening(&mut self, port: u16) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let up = holds_within(PATIENCE, || {
            self.has_ended() || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        });
        assert!(up && !self.has_ended(), "the server is not up; it said:\n{}", self.output());
    }

    /// What the server printed so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_some()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the server can be signalled");
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server can be waited for");
    }

    /// Stops the server by `.shutdown` and waits for its end.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        File::create(self.root.join(".shutdown")).expect("the .shutdown file");
        self.wait_end()
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = holds_within(Duration::from_secs(40), || {
            status = self.child.try_wait().expect("the state of a child");
            status.is_some()
        });
        assert!(ended, "the server did not stop; it said:\n{}", self.output());
        status.expect("checked above")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many files wait in the folders `kinds` of every split directory of the spool.
pub(crate) fn spool_files(root: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for level0 in folders(&root.join("spool")) {
        for level1 in folders(&level0) {
            for kind in kinds {
                found.extend(entries(&level1.join(kind)));
            }
        }
    }
    found.sort();
    found
}

/// All directory entries; none when the directory is not there.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map(|all| all.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let numbered = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
    };
    entries(directory).into_iter().filter(numbered).collect()
}
