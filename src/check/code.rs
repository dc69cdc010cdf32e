//! What every code means: severity, what the server does at run time, what is accepted, what to do.
//!
//! One table for the problems of loading ([`ProblemKind`]), one for what only a look across files shows ([`Fact`]).
//! Codes are stable: TAB001 to TAB039 loading, from TAB040 meaning inside one table, TAB1xx between files, TAB2xx
//! mailbox tree and spool, TAB3xx certificates, programs, permissions. A code is never given to another fact.

use crate::mailroot::{ProblemKind, Severity};

/// One stable code and what its page says.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Such as `TAB104`.
    pub code: &'static str,
    /// The fact in a few words, as a name.
    pub slug: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What the server does with it at run time.
    pub at_run_time: &'static str,
    /// What is accepted here; empty where nothing is to be chosen.
    pub accepted: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// All codes, lowest first.
pub fn all() -> Vec<&'static Code> {
    let mut codes: Vec<&'static Code> = LOADING.iter().chain(MEANING).collect();
    codes.sort_by_key(|code| code.code);
    codes
}

/// The code of this name, in any case.
pub fn find(name: &str) -> Option<&'static Code> {
    LOADING.iter().chain(MEANING).find(|code| code.code.eq_ignore_ascii_case(name))
}

macro_rules! codes {
    ($($name:ident = $code:literal $slug:literal $severity:ident, $run:literal, $accepted:literal, $remedy:literal;)*) => {
        &[$(Code {
            code: $code,
            slug: $slug,
            severity: Severity::$severity,
            at_run_time: $run,
            accepted: $accepted,
            remedy: $remedy,
        }),*]
    };
}

macro_rules! loading {
    ($($name:ident = $code:literal $slug:literal $severity:ident, $run:literal, $accepted:literal, $remedy:literal;)*) => {
        /// The codes of problems found while a table is loaded.
        const LOADING: &[Code] =
            codes!($($name = $code $slug $severity, $run, $accepted, $remedy;)*);

        /// The code of a problem found while a table is loaded.
        pub(super) fn of_problem(kind: &ProblemKind) -> &'static Code {
            let code = match kind {
                $(ProblemKind::$name { .. } => $code,)*
            };
            &LOADING[LOADING.iter().position(|known| known.code == code).unwrap_or_default()]
        }
    };
}

