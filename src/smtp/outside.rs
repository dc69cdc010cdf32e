//! Log-ins that a program decides: `smtpextauth.tab` (`mailflow.md` 12.2, `mailroot.md` 12.3, golden smtp_extauth).
//!
//! ```text
//! program ... AUTH USER PASS|- CHALL|- DGEST|- RFILE      exit 0: let in; otherwise refused
//! RFILE, written by the program: Perms=letters, one option a line or separated by commas
//! ```
//!
//! The permissions of the response file are the log-in's (decision 28); without a file, or without `Perms`, there are
//! none: the client is known, but may not relay. The file is deleted in any case.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::BString;

use super::answers::blocking;
use super::session::LoginVerdict;
use crate::auth::{Credentials, Mechanism};
use crate::exec::{self, Command, Exit, macros};
use crate::mailroot::authentication::{SmtpExtAuthRow, SmtpPerms};
use crate::mailroot::option_list::OptionList;
use crate::mailroot::schema::options::RESPONSE_PERMS;
use crate::policy::Grant;

/// How long the program may take (`mailflow.md` 12.2).
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How much of a response file is read. Ours; one line of letters is enough.
const RESPONSE_BYTES_MAX: u64 = 64 * 1024;

/// `mailflow.md` 1.8.
const EXIT_NOT_STARTED: i32 = 255;

/// Asks the program of the mechanism.
pub(super) async fn verdict(
    row: &SmtpExtAuthRow,
    mechanism: Mechanism,
    credentials: &Credentials,
    temp_directory: &Path,
) -> LoginVerdict {
    let response = match exec::temporary_path(temp_directory) {
        Ok(path) => Response(path),
        Err(error) => {
            tracing::error!(%error, "no name for a response file");
            return LoginVerdict::Unavailable;
        }
    };
    let args = macros::expand(&row.args, |name| value(name, mechanism, credentials, &response.0));
    if args.iter().any(|arg| arg.contains(&0)) {
        // No program can be given a NUL, and no user has one.
        return LoginVerdict::Refused;
    }
    let program: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(row.program.as_slice());
    let ended = exec::run(Command::new(program, args), Some(TIME_LIMIT)).await;
    // On the blocking thread the file is removed as well.
    let perms = blocking(move || response.perms());
    match ended {
        Ok(Exit::Code(0)) => match perms.await {
            Some(Ok(perms)) => LoginVerdict::Granted(Grant::of_perms(perms)),
            Some(Err(error)) => {
                tracing::error!("smtpextauth.tab:{}: the response file: {error}", row.line);
                LoginVerdict::Unavailable
            }
            None => LoginVerdict::Unavailable,
        },
        Ok(Exit::Code(code)) if code != EXIT_NOT_STARTED => LoginVerdict::Refused,
        Ok(exit) => {
            tracing::warn!("smtpextauth.tab:{}: the program has not decided: {exit:?}", row.line);
            LoginVerdict::Unavailable
        }
        Err(error) => {
            tracing::warn!("smtpextauth.tab:{}: {error}", row.line);
            LoginVerdict::Unavailable
        }
    }
}

fn value(name: &str, mechanism: Mechanism, credentials: &Credentials, response: &Path) -> Option<BString> {
    let (password, challenge, digest): (&[u8], &[u8], &[u8]) = match credentials {
        Credentials::Password { password, .. } => (password, b"-", b"-"),
        Credentials::CramMd5 { challenge, digest, .. } => (b"-", challenge, digest),
    };
    Some(match name {
        "AUTH" => mechanism.name().into(),
        "USER" => credentials.user().into(),
        "PASS" => password.into(),
        "CHALL" => challenge.into(),
        "DGEST" => digest.into(),
        "RFILE" => response.as_os_str().as_encoded_bytes().into(),
        _ => return None,
    })
}

/// The response file, which is not made for the program (golden smtp_extauth); removed when dropped.
struct Response(PathBuf);

impl Response {
    /// None without a file or without `Perms`. Blocks.
    fn perms(&self) -> io::Result<SmtpPerms> {
        match fs::symlink_metadata(&self.0) {
            Ok(found) if found.is_file() => {}
            // A pipe would never end; a link leads to what the program did not write.
            Ok(_) => return Err(io::Error::other("is no plain file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SmtpPerms::default()),
            Err(error) => return Err(error),
        }
        let mut text = Vec::new();
        File::open(&self.0)?.take(RESPONSE_BYTES_MAX).read_to_end(&mut text)?;
        let options = OptionList::parse(&text);
        Ok(options
            .value(&RESPONSE_PERMS)
            .map_or_else(SmtpPerms::default, |letters| SmtpPerms::parse(letters)))
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{}: cannot be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Credentials {
        Credentials::Password { user: b"usr".to_vec(), password: text.into() }
    }

    async fn check(script: &str, credentials: &Credentials, expected: LoginVerdict) {
        let directory = tempfile::tempdir().unwrap();
        let words = ["-c", script, "sh", "@@AUTH", "@@USER", "@@PASS", "@@CHALL", "@@DGEST", "@@RFILE"];
        let args = words.map(BString::from).into();
        let row = SmtpExtAuthRow { line: 1, mechanism: "PLAIN".into(), program: "/bin/sh".into(), args };
        let found = verdict(&row, Mechanism::Plain, credentials, directory.path()).await;
        assert_eq!(found, expected, "{script}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{script}: the file is gone");
    }

    fn granted(letters: &str) -> LoginVerdict {
        LoginVerdict::Granted(Grant::of_perms(SmtpPerms::parse(letters.as_bytes())))
    }

    #[tokio::test]
    async fn the_exit_code_decides() {
        check("exit 0", &password("x"), granted("")).await;
        check("exit 1", &password("x"), LoginVerdict::Refused).await;
        check("exit 255", &password("x"), LoginVerdict::Unavailable).await;
        check("exit 0", &password("nul\0"), LoginVerdict::Refused).await;
    }

    #[tokio::test]
    async fn the_response_file_gives_permissions() {
        let write = |text: &str| format!(r"printf '{text}' > \$6");
        check(&write("Perms=MRVZ\\n"), &password("x"), granted("MRVZ")).await;
        check(&write("Perms=MR\\r\\n"), &password("x"), granted("MR")).await;
        check(&write("Other=1,Perms=R"), &password("x"), granted("R")).await;
        check(&write("Perms"), &password("x"), granted("")).await;
        check(&write("garbage\\0\\377"), &password("x"), granted("")).await;
        check(&format!("{}; exit 1", write("Perms=MR")), &password("x"), LoginVerdict::Refused).await;
        check(r"ln -s /dev/zero \$6", &password("x"), LoginVerdict::Unavailable).await;
        check(r"mkfifo \$6", &password("x"), LoginVerdict::Unavailable).await;
        check(&format!("{}; kill -9 \\$\\$", write("Perms=MR")), &password("x"), LoginVerdict::Unavailable)
            .await;
    }

    #[tokio::test]
    async fn the_macros_tell_what_the_client_showed() {
        let is = |words: &str| format!(r#"[ "\$1,\$2,\$3,\$4,\$5" = '{words}' ]"#);
        check(&is("PLAIN,usr,se cret,-,-"), &password("se cret"), granted("")).await;
        let cram = Credentials::CramMd5 {
            user: b"usr".to_vec(),
            challenge: b"<1.2@mx.test>".to_vec(),
            digest: b"0123".to_vec(),
        };
        check(&is("PLAIN,usr,-,<1.2@mx.test>,0123"), &cram, granted("")).await;
        check(&is("PLAIN,usr,other,-,-"), &password("x"), LoginVerdict::Refused).await;
    }
}
