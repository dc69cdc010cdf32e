//! What a client that may not talk to us hears instead of the greeting (RFC 9051 7.1.5: BYE).

use crate::policy::admission::Unwelcome;

/// The whole line. UNAVAILABLE (RFC 5530) where trying later may help.
pub(super) fn refusal(unwelcome: Unwelcome) -> &'static [u8] {
    match unwelcome {
        Unwelcome::IpDenied => b"* BYE Server does not like Your IP\r\n",
        Unwelcome::TooBusy => b"* BYE [UNAVAILABLE] Server too busy, retry later\r\n",
        Unwelcome::LowMemory => b"* BYE [UNAVAILABLE] System low in virtual memory\r\n",
        Unwelcome::NoServerTab => b"* BYE [CONTACTADMIN] No server.tab\r\n",
        Unwelcome::NoServerDomain => b"* BYE [CONTACTADMIN] Unable to know server domain\r\n",
    }
}
