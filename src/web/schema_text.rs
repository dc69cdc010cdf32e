//! What a value may be, and what is wrong with it, in both languages. The English is that of `mailroot` and `check`; the
//! Chinese stands in `schema.zh.tab` under `kind.<name>` and `problem.<code>`, and in `codes.zh.tab`.

use super::i18n::{Catalogs, Language};
use crate::check;
use crate::mailroot::ProblemKind;
use crate::mailroot::schema::Kind;
use crate::mailroot::schema::kind::{ACCOUNT_TYPES, ListOf};
use crate::mailroot::snapshot::brief;

/// What a value may be, in words.
pub(super) fn accepts(catalogs: &Catalogs, language: Language, kind: Kind) -> String {
    let english = kind.describe();
    if language == Language::English {
        return english;
    }
    let (key, values) = kind_key(kind);
    if key.is_empty() { english } else { filled(catalogs, language, key, &english, &values) }
}

/// What is wrong, in words.
pub(super) fn problem(catalogs: &Catalogs, language: Language, kind: &ProblemKind) -> String {
    let english = brief(kind);
    if language == Language::English {
        return english;
    }
    let key = format!("problem.{}", kind.code());
    brief(&filled(catalogs, language, &key, &english, &facts(catalogs, language, kind)))
}

/// What the check found, in words.
pub(super) fn finding(catalogs: &Catalogs, language: Language, fact: &check::Fact) -> String {
    if let check::Fact::Table(kind) = fact {
        return problem(catalogs, language, kind);
    }
    let english = fact.to_string();
    if language == Language::English {
        return english;
    }
    let key = format!("finding.{}", fact.code().code);
    let mut values = fact.values();
    for (name, value) in &mut values {
        // Reasons are sentences of ours; everything else is a name, a number, or text of a file.
        match fact {
            _ if *name == "reason" => *value = catalogs.phrase(language, value),
            check::Fact::AliasPatternCatchesDomain { more, .. } if *name == "more" && more.0 > 0 => {
                let text = catalogs.schema(language, &format!("{key}.more"), "");
                *value = super::i18n::fill(text, &[("count", &more.0.to_string())]);
            }
            _ => {}
        }
    }
    filled(catalogs, language, &key, &english, &values)
}

/// What the server does with what a code stands for. Some words have an effect of their own, whose English is its key.
pub(super) fn effect<'a>(
    catalogs: &'a Catalogs,
    language: Language,
    code: &str,
    english: &'static str,
) -> &'a str {
    let own = catalogs.schema(language, "", english);
    if own == english { catalogs.schema(language, &format!("code.{code}.run"), english) } else { own }
}

/// What to do about what a code stands for.
pub(super) fn remedy<'a>(
    catalogs: &'a Catalogs,
    language: Language,
    code: &str,
    english: &'static str,
) -> &'a str {
    catalogs.schema(language, &format!("code.{code}.remedy"), english)
}

fn filled(
    catalogs: &Catalogs,
    language: Language,
    key: &str,
    english: &str,
    values: &[(&'static str, String)],
) -> String {
    let pairs: Vec<(&str, &str)> = values.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let text = catalogs.schema(language, key, english);
    // The English is made already: what a value holds is not filled in again.
    if text == english { english.to_owned() } else { super::i18n::fill(text, &pairs) }
}

/// The key of a kind, and what its text names; without a key there is nothing to say.
pub(super) fn kind_key(kind: Kind) -> (&'static str, Vec<(&'static str, String)>) {
    let key = match kind {
        Kind::Text | Kind::ClearPassword | Kind::Program | Kind::Argument => "",
        Kind::Flag => "kind.Flag",
        Kind::Integer { min, max, unit } => return integer_key(min, max, unit),
        Kind::Kilobytes => "kind.Kilobytes",
        Kind::ReplyLine => "kind.ReplyLine",
        Kind::Address => "kind.Address",
        Kind::AddressPattern => "kind.AddressPattern",
        Kind::Domain => "kind.Domain",
        Kind::DomainPattern => "kind.DomainPattern",
        Kind::LocalPart => "kind.LocalPart",
        Kind::LocalPartPattern => "kind.LocalPartPattern",
        Kind::AccountOrAddress => "kind.AccountOrAddress",
        Kind::RedirectTarget => "kind.RedirectTarget",
        Kind::LinkTarget => "kind.LinkTarget",
        Kind::Network => "kind.Network",
        Kind::NetworkBits => "kind.NetworkBits",
        Kind::Mask => "kind.Mask",
        Kind::IpAddress => "kind.IpAddress",
        Kind::HostPattern => "kind.HostPattern",
        Kind::Host => "kind.Host",
        Kind::Gateways => "kind.Gateways",
        Kind::GatewayOptions => "kind.GatewayOptions",
        Kind::Route => "kind.Route",
        Kind::Password => "kind.Password",
        Kind::OneOf(words) => return ("kind.OneOf", vec![("words", words.accepted.to_owned())]),
        Kind::AccountType => return ("kind.OneOf", vec![("words", ACCOUNT_TYPES.accepted.to_owned())]),
        Kind::Letters(_) => "kind.Letters",
        Kind::Options(_) => "kind.Options",
        Kind::Property(_) => "kind.Property",
        Kind::List(ListOf::Attempts) => "kind.List.Attempts",
        Kind::List(ListOf::Mechanisms) => "kind.List.Mechanisms",
        Kind::List(ListOf::DnsLists) => "kind.List.DnsLists",
        Kind::List(ListOf::DnsServers) => "kind.List.DnsServers",
        Kind::List(ListOf::HeaderFields) => "kind.List.HeaderFields",
        Kind::List(ListOf::Listeners) => "kind.List.Listeners",
        Kind::FileName(directory) => return ("kind.FileName", vec![("directory", directory.to_owned())]),
    };
    (key, Vec::new())
}

fn integer_key(min: i64, max: i64, unit: &str) -> (&'static str, Vec<(&'static str, String)>) {
    let key = match (min, max) {
        (i64::MIN, i64::MAX) => "kind.Integer",
        (_, i64::MAX) => "kind.Integer.min",
        (i64::MIN, _) => "kind.Integer.max",
        _ => "kind.Integer.range",
    };
    (key, vec![("min", min.to_string()), ("max", max.to_string()), ("unit", unit.to_owned())])
}