loading! {
    Unreadable = "TAB001" "unreadable" Error,
        "a running server keeps the last good content; a server that starts takes the table for empty",
        "a plain file, or a link to one, that the server's user may read",
        "Give the server's user the right to read it, or put a file there.";
    TooFewColumns = "TAB002" "too-few-columns" Error,
        "the row is ignored",
        "columns separated by TAB (not blanks); an empty column is written \"\"",
        "Add the missing columns. Blanks where a TAB is meant are the usual cause.";
    WrongColumnCount = "TAB003" "wrong-column-count" Error,
        "the row is ignored",
        "exactly the columns of the table, separated by TAB; an empty column is written \"\"",
        "Write the row with exactly that many columns.";
    LineTooLong = "TAB004" "line-too-long" Warning,
        "Tabmail reads the whole line; XMail, where it reads this table, would split it in two",
        "a line no longer than the message says",
        "Shorten the line, or split its content over several rows where the table allows it.";
    NulByte = "TAB005" "nul-byte" Error,
        "what stands behind the NUL byte is not read, in XMail and here",
        "any bytes but NUL",
        "Remove the byte; files of zeros are what a full or crashed disk leaves: restore them.";
    UnclosedQuote = "TAB006" "unclosed-quote" Error,
        "everything up to the next TAB or the line's end is taken as the value",
        "\"value\", a quote inside written \\\"",
        "Close the quote.";
    TextAfterQuote = "TAB007" "text-after-quote" Error,
        "the text between the closing quote and the next TAB is dropped",
        "\"value\", then a TAB or the line's end",
        "Remove the text, or put a TAB before it if it is a column of its own.";
    ByteOrderMark = "TAB008" "byte-order-mark" Error,
        "the mark becomes part of the first column, so the first row does not say what it seems to",
        "UTF-8 without byte order mark",
        "Save the file without a byte order mark.";
    NotUtf8 = "TAB009" "not-utf8" Error,
        "the row is ignored",
        "names in UTF-8",
        "Convert the file to UTF-8.";
    NotANumber = "TAB010" "not-a-number" Error,
        "it counts by its leading digits, and as 0 without any",
        "a decimal number",
        "Write a decimal number.";
    BadAddressFilter = "TAB011" "bad-address-filter" Error,
        "the row never matches: what it should refuse is let in, what it should let in is refused",
        "net/bits such as 192.0.2.0/24 or 2001:db8::/32, or net and mask in two columns",
        "Write a network.";
    BadPassword = "TAB012" "bad-password" Error,
        "nobody can log in with it",
        "pairs of hex digits, or $argon2id$...: what `tabmail xmcrypt` prints",
        "Set the password anew.";
    BadAddress = "TAB013" "bad-address" Error,
        "mail to it fails, and mail from it is not recognised",
        "name@domain",
        "Write a mail address.";
    UnknownWord = "TAB014" "unknown-word" Error,
        "the word has no effect",
        "one of the words of this column, spelt exactly",
        "Correct the word.";
    Duplicate = "TAB015" "duplicate" Warning,
        "the first row wins, this one never counts",
        "every key once",
        "Remove one of the rows.";
    BadName = "TAB016" "bad-name" Error,
        "the row is ignored: a name may not lead out of its directory",
        "one plain file or directory name, without /",
        "Write a plain name.";
    BadIpAddress = "TAB017" "bad-ip-address" Error,
        "the value is ignored",
        "an IPv4 or IPv6 address",
        "Write an address.";
    BadHost = "TAB018" "bad-host" Error,
        "this host is left out",
        "host, host:port, host|port or [v6]:port",
        "Write a host name or address.";
    NoHost = "TAB019" "no-host" Error,
        "mail for this row is kept and tried again until it expires",
        "host[:port][,option...];host...",
        "Name a host, or remove the row.";
    BadRoute = "TAB020" "bad-route" Error,
        "the row matches, but no route is put in front of the recipient",
        "@relay or @relay1,@relay2",
        "Write a route; for a host with a port use smtpfwd.tab.";
    AtInDomainPattern = "TAB021" "at-in-domain-pattern" Warning,
        "the row never matches: the pattern is compared with the domain only",
        "a domain pattern such as *.branch.test",
        "Write the domain alone.";
    NegativePrecedence = "TAB022" "negative-precedence" Warning,
        "the row never applies",
        "a precedence of 0 or more; the highest that matches decides",
        "Give the row a precedence of 0 or more, or remove it.";
    NoEffectHere = "TAB023" "no-effect-here" Warning,
        "the command does nothing; mail is delivered as if the line were not there",
        "mailbox in mailproc.tab only, smtp in cmdaliases and custdomains only",
        "Remove the line, or use redirect or smtprelay.";
    NothingToMatch = "TAB024" "nothing-to-match" Warning,
        "the link fetches nothing",
        "?new,domain,... or &suffix,domain,...",
        "List the domains to look for, or use @domain.";
    TooMany = "TAB025" "too-many" Warning,
        "the entries beyond the limit are ignored",
        "at most as many as the message says",
        "Remove entries.";
    Missing = "TAB026" "missing" Error,
        "what the file should tell is not known",
        "a file of that name",
        "Create the file.";
    TooLarge = "TAB027" "too-large" Error,
        "the file is not read: a running server keeps the last good content, one that starts takes it for empty",
        "a table below the limit",
        "Look what filled the file; split the table or restore it.";
    UnknownVariable = "TAB029" "unknown-variable" Warning,
        "the row has no effect",
        "the variables that `tabmail help variables` lists, in exactly their letters",
        "Correct the name, or remove the row.";
    IgnoredVariable = "TAB030" "ignored-variable" Note,
        "the row has no effect",
        "",
        "Remove the row, or leave it for XMail.";
    OutOfRange = "TAB031" "out-of-range" Warning,
        "the number is used as it is, or cut to the nearest that works",
        "a number in the range that the message says",
        "Write a number in the range.";
    ReadAsNumber = "TAB032" "read-as-number" Warning,
        "it counts by its leading digits, and as 0 without any, as in XMail",
        "a decimal number; for a flag 1 or 0",
        "Write the number.";
    BadDomain = "TAB033" "bad-domain" Warning,
        "the text is used as it stands, and nothing will match it",
        "a domain name",
        "Write a domain.";
    BadLocalPart = "TAB034" "bad-local-part" Warning,
        "the text is used as it stands, and no address will have it",
        "the part of an address before the @",
        "Write the name alone.";
    Empty = "TAB035" "empty-value" Warning,
        "the row matches nothing",
        "a value",
        "Write the value, or remove the row.";
    NoReplyCode = "TAB036" "no-reply-code" Warning,
        "the text is sent as it stands, and clients do not understand it",
        "a complete reply line, such as 554 Go away",
        "Put a reply code before the text.";
    Emptied = "TAB037" "emptied" Error,
        "the server keeps the content from before; one that starts anew takes the table for empty",
        "a row for every domain or account",
        "Restore the file; to empty it on purpose stop the server, or reload with force.";
    CountsForNothing = "TAB038" "counts-for-nothing" Warning,
        "it is passed over, as in XMail; what stands beside it counts",
        "what the message says",
        "Correct or remove it.";
    TooManyBits = "TAB039" "too-many-bits" Error,
        "it counts as the address alone, as in XMail",
        "at most 32 bits for an IPv4 network and 128 for an IPv6 network",
        "Write the bits that were meant: /24 is a network of 256 addresses, /32 is one address.";
    MoreProblems = "TAB028" "more-problems" Note,
        "only how many are shown differs",
        "",
        "Correct the problems listed first: the file may be no table at all.";
}

