//! Times of day as providers write them. All are rounded up to a second: an earlier one would invite a client too soon.

use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 3600;
const BEIJING: Duration = Duration::from_secs(8 * 3600);

/// As in `retry-after` and `date`: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds_up(time)))
}

/// `1994-11-06T08:49:37Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let (date, clock) = date_and_clock(unix_seconds_up(time));
    format!("{date}T{clock}Z")
}

/// `1994-11-06 16:49:37`, as a clock in China shows it.
pub(crate) fn beijing(time: SystemTime) -> String {
    let (date, clock) = date_and_clock(unix_seconds_up(time + BEIJING));
    format!("{date} {clock}")
}

fn unix_seconds_up(time: SystemTime) -> u64 {
    seconds_up(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn date_and_clock(unix_seconds: u64) -> (String, String) {
    let (year, month, day) = date(unix_seconds / DAY);
    let second = unix_seconds % DAY;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60),
    )
}

/// Year, month and day so many days after 1970-01-01. Years begin in March here, so that the leap day is their last.
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

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn a_moment_is_the_same_in_all_forms_and_never_early() {
        let moment = at(784_111_776, 1);
        assert_eq!(http_date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc3339(moment), "1994-11-06T08:49:37Z");
        assert_eq!(beijing(moment), "1994-11-06 16:49:37");
        assert_eq!(rfc3339(at(784_111_777, 0)), "1994-11-06T08:49:37Z");
    }

    /// Against the library that the other form comes from, over leap years and centuries.
    #[test]
    fn every_day_is_the_one_that_http_dates_say() {
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
