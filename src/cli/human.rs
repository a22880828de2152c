//! Sizes, times and shares as people write and read them; one parser and one printer each.

use std::time::Duration;

use crate::export::MaxDelete;

/// Why a text is no size, time or share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HumanError {
    /// No size.
    #[error("not a size; write 8MiB, 500kB, 1.5GiB or a number of bytes")]
    Size,
    /// A unit that people read in two ways.
    #[error("{unit:?} could mean 1000 or 1024; write {unit}iB or {unit}B")]
    Ambiguous {
        /// The unit as it was written.
        unit: String,
    },
    /// Outside of what is allowed.
    #[error("must be between {least} and {most}")]
    Range {
        /// The smallest that is allowed.
        least: String,
        /// The biggest that is allowed.
        most: String,
    },
    /// No time.
    #[error("not a time; write 500ms, 60s, 5m or 1h30m")]
    Time,
    /// No limit of deletes.
    #[error("not a limit; write a count (100) or a share (5%)")]
    MaxDelete,
}

const BINARY: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Reads a size in bytes: `8MiB`, `500kB`, `1.5GiB`, `4096`.
pub fn parse_size(text: &str) -> Result<u64, HumanError> {
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "m" | "g" | "t" => return Err(HumanError::Ambiguous { unit: unit.to_owned() }),
        _ => return Err(HumanError::Size),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or(HumanError::Size);
    }
    let number: f64 = number.parse().map_err(|_| HumanError::Size)?;
    let bytes = number * scale as f64;
    // Beyond 2^53 a float no longer holds single bytes; nobody writes such sizes with a point.
    if bytes.is_finite() && bytes < 9e15 {
        Ok(bytes.round() as u64)
    } else {
        Err(HumanError::Size)
    }
}

/// Reads a part size: what S3 allows, 5 MiB to 5 GiB.
pub fn parse_part_size(text: &str) -> Result<u64, HumanError> {
    within(parse_size(text)?, 5 << 20, 5 << 30, |bytes| show_size(*bytes))
}

/// Reads a rate in bytes per second: `10MiB` or `10MiB/s`; less than 64 KiB/s could not keep a connection alive.
pub fn parse_bandwidth(text: &str) -> Result<u64, HumanError> {
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text))?;
    within(bytes, 64 << 10, u64::MAX, |bytes| match *bytes {
        u64::MAX => "any rate".to_owned(),
        bytes => format!("{}/s", show_size(bytes)),
    })
}

/// Reads a time: `500ms`, `60s`, `5m`, `1h30m`, `2d`; only `0` needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, HumanError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let split = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or(HumanError::Time)?;
        let (number, tail) = rest.split_at(split);
        let end = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(HumanError::Time),
        };
        let number: u64 = number.parse().map_err(|_| HumanError::Time)?;
        let ms = number.checked_mul(unit_ms).ok_or(HumanError::Time)?;
        total = total.checked_add(Duration::from_millis(ms)).ok_or(HumanError::Time)?;
        rest = tail;
    }
    if text.is_empty() {
        Err(HumanError::Time)
    } else {
        Ok(total)
    }
}

/// Reads a time between two looks, or the limit of a command: as often as ten times a second, as rarely as once a day.
pub fn parse_interval(text: &str) -> Result<Duration, HumanError> {
    let bounds = (Duration::from_millis(100), Duration::from_secs(86_400));
    within(parse_duration(text)?, bounds.0, bounds.1, |time| show_duration(*time))
}

/// Reads `--lease-ttl`: under 10 s one slow request would lose the lease, over 1 h a dead run blocks for too long.
pub fn parse_lease_ttl(text: &str) -> Result<Duration, HumanError> {
    let bounds = (Duration::from_secs(10), Duration::from_secs(3_600));
    within(parse_duration(text)?, bounds.0, bounds.1, |time| show_duration(*time))
}

/// Reads `--max-delete N|P%`.
pub fn parse_max_delete(text: &str) -> Result<MaxDelete, HumanError> {
    match text.strip_suffix('%') {
        Some(share) => match share.parse::<f64>() {
            Ok(share) if (0.0..=100.0).contains(&share) => Ok(MaxDelete::Percent(share)),
            _ => Err(HumanError::MaxDelete),
        },
        None => text.parse().map(MaxDelete::Count).map_err(|_| HumanError::MaxDelete),
    }
}

fn within<T: PartialOrd + Copy>(value: T, least: T, most: T, show: impl Fn(&T) -> String) -> Result<T, HumanError> {
    if value < least || value > most {
        return Err(HumanError::Range {
            least: show(&least),
            most: show(&most),
        });
    }
    Ok(value)
}

