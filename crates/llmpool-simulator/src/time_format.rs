//! Formats dates and durations as providers do.
//!
//! Invariant: a formatted time is never earlier than the given time, so a client that waits until the
//! formatted time does not retry too soon.

use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 3600;
const BEIJING: Duration = Duration::from_secs(8 * 3600);

/// Formats a time as an HTTP date, rounded up to a whole second, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds_up(time)))
}

/// Formats a time as an RFC 3339 date in UTC, rounded up to a whole second, such as `1994-11-06T08:49:37Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let (date, clock) = date_and_clock(unix_seconds_up(time));
    format!("{date}T{clock}Z")
}

/// Formats a time as the date and time of day in Beijing (UTC+8), rounded up to a whole second, such as
/// `1994-11-06 16:49:37`.
pub(crate) fn beijing(time: SystemTime) -> String {
    let (date, clock) = date_and_clock(unix_seconds_up(time + BEIJING));
    format!("{date} {clock}")
}

fn unix_seconds_up(time: SystemTime) -> u64 {
    seconds_up(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Returns the number of whole seconds in `span`, rounded up.
pub(crate) fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Formats a duration in the notation of Go, rounded up to whole milliseconds: `1h2m3s`, `6m0s`, `7.66s`,
/// `20ms`, `0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1000 % 60, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn date_and_clock(unix_seconds: u64) -> (String, String) {
    let (year, month, day) = date(unix_seconds / DAY);
    let second = unix_seconds % DAY;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60),
    )
}

/// Returns the year, month and day of the date `days` days after 1970-01-01. The calculation uses years that
/// begin in March, so that a leap day is the last day of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let from_march_of_0 = days + 719_468;
    let day_of_era = from_march_of_0 % DAYS_OF_400_YEARS;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = from_march_of_0 / DAYS_OF_400_YEARS * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_round_up_to_milliseconds() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1000, "1s"),
            (7660, "7.66s"),
            (10_000, "10s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(go_duration(Duration::from_nanos(1)), "1ms");
    }

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn all_formats_agree_and_round_up() {
        let moment = at(784_111_776, 1);
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(moment), "1994-11-06T08:49:37Z");
        assert_eq!(beijing(moment), "1994-11-06 16:49:37");
        assert_eq!(rfc3339(at(784_111_777, 0)), "1994-11-06T08:49:37Z");
    }

    /// Compares formatted dates with those of the `httpdate` crate over leap years and centuries.
    #[test]
    fn dates_match_httpdate() {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        for number in 0..150_000 {
            let (year, month, day) = date(number);
            let expected = format!("{day:02} {} {year} 00:00:00 GMT", MONTHS[month as usize - 1]);
            assert_eq!(http_date(at(number * DAY, 0))[5..], expected);
        }
    }
}
