//! The inputs of a slot, for `_control.html`.

use bstr::ByteSlice as _;
use serde::Serialize;

use super::slots::{self, Shape, Slot, Style};
use crate::mailroot::routing::{GatewayList, GatewayOptions, HostPort, NeedTls};
use crate::mailroot::schema::options::{CODE, GATEWAY, NEED_TLS, OUT_BIND};
use crate::mailroot::schema::{Kind, OptionGroup, OptionSpec, Presence};
use crate::web::form::{self, Choice, Field};
use crate::web::visit::Visit;

/// What a slot looks like.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Control {
    /// `plain`, `lines`, `secret`, `options`, `spammer`, `hosts` or `target`.
    pub(in crate::web) shape: &'static str,
    /// The name, help and problem of the whole; of `plain`, `lines` and `secret` also the input.
    pub(in crate::web) field: Field,
    /// Of `options`: one for each flag.
    pub(in crate::web) checks: Vec<Check>,
    /// Of `options`, `spammer` and `target`: further inputs.
    pub(in crate::web) parts: Vec<Field>,
    /// Of `hosts`.
    pub(in crate::web) hosts: Vec<HostInput>,
    /// Of `hosts`: whether they are tried in random order. Of `secret`: whether there is a password.
    pub(in crate::web) is_on: bool,
}

/// A flag.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Check {
    pub(in crate::web) name: String,
    pub(in crate::web) label: &'static str,
    pub(in crate::web) help: String,
    pub(in crate::web) is_checked: bool,
}

/// The inputs of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::web) struct HostInput {
    /// `host` or `host:port`.
    pub(in crate::web) host: String,
    /// 0, 1, 2, or empty.
    pub(in crate::web) need_tls: String,
    pub(in crate::web) out_bind: String,
}

/// Hosts of a list as people edit them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::web) struct Gateways {
    pub(in crate::web) is_random: bool,
    pub(in crate::web) hosts: Vec<HostInput>,
}

/// Empty rows for more hosts. Ours.
const HOSTS_SPARE: usize = 2;

/// Hosts in one list that a form takes. Ours.
const HOSTS_MAX: usize = 50;

impl Control {
    pub(super) fn of(
        visit: &Visit,
        table: &str,
        slot: &Slot,
        columns: &[String],
        problem: Option<String>,
    ) -> Self {
        let text = columns.first().map_or("", String::as_str);
        let field = |value: &str| whole(visit, table, slot, value, problem.clone());
        let plain = |shape, value: &str| Self {
            shape,
            field: field(value),
            checks: Vec::new(),
            parts: Vec::new(),
            hosts: Vec::new(),
            is_on: false,
        };
        match slot.shape {
            Shape::Plain => plain("plain", text),
            Shape::Network(_) => plain("plain", &slots::network_text(columns)),
            Shape::Lines => plain("lines", &columns.join("\n")),
            Shape::Route => plain("plain", &text.replace('@', "").replace(',', ", ")),
            Shape::Secret { .. } => Self { is_on: !text.is_empty(), ..plain("secret", "") },
            Shape::Options(group, _) if slots::is_spammer(group) => {
                Self { parts: spammer(visit, slot, columns), ..plain("spammer", "") }
            }
            Shape::Options(group, style) => {
                let (checks, parts) = options(visit, slot, group, style, columns);
                Self { checks, parts, ..plain("options", "") }
            }
            Shape::Hosts if slots::is_text(text) => plain("plain", text),
            Shape::Hosts => {
                let Gateways { is_random, mut hosts } = Gateways::parse(text);
                hosts.resize_with((hosts.len() + HOSTS_SPARE).min(HOSTS_MAX), HostInput::default);
                Self { hosts, is_on: is_random, ..plain("hosts", "") }
            }
            Shape::LinkTarget => Self { parts: target(visit, slot, text), ..plain("target", "") },
        }
    }
}

/// The name, help and input of a whole slot.
fn whole(visit: &Visit, table: &str, slot: &Slot, value: &str, problem: Option<String>) -> Field {
    let column = slot.column;
    let key = format!("{table}.{}", column.name);
    let kind = match slot.shape {
        Shape::Plain => column.kind,
        _ => Kind::Text,
    };
    let is_required = matches!(column.presence, Presence::Required | Presence::Repeated(1..));
    let mut field = form::field_of(visit, kind, value);
    field.name = slot.name();
    field.label = visit.schema(&format!("{key}.name"), column.name).to_owned();
    field.help = visit.schema(&key, column.doc).to_owned();
    if matches!(slot.shape, Shape::Network(_)) {
        field.accepts = visit.say("row.network", &[]);
    }
    if let Presence::Optional(without) = column.presence {
        field.default = visit.schema(&format!("{key}.without"), without).to_owned();
        if !field.choices.is_empty() {
            let unset = visit.say("form.unset", &[("default", &field.default)]);
            let is_chosen = value.is_empty();
            field.choices.insert(0, Choice { value: String::new(), label: unset, is_chosen });
        }
    }
    field.problem = problem;
    let needs_text = matches!(kind, Kind::Text) || kind.check(b"").is_some();
    let may_be_typed = matches!(slot.shape, Shape::Plain | Shape::Network(_) | Shape::Route | Shape::Lines);
    field.is_required = is_required && needs_text && may_be_typed && column.name != "department";
    field
}

