//! The `tabmail` program: argv to [`tabmail::server`] and [`tabmail::commands`], and the only exit code.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tabmail::clock::Clock;
use tabmail::commands::{
    Cli, Command,
    check::{COULD_NOT_CHECK, Check},
    ctrlclnt,
    diff::Diff,
    explain::Explain,
    history, local, mail_root_from_environment, mkusers, root, sendmail,
    xmcrypt::XmCrypt,
};
use tabmail::options::{Options, command_line_words};
use tabmail::server::web::WebOptions;
use tabmail::{logs, server};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let program =
        Path::new(&called).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    let outcome = match program.as_str() {
        "XMail" => as_xmail(&words),
        "sendmail" => return send(&to_text(&words)),
        "XMCrypt" => as_xmcrypt(words),
        "CtrlClnt" => return with_text(words, |words| control(&called.to_string_lossy(), words)),
        "MkUsers" => return with_text(words, |words| make_users(&called.to_string_lossy(), words)),
        _ if words.first().is_some_and(is_xmail_option) => as_xmail(&words),
        _ => {
            let words = std::iter::once(called).chain(root::with_one_spelling(words));
            run(parse(words.collect()), &program)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The command line. What cannot be used ends the process; some commands keep 1 and 2 for what they find.
fn parse(words: Vec<OsString>) -> Cli {
    let usage_code = match words.get(1).and_then(|word| word.to_str()) {
        Some("check") => Some(COULD_NOT_CHECK),
        Some("status" | "reload") => Some(USAGE),
        _ => None,
    };
    Cli::try_parse_from(words).unwrap_or_else(|error| {
        let code = usage_code.filter(|_| error.use_stderr()).map_or_else(|| error.exit_code(), i32::from);
        // Nothing is left to do for a closed terminal.
        let _ = error.print();
        std::process::exit(code)
    })
}

fn run(cli: Cli, program: &str) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(arguments) => {
            if arguments.background && server::go_to_background().context("cannot go to the background")? {
                return Ok(ExitCode::SUCCESS);
            }
            serve(&arguments.words, program)
        }
        Command::Web(web) => {
            logs::init_tracing(false);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(web.run())?;
            runtime.shutdown_background();
            Ok(ExitCode::SUCCESS)
        }
        Command::Init(init) => {
            let made = init.run()?;
            report(&format!("{}: ready; serve it with: tabmail serve -Ms {0}", init.directory.display()));
            if let Some((address, password)) = made.account {
                report(&format!("account {address}  password {password}  (shown only now)"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(explain) => Ok(self::explain(&explain)),
        Command::Diff(diff) => Ok(self::diff(&diff)),
        Command::Check(check) => Ok(look(&check)),
        Command::Recover(arguments) => recover(&arguments.words),
        Command::Sendmail(arguments) => Ok(send(&arguments.words)),
        Command::Ctl(arguments) if local::is_local(&arguments.words) => Ok(operate(&arguments.words)),
        Command::Ctl(arguments) => Ok(control("tabmail ctl", &arguments.words)),
        Command::Status(arguments) => tell(local::status(&arguments)),
        Command::Reload(arguments) => tell(local::reload(&arguments)),
        Command::Mkusers(arguments) => Ok(make_users("tabmail mkusers", &arguments.words)),
        Command::Help(topic) => {
            topic.run()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Log(log) => printed(log.run(&mut std::io::stdout().lock())),
        Command::Show(show) => printed(show.run(&mut std::io::stdout().lock())),
        Command::Rollback(rollback) => printed(rollback.run(&mut std::io::stdout().lock())),
        Command::Xmcrypt(password) => {
            password.run()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A reader that closes the pipe early has seen enough.
fn printed(result: Result<(), history::HistoryCommandError>) -> anyhow::Result<ExitCode> {
    match result {
        Err(history::HistoryCommandError::Output(error))
            if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        result => result?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a command line begins as XMail's do, with a service letter and an option letter: scripts that start XMail may
/// start tabmail by its own name.
fn is_xmail_option(word: &OsString) -> bool {
    matches!(word.as_encoded_bytes(), [b'-', service, _] if service.is_ascii_uppercase())
}

/// XMail itself: in the background unless `-Md` is given on the command line.
fn as_xmail(words: &[OsString]) -> anyhow::Result<ExitCode> {
    let words = to_text(words);
    let stay = words.iter().any(|word| word == "-Md");
    if !stay && server::go_to_background().context("cannot go to the background")? {
        return Ok(ExitCode::SUCCESS);
    }
    serve(&words, "XMail")
}

/// XMail's XMCrypt: without an argument the usage on standard output, and 1.
fn as_xmcrypt(words: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let Some(password) = words.into_iter().next() else {
        use std::io::Write;
        writeln!(std::io::stdout(), "use: XMCrypt password")?;
        return Ok(ExitCode::FAILURE);
    };
    XmCrypt { password, argon2id: false }.run()?;
    Ok(ExitCode::SUCCESS)
}

fn send(words: &[String]) -> ExitCode {
    match sendmail::run(words, &sendmail::Environment::of_process(), &Clock::system()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// The exit code of the commands that answer a question and could not.
const TROUBLE: u8 = 2;

/// 0: no difference; 1: differences.
fn diff(diff: &Diff) -> ExitCode {
    match diff.run() {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => failed(&error, TROUBLE),
    }
}

/// 0: mail gets somewhere; 1: it does not.
fn explain(explain: &Explain) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| Ok(runtime.block_on(explain.run())?)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::from(TROUBLE)
        }
    }
}

/// `tabmail check`, with its own exit codes.
fn look(check: &Check) -> ExitCode {
    ExitCode::from(check.run().unwrap_or_else(|error| {
        report(&error.to_string());
        COULD_NOT_CHECK
    }))
}

/// XMail's CtrlClnt. `called` is how the program was called, for the usage.
fn control(called: &str, words: &[String]) -> ExitCode {
    match ctrlclnt::run(called, words, &ctrlclnt::Environment::of_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// One CTRL command for the server of a MailRoot on this machine.
fn operate(words: &[String]) -> ExitCode {
    match local::control(words, std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, error.exit_code()),
    }
}

/// What the server of a MailRoot on this machine says about its tables.
fn tell(outcome: Result<local::Outcome, local::LocalError>) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    Ok(match outcome {
        Ok(outcome) => {
            std::io::stdout().write_all(outcome.text.as_bytes())?;
            ExitCode::from(outcome.exit_code)
        }
        Err(error) => failed(&error, error.exit_code()),
    })
}

/// XMail's MkUsers.
fn make_users(called: &str, words: &[String]) -> ExitCode {
    match mkusers::run(called, words, std::io::stdin().lock()) {
        Ok(skipped) => {
            skipped.iter().for_each(|line| report(&line.to_string()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(error.to_string().trim_end());
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve(words: &[String], program: &str) -> anyhow::Result<ExitCode> {
    let mut words = words.to_vec();
    if let Ok(line) = std::env::var("MAIL_CMD_LINE") {
        words.extend(command_line_words(&line));
    }
    let web = WebOptions::take(&mut words);
    let (mut options, ignored) = Options::parse(&words)?;
    options.web = web;
    options.mail_root = options.mail_root.or_else(mail_root_from_environment);
    match &options.mail_root {
        Some(root) if server::is_in_background() => logs::init_tracing_to_file(root, options.debug),
        _ => logs::init_tracing(options.debug),
    }
    for word in ignored {
        tracing::warn!("{word}: not an option; ignored");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(server::run(options, program))?;
    // Blocking work that did not end in time must not hold up the exit.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// The MailRoot and the split level are what counts; the other options of `serve` may stand there too.
fn recover(words: &[String]) -> anyhow::Result<ExitCode> {
    let (mut options, _) = Options::parse(words)?;
    options.mail_root = options.mail_root.or_else(mail_root_from_environment);
    logs::init_tracing(options.debug);
    let found = server::recover(&options)?;
    report(&format!(
        "{} messages brought out of the journal; {} ready, {} waiting; {} unfinished files removed",
        found.replayed, found.ready, found.waiting, found.unfinished
    ));
    if found.damaged + found.unreadable > 0 {
        report(&format!(
            "{} segments of the journal and {} files cannot be read: see above",
            found.damaged, found.unreadable
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// For programs whose words become table contents: a word that is not UTF-8 must not become another one.
fn with_text(words: Vec<OsString>, program: impl FnOnce(&[String]) -> ExitCode) -> ExitCode {
    match words.into_iter().map(OsString::into_string).collect::<Result<Vec<_>, _>>() {
        Ok(words) => program(&words),
        Err(word) => {
            report(&format!("{}: not UTF-8", word.display()));
            ExitCode::from(USAGE)
        }
    }
}

/// CtrlClnt's exit code, and that of the commands that ask a server, for a command line that cannot be used.
const USAGE: u8 = 3;

fn to_text(words: &[OsString]) -> Vec<String> {
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Says why it did not work.
fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    report(&error.to_string());
    ExitCode::from(code)
}

/// Says something to the person at the terminal.
#[expect(clippy::print_stderr, reason = "the one place where the program talks to its user")]
fn report(text: &str) {
    eprintln!("{text}");
}
