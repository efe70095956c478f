//! Which plots there are, and what is on them.

use crate::{
    chart::{Axis, Chart, Group, Mark, Shape},
    results::{Comparison, Measure, Results, Spread},
};

pub(crate) const CPU_PER_DELIVERY: &str = "server CPU per delivery";
/// Who the others are compared with on a plot of several workloads.
const BASELINE: &str = "socketioxide";
/// The workloads that differ in how large a message is, and how many are in flight.
const HALL: &str = "hall-";
const SHAPES: [Shape; 3] = [Shape::Circle, Shape::Square, Shape::Triangle];

/// All that there are results for.
pub(crate) fn all(results: &Results) -> Vec<Chart> {
    let (halls, others): (Vec<_>, Vec<_>) = of_deliveries(results)
        .into_iter()
        .partition(|(workload, _)| workload.key.starts_with(HALL));
    [cpu_of_halls(&halls), cpu_of_others(&others), latency(results), memory(results)]
        .into_iter()
        .flatten()
        .collect()
}

/// The workloads that have deliveries, and what these cost compared with the transport alone.
pub(crate) fn of_deliveries(results: &Results) -> Vec<(&Comparison, &Measure)> {
    let workloads = results.comparisons.iter().filter(|workload| workload.baseline == BASELINE);
    workloads
        .filter_map(|workload| {
            let cpu = workload.measures.iter().find(|measure| measure.name == CPU_PER_DELIVERY);
            Some((workload, cpu?))
        })
        .collect()
}

fn cpu_of_halls(workloads: &[(&Comparison, &Measure)]) -> Option<Chart> {
    let marks = workloads.iter().enumerate().map(|(index, (workload, _))| {
        let parts = workload.key[HALL.len()..].split_once('-');
        let label = parts.map_or_else(String::new, |(in_flight, size)| {
            let size =
                size.strip_suffix('k').map_or(format!("{size} B"), |size| format!("{size} KB"));
            format!("{in_flight} × {size}")
        });
        // One message in flight is beside four of the same size.
        Mark { label, shape: SHAPES[index / 2 % SHAPES.len()], hollow: index % 2 == 1 }
    });
    Some(Chart {
        name: "cpu-hall",
        title: "CPU time of a delivery in a room of 1,000".to_owned(),
        note: Some("Messages in flight × size of each.".to_owned()),
        axis: Axis::Times(BASELINE.to_owned()),
        marks: marks.collect(),
        groups: ratios(workloads)?,
    })
}

fn cpu_of_others(workloads: &[(&Comparison, &Measure)]) -> Option<Chart> {
    let labels = workloads.iter().map(|(Comparison { key, title, .. }, _)| {
        format!("{key}: {}", title.split_once(", ").map_or(&**title, |(rooms, _)| rooms))
    });
    Some(Chart {
        name: "cpu-others",
        title: "CPU time of a delivery in many small rooms".to_owned(),
        note: None,
        axis: Axis::Times(BASELINE.to_owned()),
        marks: marks(labels),
        groups: ratios(workloads)?,
    })
}

fn latency(results: &Results) -> Option<Chart> {
    let workload = results.comparisons.iter().find(|workload| workload.key == "game")?;
    let measures: Vec<&Measure> = workload.measures.iter().filter(|one| one.unit == "ms").collect();
    let labels =
        measures.iter().map(|measure| measure.name.trim_start_matches("latency, ").to_owned());
    Some(Chart {
        name: "latency",
        title: "Latency of a delivery under a steady load".to_owned(),
        note: Some(format!("{}.", workload.title)),
        axis: Axis::Logarithmic("ms".to_owned()),
        marks: marks(labels),
        groups: groups(measures.first()?, |contender| {
            measures.iter().map(|measure| measure.figures(contender)).collect()
        }),
    })
}

fn memory(results: &Results) -> Option<Chart> {
    let workload = results.comparisons.iter().find(|workload| workload.key == "idle")?;
    let measure = workload.measures.first()?;
    Some(Chart {
        name: "memory",
        title: "Memory of an idle connection".to_owned(),
        note: Some(format!("{}.", workload.title)),
        axis: Axis::FromZero(measure.unit.clone()),
        marks: marks([measure.name.clone()]),
        groups: groups(measure, |contender| vec![measure.figures(contender)]),
    })
}

/// A shape for each.
fn marks(labels: impl IntoIterator<Item = String>) -> Vec<Mark> {
    let shapes = SHAPES.into_iter().cycle();
    labels
        .into_iter()
        .zip(shapes)
        .map(|(label, shape)| Mark { label, shape, hollow: false })
        .collect()
}

/// Everybody's shares of the baseline; whoever is first has all of the workloads' contenders.
fn ratios(workloads: &[(&Comparison, &Measure)]) -> Option<Vec<Group>> {
    let (_, first) = workloads.first()?;
    let mut groups = groups(first, |contender| {
        workloads.iter().map(|(_, cpu)| cpu.ratio(contender, BASELINE)).collect()
    });
    // It is a line.
    groups.retain(|group| group.contender != BASELINE);
    Some(groups)
}

fn groups(measure: &Measure, points: impl Fn(&str) -> Vec<Option<Spread>>) -> Vec<Group> {
    let contenders = measure.rows.iter().map(|row| &row.contender);
    contenders
        .map(|contender| Group { contender: contender.clone(), points: points(contender) })
        .collect()
}
