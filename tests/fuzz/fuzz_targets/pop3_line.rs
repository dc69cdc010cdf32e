//! POP3 command lines: any bytes are a command or a syntax error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let _ = tabmail::pop3::command::parse(line);
});
