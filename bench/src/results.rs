//! What was measured.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// Everything that one run measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) comparisons: Vec<Comparison>,
}

/// One workload, with the results of all contenders.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) key: String,
    /// Title of the workload.
    pub(crate) title: String,
    /// The contender that the others are compared with.
    pub(crate) baseline: String,
    pub(crate) measures: Vec<Measure>,
}

/// One metric, with the values of all contenders.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// `"server CPU per delivery"`.
    pub(crate) name: String,
    /// `"µs"`.
    pub(crate) unit: String,
    /// Whether more is better. Otherwise less is.
    pub(crate) more_is_better: bool,
    pub(crate) rows: Vec<Row>,
}

/// One contender's figures, one for each round; all contenders take their turn in each round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) contender: String,
    pub(crate) values: Vec<f64>,
}

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Measure {
    /// A contender's figures.
    pub(crate) fn figures(&self, contender: &str) -> Option<Spread> {
        Spread::of(self.values(contender)?.to_vec())
    }

    /// Ratio to the baseline, per round: conditions differ between rounds and are the same within one.
    pub(crate) fn ratio(&self, contender: &str, baseline: &str) -> Option<Spread> {
        let pairs = self.values(contender)?.iter().zip(self.values(baseline)?);
        Spread::of(
            pairs.filter(|(_, base)| **base > 0.0).map(|(value, base)| value / base).collect(),
        )
    }

    fn values(&self, contender: &str) -> Option<&[f64]> {
        let row = self.rows.iter().find(|row| row.contender == contender)?;
        Some(&row.values)
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = |from: usize| values.get(from).copied().unwrap_or(least);
        let median = f64::midpoint(middle((values.len() - 1) / 2), middle(values.len() / 2));
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let row = |contender: &str, values: &[f64]| Row {
            contender: contender.into(),
            values: values.into(),
        };
        let rows = vec![row("base", &[1.0, 10.0, 2.0]), row("other", &[2.0, 10.0, 6.0])];
        let measure =
            Measure { name: "CPU".into(), unit: "µs".into(), more_is_better: false, rows };
        let spread = Spread { median: 2.0, least: 1.0, most: 3.0 };
        assert_eq!(measure.ratio("other", "base"), Some(spread));
        assert_eq!(measure.figures("base"), Some(Spread { median: 2.0, least: 1.0, most: 10.0 }));
        assert_eq!(measure.ratio("other", "nobody"), None);
    }
}
