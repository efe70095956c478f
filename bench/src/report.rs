//! What people read of what was measured.

use std::{fmt::Write as _, fs, io, path::Path};

use crate::{
    chart::{DARK, Family, LIGHT},
    number::{figure, ratio, times},
    plot::{self, CPU_PER_DELIVERY},
    results::{Comparison, Measure, Results},
};

pub(crate) const PAGE: &str = "docs/benchmarks.md";
/// Where plots are, beside the page.
const PLOTS: &str = "benchmarks";
const BEGIN: &str = "<!-- results -->";
const END: &str = "<!-- /results -->";
const MADE: &str = "<!-- made by `cargo xtask bench`: what is changed by hand is lost -->";

/// One comparison, for a terminal.
pub(crate) fn table(comparison: &Comparison) -> String {
    let mut text = format!("{}: {}\n", comparison.key, comparison.title);
    for measure in &comparison.measures {
        writeln!(text, "  {}", heading(measure)).ok();
        for row in &measure.rows {
            let (value, ratio) = cells(comparison, measure, &row.contender);
            let name = &row.contender;
            writeln!(text, "{}", format!("    {name:<30}{value:>13}   {ratio}").trim_end()).ok();
        }
    }
    text
}

/// Writes the page's results, and the plots that it shows.
pub(crate) fn write(root: &Path, results: &Results) -> io::Result<()> {
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let page = replace(&page, &markdown(results))?;
    let folder = path.with_extension("");
    fs::create_dir_all(&folder)?;
    for chart in plot::all(results) {
        for palette in [LIGHT, DARK] {
            fs::write(folder.join(chart.file(&palette)), chart.svg(&palette)?)?;
        }
    }
    fs::write(path, page)
}

/// Puts other results between the marks of a page.
fn replace(page: &str, results: &str) -> io::Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        io::Error::other(format!(
            "{PAGE} has no place for results: write `{BEGIN}` and, below it, `{END}`"
        ))
    })?;
    Ok(format!("{before}{BEGIN}\n{MADE}\n\n{results}\n{END}{after}"))
}

/// All results, for the page.
fn markdown(results: &Results) -> String {
    let mut parts = Vec::new();
    if results.quick {
        parts.push(
            "**A quick run:** few rounds of short turns. Only large differences mean anything."
                .to_owned(),
        );
    }
    parts.extend(summary(results));
    parts.extend(plot::all(results).iter().map(|chart| {
        let (light, dark, alt) = (chart.file(&LIGHT), chart.file(&DARK), chart.alt());
        format!(
            "<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"{PLOTS}/{dark}\">\n  \
             <img src=\"{PLOTS}/{light}\" alt=\"{alt}\">\n</picture>"
        )
    }));
    parts.extend(results.comparisons.iter().map(workload));
    parts.push(machine(results));
    parts.join("\n\n")
}

/// What a delivery costs everybody's processors, in everything that has deliveries.
fn summary(results: &Results) -> Option<String> {
    let all = plot::of_deliveries(results);
    let (first, measure) = all.first()?;
    let mut text = format!("### A delivery's CPU time, in multiples of {}\n\n| |", first.baseline);
    for (Comparison { key, .. }, _) in &all {
        write!(text, " [{key}](#{key}) |").ok();
    }
    write!(text, "\n|---|{}", "--:|".repeat(all.len())).ok();
    for row in &measure.rows {
        write!(text, "\n| {} |", name(&row.contender)).ok();
        for (comparison, measure) in &all {
            let ratio = measure.ratio(&row.contender, &comparison.baseline);
            let ratio = match ratio {
                Some(_) if row.contender == comparison.baseline => "1".to_owned(),
                Some(ratio) => times(ratio.median),
                None => String::new(),
            };
            write!(text, " {ratio} |").ok();
        }
    }
    write!(text, "\n\nMedians of `{CPU_PER_DELIVERY}`. Less is better.").ok();
    Some(text)
}

fn workload(comparison: &Comparison) -> String {
    let Comparison { key, title, baseline, measures } = comparison;
    let rows = measures.first().map_or(&[][..], |measure| &measure.rows);
    let rounds = rows.first().map_or(0, |row| row.values.len());
    let mut text =
        format!("### {key}\n\n{title}. {rounds} rounds, compared with {baseline}.\n\n| |");
    for measure in measures {
        write!(text, " {} |", heading(measure)).ok();
    }
    write!(text, "\n|---|{}", "---|".repeat(measures.len())).ok();
    for row in rows {
        write!(text, "\n| {} |", name(&row.contender)).ok();
        for measure in measures {
            let (value, ratio) = cells(comparison, measure, &row.contender);
            let gap = if ratio.is_empty() { "" } else { " · " };
            write!(text, " {value}{gap}{ratio} |").ok();
        }
    }
    text
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    format!(
        "### The machine\n\n{}, {} processors. {}, {}, Node {}, Bun {}. {}.",
        machine.processor,
        machine.processors,
        machine.system,
        machine.rust,
        machine.node.trim_start_matches('v'),
        machine.bun,
        machine.libraries.join(", ")
    )
}