/// The Chinese of an option's help stands under this key: groups are known by their first option.
pub(in crate::web) fn option_key(group: &OptionGroup, option: &OptionSpec) -> String {
    let first = group.options.first().map_or("", |first| first.name);
    format!("option.{first}.{}", option.name)
}

fn options(
    visit: &Visit,
    slot: &Slot,
    group: &'static OptionGroup,
    style: Style,
    columns: &[String],
) -> (Vec<Check>, Vec<Field>) {
    let elements = slots::elements(style, columns);
    let (mut checks, mut parts) = (Vec::new(), Vec::new());
    for &option in group.options {
        let found = slots::element(&elements, option.name);
        let help = visit.schema(&option_key(group, option), option.doc()).to_owned();
        let name = slots::option_name(&slot.name(), option);
        if matches!(option.kind, Kind::Flag) {
            let is_checked = match slots::is_inverted(option) {
                true => found.is_some() && !slots::is_on(found),
                false => slots::is_on(found),
            };
            checks.push(Check { name, label: option.name, help, is_checked });
        } else {
            let value = found.map(|value| value.unwrap_or("1")).unwrap_or_default();
            let mut field = match option.is(&NEED_TLS) {
                true => need_tls(visit, value),
                false => form::field_of(visit, option.kind, value),
            };
            (field.name, field.label, field.help) = (name, option.name.to_owned(), help);
            parts.push(field);
        }
    }
    (checks, parts)
}

fn choice(visit: &Visit, value: &str, choices: &[(&str, &str)]) -> Field {
    let mut field = form::field_of(visit, Kind::Text, value);
    field.input = "choice";
    let choice = |(word, key): &(&str, &str)| Choice {
        value: (*word).to_owned(),
        label: visit.say(key, &[]),
        is_chosen: *word == value,
    };
    field.choices = choices.iter().map(choice).collect();
    if !field.choices.iter().any(|choice| choice.is_chosen) {
        let (value, label) = (value.to_owned(), value.to_owned());
        field.choices.push(Choice { value, label, is_chosen: true });
    }
    field
}

fn need_tls(visit: &Visit, value: &str) -> Field {
    choice(
        visit,
        value,
        &[("", "row.tls_unset"), ("0", "row.tls_no"), ("1", "row.tls_may"), ("2", "row.tls_must")],
    )
}

/// JD-54: refused, let in when authenticated, or slowed down.
fn spammer(visit: &Visit, slot: &Slot, columns: &[String]) -> Vec<Field> {
    let code = spammer_code(columns);
    let what = match code {
        0 => "login",
        1.. => "refuse",
        _ => "delay",
    };
    let mut chosen = choice(
        visit,
        what,
        &[("refuse", "row.spam_refuse"), ("login", "row.spam_login"), ("delay", "row.spam_delay")],
    );
    chosen.name = format!("{}.what", slot.name());
    chosen.label = visit.say("row.spam_what", &[]);
    let secs = if code < 0 { code.unsigned_abs().to_string() } else { String::new() };
    let mut delay = form::field_of(visit, Kind::Integer { min: 1, max: 600, unit: "" }, &secs);
    delay.name = format!("{}.secs", slot.name());
    delay.label = visit.say("row.spam_secs", &[]);
    delay.problem = None;
    vec![chosen, delay]
}

/// The code of a row of `spammers.tab`, from its last column.
pub(in crate::web) fn spammer_code(columns: &[String]) -> i64 {
    let elements = slots::elements(Style::List, columns);
    match slots::element(&elements, CODE.name) {
        None | Some(None) => 1,
        Some(Some(text)) => text.trim().parse().unwrap_or(0),
    }
}