/// A value for a field of a fact.
#[cfg(test)]
trait Sample {
    fn sample() -> Self;
}

#[cfg(test)]
macro_rules! samples {
    ($($type:ty = $value:expr;)*) => {
        $(impl Sample for $type {
            fn sample() -> Self {
                $value
            }
        })*
    };
}

#[cfg(test)]
samples! {
    String = "sample".to_owned();
    &'static str = "sample";
    MoreDomains = MoreDomains(0);
    u32 = 4711;
    u64 = 4711;
    usize = 4711;
    i64 = 4711;
}

/// One field of a fact, as text.
type Text = String;

/// The further domains that a pattern catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoreDomains(pub usize);

impl std::fmt::Display for MoreDomains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, ", and {count} more domains"),
        }
    }
}

macro_rules! meaning {
    ($($name:ident { $($field:ident: $type:ty),* } = $code:literal $slug:literal $severity:ident, $message:literal,
        $run:literal, $accepted:literal, $remedy:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[expect(missing_docs, reason = "the message of each says it, and the page of codes")]
        pub enum Fact {
            #[error("{0}")]
            Table(ProblemKind),
            $(#[error($message)] $name { $($field: $type),* },)*
        }

        /// The codes of what only a look at the meaning, or at several files, shows.
        const MEANING: &[Code] = codes!($($name = $code $slug $severity, $run, $accepted, $remedy;)*);

        /// One of each fact that is not of a table.
        #[cfg(test)]
        pub(crate) fn one_of_each_fact() -> Vec<Fact> {
            vec![$(Fact::$name { $($field: Sample::sample()),* }),*]
        }

        impl Fact {
            /// Its code.
            pub fn code(&self) -> &'static Code {
                let code = match self {
                    Self::Table(kind) => return of_problem(kind),
                    $(Self::$name { .. } => $code,)*
                };
                &MEANING[MEANING.iter().position(|known| known.code == code).unwrap_or_default()]
            }

            /// What its message names; none for a problem of a table, which has its own.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                match self {
                    Self::Table(_) => Vec::new(),
                    $(Self::$name { $($field),* } => vec![$((stringify!($field), $field.to_string())),*],)*
                }
            }
        }
    };
}