/// Writes a size for people: three digits are enough to compare two of them.
pub fn show_size(bytes: u64) -> String {
    let mut unit = 0;
    let mut value = bytes as f64;
    // Without digits behind the point 1023.5 is written as 1024 already.
    let full = |unit: usize| if unit == 0 { 1024.0 } else { 1023.5 };
    while value >= full(unit) && unit + 1 < BINARY.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match (unit, value) {
        (0, _) => 0,
        (_, value) if value >= 100.0 || value.fract() == 0.0 => 0,
        (_, value) if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {}", BINARY[unit])
}

/// Writes a time for people.
pub fn show_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.subsec_millis() != 0 => format!("{}ms", time.as_millis()),
        0..10 if time.subsec_millis() != 0 => format!("{:.1}s", time.as_secs_f64()),
        0..60 => format!("{seconds}s"),
        60..3_600 if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Writes how many paths a policy left out, to follow other counts; nothing where that is not known.
pub fn show_skipped(skipped: Option<u64>) -> String {
    skipped.map_or_else(String::new, |skipped| format!(", skipped {}", show_number(skipped)))
}

/// Writes a count: `1`, `2,000`.
pub fn show_number(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a count with its noun: `1 object`, `2,000 objects`.
pub fn show_count(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", show_number(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4_096),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("8mib", 8 << 20),
            ("500kB", 500_000),
            ("1.5GiB", 3 << 29),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "-1",
            "8 apples",
            "1e9",
            "99999999999999TiB",
            "1.2.3MiB",
            "9999999.5TiB",
        ] {
            assert_eq!(parse_size(bad), Err(HumanError::Size), "{bad}");
        }
    }

    #[test]
    fn a_unit_that_reads_two_ways_is_refused_with_both() {
        let error = parse_size("8M").unwrap_err();
        assert_eq!(error.to_string(), "\"M\" could mean 1000 or 1024; write MiB or MB");
    }

    #[test]
    fn part_sizes_and_rates_outside_of_what_works_are_refused() {
        assert_eq!(parse_part_size("5MiB"), Ok(5 << 20));
        assert_eq!(
            parse_part_size("1MiB").unwrap_err().to_string(),
            "must be between 5 MiB and 5 GiB"
        );
        assert_eq!(parse_bandwidth("10MiB/s"), Ok(10 << 20));
        parse_bandwidth("1kB").unwrap_err();
    }

    #[test]
    fn times_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0),
            ("60s", 60),
            ("5m", 300),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1s500ms"), Ok(Duration::from_millis(1_500)));
        for bad in ["", "5", "s", "5 m", "-5s", "5y", "1.5h", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), Err(HumanError::Time), "{bad}");
        }
        assert_eq!(
            parse_lease_ttl("1s").unwrap_err().to_string(),
            "must be between 10s and 1h00m"
        );
    }

    #[test]
    fn limits_of_deletes_are_counts_or_shares() {
        assert_eq!(parse_max_delete("100"), Ok(MaxDelete::Count(100)));
        assert_eq!(parse_max_delete("2.5%"), Ok(MaxDelete::Percent(2.5)));
        for bad in ["", "%", "-1", "101%", "NaN%", "many"] {
            assert_eq!(parse_max_delete(bad), Err(HumanError::MaxDelete), "{bad}");
        }
    }

    #[test]
    fn what_is_printed_is_short() {
        assert_eq!(show_size(0), "0 B");
        assert_eq!(show_size(1_023), "1023 B");
        assert_eq!(show_size(8 << 20), "8 MiB");
        assert_eq!(show_size((8 << 20) + 500_000), "8.48 MiB");
        assert_eq!(show_size(1_023 << 10), "1023 KiB");
        assert_eq!(show_size((1 << 20) - 1), "1.00 MiB");
        assert_eq!(show_number(999), "999");
        assert_eq!(show_size(u64::MAX), "16777216 TiB");
        assert_eq!(show_duration(Duration::from_millis(34)), "34ms");
        assert_eq!(show_duration(Duration::from_millis(1_234)), "1.2s");
        assert_eq!(show_duration(Duration::from_secs(75)), "1m15s");
        assert_eq!(show_duration(Duration::from_secs(90_000)), "25h00m");
        assert_eq!(show_count(1, "object"), "1 object");
        assert_eq!(show_count(1_234_567, "object"), "1,234,567 objects");
    }
}