fn target(visit: &Visit, slot: &Slot, text: &str) -> Vec<Field> {
    let (form, domain, matching) = slots::link_parts(text);
    let forms = [
        ("account", "row.target_account"),
        ("spool", "row.target_spool"),
        ("replace", "row.target_replace"),
        ("append", "row.target_append"),
    ];
    let mut chosen = choice(visit, form, &forms);
    chosen.label = visit.say("row.target_form", &[]);
    let input = |value: &str, label, help| {
        let mut field = form::field_of(visit, Kind::Text, value);
        (field.label, field.help) = (visit.say(label, &[]), visit.say(help, &[]));
        field
    };
    let mut domain = input(&domain, "row.target_domain", "row.target_domain_help");
    let mut matching = input(&matching, "row.target_matching", "row.target_matching_help");
    let name = slot.name();
    chosen.name = format!("{name}.form");
    domain.name = format!("{name}.domain");
    matching.name = format!("{name}.matching");
    vec![chosen, domain, matching]
}

impl Gateways {
    /// Reads a list. What is no host is shown as it is written.
    pub(in crate::web) fn parse(text: &str) -> Self {
        let (is_random, list) = text.strip_prefix('#').map_or((false, text), |rest| (true, rest));
        let hosts =
            list.split(';').map(str::trim).filter(|one| !one.is_empty()).map(HostInput::parse).collect();
        Self { is_random, hosts }
    }

    /// The hosts that a form holds.
    pub(in crate::web) fn typed(visit: &Visit, slot: &str) -> Self {
        let host = |at: usize| {
            let field = |part: &str| visit.field(&format!("{slot}.{at}.{part}")).replace([';', ','], "");
            HostInput { host: field("host"), need_tls: field("tls"), out_bind: field("bind") }
        };
        let hosts = (0..HOSTS_MAX).map(host).filter(|one| !one.host.is_empty()).collect();
        Self { is_random: !visit.field(&format!("{slot}.random")).is_empty(), hosts }
    }

    /// The list as tables hold it; options stand behind their host, as JDMail writes them (`jdmail.md` JD-51).
    pub(in crate::web) fn to_text(&self) -> String {
        let mark = if self.is_random { "#" } else { "" };
        let hosts: Vec<String> = self.hosts.iter().map(HostInput::to_text).collect();
        format!("{mark}{}", hosts.join(";"))
    }

    /// The list in words: who is tried, and how.
    pub(in crate::web) fn say(visit: &Visit, text: &str) -> String {
        if slots::is_text(text) {
            return text.to_owned();
        }
        let list = GatewayList::parse(text.as_bytes());
        let hosts: Vec<String> =
            list.hosts.iter().map(|one| host_words(visit, &one.host, one.options)).collect();
        let hosts = hosts.join(&visit.say("say.then", &[]));
        if list.random { visit.say("say.random", &[("hosts", &hosts)]) } else { hosts }
    }
}

fn host_words(visit: &Visit, host: &HostPort, options: GatewayOptions) -> String {
    let mut text = host.to_string();
    let tls = match options.need_tls {
        Some(NeedTls::Required) => "say.tls_must",
        Some(NeedTls::IfOffered) => "say.tls_may",
        Some(NeedTls::No) | None => "",
    };
    if !tls.is_empty() {
        text.push_str(&visit.say(tls, &[]));
    }
    text
}

impl HostInput {
    fn parse(text: &str) -> Self {
        let (host, options) = text.split_once(',').unwrap_or((text, ""));
        let elements = slots::elements(Style::List, &[options.to_owned()]);
        let value = |option: &OptionSpec| {
            slots::element(&elements, option.name)
                .map(|value| value.unwrap_or("1").to_owned())
                .unwrap_or_default()
        };
        Self { host: host.trim().to_owned(), need_tls: value(&NEED_TLS), out_bind: value(&OUT_BIND) }
    }

    fn to_text(&self) -> String {
        let mut text = self.host.clone();
        for (option, value) in GATEWAY.options.iter().zip([&self.need_tls, &self.out_bind]) {
            if !value.is_empty() {
                text.push_str(&format!(",{}={value}", option.name));
            }
        }
        text
    }
}

/// A password that must not be shown.
pub(in crate::web) fn is_secret(kind: Kind) -> bool {
    matches!(kind, Kind::Password | Kind::ClearPassword)
}

/// A value as text.
pub(in crate::web) fn lossy(value: &[u8]) -> String {
    value.to_str_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_they_are_read() {
        for text in
            ["mx.a.test", "#mx1.a.test;mx2.a.test:2525,NeedTLS=2", "[::1]:25,NeedTLS=1,OutBind=192.0.2.1", ""]
        {
            assert_eq!(Gateways::parse(text).to_text(), text);
        }
        assert_eq!(Gateways::parse(" a , b ;; c,NeedTLS").to_text(), "a;c,NeedTLS=1");
    }
}
