use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;

/// Long enough for a loaded machine, short enough to end a hung test.
const PATIENCE: Duration = Duration::from_secs(20);

fn shell(script: &str, args: &[&str]) -> Command {
    let words = ["/bin/sh", "-c", script, "sh"].into_iter().chain(args.iter().copied()).map(BString::from);
    Command::from_words(&words.collect::<Vec<_>>()).unwrap()
}

async fn exit_of(script: &str) -> Exit {
    run(shell(script, &[]), Some(PATIENCE)).await.unwrap()
}

/// Waits, without a fixed time, until `path` holds a whole line.
async fn line_in(path: &Path) -> String {
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::task::yield_now().await,
        }
    }
}

/// True once the process has ended; a zombie that the machine's init has not fetched yet has ended too.
fn has_ended(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('Z')),
        Err(_) => true,
    }
}

async fn check_ends(pid: &str) {
    let start = Instant::now();
    while !has_ended(pid) {
        assert!(start.elapsed() < PATIENCE, "process {pid} still runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn exit_code_and_signal_are_told_apart() {
    assert_eq!(exit_of("exit 0").await, Exit::Code(0));
    assert_eq!(exit_of("exit 22").await, Exit::Code(22));
    assert_eq!(exit_of("exit 255").await, Exit::Code(255));
    assert_eq!(exit_of("kill -9 $$").await, Exit::Signal(9));
    assert_eq!(Exit::Code(22).code_or_minus_one(), 22);
    assert_eq!(Exit::Signal(9).code_or_minus_one(), -1);
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = [out.to_str().unwrap(), "$(touch x)", "; rm -rf /", "", "a b", "`id`"];
    let mut command =
        shell(r#"f=$1; shift; for a; do printf '[%s]' "$a"; done >"$f"; printf "$TABMAIL_X" >>"$f""#, &args);
    command.env.push(("TABMAIL_X".into(), "added".into()));
    assert_eq!(run(command, Some(PATIENCE)).await.unwrap(), Exit::Code(0));
    assert_eq!(fs::read_to_string(&out).unwrap(), "[$(touch x)][; rm -rf /][][a b][`id`]added");
}

#[tokio::test]
async fn standard_input_is_empty() {
    assert_eq!(exit_of("cat; exit 7").await, Exit::Code(7));
}

#[tokio::test]
async fn a_program_that_cannot_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let check = async |program: &Path, args: Vec<BString>| {
        let error = run(Command::new(program, args), Some(PATIENCE)).await.unwrap_err();
        assert!(
            matches!(&error, ExecError::NotStarted { program: named, .. } if named == program),
            "{program:?}: {error:?}"
        );
    };
    check(&dir.path().join("missing"), vec![]).await;
    check(dir.path(), vec![]).await;
    check(Path::new(""), vec![]).await;
    check(Path::new("/bin/true"), vec!["a\0b".into()]).await;
    // PATH would find it.
    check(Path::new("true"), vec![]).await;
    assert_eq!(Command::from_words(&[]), None);
}

#[tokio::test]
async fn a_program_that_exceeds_its_time_dies_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let limit = Duration::from_secs(1);
    let script = r#"sleep 60 & echo $! >"$1"; wait"#;
    let error = run(shell(script, &[pid_file.to_str().unwrap()]), Some(limit)).await.unwrap_err();
    assert!(matches!(&error, ExecError::TimedOut { limit: told, .. } if *told == limit), "{error:?}");
    check_ends(&line_in(&pid_file).await).await;
}

#[tokio::test]
async fn dropping_the_run_kills_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = r#"sleep 60 & echo $! >"$1"; wait"#;
    let running = run(shell(script, &[pid_file.to_str().unwrap()]), Some(PATIENCE));
    let pid = tokio::select! {
        ended = running => panic!("ended: {ended:?}"),
        pid = line_in(&pid_file) => pid,
    };
    check_ends(&pid).await;
}

#[tokio::test]
async fn without_a_wait_the_program_goes_on_and_leaves_no_zombie() {
    let dir = tempfile::tempdir().unwrap();
    let (go, out) = (dir.path().join("go"), dir.path().join("out"));
    let script = r#"while ! test -e "$1"; do sleep 0.02; done; echo $$ >"$2""#;
    let command = shell(script, &[go.to_str().unwrap(), out.to_str().unwrap()]);
    assert_eq!(run(command, None).await.unwrap(), Exit::NotWaited);
    assert!(!out.exists());
    fs::write(&go, "").unwrap();
    let pid = line_in(&out).await;
    let start = Instant::now();
    while Path::new("/proc").join(&pid).exists() {
        assert!(start.elapsed() < PATIENCE, "process {pid} is not reaped");
        tokio::task::yield_now().await;
    }
}

/// Decision 29: the peer sees the end of a connection although a program started meanwhile is still running.
#[tokio::test]
async fn a_running_program_does_not_hold_our_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (server_side, _) = listener.accept().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");
    let script = r#"echo yes >"$1"; sleep 60"#;
    let running = run(shell(script, &[started.to_str().unwrap()]), Some(3 * PATIENCE));
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => panic!("ended: {ended:?}"),
        _ = line_in(&started) => {}
    }
    drop(server_side);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the connection must be at its end");
}

#[tokio::test]
async fn a_lower_priority_is_a_higher_niceness() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let ours = rustix::process::getpriority_process(None).unwrap();
    // The priority is set just after the start: the program looks until it sees it. Field 19 of stat is niceness.
    let script = r#"while :; do set -- "$1" "$2" $(cut -d' ' -f19 /proc/$$/stat); test "$3" = "$2" && break; done; echo $3 >"$1""#;
    let wanted = (ours + NICE_STEP).min(19);
    let command = shell(script, &[out.to_str().unwrap(), &wanted.to_string()]).with_priority(Priority::Below);
    assert_eq!(run(command, Some(PATIENCE)).await.unwrap(), Exit::Code(0));
    assert_eq!(fs::read_to_string(&out).unwrap().trim(), wanted.to_string());
}

#[test]
fn columns_of_command_lines() {
    assert_eq!([-3, 0, 2].map(Priority::from_column), [Priority::Below, Priority::Normal, Priority::Above]);
    assert_eq!([-1, 0, 90].map(wait_from_column), [None, None, Some(Duration::from_secs(90))]);
}
