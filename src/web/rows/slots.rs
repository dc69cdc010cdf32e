//! The columns of a row as a form: one slot for what people think of as one thing, with the input that fits its kind.
//!
//! ```text
//! columns --spread--> slots --controls--> form --typed--> slots --gather--> columns
//! ```
//!
//! A slot that the form did not change keeps its columns as they are written, unknown options included.

use super::controls::{Control, Gateways};
use crate::auth::xmail_encode;
use crate::mailroot::access::AddressFilter;
use crate::mailroot::links::LinkTarget;
use crate::mailroot::schema::kind::has_macro;
use crate::mailroot::schema::options::{CODE, FILTER_FLAGS, SENDER_DOMAIN_CHECK, SPAMMER};
use crate::mailroot::schema::{Column, Kind, OptionGroup, OptionSpec, Presence};
use crate::web::visit::Visit;

/// A part of a row that is edited as one.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) struct Slot {
    pub(in crate::web) column: &'static Column,
    /// Names of inputs begin with `c` and this: the place of the column.
    pub(in crate::web) index: usize,
    pub(in crate::web) shape: Shape,
}

/// How a slot is edited, and how many columns it has.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) enum Shape {
    /// One column, one input.
    Plain,
    /// An address with bits, or with a mask in the next column, which must be there (`Some(true)`), may be, or exists not.
    Network(Option<bool>),
    /// Options of a list; each is an input.
    Options(&'static OptionGroup, Style),
    /// Hosts to connect to, each with its options.
    Hosts,
    /// The hosts of a route.
    Route,
    /// This and all further columns, a line each.
    Lines,
    /// A password, which is not shown; stored in hex digits or as it is.
    Secret { is_encoded: bool },
    /// The first column of `pop3links.tab`.
    LinkTarget,
}

/// How options are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Style {
    /// Comma list; a flag is a bare name.
    List,
    /// Comma list with `!` in front; the column is left out when there is none.
    Flags,
    /// A column each, `name=1`.
    Columns,
    /// One text of letters.
    Letters,
}

impl Slot {
    /// The slots of some columns; the first column is at `offset` of its row.
    pub(in crate::web) fn all(columns: &'static [Column], offset: usize) -> Vec<Self> {
        let mut slots = Vec::new();
        let mut at = 0;
        while let Some(column) = columns.get(at) {
            let mask = columns.get(at + 1).filter(|next| matches!(next.kind, Kind::Mask));
            let shape = Shape::of(column, mask);
            slots.push(Self { column, index: at + offset, shape });
            at += if mask.is_some() && matches!(shape, Shape::Network(_)) { 2 } else { 1 };
        }
        slots
    }

    /// The name of its input, or what the names of its inputs begin with.
    pub(in crate::web) fn name(&self) -> String {
        format!("c{}", self.index)
    }

    /// What is wrong with its columns, as text keys are not known here.
    pub(in crate::web) fn problem(&self, columns: &[String]) -> Option<crate::mailroot::ProblemKind> {
        use crate::mailroot::ProblemKind;
        match self.shape {
            Shape::Network(_) => {
                let [first, second] = [0, 1].map(|at| columns.get(at).map_or("", String::as_str));
                let found = AddressFilter::parse(first.as_bytes(), second.as_bytes());
                found.err().map(|_| ProblemKind::BadAddressFilter(network_text(columns)))
            }
            Shape::Lines if columns.is_empty() => match self.column.presence {
                Presence::Repeated(0) => None,
                _ => Some(ProblemKind::Empty),
            },
            Shape::Secret { .. } if columns.concat().is_empty() => Some(ProblemKind::Empty),
            Shape::Options(group, style) => {
                // Names and letters that nobody knows were there before; the form has none.
                let known = |one: &String| {
                    let (name, value) = one.split_once('=').unwrap_or((one, "1"));
                    group.find(name.as_bytes()).and_then(|option| option.kind.check(value.as_bytes()))
                };
                elements(style, columns).iter().find_map(known)
            }
            _ if columns.concat().is_empty() && !matches!(self.column.presence, Presence::Required) => None,
            // Entries of an address book may stand at the top, in no department.
            Shape::Plain if self.column.name == "department" => None,
            Shape::Plain if columns.concat().is_empty() && matches!(self.column.kind, Kind::Text) => {
                Some(ProblemKind::Empty)
            }
            _ => columns.iter().find_map(|value| self.column.kind.check(value.as_bytes())),
        }
    }

