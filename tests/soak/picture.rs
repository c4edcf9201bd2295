//! The curves as SVG, on dark and on light as the reader has it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::faults::FaultKind;
use crate::samples::{Sample, processor_use};

/// In pixels.
const WIDTH: f64 = 920.0;
const LEFT: f64 = 232.0;
const RIGHT: f64 = 14.0;
const CHART: f64 = 130.0;
const GAP: f64 = 38.0;
const TOP: f64 = 58.0;
const ROW: f64 = 17.0;
/// Points of a curve, at most.
const MAX_POINTS: usize = 180;

/// Ground, text, dim, and one colour for each run.
const DARK: [&str; 6] = ["#1d2027", "#d7dae0", "#8b93a1", "#5ad1e6", "#d68ae6", "#e6c35a"];
const LIGHT: [&str; 6] = ["#f6f7f9", "#1f2328", "#59636e", "#0b6478", "#8a2aa5", "#8a6100"];

fn colours([ground, text, dim, first, second, third]: [&str; 6]) -> String {
    let lines = [first, second, third].into_iter().enumerate();
    let lines: String = lines.map(|(at, colour)| format!(".c{at}{{stroke:{colour}}}.t{at}{{fill:{colour}}}")).collect();
    format!(".ground{{fill:{ground}}}text{{fill:{text}}}.d{{fill:{dim}}}.g{{stroke:{dim}}}.f{{stroke:{text}}}{lines}")
}

/// What one chart shows: its title, and the values of a run's samples.
type Chart = (&'static str, fn(&[Sample]) -> Vec<f64>);

const CHARTS: [Chart; 3] = [
    ("memory, MiB", |samples| samples.iter().map(|sample| sample.memory / 1024.0).collect()),
    ("descriptors", |samples| samples.iter().map(|sample| sample.descriptors).collect()),
    ("processor, % of a core", |samples| processor_use(samples)),
];

/// `runs` with their names; `faults` with the second in which each began.
pub(crate) fn draw(
    runs: &[(&str, Vec<Sample>)],
    faults: &[(FaultKind, f64)],
    began: Instant,
    duration: Duration,
) -> String {
    let rows = FaultKind::ALL.len() as f64;
    let height = TOP + CHARTS.len() as f64 * (CHART + GAP) + rows * ROW + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Memory, descriptors and processor time of kubectl svcproxy under load\">\n\
         <style>text{{font:13px system-ui,sans-serif}}.d{{font-size:12px}}.e{{text-anchor:end}}.m{{text-anchor:middle}}\
         path{{fill:none;stroke-width:1.4;stroke-linejoin:round}}line{{stroke-width:1}}.g{{stroke-opacity:.35}}\
         {}@media(prefers-color-scheme:light){{{}}}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" class=\"ground\"/>\n",
        colours(DARK),
        colours(LIGHT),
    );
    legend(&mut svg, runs);
    let span = duration.as_secs_f64();
    for (number, chart) in CHARTS.iter().enumerate() {
        draw_chart(&mut svg, TOP + number as f64 * (CHART + GAP), chart, runs, began, span);
    }
    let below = TOP + CHARTS.len() as f64 * (CHART + GAP);
    draw_faults(&mut svg, below, faults, span);
    draw_time(&mut svg, below + rows * ROW + 22.0, span);
    svg + "</svg>\n"
}

fn legend(svg: &mut String, runs: &[(&str, Vec<Sample>)]) {
    let mut x = LEFT;
    for (number, (name, _)) in runs.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"24\" y2=\"24\" class=\"c{number}\" style=\"stroke-width:3\"/>",
            x + 22.0
        );
        let _ = writeln!(svg, "<text x=\"{}\" y=\"28\" class=\"t{number}\">{name}</text>", x + 30.0);
        x += 60.0 + 8.0 * name.len() as f64;
    }
}

fn draw_chart(
    svg: &mut String,
    top: f64,
    (title, values): &Chart,
    runs: &[(&str, Vec<Sample>)],
    began: Instant,
    span: f64,
) {
    let curves: Vec<Vec<(f64, f64)>> =
        runs.iter().map(|(_, samples)| points(samples, values(samples), began)).collect();
    let highest = curves.iter().flatten().map(|(_, value)| *value).fold(1.0, f64::max);
    let step = step_of(highest);
    let most = (highest / step).ceil() * step;
    let y = |value: f64| top + CHART - value / most * CHART;
    let _ = writeln!(svg, "<text x=\"16\" y=\"{}\">{title}</text>", top + 12.0);
    let mut mark = 0.0;
    while mark <= most {
        let (x, end, y) = (LEFT, WIDTH - RIGHT, y(mark));
        let _ = writeln!(svg, "<line x1=\"{x}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"g\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" class=\"d e\">{mark}</text>", LEFT - 8.0, y + 4.0);
        mark += step;
    }
    for (number, curve) in curves.iter().enumerate() {
        let mut path = String::new();
        for (at, (second, value)) in curve.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x_of(*second, span), y(*value));
        }
        let _ = writeln!(svg, "<path d=\"{path}\" class=\"c{number}\"/>");
    }
}

/// Second and value, as many as are seen: of neighbours that fall together the one in the middle.
fn points(samples: &[Sample], values: Vec<f64>, began: Instant) -> Vec<(f64, f64)> {
    let later = &samples[samples.len() - values.len()..];
    let seconds = later.iter().map(|sample| sample.at.saturating_duration_since(began).as_secs_f64());
    let all: Vec<(f64, f64)> = seconds.zip(values).collect();
    let together = all.len().div_ceil(MAX_POINTS).max(1);
    let one = |group: &[(f64, f64)]| {
        let value = support::figures::median(group.iter().map(|(_, value)| *value).collect());
        (group[group.len() / 2].0, value)
    };
    all.chunks(together).map(one).collect()
}

fn x_of(second: f64, span: f64) -> f64 {
    LEFT + (second / span).min(1.0) * (WIDTH - LEFT - RIGHT)
}

/// A round number that goes three to six times into `highest`.
fn step_of(highest: f64) -> f64 {
    let power = 10_f64.powf((highest / 6.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps.into_iter().find(|step| highest / step <= 6.0).unwrap_or(highest)
}

fn draw_faults(svg: &mut String, top: f64, faults: &[(FaultKind, f64)], span: f64) {
    for (row, kind) in FaultKind::ALL.into_iter().enumerate() {
        let y = top + row as f64 * ROW;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" class=\"d e\">{}</text>", LEFT - 8.0, y + 10.0, kind.name());
        for (_, second) in faults.iter().filter(|(fault, _)| *fault == kind) {
            let x = x_of(*second, span);
            let _ =
                writeln!(svg, "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" class=\"f\"/>", y, y + 13.0);
        }
    }
}

fn draw_time(svg: &mut String, y: f64, span: f64) {
    let step = step_of(span / 60.0);
    let mut minute = 0.0;
    while minute * 60.0 <= span {
        let x = x_of(minute * 60.0, span);
        let unit = if minute == 0.0 { " min" } else { "" };
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"d m\">{minute}{unit}</text>");
        minute += step;
    }
}
