//! Macros in the arguments of external command lines (mailflow.md 1.7).
//!
//! ```text
//! @@NAME     the whole argument; everything after @@ is the name
//! $(NAME)    anywhere, any number of times; the name ends at the first )
//! \$         a dollar; any other \ is itself
//! ```
//!
//! Names are case sensitive; an unknown one becomes the empty string. Values are not looked at again, so a `$` in an
//! address is harmless. A `$` that is none of the above leaves its argument and *all following ones* as they are
//! written (golden mailproc_macro_dollar).

use bstr::BString;

/// `args` with every macro replaced by what `lookup` says of its name.
pub fn expand(args: &[BString], lookup: impl Fn(&str) -> Option<BString>) -> Vec<BString> {
    // A name that is not UTF-8 is unknown like any other.
    let value = |name: &[u8]| std::str::from_utf8(name).ok().and_then(&lookup).unwrap_or_default();
    let mut expanded = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        match expand_one(arg, &value) {
            Ok(text) => expanded.push(text),
            Err(StrayDollar) => {
                expanded.extend_from_slice(&args[index..]);
                break;
            }
        }
    }
    expanded
}

/// A `$` that begins no macro.
struct StrayDollar;

fn expand_one(arg: &[u8], value: &impl Fn(&[u8]) -> BString) -> Result<BString, StrayDollar> {
    if let Some(name) = arg.strip_prefix(b"@@") {
        return Ok(value(name));
    }
    let mut text = Vec::with_capacity(arg.len());
    let mut rest = arg;
    while let Some(at) = memchr::memchr(b'$', rest) {
        let (before, dollar) = rest.split_at(at);
        if let Some(before) = before.strip_suffix(b"\\") {
            text.extend_from_slice(before);
            text.push(b'$');
            rest = &dollar[1..];
            continue;
        }
        let inner = dollar.strip_prefix(b"$(").ok_or(StrayDollar)?;
        let end = memchr::memchr(b')', inner).ok_or(StrayDollar)?;
        text.extend_from_slice(before);
        text.extend_from_slice(&value(&inner[..end]));
        rest = &inner[end + 1..];
    }
    text.extend_from_slice(rest);
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], expected: &[&str]) {
        let args: Vec<BString> = args.iter().map(|arg| BString::from(*arg)).collect();
        let expanded = expand(&args, |name| match name {
            "RCPT" => Some("al@example.test".into()),
            "FROM" => Some("carol@second.test".into()),
            "ODD" => Some("$(RCPT) $ @@FROM \\$".into()),
            _ => None,
        });
        assert_eq!(expanded, expected, "{args:?}");
    }

    /// All nine lines of the recording, in its order.
    #[test]
    fn golden_mailproc_macro_dollar() {
        check(&["@@RCPT", "a$b", "@@RCPT"], &["al@example.test", "a$b", "@@RCPT"]);
        check(&["@@RCPT", "a$", "@@RCPT", "$(RCPT)"], &["al@example.test", "a$", "@@RCPT", "$(RCPT)"]);
        check(&["x$$y", "@@RCPT"], &["x$$y", "@@RCPT"]);
        check(&["$()", "@@RCPT"], &["", "al@example.test"]);
        check(&["$(RCPT", "@@RCPT"], &["$(RCPT", "@@RCPT"]);
        check(&["$(rcpt)", "@@rcpt", "@@RCPT"], &["", "", "al@example.test"]);
        check(&["@@", "@@RCPT"], &["", "al@example.test"]);
        check(&["", "@@RCPT"], &["", "al@example.test"]);
        check(
            &["$(FROM)$(RCPT)", "a@@RCPT", "@@RCPTx", "$(RCPT)$"],
            &["carol@second.testal@example.test", "a@@RCPT", "", "$(RCPT)$"],
        );
    }

    #[test]
    fn escapes_values_and_edges() {
        check(&[], &[]);
        check(&[r"\$(RCPT) \a \\ $(RCPT)"], &[r"$(RCPT) \a \\ al@example.test"]);
        check(&["<$(FROM)>,<$(RCPT)>"], &["<carol@second.test>,<al@example.test>"]);
        // Values are not expanded again, neither here nor in the next argument.
        check(
            &["$(ODD)", "@@ODD", "@@RCPT"],
            &["$(RCPT) $ @@FROM \\$", "$(RCPT) $ @@FROM \\$", "al@example.test"],
        );
        // Everything after @@ is the name, so this is no stray dollar.
        check(&["@@$", "@@RCPT"], &["", "al@example.test"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_pass() {
        let args = [BString::from(b"\xff$(RCPT)\xfe".as_slice()), BString::from(b"@@\xff".as_slice())];
        assert_eq!(expand(&args, |_| Some("v".into())), [&b"\xffv\xfe"[..], b""]);
    }
}