    /// Its columns as the form has them; `old` are those of the row that is changed, empty for a new one.
    pub(in crate::web) fn typed(&self, visit: &Visit, old: &[String]) -> Vec<String> {
        let name = self.name();
        let field = |suffix: &str| visit.field(&format!("{name}{suffix}"));
        match self.shape {
            Shape::Plain => vec![field("").to_owned()],
            Shape::Network(_) if !old.is_empty() && field("") == network_text(old) => old.to_vec(),
            Shape::Network(mask) => {
                network_columns(field(""), mask, old.first().is_some_and(|net| net.contains('/')))
            }
            Shape::Options(group, style) => typed_options(visit, &name, group, style, old),
            Shape::Hosts if visit.form.iter().any(|(known, _)| *known == format!("{name}.0.host")) => {
                let typed = Gateways::typed(visit, &name).to_text();
                let is_same = old.first().is_some_and(|old| Gateways::parse(old).to_text() == typed);
                if is_same { old.to_vec() } else { vec![typed] }
            }
            Shape::Hosts => vec![field("").to_owned()],
            Shape::Route => {
                let hops =
                    field("").split([',', '\n', ' ', ';']).map(str::trim).filter(|hop| !hop.is_empty());
                let hops: Vec<String> = hops.map(|hop| format!("@{}", hop.trim_start_matches('@'))).collect();
                vec![hops.join(",")]
            }
            Shape::Lines => {
                let lines = field("").lines().map(str::trim).filter(|line| !line.is_empty());
                let typed: Vec<String> = lines.map(str::to_owned).collect();
                // An argument that is empty means something and cannot be typed.
                let is_same = typed.iter().eq(old.iter().filter(|value| !value.trim().is_empty()));
                if is_same { old.to_vec() } else { typed }
            }
            Shape::Secret { is_encoded } => match visit.raw_field(&name) {
                "" => old.to_vec(),
                typed if is_encoded => vec![xmail_encode(typed.as_bytes())],
                typed => vec![typed.to_owned()],
            },
            Shape::LinkTarget => vec![link_target(field(".form"), field(".domain"), field(".matching"))],
        }
    }
}

impl Shape {
    fn of(column: &'static Column, mask: Option<&Column>) -> Self {
        let is_repeated = matches!(column.presence, Presence::Repeated(_));
        match column.kind {
            Kind::Network => Self::Network(mask.map(|mask| matches!(mask.presence, Presence::Required))),
            Kind::NetworkBits => Self::Network(None),
            Kind::Property(group) if is_repeated => Self::Options(group, Style::Columns),
            _ if is_repeated => Self::Lines,
            Kind::Options(group) if std::ptr::eq(group, &FILTER_FLAGS) => Self::Options(group, Style::Flags),
            Kind::Options(group) => Self::Options(group, Style::List),
            Kind::GatewayOptions => Self::Options(&crate::mailroot::schema::options::GATEWAY, Style::List),
            Kind::Letters(group) => Self::Options(group, Style::Letters),
            Kind::Gateways => Self::Hosts,
            Kind::Route => Self::Route,
            Kind::Password => Self::Secret { is_encoded: true },
            Kind::ClearPassword => Self::Secret { is_encoded: false },
            Kind::LinkTarget => Self::LinkTarget,
            _ => Self::Plain,
        }
    }
}