fn heading(measure: &Measure) -> String {
    let more = if measure.more_is_better { " (more is better)" } else { "" };
    format!("{}{more}", measure.name)
}

/// A contender's figure, and its ratio to the baseline, which has none itself.
fn cells(comparison: &Comparison, measure: &Measure, contender: &str) -> (String, String) {
    let value = measure.figures(contender).map(|figures| figure(figures.median, &measure.unit));
    let other = Some(&*comparison.baseline).filter(|baseline| *baseline != contender);
    let ratio = other.and_then(|baseline| measure.ratio(contender, baseline)).map(ratio);
    (value.unwrap_or_default(), ratio.unwrap_or_default())
}

/// A contender's name; Dialogue's stand out.
fn name(contender: &str) -> String {
    if Family::of(contender) == Family::Dialogue {
        format!("**{contender}**")
    } else {
        contender.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{machine::Machine, results::Row};

    fn measure(name: &str, unit: &str, more_is_better: bool, rows: &[(&str, [f64; 2])]) -> Measure {
        let row = |(contender, values): &(&str, [f64; 2])| Row {
            contender: (*contender).into(),
            values: values.into(),
        };
        Measure {
            name: name.into(),
            unit: unit.into(),
            more_is_better,
            rows: rows.iter().map(row).collect(),
        }
    }

    fn results() -> Results {
        let cpu = [("socketioxide", [6.0, 8.0]), ("Dialogue", [6.3, 7.2])];
        let rate = [("socketioxide", [98_765.0; 2]), ("Dialogue", [197_530.0; 2])];
        let measures = vec![
            measure(CPU_PER_DELIVERY, "µs", false, &cpu),
            measure("deliveries", "/s", true, &rate),
        ];
        let comparison = Comparison {
            key: "hall-1-64".into(),
            title: "One room of 1,000".into(),
            baseline: "socketioxide".into(),
            measures,
        };
        let machine = Machine {
            processor: "Some Processor".into(),
            processors: 4,
            system: "Linux 7.0".into(),
            rust: "rustc 1.95.0".into(),
            node: "v20.1.0".into(),
            bun: "1.4.5".into(),
            libraries: ["tokio 1.0.0", "zod 4.0.0"].map(String::from).into(),
        };
        Results { machine, quick: false, comparisons: vec![comparison] }
    }

    #[test]
    fn a_comparison_is_a_table_on_a_terminal() {
        let text = table(&results().comparisons[0]).replace('\u{a0}', " ");
        let lines = [
            "hall-1-64: One room of 1,000",
            "  server CPU per delivery",
            "    socketioxide                         7.0 µs",
            "    Dialogue                             6.8 µs   0.98 × (0.90–1.05)",
            "  deliveries (more is better)",
            "    socketioxide                      98,800 /s",
            "    Dialogue                         198,000 /s   2.00 × (2.00–2.00)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn results_are_tables_and_plots_on_the_page() {
        let text = markdown(&results()).replace('\u{a0}', " ");
        for part in [
            "| | [hall-1-64](#hall-1-64) |\n|---|--:|\n| socketioxide | 1 |\n| **Dialogue** | 0.98 |\n",
            "<img src=\"benchmarks/cpu-hall.svg\" alt=\"",
            "### hall-1-64\n\nOne room of 1,000. 2 rounds, compared with socketioxide.\n\n\
             | | server CPU per delivery | deliveries (more is better) |\n|---|---|---|\n\
             | socketioxide | 7.0 µs | 98,800 /s |\n\
             | **Dialogue** | 6.8 µs · 0.98 × (0.90–1.05) | 198,000 /s · 2.00 × (2.00–2.00) |\n",
            "Some Processor, 4 processors. Linux 7.0, rustc 1.95.0, Node 20.1.0, Bun 1.4.5. tokio 1.0.0, zod 4.0.0.",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        // There is no workload that these would show.
        assert!(!text.contains("memory") && !text.contains("quick"));
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n\n{BEGIN}\nold\n{END}\n\nafter\n");
        let once = replace(&page, "new").unwrap();
        assert_eq!(once, format!("before\n\n{BEGIN}\n{MADE}\n\nnew\n{END}\n\nafter\n"));
        assert_eq!(replace(&once, "new").unwrap(), once);
    }

    #[test]
    fn a_page_without_marks_is_told_what_it_needs() {
        for page in ["nothing", BEGIN, END, "<!-- /results --> <!-- results -->"] {
            let error = replace(page, "new").unwrap_err().to_string();
            assert!(error.contains(BEGIN) && error.contains(END), "{error}");
        }
    }
}
