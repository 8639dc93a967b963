//! Bar charts of calls over time, as wide as the terminal.

use std::time::Duration;

use llmpool::forecast::Forecast;

use super::limit_labels::{per_second, seconds};
use crate::terminal::Screen;

/// Width of the text next to the bars, in terminal columns.
const TEXT_COLUMNS: usize = 36;
/// Width of a chart with its text, in columns, if the width of the output is unknown, for example in a pipe.
const DEFAULT_COLUMNS: u16 = 80;

/// Draws a chart in which each row of bars shows one quantity over time, such as the rejected calls.
#[derive(Clone, Copy)]
pub(super) struct Chart {
    bars: BarChars,
    /// The number of bars in a row.
    width: usize,
}

/// The characters for bars of increasing height, lowest first.
type BarChars = &'static [char];

const BLOCKS: BarChars = &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: BarChars = &['.', ':', '-', '=', '+', '*', '#', '@'];

/// The calls in one time interval of a forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interval {
    /// Start of the interval, in seconds since the start of the forecast.
    pub(super) start: f64,
    /// Length of the interval, in seconds.
    pub(super) length: f64,
    pub(super) offered: u64,
    pub(super) served: u64,
    pub(super) rejected: u64,
    pub(super) longest_wait: Duration,
}

type CallCount = fn(&Interval) -> u64;

/// Divides the forecast into `count` intervals, or fewer if the forecast has fewer time bins.
pub(super) fn intervals(forecast: &Forecast, count: usize) -> Vec<Interval> {
    let bins = &forecast.bins;
    let count = count.min(bins.len());
    let bin_length = forecast.span.as_secs_f64() / bins.len().max(1) as f64;
    let interval = |index: usize| {
        let (first, end) = (index * bins.len() / count, (index + 1) * bins.len() / count);
        let empty = Interval {
            start: first as f64 * bin_length,
            length: (end - first) as f64 * bin_length,
            ..Interval::default()
        };
        bins[first..end].iter().fold(empty, |sum, bin| Interval {
            offered: sum.offered + bin.offered,
            served: sum.served + bin.admitted,
            rejected: sum.rejected + bin.rejected,
            longest_wait: sum.longest_wait.max(bin.longest_wait),
            ..sum
        })
    };
    (0..count).map(interval).collect()
}

impl Chart {
    /// Creates a chart for the width of the screen. Draws bars with block characters in a UTF-8 locale,
    /// otherwise with ASCII characters.
    pub(super) fn new(screen: Screen) -> Self {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let is_utf8 = |locale: String| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        let columns = screen.width.unwrap_or(DEFAULT_COLUMNS);
        Self {
            bars: if locale.is_some_and(is_utf8) {
                BLOCKS
            } else {
                ASCII
            },
            width: usize::from(columns).saturating_sub(TEXT_COLUMNS).clamp(10, 120),
        }
    }

    /// Draws four rows: the offered, the served and the rejected calls per second, all three on the same
    /// scale, and the longest wait of the served calls. Leaves out rows in which every value is zero.
    pub(super) fn draw(self, forecast: &Forecast) -> String {
        let intervals = intervals(forecast, self.width);
        let rate = |calls: u64, interval: &Interval| calls as f64 / interval.length;
        let rates = |count: CallCount| {
            intervals
                .iter()
                .map(move |interval| rate(count(interval), interval))
        };
        let max = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let series: [(&str, CallCount); 3] = [
            ("offered", |interval| interval.offered),
            ("served", |interval| interval.served),
            ("rejected", |interval| interval.rejected),
        ];
        let top = max(&mut series.iter().flat_map(|(_, count)| rates(*count)));
        let mut rows = String::new();
        for (name, count) in series {
            let highest = max(&mut rates(count));
            if highest > 0.0 {
                rows += &self.row(name, rates(count), top, &per_second(highest));
            }
        }
        let waits = intervals
            .iter()
            .map(|interval| interval.longest_wait.as_secs_f64());
        let longest = max(&mut waits.clone());
        if longest > 0.0 {
            let label = seconds(Duration::from_secs_f64(longest));
            rows += &self.row("longest wait", waits, longest, &label);
        }
        rows
    }

    fn row(self, name: &str, values: impl Iterator<Item = f64>, top: f64, highest: &str) -> String {
        format!("{name:<12} {}  up to {highest}\n", self.bars(values, top))
    }

    /// Returns one character for each value: a space for zero, otherwise a bar. A value of `top` or more gets
    /// the highest bar.
    fn bars(self, values: impl Iterator<Item = f64>, top: f64) -> String {
        let highest = self.bars.len() - 1;
        let bar = |value: f64| {
            let height = (value / top * highest as f64).round() as usize;
            if value > 0.0 {
                self.bars[height.min(highest)]
            } else {
                ' '
            }
        };
        values.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use llmpool::forecast::TimeBin;

    use super::*;

    const fn chart(bars: BarChars, width: usize) -> Chart {
        Chart { bars, width }
    }

    #[test]
    fn bar_height_is_proportional_to_the_value() {
        let values = [0.0, 0.1, 5.0, 10.0, 20.0];
        assert_eq!(chart(BLOCKS, 5).bars(values.into_iter(), 10.0), " ▁▅██");
        assert_eq!(chart(ASCII, 5).bars(values.into_iter(), 10.0), " .+@@");
        assert_eq!(chart(ASCII, 2).bars([0.0, 0.0].into_iter(), 0.0), "  ");
    }

    #[test]
    fn intervals_cover_all_time_bins() {
        let bin = |index: u64| TimeBin {
            offered: index,
            admitted: 1,
            rejected: 0,
            longest_wait: Duration::from_secs(index),
        };
        let forecast = Forecast {
            span: Duration::from_secs(20),
            bins: (0..10).map(bin).collect(),
            ..Forecast::default()
        };
        let three = intervals(&forecast, 3);
        assert_eq!(
            three.iter().map(|interval| interval.offered).collect::<Vec<_>>(),
            [3, 12, 30]
        );
        assert_eq!(
            three.iter().map(|interval| interval.start).collect::<Vec<_>>(),
            [0.0, 6.0, 12.0]
        );
        assert_eq!(three[2].longest_wait, Duration::from_secs(9));
        assert_eq!(intervals(&forecast, 99).len(), 10);
        let drawn = "offered      :+@  up to 3.8/s\nserved       :::  up to 0.5/s\n\
                     longest wait -+@  up to 9.00 s\n";
        assert_eq!(chart(ASCII, 3).draw(&forecast), drawn);
    }
}