/// The columns of a row, slot by slot.
pub(in crate::web) fn spread(slots: &[Slot], values: &[String]) -> Vec<Vec<String>> {
    let mut rest = values;
    let mut spread = Vec::new();
    for slot in slots {
        let begins = |test: fn(u8) -> bool| {
            move |value: &String| value.as_bytes().first().is_some_and(|&byte| test(byte))
        };
        let count = match slot.shape {
            Shape::Network(Some(true)) => 2,
            // As the loader of spammers.tab tells a mask from parameters.
            Shape::Network(Some(false)) if rest.get(1).is_some_and(begins(|byte| byte.is_ascii_digit())) => 2,
            Shape::Options(_, Style::Flags) if !rest.first().is_some_and(begins(|byte| byte == b'!')) => 0,
            Shape::Options(_, Style::Columns) | Shape::Lines => rest.len(),
            _ => 1,
        };
        let (mine, others) = rest.split_at(count.min(rest.len()));
        spread.push(mine.to_vec());
        rest = others;
    }
    // Columns behind the last one that is described stay.
    if let Some(last) = spread.last_mut() {
        last.extend_from_slice(rest);
    }
    spread
}

/// The columns of a row from those of its slots: optional ones at the end that are empty are left out.
pub(in crate::web) fn gather(slots: &[Slot], parts: &[Vec<String>], columns_min: usize) -> Vec<String> {
    let mut values = Vec::new();
    for (slot, part) in slots.iter().zip(parts) {
        match slot.shape {
            Shape::Options(_, Style::Flags) if part.concat().is_empty() => {}
            _ => values.extend(part.iter().cloned()),
        }
    }
    while values.len() > columns_min && values.last().is_some_and(String::is_empty) {
        values.pop();
    }
    values
}

/// The inputs of all slots.
pub(in crate::web) fn controls(
    visit: &Visit,
    table: &str,
    slots: &[Slot],
    parts: &[Vec<String>],
    problems: &[Option<String>],
) -> Vec<Control> {
    let none = Vec::new();
    let control = |(at, slot): (usize, &Slot)| {
        let part = parts.get(at).unwrap_or(&none);
        Control::of(visit, table, slot, part, problems.get(at).cloned().flatten())
    };
    slots.iter().enumerate().map(control).collect()
}

/// A network as people write it: with its mask behind a slash.
pub(in crate::web) fn network_text(columns: &[String]) -> String {
    match columns {
        [net, mask, ..] if !net.contains('/') && !mask.is_empty() => format!("{net}/{mask}"),
        [net, ..] => net.clone(),
        [] => String::new(),
    }
}

/// The columns of a network. An address alone is a network of one. Where there is a column for it the mask of an IPv4
/// network is written, which is the form that every version reads, unless the row had bits (`with_bits`).
fn network_columns(text: &str, mask: Option<bool>, with_bits: bool) -> Vec<String> {
    let text = text.replacen(char::is_whitespace, "/", 1).replace(' ', "");
    let (net, length) = match text.split_once('/') {
        Some((net, length)) => (net.to_owned(), length.to_owned()),
        None => {
            let bits = if text.contains(':') { "128" } else { "32" };
            (text.clone(), bits.to_owned())
        }
    };
    let dotted: Option<std::net::Ipv4Addr> = match length.parse::<u32>() {
        Ok(bits) if bits <= 32 && !net.contains(':') => {
            Some((!u32::MAX.checked_shr(bits).unwrap_or(0)).into())
        }
        _ => length.parse().ok(),
    };
    let bits = dotted.map_or(length, |mask| match u32::from(mask) {
        ones if ones.leading_ones() == ones.count_ones() => ones.count_ones().to_string(),
        _ => mask.to_string(),
    });
    match (mask, dotted) {
        (Some(_), Some(dotted)) if !with_bits => vec![net, dotted.to_string()],
        (Some(true), _) => vec![format!("{net}/{bits}"), "-".to_owned()],
        _ => vec![format!("{net}/{bits}")],
    }
}

fn link_target(form: &str, domain: &str, matching: &str) -> String {
    let matching: Vec<&str> =
        matching.split([',', ' ', '\n', ';']).map(str::trim).filter(|one| !one.is_empty()).collect();
    let listed = |mark: &str| {
        [&[format!("{mark}{domain}")][..], &matching.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()]
            .concat()
            .join(",")
    };
    match form {
        "spool" => format!("@{domain}"),
        "replace" => listed("?"),
        "append" => listed("&"),
        _ => domain.to_owned(),
    }
}