meaning! {
    // Meaning inside one table.
    NoFinalNewline {} = "TAB040" "no-final-newline" Warning,
        "the last line does not end",
        "Tabmail reads the line, and waits a moment for the rest of it after each edit; XMail glues the next row it adds to it",
        "a line end behind every line",
        "End the last line with a newline.";
    ShadowedRow { by: u32, pattern: Text } = "TAB041" "shadowed-row" Warning,
        "never decides: line {by} ({pattern}) matches all this row matches and comes first",
        "the first matching row decides, so this one never does",
        "rows from the most special to the most general",
        "Put the row before the other one, or remove it.";
    ShadowedNetwork { by: u32, reason: &'static str } = "TAB042" "shadowed-network" Warning,
        "never decides: line {by} covers this network {reason}",
        "among the rows that match a client the highest precedence decides, the later row on a tie",
        "a special row with a higher precedence than the general one",
        "Give this row a higher precedence, or remove it.";
    RedundantNetwork { by: u32 } = "TAB043" "redundant-network" Note,
        "adds nothing: line {by} covers this network already",
        "any matching row is enough",
        "each network once",
        "Remove the row.";
    HostBitsSet { canonical: Text } = "TAB044" "host-bits-set" Warning,
        "has bits set behind the network's length; it means {canonical}",
        "the bits behind the length are ignored: the row is about the whole network",
        "the network's first address and its length",
        "Write the network, or a longer length if one host is meant.";
    OddMask {} = "TAB045" "odd-mask" Warning,
        "is a mask with gaps",
        "every bit of the mask is compared as written, which is hardly what is meant",
        "a mask of ones followed by zeros, such as 255.255.255.0",
        "Write the network as net/bits.";
    OpenRelay {} = "TAB046" "open-relay" Warning,
        "lets every host on earth relay",
        "everybody may send mail to everybody through this server; it will be listed as an open relay within hours",
        "the networks of your own clients",
        "Name your own networks; let others log in to relay.";
    PatternInExactTable {} = "TAB047" "pattern-in-exact-table" Warning,
        "holds a wildcard, but this table knows exact names only",
        "it is compared as it stands and never matches",
        "a name without * and ?",
        "Write the names one by one; aliasdomain.tab takes patterns.";
    PatternWithoutAt {} = "TAB048" "pattern-without-at" Warning,
        "is compared with whole addresses, which always have an '@'",
        "the row never matches",
        "an address pattern such as *@bulk.example",
        "Write *@ in front of a domain.";
    DuplicateId { id: u64, first: u32 } = "TAB049" "duplicate-id" Warning,
        "has the id {id}, as line {first} has",
        "Tabmail finds accounts by name; XMail and other programs may take one for the other",
        "every id once, above 0",
        "Give one of the accounts an unused id.";
    ZeroId {} = "TAB050" "zero-id" Warning,
        "has the id 0",
        "Tabmail finds accounts by name; other programs expect an id above 0",
        "a number above 0, used once",
        "Give the account an unused id.";
    SharedDirectory { first: u32, directory: Text } = "TAB051" "shared-directory" Error,
        "shares the directory {directory} with line {first}",
        "both accounts read and delete the same mail and have the same variables",
        "a directory for each account",
        "Name another directory, or make one of the accounts an alias.";
    EmptyPassword {} = "TAB052" "empty-password" Note,
        "has no password",
        "mail is received, but nobody can log in",
        "what `tabmail xmcrypt` prints",
        "Set a password if somebody is to log in.";
    RequiredVariable { name: &'static str } = "TAB053" "required-variable" Error,
        "does not set {name}",
        "mail is served, but notices come from the server's own name and local names have no domain",
        "a row with the variable and its value",
        "Add the row.";
    DuplicateMember { first: u32 } = "TAB054" "duplicate-member" Warning,
        "is a member already by line {first}",
        "the member gets every message twice",
        "every address once",
        "Remove one of the rows.";
    EmptyCommandFile {} = "TAB055" "empty-command-file" Warning,
        "has no command",
        "mail goes to the mailbox where there is one, else it is bounced; XMail would drop it",
        "a command such as \"mailbox\"",
        "Write \"mailbox\", or remove the file.";
    UnknownMacro { name: Text, known: &'static str } = "TAB056" "unknown-macro" Warning,
        "the macro {name:?} does not exist here",
        "the program gets an empty argument in its place",
        "@@NAME as a whole argument, $(NAME) inside one",
        "Use a macro that exists here, or \\$ for a dollar.";
    RedirectToItself { address: Text } = "TAB057" "redirect-to-itself" Error,
        "sends {address} to itself",
        "the message goes round until the loop limit (MaxMTAOps), then it bounces",
        "another address, or mailbox for a copy kept here",
        "Write \"mailbox\" for the copy that stays.";

    // Between files.
    AliasTargetMissing { target: Text } = "TAB101" "alias-target-missing" Error,
        "there is no account {target}",
        "mail to the alias is refused: 550",
        "an account name of the alias's domain, or a full address of a real account",
        "Create the account, or name another one.";
    AliasToAlias { target: Text, line: u32 } = "TAB102" "alias-to-alias" Error,
        "{target} is an alias itself (aliases.tab:{line}); aliases of aliases are not followed",
        "mail to the alias is refused: 550",
        "a real account",
        "Name the account that the other alias leads to.";
    AliasToOutside { target: Text } = "TAB103" "alias-to-outside" Error,
        "{target} is not a local address",
        "mail to the alias is refused: 550",
        "a real account of this server; for an address elsewhere a file in cmdaliases/ with redirect",
        "Write cmdaliases/<domain>/<name>.tab with \"redirect\" and the address.";
    AliasDomainMissing { domain: Text } = "TAB104" "alias-domain-missing" Warning,
        "{domain} is not handled here (domains.tab, aliasdomain.tab)",
        "mail for the domain is refused before the alias is looked at",
        "a domain of domains.tab or aliasdomain.tab, or a pattern",
        "Add the domain, or remove the alias.";
    AliasHiddenByAccount { address: Text, line: u32 } = "TAB105" "alias-hidden-by-account" Warning,
        "{address} is an account (mailusers.tab:{line}), which goes first",
        "mail goes to the account, the alias is never looked at",
        "an alias that is no account",
        "Remove the alias or the account.";
    AliasDomainTargetMissing { domain: Text } = "TAB106" "alias-domain-target-missing" Error,
        "{domain} is not in domains.tab",
        "the alias domain is not handled: its mail is refused or relayed",
        "a domain of domains.tab",
        "Add the domain, or name another one.";
    AliasDomainToAlias { domain: Text, line: u32 } = "TAB107" "alias-domain-to-alias" Error,
        "{domain} is an alias domain itself (aliasdomain.tab:{line}); one step is followed, not two",
        "the alias domain is not handled: its mail is refused or relayed",
        "a domain of domains.tab",
        "Name the real domain.";
    AliasDomainIsDomain { domain: Text, line: u32 } = "TAB108" "alias-domain-is-domain" Note,
        "{domain} is a domain of its own (domains.tab:{line})",
        "its own accounts go first, then those of the domain it stands for",
        "usually a name that is not in domains.tab",
        "Remove one of the rows if that is not meant.";
    AccountDomainMissing { domain: Text } = "TAB109" "account-domain-missing" Warning,
        "{domain} is not in domains.tab",
        "mail for the account is refused or relayed; it can still log in",
        "a domain of domains.tab",
        "Add the domain, or remove the account.";
    ExtAliasToNobody { address: Text } = "TAB110" "ext-alias-to-nobody" Warning,
        "there is no local address {address}",
        "mail from the outside address shows a sender that does not exist",
        "the address of an account or alias",
        "Correct the local address, or remove the row.";
    LinkToMissingAccount { address: Text } = "TAB111" "link-to-missing-account" Error,
        "there is no account {address}",
        "the link is skipped: nothing is fetched",
        "domain and name of an account; @domain for any other address",
        "Create the account, or remove the link.";
    LinkToMissingDomain { domain: Text } = "TAB112" "link-to-missing-domain" Warning,
        "{domain} is not handled here",
        "fetched mail is sent to that domain like any mail to the outside",
        "a domain of domains.tab or aliasdomain.tab",
        "Name a domain of this server, unless the mail is to go outside.";
    MemberGone { address: Text } = "TAB113" "member-gone" Warning,
        "{address} does not exist here",
        "the member's copy of every message to the list bounces",
        "an address that takes mail",
        "Remove the member, or correct the address.";
    TargetGone { address: Text } = "TAB114" "target-gone" Warning,
        "{address} does not exist here",
        "what is sent there bounces",
        "an address that takes mail",
        "Correct the address, or create it.";
    CmdAliasHidesAccount { address: Text, line: u32 } = "TAB115" "cmdalias-hides-account" Warning,
        "{address} is an account too (mailusers.tab:{line}); the command file goes first",
        "mail runs the commands and never reaches the account",
        "a name that is no account; for an account its mailproc.tab",
        "Move the commands to the account's mailproc.tab, or remove one of the two.";
    CmdAliasOfAliasDomain { domain: Text, real: Text } = "TAB116" "cmdalias-of-alias-domain" Warning,
        "{domain} is an alias domain: the files are looked for in cmdaliases/{real}",
        "the directory is never looked at",
        "a directory with the name of the real domain",
        "Move the files there.";
    UpperCaseName { lower: Text } = "TAB117" "upper-case-name" Warning,
        "is looked for in lower case: {lower}",
        "the file is never found",
        "a name in lower case",
        "Rename it.";
    CustomDomainHandled { domain: Text } = "TAB118" "custom-domain-handled" Warning,
        "{domain} is handled here, so its custom domain file is not used",
        "mail goes to the accounts of the domain; the file is never looked at",
        "a domain that is not in domains.tab or aliasdomain.tab",
        "Remove the file, or the domain.";
    FilterFileMissing { name: Text } = "TAB119" "filter-file-missing" Error,
        "filters/{name} does not exist",
        "mail passes unfiltered",
        "the name of a file in filters/",
        "Create the file, or remove the row.";
    FilterFileUnused {} = "TAB120" "filter-file-unused" Note,
        "is selected by no row of filters.in.tab or filters.out.tab",
        "the file is never looked at",
        "",
        "Add a row that selects it, or remove it.";
    NotOurDomain { variable: &'static str, domain: Text } = "TAB121" "not-our-domain" Warning,
        "{variable} names {domain}, which is not in domains.tab",
        "names without a domain are taken to be of a domain that takes no mail",
        "a domain of domains.tab",
        "Add the domain to domains.tab, or name another one.";
    AddressGone { variable: &'static str, address: Text } = "TAB122" "variable-address-gone" Warning,
        "{variable} is {address}, which does not exist here",
        "mail to it, such as answers to notices, bounces",
        "an address that takes mail",
        "Create the account or an alias.";
    NoPostmaster { domain: Text } = "TAB123" "no-postmaster" Note,
        "{domain} has no postmaster",
        "mail to its postmaster is refused; RFC 5321 4.5.1 asks every domain to take it",
        "an account or alias of that name; one row \"*\" \"postmaster\" \"you@your.domain\" is enough for all",
        "Add an alias.";
    ForwardOfLocalDomain { domain: Text } = "TAB124" "forward-of-local-domain" Warning,
        "{domain} is handled here, so the row is not used for it",
        "mail for the domain goes to its accounts",
        "a domain elsewhere",
        "Remove the row, or the domain from domains.tab.";
    DisabledLinkMissing {} = "TAB125" "disabled-link-missing" Note,
        "disables a link that is not in pop3links.tab",
        "it does nothing",
        "<remote user>@<remote host>.disabled, as columns 4 and 3 are written",
        "Remove the file, or correct its name.";
    AuthDomainMissing { domain: Text } = "TAB126" "auth-domain-missing" Note,
        "{domain} is not handled here",
        "the programs are never asked",
        "<domain>.tab as clients type the domain, or .tab for all",
        "Rename or remove the file.";
    AliasPatternCatchesDomain { domain: Text, line: u32, more: MoreDomains } = "TAB127" "alias-pattern-catches-domain" Warning,
        "the pattern also catches {domain} (domains.tab:{line}){more}",
        "command aliases in cmdaliases/<domain> are never looked at, those of the real domain apply; its own accounts and aliases go first, then those of the real domain",
        "a pattern that matches no domain of domains.tab, or an exact row beside it for each that it does",
        "Narrow the pattern, or give the domain a row of its own: its name in both columns.";

    // Mailbox tree and spool.
    DirectoryMissing {} = "TAB201" "directory-missing" Note,
        "does not exist",
        "Tabmail makes it when it starts; XMail does not start, or the feature fails",
        "",
        "Create it (--fix does).";
    DomainDirectoryMissing { domain: Text } = "TAB202" "domain-directory-missing" Warning,
        "{domain} has no directory domains/{domain}",
        "it is made when the first mail arrives; XMail cannot add accounts",
        "",
        "Create it (--fix does).";
    AccountDirectoryMissing { directory: Text } = "TAB203" "account-directory-missing" Warning,
        "the account has no directory {directory}",
        "it is made when the first mail arrives; if there was one, its mail is gone",
        "",
        "Restore it from a backup, or create it (--fix does).";
    AccountRowMissing {} = "TAB204" "account-row-missing" Warning,
        "is no account's directory",
        "nobody can read the mail in it",
        "a row of mailusers.tab that names the directory in column 5",
        "Add the row, or archive and remove the directory.";
    DomainRowMissing {} = "TAB205" "domain-row-missing" Warning,
        "is the directory of no domain",
        "what is in it is not served",
        "a row of domains.tab; the directory's name is in lower case",
        "Add the domain, or archive and remove the directory.";
    NoMailbox {} = "TAB206" "no-mailbox" Warning,
        "has neither Maildir nor mailbox",
        "it is made when the first mail arrives; until then POP3 shows no mail",
        "Maildir with tmp, new and cur; or mailbox",
        "Create Maildir/tmp, new and cur (--fix does).";
    TwoMailboxes { waiting: usize } = "TAB207" "two-mailboxes" Note,
        "has a Maildir and a mailbox, messages in the latter: {waiting}",
        "one of them is served, by the option -MM or -Mm; the other's mail is not shown",
        "one of the two",
        "Move the messages over; both hold one message per file.";
    ListWithoutMembers {} = "TAB208" "list-without-members" Error,
        "is a list without mlusers.tab",
        "mail to the list waits and is bounced in the end",
        "mlusers.tab with one member's address per line; empty for none",
        "Create the file.";
    UnknownFile { meant: Text } = "TAB209" "unknown-file" Warning,
        "is no file of a MailRoot; is {meant} meant?",
        "it is never read",
        "file names in lower case, as the manual writes them",
        "Rename it.";
    SpoolOrphan { state: &'static str } = "TAB210" "spool-orphan" Note,
        "belongs to no message ({state})",
        "it is removed when the server starts",
        "",
        "Nothing.";
    BadSpoolMessage { reason: Text } = "TAB211" "bad-spool-message" Error,
        "cannot be delivered: {reason}",
        "it is frozen at its next attempt",
        "five header lines and <<MAIL-DATA>>, then the message",
        "Look at the file: repair its first lines, or move it away.";
    FrozenMessages { count: usize } = "TAB212" "frozen-messages" Note,
        "has frozen messages: {count}",
        "they stay until an operator sends them again or removes them",
        "",
        "tabmail ctl ... froz, then frozsubmit or frozdel.";
    BadMessageId {} = "TAB213" "bad-message-id" Error,
        "does not begin with a number",
        "every message is refused: no number can be given to it",
        "a decimal number and a line end",
        "Write a number that is higher than those in the logs.";
    FailedDrop {} = "TAB214" "failed-drop" Warning,
        "was dropped into spool/local and is no message",
        "it was set aside; nobody is told",
        "mail from:<...>, rcpt to:<...>, an empty line, the message",
        "Correct it and move it back to spool/local, or remove it.";
    LinkLoop {} = "TAB215" "link-loop" Error,
        "is a symbolic link that leads nowhere",
        "what should be behind it cannot be read",
        "a link to something that exists",
        "Correct or remove the link.";

    // JDMail's extra files.
    HeldMail { count: usize } = "TAB220" "jdmail-held-mail" Warning,
        "holds mail that JDMail would send later: {count}",
        "Tabmail leaves them where they are; nothing is sent",
        "",
        "Send or delete them with JDMail before you change over, or move them to spool/local.";
    VirusScan {} = "TAB221" "jdmail-virus-scan" Warning,
        "asks for a virus scan that is not made by this file",
        "mail is not scanned because of it",
        "a filter in filters.in.tab or filters.post-data.tab",
        "Set up the scanner as a filter, then remove the file.";
    OtherMailPath { path: Text } = "TAB222" "jdmail-mail-path" Error,
        "MailBoxPath is set to {path}; Tabmail keeps mail in domains/",
        "mail in the other directory is not shown; new mail goes to domains/",
        "no MailBoxPath",
        "Move the mail back below domains/ and remove the variable.";
    Groups {} = "TAB223" "jdmail-groups" Note,
        "holds JDMail's groups, which Tabmail does not use",
        "their settings do not apply to the members",
        "",
        "Make them anew as groups/<domain>/<group>/members.tab and user.tab.";
    GroupMemberGone { name: Text } = "TAB224" "group-member-gone" Warning,
        "there is no account {name} in the domain",
        "the row does nothing",
        "the name of an account of the domain",
        "Remove the row, or create the account.";

    // Certificates, programs, permissions.
    ProgramMissing { program: Text } = "TAB301" "program-missing" Error,
        "there is no program {program}",
        "a filter lets the mail pass; external does nothing; a log-in is refused",
        "the absolute path of a program",
        "Install the program, or correct the path.";
    ProgramNotExecutable { program: Text } = "TAB302" "program-not-executable" Error,
        "{program} cannot be run: it is no executable file",
        "a filter lets the mail pass; external does nothing; a log-in is refused",
        "a file with the right to be executed; scripts need #! in their first line",
        "chmod +x, or correct the path.";
    ProgramRelative { program: Text } = "TAB303" "program-relative" Warning,
        "{program} is not an absolute path",
        "it is looked for in the directory the server was started in, never in PATH",
        "an absolute path",
        "Write the whole path.";
    ProgramWritable { program: Text } = "TAB304" "program-writable" Warning,
        "{program} can be changed by everybody",
        "whoever has an account on this machine can run anything as the mail server",
        "a program that only its owner can write",
        "chmod o-w.";
    HalfPair { other: &'static str } = "TAB310" "half-pair" Error,
        "there is no {other} beside it",
        "TLS is not offered",
        "server.cert and server.key together",
        "Put both files there; with neither, a self-signed pair is made.";
    BadCertificate { reason: Text } = "TAB311" "bad-certificate" Error,
        "cannot be used: {reason}",
        "a running server keeps its last good pair; one that starts does not offer TLS",
        "PEM: the server's certificate first, then its chain; the key unencrypted",
        "Write the file anew.";
    PairMismatch {} = "TAB312" "pair-mismatch" Error,
        "is not the key of the certificate",
        "a running server keeps its last good pair; one that starts does not offer TLS",
        "the key the certificate was made for",
        "Install certificate and key of the same issue.";
    Expired { on: Text } = "TAB313" "certificate-expired" Error,
        "expired on {on}",
        "it is still shown; clients that check certificates refuse to connect",
        "a certificate that is valid now",
        "Renew it.";
    ExpiresSoon { on: Text, days: i64 } = "TAB314" "certificate-expires-soon" Warning,
        "expires on {on}, in {days} days",
        "from then on clients that check certificates refuse to connect",
        "",
        "Renew it.";
    NotYetValid { on: Text } = "TAB315" "certificate-not-yet-valid" Error,
        "is valid only from {on}",
        "clients that check certificates refuse to connect",
        "a certificate that is valid now",
        "Check this machine's clock, or install the right one.";
    NameNotCovered { name: Text, names: Text } = "TAB316" "certificate-name" Warning,
        "is not for {name}, but for {names}",
        "clients that check names refuse to connect by that name",
        "a certificate with the server's name (SmtpServerDomain, else RootDomain)",
        "Have the name put into the certificate.";
    OtherOwner { owner: u32, expected: u32 } = "TAB320" "other-owner" Warning,
        "belongs to user {owner}, the MailRoot to user {expected}",
        "a server that does not run as root may be unable to read or replace it",
        "the owner of the MailRoot",
        "chown it.";
    OpenRoot { mode: Text } = "TAB321" "open-root" Warning,
        "has mode {mode}: other users of this machine can look inside",
        "XMail writes files that everybody may read and relies on this directory to protect them",
        "mode 0700",
        "chmod 700 (--fix does).";
    ReadableSecret { mode: Text } = "TAB322" "readable-secret" Warning,
        "has mode {mode}: other users of this machine can read the passwords or keys in it",
        "passwords in XMail's encoding are readable text",
        "mode 0600",
        "chmod 600 (--fix does).";
    NotForItsOwner { mode: Text } = "TAB323" "not-for-its-owner" Warning,
        "has mode {mode}: its owner cannot read and write it",
        "a server that does not run as root can neither read nor edit it",
        "mode 0600, 0700 for directories",
        "chmod u+rw (--fix does).";
}
