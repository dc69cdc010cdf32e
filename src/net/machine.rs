//! The machine we serve on: its name, and the memory it has left.

/// The host's name as the system has it (`uname -n`).
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Memory and swap that programs may still take, in bytes; `None` where the system does not tell. Reads a file.
pub fn free_memory_bytes() -> Option<u64> {
    parse_meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_meminfo(text: &str) -> Option<u64> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let available = kilobytes("MemAvailable")?;
    Some(available.saturating_add(kilobytes("SwapFree").unwrap_or(0)).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_from_the_system() {
        let text = "MemTotal: 9 kB\nMemAvailable:    5 kB\nSwapFree:  2 kB\n";
        assert_eq!(parse_meminfo(text), Some(7 * 1024));
        assert_eq!(parse_meminfo("MemTotal: 9 kB\n"), None);
    }
}