/// The form, domain and match list of a link's target.
pub(in crate::web) fn link_parts(text: &str) -> (&'static str, String, String) {
    let list = |matching: &[Box<str>]| matching.join(", ");
    match LinkTarget::parse(text) {
        LinkTarget::Account { domain } => ("account", domain.into(), String::new()),
        LinkTarget::Spool { domain } => ("spool", domain.into(), String::new()),
        LinkTarget::Replace { domain, matching } => ("replace", domain.into(), list(&matching)),
        LinkTarget::Append { suffix, matching } => ("append", suffix.into(), list(&matching)),
    }
}

/// The name of an option's input.
pub(in crate::web) fn option_name(slot: &str, option: &OptionSpec) -> String {
    format!("{slot}.{}", option.name)
}

/// Whether the check box of an option is inverted: the option does something when it is 0.
pub(in crate::web) fn is_inverted(option: &OptionSpec) -> bool {
    option.is(&SENDER_DOMAIN_CHECK)
}

/// Options as written, apart: name, value, text.
pub(in crate::web) fn elements(style: Style, columns: &[String]) -> Vec<String> {
    let list = |text: &str| text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    match style {
        Style::Columns => columns.iter().filter(|one| !one.is_empty()).cloned().collect(),
        Style::Letters => columns.concat().chars().map(String::from).collect(),
        Style::List => columns.first().map(|text| list(text)).unwrap_or_default(),
        Style::Flags => columns.first().map(|text| list(text.trim_start_matches('!'))).unwrap_or_default(),
    }
}

/// The value of the last element of this name: `None` where there is none, `Some(None)` for a bare name.
pub(in crate::web) fn element<'a>(elements: &'a [String], name: &str) -> Option<Option<&'a str>> {
    let parts = elements.iter().rev().map(|one| match one.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (one.as_str(), None),
    });
    parts.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether an element is there, bare or with a number that is not 0.
pub(in crate::web) fn is_on(found: Option<Option<&str>>) -> bool {
    found.is_some_and(|value| value.is_none_or(|value| value.trim().parse::<i64>().is_ok_and(|n| n != 0)))
}

fn typed_options(
    visit: &Visit,
    slot: &str,
    group: &'static OptionGroup,
    style: Style,
    old: &[String],
) -> Vec<String> {
    let mut elements = elements(style, old);
    for &option in group.options {
        let before = element(&elements, option.name).map(|value| value.map(str::to_owned));
        let wanted = wanted_option(visit, slot, option, style, before.as_ref().map(Option::as_deref));
        let is_this = |one: &String| one.split('=').next() == Some(option.name);
        let place = elements.iter().position(is_this);
        let Wanted::Text(text) = wanted else { continue };
        elements.retain(|one| !is_this(one));
        if let Some(text) = text {
            elements.insert(place.unwrap_or(elements.len()).min(elements.len()), text);
        }
    }
    match style {
        Style::Columns => elements,
        Style::Letters => vec![elements.concat()],
        Style::List => vec![elements.join(",")],
        Style::Flags if elements.is_empty() => Vec::new(),
        Style::Flags => vec![format!("!{}", elements.join(","))],
    }
}

enum Wanted {
    /// As it was.
    Same,
    /// Written so, or not at all.
    Text(Option<String>),
}

fn wanted_option(
    visit: &Visit,
    slot: &str,
    option: &OptionSpec,
    style: Style,
    before: Option<Option<&str>>,
) -> Wanted {
    let input = option_name(slot, option);
    let typed = visit.field(&input);
    if option.is(&CODE) {
        return wanted_code(visit, slot, before);
    }
    if !matches!(option.kind, Kind::Flag) {
        let is_same = before.map(|value| value.unwrap_or("1")) == Some(typed).filter(|text| !text.is_empty());
        let text = (!typed.is_empty()).then(|| format!("{}={typed}", option.name));
        return if is_same { Wanted::Same } else { Wanted::Text(text) };
    }
    let (wants, inverted) = (!typed.is_empty(), is_inverted(option));
    let has = if inverted { before.is_some() && !is_on(before) } else { is_on(before) };
    if wants == has {
        return Wanted::Same;
    }
    let name = option.name;
    Wanted::Text(wants.then(|| match style {
        _ if inverted => format!("{name}=0"),
        Style::Columns => format!("{name}=1"),
        Style::List | Style::Flags | Style::Letters => name.to_owned(),
    }))
}

