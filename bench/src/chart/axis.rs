//! What points are measured against.

use std::ops::Range;

use crate::results::Spread;

pub(crate) enum Axis {
    /// Multiples of a contender's figure, on a logarithmic scale.
    Times(String),
    /// A unit, on a logarithmic scale.
    Logarithmic(String),
    /// A unit, on a linear scale that begins at zero.
    FromZero(String),
}

/// Where an axis has its values.
pub(super) struct Scale {
    /// The values that are numbered.
    pub(super) ticks: Vec<f64>,
    logarithmic: bool,
    range: Range<f64>,
    pixels: Range<i32>,
}

impl Axis {
    pub(super) fn title(&self) -> String {
        match self {
            Self::Times(baseline) => format!("multiples of {baseline} (logarithmic)"),
            Self::Logarithmic(unit) => format!("{unit} (logarithmic)"),
            Self::FromZero(unit) => unit.clone(),
        }
    }

    /// Has room for all of these.
    pub(super) fn scale<'a>(
        &self,
        spreads: impl Iterator<Item = &'a Spread>,
        pixels: Range<i32>,
    ) -> Scale {
        let range = self.range(spreads);
        let logarithmic = !matches!(self, Self::FromZero(_));
        Scale { ticks: self.ticks(&range), logarithmic, range, pixels }
    }

    fn range<'a>(&self, spreads: impl Iterator<Item = &'a Spread>) -> Range<f64> {
        let values = spreads.flat_map(|spread| [spread.least, spread.most]);
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        match self {
            _ if most == 0.0 => 0.5..2.0,
            Self::Times(_) => (least.min(1.0) / 1.1)..(most.max(1.0) * 1.1),
            Self::Logarithmic(_) => (least / 1.1)..(most * 1.1),
            // The figures are written beside the marks.
            Self::FromZero(_) => 0.0..(most * 1.3),
        }
    }

    /// Round numbers in a range, as many as can be read.
    fn ticks(&self, range: &Range<f64>) -> Vec<f64> {
        let decade = |value: f64| value.log10().floor() as i32;
        if let Self::FromZero(_) = self {
            let size = 10_f64.powi(decade(range.end));
            let step = match range.end / size {
                ..2.0 => 0.2,
                ..5.0 => 0.5,
                _ => 1.0,
            };
            let ticks = (0_u8..10).map(|n| f64::from(n) * step * size);
            return ticks.filter(|tick| range.contains(tick)).collect();
        }
        let steps: &[f64] = match range.end / range.start {
            ..12.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            ..50.0 => &[1.0, 2.0, 5.0],
            ..500.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        (decade(range.start)..=decade(range.end))
            .flat_map(|exponent| steps.iter().map(move |step| step * 10_f64.powi(exponent)))
            .filter(|tick| range.contains(tick))
            .collect()
    }
}

impl Scale {
    pub(super) fn place(&self, value: f64) -> i32 {
        let place = |value: f64| if self.logarithmic { value.ln() } else { value };
        let (start, end) = (place(self.range.start), place(self.range.end));
        // A logarithmic scale has no zero.
        let share = ((place(value) - start) / (end - start)).clamp(0.0, 1.0);
        self.pixels.start + (self.pixels.len() as f64 * share).round() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number;

    fn ticks(axis: &Axis, range: &Range<f64>) -> Vec<String> {
        axis.ticks(range).into_iter().map(number::tick).collect()
    }

    #[test]
    fn one_is_always_in_sight_of_its_multiples() {
        let spread = Spread { median: 2.5, least: 2.2, most: 4.0 };
        let axis = Axis::Times("socketioxide".to_owned());
        let range = axis.range([spread].iter());
        assert!(range.contains(&1.0) && range.contains(&4.0), "{range:?}");
        assert_eq!(ticks(&axis, &range), ["1", "1.5", "2", "3"]);
    }

    #[test]
    fn the_wider_a_range_the_fewer_ticks_has_each_decade() {
        let axis = Axis::Logarithmic("ms".to_owned());
        assert_eq!(ticks(&axis, &(0.04..1.1)), ["0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(ticks(&axis, &(0.2..14.0)), ["0.3", "1", "3", "10"]);
        assert_eq!(ticks(&axis, &(0.5..900.0)), ["1", "10", "100"]);
    }

    #[test]
    fn as_many_times_is_as_far_on_a_logarithmic_scale() {
        let spread = Spread { median: 1.0, least: 0.5, most: 2.0 };
        let spreads = [spread];
        let place = |axis: &Axis, value| axis.scale(spreads.iter(), 100..300).place(value);
        let logarithmic = Axis::Logarithmic("ms".to_owned());
        assert_eq!(
            [0.5 / 1.1, 1.0, 2.0 * 1.1].map(|value| place(&logarithmic, value)),
            [100, 200, 300]
        );
        let linear = Axis::FromZero("KB".to_owned());
        assert_eq!([0.0, 1.3, 2.6].map(|value| place(&linear, value)), [100, 200, 300]);
    }

    #[test]
    fn ticks_from_zero_are_evenly_apart() {
        let axis = Axis::FromZero("KB".to_owned());
        assert_eq!(ticks(&axis, &(0.0..38.0)), ["0", "5", "10", "15", "20", "25", "30", "35"]);
        assert_eq!(ticks(&axis, &(0.0..12.0)), ["0", "2", "4", "6", "8", "10"]);
    }
}