/// What the text of a problem names.
fn facts(catalogs: &Catalogs, language: Language, kind: &ProblemKind) -> Vec<(&'static str, String)> {
    let found = |text: &str| vec![("found", text.to_owned())];
    match kind {
        ProblemKind::Unreadable(error) => vec![("error", catalogs.phrase(language, &error.to_string()))],
        ProblemKind::TooFewColumns { needed, found } | ProblemKind::WrongColumnCount { needed, found } => {
            vec![("needed", needed.to_string()), ("found", found.to_string())]
        }
        ProblemKind::LineTooLong { length, limit } => {
            vec![("length", length.to_string()), ("limit", limit.to_string())]
        }
        ProblemKind::NotANumber(text)
        | ProblemKind::BadAddressFilter(text)
        | ProblemKind::BadAddress(text)
        | ProblemKind::BadName(text)
        | ProblemKind::BadIpAddress(text)
        | ProblemKind::BadHost(text)
        | ProblemKind::BadRoute(text)
        | ProblemKind::AtInDomainPattern(text)
        | ProblemKind::NoEffectHere(text)
        | ProblemKind::BadDomain(text)
        | ProblemKind::BadLocalPart(text)
        | ProblemKind::NoReplyCode(text) => found(text),
        ProblemKind::UnknownWord { found, accepted } | ProblemKind::CountsForNothing { found, accepted } => {
            vec![("found", found.clone()), ("accepted", catalogs.phrase(language, accepted))]
        }
        ProblemKind::Duplicate { first } => vec![("first", first.to_string())],
        ProblemKind::TooMany { limit } => vec![("limit", limit.to_string())],
        ProblemKind::TooLarge { bytes, limit } => {
            vec![("bytes", bytes.to_string()), ("limit", limit.to_string())]
        }
        ProblemKind::UnknownVariable { nearest } => {
            let text = catalogs.schema(language, "problem.nearest", "");
            let nearest = nearest.map(|name| super::i18n::fill(text, &[("name", name)]));
            vec![("nearest", nearest.unwrap_or_default())]
        }
        ProblemKind::IgnoredVariable(reason) => vec![("reason", catalogs.phrase(language, reason))],
        ProblemKind::TooManyBits { found, width } => {
            vec![("found", found.clone()), ("width", width.to_string())]
        }
        ProblemKind::OutOfRange { found, accepted } => {
            vec![("found", found.clone()), ("accepted", catalogs.phrase(language, accepted))]
        }
        ProblemKind::ReadAsNumber { found, counts_as } => {
            vec![("found", found.clone()), ("number", counts_as.to_string())]
        }
        ProblemKind::MoreProblems(count) => vec![("count", count.to_string())],
        ProblemKind::BadPassword
        | ProblemKind::NulByte
        | ProblemKind::UnclosedQuote
        | ProblemKind::TextAfterQuote
        | ProblemKind::ByteOrderMark
        | ProblemKind::NotUtf8
        | ProblemKind::NoHost
        | ProblemKind::NegativePrecedence
        | ProblemKind::NothingToMatch
        | ProblemKind::Missing
        | ProblemKind::Emptied
        | ProblemKind::Empty => Vec::new(),
    }
}