/// What becomes of a spammer is one of three things, and one of them has a number (`mailroot.md` 11.5).
fn wanted_code(visit: &Visit, slot: &str, before: Option<Option<&str>>) -> Wanted {
    let number = before.map_or(1, |value| value.map_or(1, |text| text.trim().parse::<i64>().unwrap_or(0)));
    let secs = visit.field(&format!("{slot}.secs"));
    let wanted = match visit.field(&format!("{slot}.what")) {
        "login" => Some("0".to_owned()),
        "delay" => Some(format!("-{}", secs.trim_start_matches('-'))),
        _ if number > 0 => return Wanted::Same,
        _ => None,
    };
    match wanted {
        Some(text) if text == number.to_string() => Wanted::Same,
        Some(text) => Wanted::Text(Some(format!("{}={text}", CODE.name))),
        None => Wanted::Text(None),
    }
}

/// Whether a group is that of `spammers.tab`.
pub(in crate::web) fn is_spammer(group: &'static OptionGroup) -> bool {
    std::ptr::eq(group, &SPAMMER)
}

/// Whether hosts can only be edited as text.
pub(in crate::web) fn is_text(hosts: &str) -> bool {
    has_macro(hosts.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::schema::TABLES;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn networks_are_written_as_the_column_wants_them() {
        for (text, mask, expected) in [
            ("192.0.2.7", Some(true), &["192.0.2.7", "255.255.255.255"][..]),
            ("192.0.2.0/24", Some(true), &["192.0.2.0", "255.255.255.0"]),
            ("192.0.2.0 255.255.255.0", Some(false), &["192.0.2.0", "255.255.255.0"]),
            ("0.0.0.0/0", Some(true), &["0.0.0.0", "0.0.0.0"]),
            ("2001:db8::/32", Some(true), &["2001:db8::/32", "-"]),
            ("2001:db8::1", Some(false), &["2001:db8::1/128"]),
            ("192.0.2.7", None, &["192.0.2.7/32"]),
            ("192.0.2.0/255.255.255.0", None, &["192.0.2.0/24"]),
        ] {
            let columns = network_columns(text, mask, false);
            assert_eq!(columns, expected, "{text}");
            let second = columns.get(1).map_or("", String::as_str);
            assert!(AddressFilter::parse(columns[0].as_bytes(), second.as_bytes()).is_ok(), "{text}");
        }
    }

    /// What is taken apart is put together again as it was, for every example of every table.
    #[test]
    fn rows_come_out_of_their_slots_as_they_went_in() {
        for table in TABLES.iter().filter(|table| table.commands.is_empty()) {
            // These two are not edited by rows.
            if table.name == "mailusers.tab" || table.name == "imapfolders.tab" {
                continue;
            }
            let slots = Slot::all(table.columns, 0);
            for example in table.examples {
                let values = texts(example.columns);
                let parts = spread(&slots, &values);
                assert_eq!(gather(&slots, &parts, table.rows.min_columns), values, "{}", table.name);
                for (slot, part) in slots.iter().zip(&parts) {
                    assert_eq!(slot.problem(part), None, "{} {}", table.name, slot.column.name);
                }
            }
        }
    }

    #[test]
    fn targets_of_links_are_put_together_as_they_were() {
        for text in ["home.test", "@home.test", "?new.test,a.test,b.test", "&.suffix,a.test"] {
            let (form, domain, matching) = link_parts(text);
            assert_eq!(link_target(form, &domain, &matching), text);
        }
    }
}
