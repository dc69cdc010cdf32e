//! What a client that may not talk to us hears instead of the greeting (`mailflow.md` 9.1).

use super::reply::{Reply, number};
use crate::policy::admission::Unwelcome;

pub(super) fn refusal(unwelcome: Unwelcome) -> Reply {
    Reply::error_number(match unwelcome {
        Unwelcome::IpDenied => number::IP_DENIED,
        Unwelcome::TooBusy => number::TOO_BUSY,
        Unwelcome::NoServerTab => number::NO_SERVER_TAB,
        Unwelcome::LowMemory => number::LOW_MEMORY,
        Unwelcome::NoServerDomain => number::NO_SERVER_DOMAIN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unwelcome: Unwelcome, expected: &str) {
        let reply = refusal(unwelcome);
        assert_eq!(String::from_utf8_lossy(reply.as_bytes()), format!("-ERR {expected}\r\n"));
    }

    #[test]
    fn refusals_have_xmails_words() {
        check(Unwelcome::IpDenied, "Server does not like Your IP");
        check(Unwelcome::TooBusy, "Server too busy, retry later");
        check(Unwelcome::LowMemory, "System low in virtual memory");
        check(Unwelcome::NoServerDomain, "Unable to know server domain");
    }
}
