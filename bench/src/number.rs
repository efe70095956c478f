//! How figures are written.

use crate::results::Spread;

/// A space at which no line ends.
const SPACE: char = '\u{a0}';

/// A figure and its unit, with as many digits as say something.
pub(crate) fn figure(value: f64, unit: &str) -> String {
    format!("{}{SPACE}{unit}", digits(value))
}

/// How many times something else it was, and how far that went in single rounds.
pub(crate) fn ratio(Spread { median, least, most }: Spread) -> String {
    format!("{}{SPACE}×{SPACE}({}–{})", times(median), times(least), times(most))
}

pub(crate) fn times(ratio: f64) -> String {
    let decimals = match ratio {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{ratio:.decimals$}")
}

/// What stands at an axis, and is round.
pub(crate) fn tick(value: f64) -> String {
    let digits = format!("{value:.6}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn digits(value: f64) -> String {
    match value {
        // Two of them, wherever they begin.
        value if value > 0.0 && value < 0.995 => {
            let decimals = 1 - value.log10().floor() as i32;
            format!("{value:.*}", decimals.unsigned_abs() as usize)
        }
        ..99.95 => format!("{value:.1}"),
        ..999.5 => format!("{value:.0}"),
        _ => {
            let unit = 10_f64.powi(value.log10().floor() as i32 - 2);
            count(((value / unit).round() * unit) as usize)
        }
    }
}

/// A number of things: `12,345`.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_say_something() {
        for (value, written) in [
            (0.0, "0.0"),
            (0.049_119, "0.049"),
            (0.345, "0.34"),
            (0.999, "1.0"),
            (6.87, "6.9"),
            (28.94, "28.9"),
            (99.96, "100"),
            (811.05, "811"),
            (999.6, "1,000"),
            (9_415.3, "9,420"),
            (98_765.4, "98,800"),
            (1_234_567.0, "1,230,000"),
        ] {
            assert_eq!(digits(value), written, "{value}");
        }
        assert_eq!(figure(6.87, "µs"), "6.9\u{a0}µs");
    }

    #[test]
    fn ratios_have_two_decimals_until_they_are_large() {
        let spread = Spread { median: 1.049, least: 0.984, most: 12.34 };
        assert_eq!(ratio(spread), "1.05\u{a0}×\u{a0}(0.98–12.3)");
        assert_eq!(times(123.4), "123");
    }

    #[test]
    fn ticks_have_no_digits_that_do_not_matter() {
        let ticks = [0.5, 1.0, 0.1 * 7.0, 1.5, 20.0, 1_000.0].map(tick);
        assert_eq!(ticks, ["0.5", "1", "0.7", "1.5", "20", "1000"]);
    }
}
