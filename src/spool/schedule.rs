//! When a message is tried again (`mailflow.md` 2.5): a pure function of the attempts made.

/// `-Qt`, `-Qi`, `-Qr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    /// `-Qt`: seconds between the first attempt and the second.
    pub first_wait_secs: u64,
    /// `-Qi`: each wait is longer by this fraction of the one before; 0 keeps it constant.
    pub increment_ratio: u64,
    /// `-Qr`: after this many attempts the message expires.
    pub attempts_max: u32,
}

impl Default for RetryPlan {
    /// 480 s, 1/16, 32 attempts: 11.7 hours in all.
    fn default() -> Self {
        Self { first_wait_secs: 480, increment_ratio: 16, attempts_max: 32 }
    }
}

/// What happens after an attempt failed for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait this many seconds from the attempt's beginning.
    AfterSecs(u64),
    /// No attempt is left.
    Expired,
}

impl RetryPlan {
    /// What follows `attempts` attempts (1 = the first has just failed).
    pub fn after(&self, attempts: u32) -> Next {
        if attempts >= self.attempts_max { Next::Expired } else { Next::AfterSecs(self.wait_secs(attempts)) }
    }

    /// T(n): the wait after attempt `attempts`, in seconds. T(1) = first wait, T(n) = T(n-1) + T(n-1) / ratio.
    pub fn wait_secs(&self, attempts: u32) -> u64 {
        let step = |wait: u64| wait.saturating_add(wait.checked_div(self.increment_ratio).unwrap_or(0));
        // Attempts may come from a foreign slog; the wait grows to its cap long before this many.
        (1..attempts.min(ATTEMPTS_COUNTED_MAX)).fold(self.first_wait_secs, |wait, _| step(wait))
    }
}

/// Attempts beyond this many do not lengthen the wait further.
const ATTEMPTS_COUNTED_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_give_the_times_of_the_manual() {
        let plan = RetryPlan::default();
        let waits: Vec<_> = (1..=5).map(|n| plan.wait_secs(n)).collect();
        assert_eq!(waits, [480, 510, 541, 574, 609]);
        assert_eq!(plan.wait_secs(31), 2916);
        assert_eq!(plan.after(31), Next::AfterSecs(2916));
        assert_eq!(plan.after(32), Next::Expired);
    }

    #[test]
    fn ratio_zero_keeps_the_wait() {
        let plan = RetryPlan { first_wait_secs: 7, increment_ratio: 0, attempts_max: 3 };
        assert_eq!(plan.wait_secs(u32::MAX), 7);
    }
}
