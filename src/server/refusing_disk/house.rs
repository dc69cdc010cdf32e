//! A MailRoot with all that works on it: SMTP, POP3, delivery, pickup and PSYNC on one disk that can refuse.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::letters::{Letter, is_notice_of, is_of, is_whole};
use super::peers::{Lines, Sink, Source};
use super::{Extent, Refusal};
use crate::auth::xmail_encode;
use crate::clock::Clock;
use crate::dns::stub::{Stub, Zone};
use crate::dns::{self, Resolver};
use crate::durable::{Disk, Faults, Step};
use crate::filter::{self, Filters};
use crate::logs::Logs;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::{MailRoot, Tables, made};
use crate::net::{BindAddress, Door, Link, ListenOptions, Listener, SessionCounter, TlsStore};
use crate::spool::{Config, JournalSizes, Limits, RetryPlan, Spool, SpoolError};
use crate::{delivery, pickup, pop3, psync, smtp};

/// What a case runs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) journal: bool,
    pub(super) kind: Kind,
    /// Whether deliveries are made before the recovery.
    pub(super) delivers: bool,
}

/// Small, so that filling a slot is one step; nothing ends by its age.
const JOURNAL: JournalSizes = JournalSizes {
    segment_bytes: 64 * 1024,
    segments_max: 4,
    held_bytes_max: 1 << 20,
    age_max: Duration::from_secs(3600),
};

/// Enough attempts that nothing expires.
const RETRY: RetryPlan = RetryPlan { first_wait_secs: 60, increment_ratio: 0, attempts_max: 30 };

/// Longer than anything takes here; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk that refuses as planned while it is armed.
#[derive(Default)]
pub(super) struct Refusals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: Option<Refusal>,
    is_armed: bool,
    seen: usize,
    trail: Vec<String>,
}

impl Refusals {
    pub(super) fn new(plan: Option<Refusal>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { plan, ..State::default() }) })
    }

    pub(super) fn arm(&self) {
        self.lock().is_armed = true;
    }

    pub(super) fn disarm(&self) {
        self.lock().is_armed = false;
    }

    /// Stops counting and refusing, but for what lasts. Returns the steps seen.
    pub(super) fn disarm_after(&self, extent: Option<Extent>) -> usize {
        let mut state = self.lock();
        state.is_armed &= extent == Some(Extent::Lasting);
        state.seen
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults for Refusals {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut state = self.lock();
        if !state.is_armed {
            return Ok(());
        }
        state.seen += 1;
        let (seen, Some(plan)) = (state.seen, state.plan) else {
            state.trail.push(format!("{step:?}"));
            return Ok(());
        };
        let is_hit = match plan.extent {
            Extent::One => seen == plan.at,
            Extent::Lasting => seen >= plan.at,
        };
        // Files can be removed from a full disk.
        let is_possible = plan.reason != super::REASONS[0] || !matches!(step, Step::Remove(_));
        if is_hit && is_possible {
            state.trail.push(format!("refused {step:?}"));
            return Err(io::Error::from_raw_os_error(plan.reason));
        }
        Ok(())
    }
}

/// How a letter came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Smtp,
    Drop,
    Fetch,
}

/// What POP3 did to a letter of anna.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Surely,
    Perhaps,
}

