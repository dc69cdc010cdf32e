//! XMail's command line (`mailroot.md` 18.2): `-` + service letter + option letter, the value in the next word.
//!
//! Words come from argv, then from `MAIL_CMD_LINE`; of repeated options the last wins, `-?I` accumulates. Numbers are
//! decimal and garbage is 0, as in XMail; what would make XMail crash or hide mail is refused. Unknown options and
//! stray words are ignored, and reported so that a typing error can be found.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::dns::Family;
use crate::logs::LogKind;
use crate::mailbox::Kind;
use crate::mailroot::schema::{Text, server as variables};
use crate::mailroot::server_tab::leading_number;
use crate::net::{BindAddress, BindAddressError};
use crate::spool::{RetryPlan, SPLIT_LEVELS};

/// Everything the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// `-Ms`; else `MAIL_ROOT`.
    pub mail_root: Option<PathBuf>,
    /// `--web`: the web administration. Ours.
    pub web: Option<crate::server::web::WebOptions>,
    /// `-Md`: stay in the foreground and be talkative.
    pub debug: bool,
    /// `-Mr`: hours per log file.
    pub log_rotation_hours: NonZeroU32,
    /// `-Mx`: spool split levels.
    pub split_levels: u32,
    /// `-MD`: directories of the MX cache.
    pub dns_cache_directories: u64,
    /// `-MR`, in bytes.
    pub receive_buffer_bytes: Option<usize>,
    /// `-MS`, in bytes.
    pub send_buffer_bytes: Option<usize>,
    /// `-MM`, `-Mm`.
    pub mailbox_kind: Kind,
    /// `-M4 -M6 -M5 -M7`.
    pub family: Family,
    /// Where each service listens.
    pub endpoints: Vec<Endpoint>,
    /// `-{P,S,I,Q,Y,F,C,L}l`, `-Qg`.
    pub logs: BTreeSet<LogKind>,
    /// `-Pt -PX -Pw -Ph`.
    pub pop3: Pop3Options,
    /// `-It -IX -Iw -Ih`.
    pub imap: ImapOptions,
    /// `-St -SX -Sr -Se`.
    pub smtp: SmtpOptions,
    /// `-Ct -CX`.
    pub ctrl: CtrlOptions,
    /// `-Qn`: deliveries at once: local ones, and to each remote destination.
    pub delivery_workers: usize,
    /// `-Qt -Qi -Qr`.
    pub retry: RetryPlan,
    /// `-QT`: time limit of filters.
    pub filter_timeout: Duration,
    /// `-Lt`: how often `spool/local` is looked at.
    pub pickup_interval: Duration,
    /// `-Yi`, `-Yt`, `-YT`: PSYNC. `-Y-` gives `None`.
    pub psync: Option<PsyncOptions>,
}

/// A listening service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `P`.
    Pop3,
    /// `B`: POP3 over TLS.
    Pop3s,
    /// `S`.
    Smtp,
    /// `X`: SMTP over TLS.
    Smtps,
    /// `C`.
    Ctrl,
    /// `W`: CTRL over TLS.
    Ctrls,
    /// `I`. Ours, as `J`.
    Imap,
    /// `J`: IMAP over TLS.
    Imaps,
    /// `F`.
    Finger,
}

impl Service {
    /// All services in XMail's order of starting, IMAP behind POP3.
    pub const ALL: [Self; 9] = [
        Self::Ctrl,
        Self::Ctrls,
        Self::Pop3,
        Self::Pop3s,
        Self::Imap,
        Self::Imaps,
        Self::Smtp,
        Self::Smtps,
        Self::Finger,
    ];

    fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.letter() == letter)
    }

    fn letter(self) -> u8 {
        match self {
            Self::Pop3 => b'P',
            Self::Pop3s => b'B',
            Self::Smtp => b'S',
            Self::Smtps => b'X',
            Self::Ctrl => b'C',
            Self::Ctrls => b'W',
            Self::Imap => b'I',
            Self::Imaps => b'J',
            Self::Finger => b'F',
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Pop3 => 110,
            Self::Pop3s => 995,
            Self::Smtp => 25,
            Self::Smtps => 465,
            Self::Ctrl => 6017,
            Self::Ctrls => 6018,
            Self::Imap => 143,
            Self::Imaps => 993,
            Self::Finger => 79,
        }
    }

    /// The variable of `server.tab` that says where to listen when the command line does not: a list of `addr[:port]`
    /// separated by commas, or `-` for not at all. Ours; a change is followed at once.
    pub fn listen_variable(self) -> &'static Text {
        match self {
            Self::Pop3 => &variables::POP3_LISTEN,
            Self::Pop3s => &variables::POP3S_LISTEN,
            Self::Smtp => &variables::SMTP_LISTEN,
            Self::Smtps => &variables::SMTPS_LISTEN,
            Self::Ctrl => &variables::CTRL_LISTEN,
            Self::Ctrls => &variables::CTRLS_LISTEN,
            Self::Imap => &variables::IMAP_LISTEN,
            Self::Imaps => &variables::IMAPS_LISTEN,
            Self::Finger => &variables::FINGER_LISTEN,
        }
    }
}

/// Where one service listens, as far as the command line says.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The service.
    pub service: Service,
    /// `-?-` turns it off.
    pub enabled: bool,
    /// `-?p`.
    pub port: u16,
    /// `-?I`, as written.
    addresses: Vec<String>,
    /// `-?6`: the IPv6 any-address instead of the IPv4 one.
    any_v6: bool,
}

/// At most this many `-?I` per service (`mailflow.md` 1.1).
pub const ADDRESSES_MAX: usize = 32;

impl Endpoint {
    fn new(service: Service) -> Self {
        Self { service, enabled: true, port: service.default_port(), addresses: Vec::new(), any_v6: false }
    }

    /// The option that switches the service off: one of the command line, `-X-`, or the name of a variable of
    /// `server.tab`. `configured` as in [`Endpoint::bind_addresses`].
    pub fn off_by(&self, configured: Option<&str>) -> Option<String> {
        let names_none = |list: &str| list == "-" || list.split(',').all(|text| text.trim().is_empty());
        if !self.enabled {
            return Some(format!("-{}-", char::from(self.service.letter())));
        }
        let is_off = self.addresses.is_empty() && configured.is_some_and(names_none);
        is_off.then(|| self.service.listen_variable().name.to_owned())
    }

    /// The addresses to bind. `configured` is the service's [`Service::listen_variable`], which the command line's `-?I`
    /// overrides.
    ///
    /// # Errors
    /// An address that is not one, with the text.
    pub fn bind_addresses(&self, configured: Option<&str>) -> Result<Vec<BindAddress>, BindAddressError> {
        if !self.enabled || (self.addresses.is_empty() && configured == Some("-")) {
            return Ok(Vec::new());
        }
        let parse = |text: &str| BindAddress::parse(text, self.port);
        match configured {
            _ if !self.addresses.is_empty() => self.addresses.iter().map(|text| parse(text)).collect(),
            Some(list) => list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect(),
            None if self.any_v6 => Ok(vec![BindAddress::any_v6(self.port)]),
            None => Ok(vec![BindAddress::any_v4(self.port)]),
        }
    }
}

/// POP3 limits.
#[derive(Clone, Copy, Debug)]
pub struct Pop3Options {
    /// `-Pt`.
    pub idle: Duration,
    /// `-PX`.
    pub sessions_max: usize,
    /// `-Pw`.
    pub bad_login_pause: Duration,
    /// `-Ph`.
    pub hang_on_bad_login: bool,
}

/// IMAP limits.
#[derive(Clone, Copy, Debug)]
pub struct ImapOptions {
    /// `-It`.
    pub idle: Duration,
    /// `-IX`.
    pub sessions_max: usize,
    /// `-Iw`.
    pub bad_login_pause: Duration,
    /// `-Ih`.
    pub hang_on_bad_login: bool,
}

