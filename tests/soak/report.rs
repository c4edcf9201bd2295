//! What is said of a whole run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::figures::median;

use crate::content::Ledger;
use crate::faults::FaultKind;
use crate::picture;
use crate::samples::{Curve, Sample, processor_use, sixth};
use crate::stage::Stage;
use crate::tally::{LoadKind, Tally};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// What is known once the load has ended.
pub(crate) struct Report {
    began: Instant,
    duration: Duration,
    /// Of each run, with its descriptors at rest before and after.
    curves: Vec<(Arc<Curve>, usize, usize)>,
    logins: usize,
}

/// How far it is, in a line.
pub(crate) fn progress(stage: &Stage, began: Instant) -> String {
    let sum = |figure: fn(&crate::tally::LoadSum) -> u64| -> u64 {
        LoadKind::ALL.iter().map(|kind| figure(&stage.tally.sum(*kind))).sum()
    };
    let latest: Vec<String> = stage
        .runs
        .iter()
        .filter_map(|run| run.curve.samples().last().copied())
        .map(|last| format!("{:.1} MiB {} descriptors", last.memory / 1024.0, last.descriptors))
        .collect();
    format!(
        "{:.0} min: {} things done, {} failed in a fault, {:.0} MiB compared, {} faults, {} complaints; {}",
        began.elapsed().as_secs_f64() / 60.0,
        sum(|sum| sum.good),
        sum(|sum| sum.excused),
        sum(|sum| sum.octets) as f64 / MEBIBYTE,
        stage.tally.faults().len(),
        stage.tally.complaints(),
        latest.join(", "),
    )
}

impl Report {
    pub(crate) fn of(stage: &Stage, began: Instant, duration: Duration) -> Self {
        let curve = |run: &crate::stage::PluginRun| {
            let now = crate::samples::descriptors(run.curve.pid).unwrap_or_default();
            (Arc::clone(&run.curve), run.at_rest, now)
        };
        Self { began, duration, curves: stage.runs.iter().map(curve).collect(), logins: stage.user.plugin_runs() }
    }

    /// Judges, prints and draws. Gives whether all is well.
    pub(crate) fn finish(&self, tally: &Tally, ledger: &Ledger) -> bool {
        for complaint in ledger.complaints() {
            tally.complain(complaint);
        }
        for number in ledger.posted_twice() {
            tally.complain(format!("POST {number} reached the app more than once"));
        }
        for (curve, ..) in &self.curves {
            curve.judge(&self.within(curve), tally);
        }
        self.print_load(tally);
        self.print_faults(tally);
        self.print_curves();
        if std::env::var_os("SVCPROXY_RECORD").is_some() {
            self.draw(tally);
        }
        println!("\ncomplaints: {}", tally.complaints());
        tally.complaints() == 0
    }

    /// The samples under load.
    fn within(&self, curve: &Curve) -> Vec<Sample> {
        let end = self.began + self.duration;
        curve.samples().into_iter().filter(|sample| sample.at <= end).collect()
    }

    fn print_load(&self, tally: &Tally) {
        println!("\n{:.1} minutes\n", self.duration.as_secs_f64() / 60.0);
        println!("{:<36} {:>9} {:>16} {:>12}", "", "as sent", "failed in fault", "MiB");
        for kind in LoadKind::ALL {
            let sum = tally.sum(kind);
            let octets = sum.octets as f64 / MEBIBYTE;
            println!("{:<36} {:>9} {:>16} {octets:>12.1}", kind.name(), sum.good, sum.excused);
        }
        println!("\nThe oldest WebSocket was open for {:.1} minutes.", tally.oldest_socket() / 60.0);
    }

    fn print_faults(&self, tally: &Tally) {
        println!();
        let faults = tally.faults();
        for kind in FaultKind::ALL {
            println!("{:<36} {:>9}", kind.name(), faults.iter().filter(|(fault, _)| *fault == kind).count());
        }
        println!("{:<36} {:>9}", "credentials asked for", self.logins);
    }

    fn print_curves(&self) {
        let [memory, descriptors, threads, processor, rest] =
            ["memory, MiB", "descriptors", "threads", "processor, %", "descriptors at rest"];
        println!("\n{:<16} {memory:>16} {descriptors:>14} {threads:>10} {processor:>14} {rest:>20}", "");
        println!("{:<16} medians of the second and of the last sixth of the time; before and after", "");
        for (curve, before, after) in &self.curves {
            let samples = self.within(curve);
            let figure =
                |figure: fn(&Sample) -> f64, part: usize| median(sixth(&samples, part).iter().map(figure).collect());
            let pair = |taken: fn(&Sample) -> f64, by: f64, digits: usize| {
                let [early, late] = [1, 5].map(|part| figure(taken, part) / by);
                format!("{early:.digits$} → {late:.digits$}")
            };
            let used = [1, 5].map(|part| median(processor_use(sixth(&samples, part))));
            println!(
                "{:<16} {:>16} {:>14} {:>10} {:>14} {:>20}",
                curve.name,
                pair(|sample| sample.memory, 1024.0, 1),
                pair(|sample| sample.descriptors, 1.0, 0),
                pair(|sample| sample.threads, 1.0, 0),
                format!("{:.1} → {:.1}", used[0], used[1]),
                format!("{before} → {after}"),
            );
        }
    }

    fn draw(&self, tally: &Tally) {
        let seconds = |at: Instant| at.saturating_duration_since(self.began).as_secs_f64();
        let runs: Vec<_> = self.curves.iter().map(|(curve, ..)| (curve.name, self.within(curve))).collect();
        let faults: Vec<_> = tally.faults().into_iter().map(|(kind, at)| (kind, seconds(at))).collect();
        let text = picture::draw(&runs, &faults, self.began, self.duration);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/soak.svg");
        std::fs::write(&file, text).unwrap();
        println!("\nDrawn: {}", file.display());
    }
}