pub(super) struct House {
    what: String,
    setup: Setup,
    dir: TempDir,
    pub(super) faults: Arc<Refusals>,
    clock: Clock,
    resolver: Resolver,
    _dns: Stub,
    sink: Sink,
    source: Option<(Source, &'static str)>,
    letters: Vec<(Letter, Way)>,
    taken: Option<(&'static str, Taken)>,
    life: Option<Life>,
}

/// What runs between two starts.
struct Life {
    spool: Spool,
    tables: Tables,
    smtp: SocketAddr,
    pop3: SocketAddr,
    pickup: pickup::Services,
    psync: psync::Services,
    delivery: Option<Arc<delivery::Services>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    pub(super) async fn open(setup: Setup, what: String, plan: Option<Refusal>) -> Self {
        let dir = directory();
        let (sink, sink_address) = Sink::start().await;
        write_tables(dir.path(), sink_address, setup.kind);
        let dns = Stub::start(Zone::new()).await.unwrap();
        let resolver = dns::Config { name_servers: Some(vec![dns.address()]), ..dns::Config::default() };
        let mut house = Self {
            what,
            setup,
            dir,
            faults: Refusals::new(plan),
            clock: Clock::manual("2026-11-23T10:34:43Z".parse().unwrap()),
            resolver: Resolver::new(resolver).unwrap(),
            _dns: dns,
            sink,
            source: None,
            letters: Vec::new(),
            taken: None,
            life: None,
        };
        house.boot().unwrap();
        if setup.delivers {
            house.begin_deliveries();
        }
        house
    }

    fn boot(&mut self) -> Result<(), SpoolError> {
        // A second start within the same millisecond does not happen.
        self.clock.advance(Duration::from_secs(1));
        let root = MailRoot::new(self.dir.path());
        let disk = Disk::with_faults(Arc::clone(&self.faults) as Arc<dyn Faults>);
        let tables = Tables::open(&root);
        let (clock, lanes, logs) = (self.clock.clone(), tables.clone(), Logs::none());
        let (spool, _) = Spool::open(Config {
            root: root.clone(),
            split_levels: 1,
            retry: RETRY,
            limits: Limits { local: 4, per_destination: 2, remote: 8 },
            lane_of: Arc::new(move |first_part| delivery::lane_of(&lanes.current(), first_part)),
            journal: self.setup.journal.then_some(JOURNAL),
            disk: disk.clone(),
            clock: clock.clone(),
        })?;
        let mailboxes = Mailboxes::new(root.clone(), self.setup.kind, disk.clone());
        mailboxes.remove_stale_locks();
        let for_removals = spool.clone();
        let mailboxes = mailboxes.on_removal(move |names| for_removals.taken(names));
        let limits = filter::Limits { time_limit: PATIENCE, queue_programs_max: 1 };
        let filters = Filters::new(logs.clone(), clock.clone(), limits);
        let (resolver, temp) = (self.resolver.clone(), self.dir.path().join("tmp"));
        let tls = Arc::new(TlsStore::new(self.dir.path()));
        let stop = CancellationToken::new();
        let delivery = delivery::Services {
            tables: tables.clone(),
            spool: spool.clone(),
            mailboxes: mailboxes.clone(),
            resolver: resolver.clone(),
            smtp_port: delivery::SMTP_PORT,
            clock: clock.clone(),
            logs: logs.clone(),
            temp_directory: temp.clone(),
            tls: delivery::ClientTlsCache::default(),
            filters: filters.clone(),
        };
        let smtp = smtp::Services {
            tables: tables.clone(),
            spool: spool.clone(),
            mailboxes: mailboxes.clone(),
            resolver: resolver.clone(),
            clock: clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(&tls),
            limits: smtp::Limits::default(),
            filters,
            temp_directory: temp,
        };
        let pop3 = pop3::Services {
            tables: tables.clone(),
            mailboxes,
            resolver: resolver.clone(),
            clock: clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(&tls),
        };
        let pickup = pickup::Services {
            tables: tables.clone(),
            spool: spool.clone(),
            clock: clock.clone(),
            logs: logs.clone(),
            disk: disk.clone(),
            taken: pickup::Taken::default(),
        };
        let schedule = psync::Schedule { interval: Duration::ZERO, links_at_once: 1, timeout: PATIENCE };
        let psync = psync::Services {
            tables: tables.clone(),
            spool: spool.clone(),
            resolver,
            clock,
            logs,
            disk,
            schedule,
            stop: stop.clone(),
            unsaved: psync::Unsaved::default(),
        };
        let ((smtp_address, smtp_door), (pop3_address, pop3_door)) = (door(&tls), door(&tls));
        let tasks = vec![
            tokio::spawn(smtp::serve(smtp_door, Arc::new(smtp), stop.clone())),
            tokio::spawn(pop3::serve(pop3_door, Arc::new(pop3), pop3::Limits::default(), stop.clone())),
        ];
        let (smtp, pop3, delivery) = (smtp_address, pop3_address, Some(Arc::new(delivery)));
        self.life = Some(Life { spool, tables, smtp, pop3, pickup, psync, delivery, stop, tasks });
        Ok(())
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("the server runs")
    }

    fn begin_deliveries(&mut self) {
        let life = self.life.as_mut().expect("the server runs");
        if let Some(services) = life.delivery.take() {
            life.tasks.push(tokio::spawn(delivery::run(services, life.stop.clone())));
        }
    }

    /// Ends what runs, without putting the queue in order; returns the spool.
    pub(super) async fn stop_serving(&mut self) -> Option<Spool> {
        let life = self.life.take()?;
        life.stop.cancel();
        for task in life.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("a service ends").expect("no service panics");
        }
        Some(life.spool)
    }

    /// Stops, kills instead or tries to stop in order, and starts.
    async fn end_life(&mut self, kills: bool) -> Result<(), SpoolError> {
        let Some(spool) = self.stop_serving().await else { return Ok(()) };
        // The journal's threads are joined.
        tokio::task::spawn_blocking(move || if kills { Ok(()) } else { spool.close() }).await.unwrap()
    }

    pub(super) async fn shut(&mut self, kills: bool) {
        let ended = self.end_life(kills).await;
        assert!(ended.is_ok(), "{}: {ended:?}", self.what);
    }

    pub(super) async fn restart(&mut self, kills: bool) {
        self.shut(kills).await;
        self.boot().unwrap();
        self.begin_deliveries();
    }

    /// As [`House::restart`], on a disk that may refuse.
    pub(super) async fn try_restart(&mut self, kills: bool) {
        // What cannot be brought out of the journal is found there at the next start.
        let _ = self.end_life(kills).await;
        self.boot_at_last().await;
    }

    /// Starts as somebody does who starts a server again that does not come up.
    pub(super) async fn boot_at_last(&mut self) {
        for _ in 0..2 {
            if self.life.is_none() && self.boot().is_err() {
                continue;
            }
            return;
        }
        self.faults.disarm();
        self.boot().unwrap();
    }

    /// Sends a letter by SMTP; notes whether it is ours now.
    pub(super) async fn send(&mut self, letter: Letter) {
        let letter = self.submit(letter).await;
        self.letters.push((letter, Way::Smtp));
    }

    async fn submit(&self, mut letter: Letter) -> Letter {
        let mut lines = Lines::connect(self.life().smtp).await;
        let mut commands =
            vec!["".to_owned(), "EHLO c.test".to_owned(), "MAIL FROM:<anna@home.test>".to_owned()];
        commands.extend(letter.addresses().map(|address| format!("RCPT TO:<{address}>")));
        commands.push("DATA".to_owned());
        commands.push(format!("{}.", letter.text()));
        letter.is_ours = true;
        for command in commands {
            let answer = lines.ask(&command).await;
            match answer.as_bytes()[0] {
                b'2' | b'3' => {}
                b'4' => letter.is_ours = false,
                _ => panic!("{}: {answer}", self.what),
            }
            if !letter.is_ours {
                break;
            }
        }
        assert!(lines.ask("NOOP").await.starts_with("250 "), "{}", self.what);
        assert!(lines.ask("QUIT").await.starts_with("221 "), "{}", self.what);
        letter
    }

    /// Writes a letter to `spool/local`.
    pub(super) fn drop_file(&mut self, letter: Letter) {
        let mut text = "mail from:<anna@home.test>\r\n".to_owned();
        text.extend(letter.addresses().map(|address| format!("rcpt to:<{address}>\r\n")));
        text.push_str(&format!("\r\n{}", letter.text()));
        fs::write(self.dir.path().join("spool/local").join(letter.serial), text).unwrap();
        self.letters.push((letter, Way::Drop));
    }

    pub(super) async fn pick_up(&self) {
        let pickup = self.life().pickup.clone();
        tokio::task::spawn_blocking(move || pickup.collect()).await.unwrap();
    }

    /// Fetches a letter by PSYNC, twice: what is remembered may not come again.
    pub(super) async fn fetch(&mut self, options: &'static str) {
        let letter = Letter::new("fetched", &["anna"]);
        let source = Source::start(letter.text()).await;
        let row = format!(
            "\"home.test\"\t\"anna\"\t\"{}\"\t\"u\"\t\"{}\"\t\"{options}\"\n",
            source.address,
            xmail_encode(b"pw")
        );
        fs::write(self.dir.path().join("pop3links.tab"), row).unwrap();
        self.life().tables.reload_now();
        self.source = Some((source, options));
        self.letters.push((letter, Way::Fetch));
        self.faults.arm();
        psync::run_once(&self.life().psync).await;
        psync::run_once(&self.life().psync).await;
    }

    /// Deletes one of anna's letters in a POP3 session.
    pub(super) async fn take_by_pop3(&mut self, serial: &'static str) {
        let mut lines = Lines::connect(self.life().pop3).await;
        lines.ask("").await;
        lines.ask("USER anna@home.test").await;
        if !lines.ask("PASS annapw").await.starts_with("+OK") {
            return;
        }
        let count: usize = lines.ask("STAT").await.split(' ').nth(1).unwrap().parse().unwrap();
        for number in 1..=count {
            lines.say(&format!("RETR {number}")).await;
            let mut text = String::new();
            while let Some(line) = lines.hear().await.filter(|line| line != ".") {
                text.push_str(&(line + "\r\n"));
            }
            if is_of(text.as_bytes(), serial) {
                assert!(lines.ask(&format!("DELE {number}")).await.starts_with("+OK"));
            }
        }
        let is_sure = lines.ask("QUIT").await.starts_with("+OK");
        self.taken = Some((serial, if is_sure { Taken::Surely } else { Taken::Perhaps }));
    }

    /// Waits until nothing is ready and no delivery runs.
    pub(super) async fn settle(&self) {
        let Some(life) = &self.life else { return };
        if life.delivery.is_some() {
            return;
        }
        let outbox = life.spool.outbox();
        let wait = async {
            while !outbox.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("deliveries end");
    }

    /// The time of the next attempt comes, and the attempt is over.
    pub(super) async fn pass_time(&self) {
        self.clock.advance(Duration::from_secs(RETRY.first_wait_secs));
        // As ETRN does it, so that nobody has to wait for the outbox to look at the clock.
        self.life().spool.outbox().flush(|_| true);
        self.settle().await;
    }

    /// Until nothing waits.
    pub(super) async fn finish_retries(&mut self) {
        self.begin_deliveries();
        self.settle().await;
        for _ in 0..RETRY.attempts_max {
            if self.life().spool.outbox().counts() == (0, 0) {
                return;
            }
            self.pass_time().await;
        }
        panic!("{}: mail still waits", self.what);
    }

    /// With one step refused another letter is taken; with all refused there is somebody who says so.
    pub(super) async fn check_others_are_served(&mut self) {
        let mut lines = Lines::connect(self.life().pop3).await;
        assert!(lines.ask("").await.starts_with("+OK"), "{}", self.what);
        let is_refusing = self.faults.lock().is_armed;
        let other = self.submit(Letter::new("other", &["carl"])).await;
        assert!(other.is_ours || is_refusing, "{}: a single refusal stops other mail", self.what);
        self.letters.push((other, Way::Smtp));
        self.settle().await;
        self.check_nothing_half_visible();
    }

    /// There is room again: what was refused is tried again.
    pub(super) async fn check_recovery(&mut self) {
        let mut letters = std::mem::take(&mut self.letters);
        for (letter, way) in &mut letters {
            if *way == Way::Smtp && !letter.is_ours {
                *letter = self.submit(letter.clone()).await;
                assert!(letter.is_ours, "{}: {} is refused still", self.what, letter.serial);
            }
        }
        self.letters = letters;
        if self.letters.iter().any(|(_, way)| *way == Way::Drop) {
            self.pick_up().await;
            let left = files_in(&self.dir.path().join("spool/local"));
            assert!(left.is_empty(), "{}: {left:?}", self.what);
        }
        if self.source.is_some() {
            psync::run_once(&self.life().psync).await;
        }
        if self.taken.is_none() && self.what.starts_with("pop3") {
            self.take_by_pop3("first").await;
            assert_eq!(self.taken.map(|taken| taken.1), Some(Taken::Surely), "{}", self.what);
        }
        self.finish_retries().await;
    }

    /// In mailboxes and in the visible states of the spool every file is a whole message.
    pub(super) fn check_nothing_half_visible(&self) {
        let mut letters: Vec<Letter> = self.letters.iter().map(|(letter, _)| letter.clone()).collect();
        letters.push(Letter::new("other", &["carl"]));
        let mut visible = Vec::new();
        for user in USERS {
            visible.extend(self.delivered(user));
        }
        visible.extend(self.spooled(&["mess", "rsnd", "froz"]));
        for path in visible {
            let content = fs::read(&path).unwrap();
            assert!(is_whole(&content, &letters), "{}: {} is no whole message", self.what, path.display());
        }
    }

    /// Each letter is where it belongs, once.
    pub(super) fn check_arrived(&self) {
        for (letter, _) in &self.letters {
            for recipient in &letter.recipients {
                self.check_one(letter, recipient);
            }
        }
        assert!(
            self.spooled(&["mess", "rsnd"]).is_empty(),
            "{}: {:?}",
            self.what,
            self.spooled(&["mess", "rsnd"])
        );
    }

    fn check_one(&self, letter: &Letter, recipient: &str) {
        let serial = letter.serial;
        let trail = || self.faults.lock().trail.join("\n  ");
        let is_right = |what: &str, found: usize, wanted: std::ops::RangeInclusive<usize>| {
            assert!(
                wanted.contains(&found),
                "{}: {serial}: {found} {what}, not {wanted:?}\n  {}",
                self.what,
                trail()
            );
        };
        match recipient {
            "later@far.test" => {
                let count = self.sink.taken().iter().filter(|text| text.ends_with(&letter.text())).count();
                is_right("at the sink", count, 1..=1);
            }
            "refused@far.test" => {
                let notices = self.in_box("anna", |content| is_notice_of(content, serial));
                is_right("notices", notices, 1..=1);
                is_right("frozen", self.spooled(&["froz"]).len(), 1..=1);
            }
            user => {
                let wanted = match self.taken {
                    Some((taken, Taken::Surely)) if taken == serial => 0..=0,
                    Some((taken, Taken::Perhaps)) if taken == serial => 0..=1,
                    _ => 1..=1,
                };
                let count = self.in_box(user, |content| is_of(content, serial));
                is_right(user, count, wanted);
                if user == "copied" {
                    is_right("redirected", self.in_box("bert", |content| is_of(content, serial)), 1..=1);
                }
            }
        }
    }

    /// What a power cut does to mail in a mailbox that is not synced; whether there was any.
    pub(super) fn forget_unsynced(&mut self, user: &str) -> bool {
        // Its end is not known to the owner, or not even tried.
        self.taken = None;
        let files = files_in(&self.inbox(user));
        files.iter().for_each(|path| fs::remove_file(path).unwrap());
        !files.is_empty()
    }

    fn in_box(&self, user: &str, is_wanted: impl Fn(&[u8]) -> bool) -> usize {
        self.delivered(user).iter().filter(|path| is_wanted(&fs::read(path).unwrap())).count()
    }

    /// The message files of a user, those of the junk folder as well.
    fn delivered(&self, user: &str) -> Vec<PathBuf> {
        let junk = self.dir.path().join("domains/home.test").join(user).join("Maildir/.Junk/new");
        [files_in(&self.inbox(user)), files_in(&junk)].concat()
    }

    /// From now on all mail to `junky`, who has junk in a folder, is junk.
    pub(super) fn make_junk(&self) {
        let rule = "\"r\"\t\"junky@*\"\t\"header\"\t\"contains\"\t\"x-serial\"\t\"junk\"\n";
        fs::write(self.dir.path().join("rules.tab"), rule).unwrap();
        let user_tab = self.dir.path().join("domains/home.test/junky/user.tab");
        fs::write(user_tab, "\"JunkFolder\"\t\"1\"\n").unwrap();
        self.life().tables.reload_now();
    }

    fn inbox(&self, user: &str) -> PathBuf {
        let account = self.dir.path().join("domains/home.test").join(user);
        match self.setup.kind {
            Kind::Maildir => account.join("Maildir/new"),
            Kind::Mailbox => account.join("mailbox"),
        }
    }

    fn spooled(&self, states: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for place in ["0/0", "0/1", "1/0", "1/1"] {
            for state in states {
                found.extend(files_in(&self.dir.path().join("spool").join(place).join(state)));
            }
        }
        found
    }
}

const USERS: [&str; 5] = ["anna", "bert", "carl", "copied", "junky"];

fn write_tables(root: &Path, sink: SocketAddr, kind: Kind) {
    let user = |name: &str| {
        let password = xmail_encode(format!("{name}pw").as_bytes());
        format!("\"home.test\"\t\"{name}\"\t\"{password}\"\t1\t\"{name}\"\t\"U\"\n")
    };
    let files = [
        ("server.tab", "\"RootDomain\"\t\"home.test\"\n\"PostMaster\"\t\"root@home.test\"\n".to_owned()),
        ("domains.tab", "\"home.test\"\n".to_owned()),
        ("mailusers.tab", USERS.map(user).concat()),
        ("smtprelay.tab", "\"127.0.0.1\"\t\"255.255.255.255\"\n".to_owned()),
        ("smtpfwd.tab", format!("\"far.test\"\t\"{sink}\"\n")),
        (
            "domains/home.test/copied/mailproc.tab",
            "\"mailbox\"\n\"redirect\"\t\"bert@home.test\"\n".to_owned(),
        ),
        ("logs/.keep", String::new()),
        ("spool/local/.keep", String::new()),
    ];
    for (name, text) in files {
        made::write(root, name, text);
    }
    for name in USERS {
        let account = root.join("domains/home.test").join(name);
        match kind {
            Kind::Maildir => ["new", "cur", "tmp"]
                .iter()
                .for_each(|part| fs::create_dir_all(account.join("Maildir").join(part)).unwrap()),
            Kind::Mailbox => fs::create_dir_all(account.join("mailbox")).unwrap(),
        }
        fs::write(account.join("user.tab"), "\"MaxMBSize\"\t\"10000\"\n").unwrap();
    }
    fs::remove_file(root.join("spool/local/.keep")).unwrap();
}

/// For thousands of syncs: in memory, where the system has files there.
pub(super) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

pub(super) fn door(tls: &Arc<TlsStore>) -> (SocketAddr, Door) {
    let address = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Listener::bind(address, &ListenOptions::default()).unwrap();
    let (at, sessions) = (listener.local_addr(), SessionCounter::default());
    (at, Door { listener, link: Link::Plain, tls: Arc::clone(tls), sessions, sessions_max: 64 })
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