/// `-It`: the least that RFC 9051 5.4 allows for a client that has logged in.
const IMAP_IDLE: Duration = Duration::from_secs(30 * 60);

/// `-IX`: mail readers stay connected all day, several times each (a connection for every folder they watch), where a
/// POP3 session lasts seconds; a connection that waits costs little. Ours.
const IMAP_SESSIONS_MAX: usize = 16_384;

/// SMTP limits.
#[derive(Clone, Copy, Debug)]
pub struct SmtpOptions {
    /// `-St`.
    pub idle: Duration,
    /// `-SX`.
    pub sessions_max: usize,
    /// `-Sr`.
    pub recipients_max: usize,
    /// `-Se`.
    pub pop_auth_lifetime: Duration,
}

/// CTRL limits.
#[derive(Clone, Copy, Debug)]
pub struct CtrlOptions {
    /// `-Ct`.
    pub idle: Duration,
    /// `-CX`.
    pub sessions_max: usize,
}

/// PSYNC settings.
#[derive(Clone, Copy, Debug)]
pub struct PsyncOptions {
    /// `-Yi`; zero = only by trigger file.
    pub interval: Duration,
    /// `-Yt`.
    pub links_at_once: usize,
    /// `-YT`.
    pub timeout: Duration,
}

/// A command line that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An option at the end without its value.
    #[error("option {0} needs a value")]
    MissingValue(String),
    /// A number out of its range.
    #[error("option {option} must be {range}, not {value:?}")]
    OutOfRange {
        /// The option.
        option: String,
        /// What was given.
        value: String,
        /// What is accepted.
        range: &'static str,
    },
    /// More than [`ADDRESSES_MAX`] addresses for one service (XMail's error 264).
    #[error("option {0}: at most {ADDRESSES_MAX} addresses")]
    TooManyAddresses(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mail_root: None,
            web: None,
            debug: false,
            log_rotation_hours: NonZeroU32::new(24).unwrap_or(NonZeroU32::MIN),
            split_levels: SPLIT_LEVELS,
            dns_cache_directories: 101,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            mailbox_kind: Kind::Maildir,
            family: Family::V4Only,
            endpoints: Service::ALL.into_iter().map(Endpoint::new).collect(),
            logs: BTreeSet::new(),
            pop3: Pop3Options {
                idle: Duration::from_secs(90),
                sessions_max: 1024,
                bad_login_pause: Duration::from_secs(5),
                hang_on_bad_login: false,
            },
            imap: ImapOptions {
                idle: IMAP_IDLE,
                sessions_max: IMAP_SESSIONS_MAX,
                bad_login_pause: Duration::from_secs(5),
                hang_on_bad_login: false,
            },
            smtp: SmtpOptions {
                idle: Duration::from_secs(90),
                sessions_max: 1024,
                recipients_max: 100,
                pop_auth_lifetime: Duration::from_secs(900),
            },
            ctrl: CtrlOptions { idle: Duration::from_secs(120), sessions_max: 512 },
            delivery_workers: 16,
            retry: RetryPlan::default(),
            filter_timeout: Duration::from_secs(90),
            pickup_interval: Duration::from_secs(2),
            psync: Some(PsyncOptions {
                interval: Duration::from_secs(120),
                links_at_once: 8,
                timeout: Duration::from_secs(90),
            }),
        }
    }
}

