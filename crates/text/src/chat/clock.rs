//! `strftime_now`: the date that some templates write into the system turn.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Seconds since 1970, in UTC.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment in the format of C's `strftime`, in UTC and English; the code of a conversion that is
/// not known here, if there is one.
pub(super) fn strftime(seconds: u64, format: &str) -> Result<String, char> {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], index: u64| names[index as usize];
    let (weekday, month_name) = (name(&DAYS, days % 7), name(&MONTHS, month - 1));
    let half = match hour % 12 {
        0 => 12,
        hour => hour,
    };
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut code = characters.next().ok_or('%')?;
        let unpadded = code == '-';
        if unpadded {
            code = characters.next().ok_or('-')?;
        }
        let width = if unpadded { 1 } else { 2 };
        let number = match code {
            'd' => day,
            'm' => month,
            'y' => year % 100,
            'H' => hour,
            'I' => half,
            'M' => minute,
            'S' => second,
            _ => {
                match code {
                    'Y' => write!(text, "{year:04}"),
                    'B' => write!(text, "{month_name}"),
                    'b' => write!(text, "{}", &month_name[..3]),
                    'A' => write!(text, "{weekday}"),
                    'a' => write!(text, "{}", &weekday[..3]),
                    'p' => write!(text, "{}", if hour < 12 { "AM" } else { "PM" }),
                    'F' => write!(text, "{year:04}-{month:02}-{day:02}"),
                    'T' => write!(text, "{hour:02}:{minute:02}:{second:02}"),
                    '%' => write!(text, "%"),
                    other => return Err(other),
                }
                // Writing to a string cannot fail.
                .unwrap_or_default();
                continue;
            }
        };
        let _ = write!(text, "{number:0width$}");
    }
    Ok(text)
}

/// Year, month and day of a number of days since 1970 in the Gregorian calendar. The year is taken
/// to begin in March, so that the leap day is its last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values are those of `date -u`.
    #[test]
    fn dates_as_strftime_writes_them() {
        let all = "%A %a %d %-d %B %b %m %-m %Y %y %H:%M:%S %I %p %F %T %%";
        let on = |seconds| strftime(seconds, all);
        let expected = "Thursday Thu 01 1 January Jan 01 1 1970 70 00:00:00 12 AM 1970-01-01 \
                        00:00:00 %";
        assert_eq!(on(0).as_deref(), Ok(expected));
        let expected = "Thursday Thu 29 29 February Feb 02 2 2024 24 13:05:09 01 PM 2024-02-29 \
                        13:05:09 %";
        assert_eq!(on(1_709_211_909).as_deref(), Ok(expected));
        assert_eq!(strftime(951_782_400, "%F"), Ok("2000-02-29".to_owned()));
        assert_eq!(strftime(4_107_542_400, "%F %a"), Ok("2100-03-01 Mon".to_owned()));
        assert_eq!(strftime(0, "%Q"), Err('Q'));
        assert_eq!(strftime(0, "100%"), Err('%'));
    }
}
