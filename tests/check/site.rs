//! A MailRoot in a temporary directory, and check run on it with a fixed clock and width.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tabmail::clock::Clock;
use tabmail::commands::check::{Check, CheckError, Terminal, WIDTH};
use tabmail::mailroot::MailRoot;

/// The day of all checks: certificates end before and after it.
pub(crate) const TODAY: &str = "2026-06-01T12:00:00Z";

pub(crate) struct Site {
    directory: tempfile::TempDir,
}

pub(crate) struct Outcome {
    /// What was printed, with `MailRoot` where the directory stands.
    pub(crate) text: String,
    pub(crate) exit: u8,
}

impl Site {
    /// An empty directory with the directories of a MailRoot.
    pub(crate) fn empty() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(site.root()).unwrap();
        site.chmod("", 0o700);
        MailRoot::directories().iter().for_each(|name| site.mkdir(name));
        site
    }

    /// The MailRoot `base`.
    pub(crate) fn new() -> Self {
        let site = Self::empty();
        site.lay(&Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-fixtures/bad-mailroots/base"));
        for account in ["anna", "bert"] {
            for name in ["tmp", "new", "cur"] {
                site.mkdir(&format!("domains/home.test/{account}/Maildir/{name}"));
            }
        }
        site
    }

    /// `base` with the fault of a fixture.
    pub(crate) fn with_fault(fixture: &Path) -> Self {
        let site = Self::new();
        site.lay(fixture);
        let setup = fs::read_to_string(fixture.join("setup.txt")).unwrap_or_default();
        setup.lines().for_each(|line| site.set_up(line));
        site
    }

    fn set_up(&self, line: &str) {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["remove", path] => self.remove(path),
            ["mkdir", path] => self.mkdir(path),
            ["chmod", mode, path] => self.chmod(path, u32::from_str_radix(mode, 8).unwrap()),
            ["symlink", target, path] => symlink(target, self.path(path)).unwrap(),
            ["sparse", path, bytes] => {
                fs::File::create(self.path(path)).unwrap().set_len(bytes.parse().unwrap()).unwrap();
            }
            ["certificate", names, from, until] => self.certificate(names, from, until),
            ["other-key"] => self.write("server.key", &rcgen::KeyPair::generate().unwrap().serialize_pem()),
            other => panic!("setup.txt: {other:?}"),
        }
    }

    fn certificate(&self, names: &str, from: &str, until: &str) {
        let date = |text: &str| {
            let parts: Vec<i32> = text.split('-').map(|part| part.parse().unwrap()).collect();
            rcgen::date_time_ymd(parts[0], u8::try_from(parts[1]).unwrap(), u8::try_from(parts[2]).unwrap())
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date(from), date(until));
        let key = rcgen::KeyPair::generate().unwrap();
        self.write("server.cert", &params.self_signed(&key).unwrap().pem());
        self.write("server.key", &key.serialize_pem());
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("MailRoot")
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        if relative == "." { self.root() } else { self.root().join(relative) }
    }

    /// Copies a tree over what is there, for the owner only.
    pub(crate) fn lay(&self, from: &Path) {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !["expected.txt", "setup.txt"].contains(&name.as_str()) {
                self.lay_entry(&entry.path(), &name);
            }
        }
    }

    fn lay_entry(&self, from: &Path, relative: &str) {
        if from.is_dir() {
            self.mkdir(relative);
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                self.lay_entry(&entry.path(), &format!("{relative}/{name}"));
            }
        } else {
            fs::write(self.path(relative), fs::read(from).unwrap()).unwrap();
            self.chmod(relative, 0o600);
        }
    }

    pub(crate) fn write(&self, relative: &str, content: &str) {
        fs::write(self.path(relative), content).unwrap();
        self.chmod(relative, 0o600);
    }

    pub(crate) fn append(&self, relative: &str, content: &str) {
        self.write(relative, &(self.read(relative) + content));
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(crate) fn mkdir(&self, relative: &str) {
        fs::create_dir_all(self.path(relative)).unwrap();
    }

    pub(crate) fn remove(&self, relative: &str) {
        let path = self.path(relative);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    pub(crate) fn chmod(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn check(&self, check: &Check) -> Outcome {
        self.try_check(check).unwrap()
    }

    pub(crate) fn try_check(&self, check: &Check) -> Result<Outcome, CheckError> {
        self.run(check, None)
    }

    pub(crate) fn check_answering(&self, check: &Check, answer: &str) -> Outcome {
        self.run(check, Some(answer)).unwrap()
    }

    fn run(&self, check: &Check, answer: Option<&str>) -> Result<Outcome, CheckError> {
        let check = Check {
            directory: Some(self.root()),
            root: check.root.clone(),
            explain: check.explain.clone(),
            ..*check
        };
        let mut out = Vec::new();
        let mut answers = answer.map(str::as_bytes);
        let exit = check.run_on(Terminal {
            out: &mut out,
            colours: false,
            width: WIDTH,
            progress: None,
            answers: answers.as_mut().map(|answers| answers as &mut dyn std::io::BufRead),
            clock: Clock::manual(TODAY.parse().unwrap()),
        })?;
        let text = String::from_utf8(out).unwrap().replace(self.root().to_str().unwrap(), "MailRoot");
        Ok(Outcome { text, exit })
    }

    /// The codes found, each as often as it was found.
    pub(crate) fn codes(&self) -> Vec<String> {
        let options = tabmail::check::Options {
            now: TODAY.parse().unwrap(),
            limit: tabmail::check::FINDINGS_OF_A_CODE_MAX,
        };
        let findings = tabmail::check::run(&MailRoot::new(self.root()), &options, &|_| ());
        for finding in findings.kept() {
            assert_eq!(finding.severity(), finding.code().severity, "{finding:?}");
            if let tabmail::check::Fact::Table(kind) = &finding.fact {
                assert_eq!(kind.code(), finding.code().code);
            }
        }
        findings.kept().iter().map(|finding| finding.code().code.to_owned()).collect()
    }
}