impl Options {
    /// Reads XMail's words. The second value are the words that mean nothing.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn parse(words: &[String]) -> Result<(Self, Vec<String>), OptionsError> {
        let mut options = Self::default();
        let mut ignored = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let &[b'-', service, option] = word.as_bytes() else {
                ignored.push(word.clone());
                continue;
            };
            let mut value = Value { word, rest: &mut rest };
            if !options.take(service, option, &mut value)? {
                ignored.push(word.clone());
            }
        }
        Ok((options, ignored))
    }

    /// Obeys one option; `false` when it is unknown.
    fn take(&mut self, service: u8, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        if let Some(service) = Service::from_letter(service)
            && self.take_endpoint(service, option, value)?
        {
            return Ok(true);
        }
        match service {
            b'M' => self.take_main(option, value),
            b'P' => self.take_pop3(option, value),
            b'I' => self.take_imap(option, value),
            b'S' => self.take_smtp(option, value),
            b'C' => self.take_ctrl(option, value),
            b'Q' => self.take_delivery(option, value),
            b'F' if option == b'l' => {
                self.enable(LogKind::Finger);
                Ok(true)
            }
            b'L' => self.take_pickup(option, value),
            b'Y' => self.take_psync(option, value),
            _ => Ok(false),
        }
    }

    fn enable(&mut self, log: LogKind) {
        self.logs.insert(log);
    }

    fn take_endpoint(
        &mut self,
        service: Service,
        option: u8,
        value: &mut Value<'_, '_>,
    ) -> Result<bool, OptionsError> {
        let Some(endpoint) = self.endpoints.iter_mut().find(|endpoint| endpoint.service == service) else {
            return Ok(false);
        };
        match option {
            b'p' => endpoint.port = value.in_range(0..=65_535, "a port from 0 to 65535")?,
            b'-' => endpoint.enabled = false,
            b'6' => endpoint.any_v6 = true,
            b'I' => {
                endpoint.addresses.push(value.text()?.to_owned());
                if endpoint.addresses.len() > ADDRESSES_MAX {
                    return Err(OptionsError::TooManyAddresses(value.word.to_owned()));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_main(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b's' => self.mail_root = Some(value.text()?.into()),
            b'd' => self.debug = true,
            b'r' => {
                let hours = value.in_range(1..=87_600, "a number of hours from 1 to 87600")?;
                self.log_rotation_hours = NonZeroU32::new(hours).unwrap_or(NonZeroU32::MIN);
            }
            b'x' => self.split_levels = value.in_range(1..=1000, "from 1 to 1000")?,
            b'D' => self.dns_cache_directories = value.in_range(1..=100_000, "from 1 to 100000")?,
            b'R' => self.receive_buffer_bytes = Some(value.buffer()?),
            b'S' => self.send_buffer_bytes = Some(value.buffer()?),
            b'M' => self.mailbox_kind = Kind::Maildir,
            b'm' => self.mailbox_kind = Kind::Mailbox,
            b'4' => self.family = Family::V4Only,
            b'6' => self.family = Family::V6Only,
            b'5' => self.family = Family::V4ThenV6,
            b'7' => self.family = Family::V6ThenV4,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_pop3(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b't' => self.pop3.idle = value.seconds()?,
            b'X' => self.pop3.sessions_max = value.count()?,
            b'w' => self.pop3.bad_login_pause = value.seconds()?,
            b'h' => self.pop3.hang_on_bad_login = true,
            b'l' => self.enable(LogKind::Pop3),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_imap(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b't' => self.imap.idle = value.seconds()?,
            b'X' => self.imap.sessions_max = value.count()?,
            b'w' => self.imap.bad_login_pause = value.seconds()?,
            b'h' => self.imap.hang_on_bad_login = true,
            b'l' => self.enable(LogKind::Imap),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_smtp(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b't' => self.smtp.idle = value.seconds()?,
            b'X' => self.smtp.sessions_max = value.count()?,
            b'r' => self.smtp.recipients_max = value.count()?,
            b'e' => self.smtp.pop_auth_lifetime = value.seconds()?,
            b'l' => self.enable(LogKind::Smtp),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_ctrl(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b't' => self.ctrl.idle = value.seconds()?,
            b'X' => self.ctrl.sessions_max = value.count()?,
            b'l' => self.enable(LogKind::Ctrl),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_delivery(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            b'n' => self.delivery_workers = value.clamped(1..=256)?,
            b't' => self.retry.first_wait_secs = value.seconds()?.as_secs(),
            b'i' => self.retry.increment_ratio = value.seconds()?.as_secs(),
            b'r' => self.retry.attempts_max = value.in_range(0..=i64::from(u32::MAX), "0 or more")?,
            b'T' => self.filter_timeout = value.seconds()?,
            b'l' => self.enable(LogKind::Smail),
            b'g' => self.enable(LogKind::Filters),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_pickup(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match option {
            // XMail's number of LMAIL threads; one task reads the directory here.
            b'n' => drop(value.text()?),
            b't' => self.pickup_interval = value.seconds()?.max(Duration::from_secs(1)),
            b'l' => self.enable(LogKind::Lmail),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_psync(&mut self, option: u8, value: &mut Value<'_, '_>) -> Result<bool, OptionsError> {
        match (option, &mut self.psync) {
            (b'l', _) => {
                self.logs.insert(LogKind::Psync);
            }
            (b'-', psync) => *psync = None,
            (b'i', Some(psync)) => psync.interval = value.seconds()?,
            (b't', Some(psync)) => psync.links_at_once = value.clamped(1..=32)?,
            (b'T', Some(psync)) => psync.timeout = value.seconds()?,
            (b'i' | b't' | b'T', None) => drop(value.text()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The value of an option: the next word, taken only by options that have one.
struct Value<'a, 'w> {
    word: &'w str,
    rest: &'a mut std::slice::Iter<'w, String>,
}

impl<'w> Value<'_, 'w> {
    fn text(&mut self) -> Result<&'w str, OptionsError> {
        self.rest.next().map(String::as_str).ok_or_else(|| OptionsError::MissingValue(self.word.to_owned()))
    }

    fn in_range<T: TryFrom<i64>>(
        &mut self,
        accepted: std::ops::RangeInclusive<i64>,
        range: &'static str,
    ) -> Result<T, OptionsError> {
        let text = self.text()?;
        let number = Some(leading_number(text.as_bytes())).filter(|number| accepted.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| OptionsError::OutOfRange {
            option: self.word.to_owned(),
            value: text.to_owned(),
            range,
        })
    }

    fn clamped(&mut self, accepted: std::ops::RangeInclusive<i64>) -> Result<usize, OptionsError> {
        let number = leading_number(self.text()?.as_bytes());
        Ok(usize::try_from(number.clamp(*accepted.start(), *accepted.end())).unwrap_or(1))
    }

    fn count(&mut self) -> Result<usize, OptionsError> {
        self.in_range(1..=1_000_000, "from 1 to 1000000")
    }

    fn seconds(&mut self) -> Result<Duration, OptionsError> {
        self.in_range(0..=i64::from(u32::MAX), "0 or more").map(Duration::from_secs)
    }

    /// Bytes, raised to a multiple of 1024.
    fn buffer(&mut self) -> Result<usize, OptionsError> {
        self.in_range::<usize>(1..=1 << 30, "from 1 to 1073741824").map(|bytes| bytes.next_multiple_of(1024))
    }
}

/// Splits `MAIL_CMD_LINE` into words (`mailroot.md` 18.1): blanks and TABs separate, `"..."` groups, `""` inside is one
/// quote.
///
/// ```
/// assert_eq!(tabmail::options::command_line_words(r#"-Sl  "a b" "say ""hi""""#), ["-Sl", "a b", "say \"hi\""]);
/// ```
pub fn command_line_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        let mut word = String::new();
        if chars.next_if_eq(&'"').is_some() {
            while let Some(c) = chars.next() {
                if c == '"' && chars.next_if_eq(&'"').is_none() {
                    break;
                }
                word.push(c);
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<(Options, Vec<String>), OptionsError> {
        Options::parse(&command_line_words(line))
    }

    fn addresses(options: &Options, service: Service, configured: Option<&str>) -> Vec<String> {
        let endpoint = options.endpoints.iter().find(|endpoint| endpoint.service == service).unwrap();
        endpoint.bind_addresses(configured).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_recordings_command_line_is_understood() {
        let (options, ignored) = parse(
            "-Md -Sl -Pl -Ql -Yl -Fl -Cl -Ll -Qg -SI 127.0.0.1:2525 -PI 127.0.0.1:2110 -CI 127.0.0.1:6017 -FI 127.0.0.1:2079 \
             -X- -B- -W- -MM -Mx 3 -Qt 5 -Qi 2 -Qr 3 -Y-",
        )
        .unwrap();
        assert!(ignored.is_empty(), "{ignored:?}");
        assert!(options.debug && options.psync.is_none());
        assert_eq!(options.logs.len(), 8);
        assert_eq!(options.split_levels, 3);
        assert_eq!(options.retry, RetryPlan { first_wait_secs: 5, increment_ratio: 2, attempts_max: 3 });
        assert_eq!(addresses(&options, Service::Smtp, None), ["127.0.0.1:2525"]);
        assert!(addresses(&options, Service::Smtps, Some("127.0.0.1")).is_empty());
    }

    #[test]
    fn imap_has_options_like_pop3() {
        let (options, ignored) =
            parse("-Ip 1143 -JI 127.0.0.1:1993 -It 60 -IX 7 -Iw 1 -Ih -Il -J6 -Jt 5").unwrap();
        assert_eq!(ignored, ["-Jt", "5"]);
        assert_eq!(addresses(&options, Service::Imap, None), ["0.0.0.0:1143"]);
        assert_eq!(addresses(&options, Service::Imaps, None), ["127.0.0.1:1993"]);
        let imap = options.imap;
        assert_eq!((imap.idle.as_secs(), imap.sessions_max, imap.bad_login_pause.as_secs()), (60, 7, 1));
        assert!(imap.hang_on_bad_login && options.logs.contains(&LogKind::Imap));
        let (options, _) = parse("-I- -J-").unwrap();
        assert!(addresses(&options, Service::Imap, Some("127.0.0.1")).is_empty());
        assert!(addresses(&options, Service::Imaps, None).is_empty());
        assert_eq!(Options::default().imap.idle, Duration::from_secs(1800));
    }

    /// Two services of one letter, or a service whose letter means something else, could not be told apart.
    #[test]
    fn every_service_has_a_letter_of_its_own() {
        let letters: BTreeSet<u8> = Service::ALL.into_iter().map(Service::letter).collect();
        assert_eq!(letters.len(), Service::ALL.len());
        assert!(letters.is_disjoint(&BTreeSet::from(*b"MQLY")));
    }

    #[test]
    fn listening_follows_the_command_line_then_server_tab_then_the_default() {
        let (options, _) = parse("-SI 127.0.0.1 -SI [::1]:26 -Sp 2525 -P6 -Pp 1110").unwrap();
        assert_eq!(addresses(&options, Service::Smtp, Some("-")), ["127.0.0.1:2525", "[::1]:26"]);
        assert_eq!(addresses(&options, Service::Pop3, None), ["[::]:1110"]);
        assert_eq!(
            addresses(&options, Service::Pop3, Some("127.0.0.2, 127.0.0.3:9")),
            ["127.0.0.2:1110", "127.0.0.3:9"]
        );
        assert!(addresses(&options, Service::Pop3, Some("-")).is_empty());
        assert_eq!(addresses(&options, Service::Ctrl, None), ["0.0.0.0:6017"]);
    }

    #[test]
    fn the_last_of_repeated_options_wins_and_strangers_are_named() {
        let (options, ignored) = parse("-St 5 -St 7 stray -Zz -S? -Qn 9999").unwrap();
        assert_eq!(options.smtp.idle, Duration::from_secs(7));
        assert_eq!(options.delivery_workers, 256);
        assert_eq!(ignored, ["stray", "-Zz", "-S?"]);
    }

    #[test]
    fn what_would_break_the_server_is_refused() {
        assert!(matches!(parse("-Mr 0"), Err(OptionsError::OutOfRange { .. })));
        assert!(matches!(parse("-Sp 70000"), Err(OptionsError::OutOfRange { .. })));
        assert_eq!(parse("-Sp").unwrap_err(), OptionsError::MissingValue("-Sp".into()));
        assert!(matches!(parse(&"-SI 127.0.0.1 ".repeat(33)), Err(OptionsError::TooManyAddresses(_))));
    }
}
