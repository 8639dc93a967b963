//! Rows of small bars, as wide as the terminal.

use std::time::Duration;

use llmpool::forecast::Forecast;

use super::words::{a_second, seconds};
use crate::terminal::Screen;

/// What stands beside the bars, in columns.
const BESIDE: usize = 36;

/// How bars are drawn.
#[derive(Clone, Copy)]
pub(super) struct Chart {
    signs: Signs,
    /// Of a row, in columns.
    width: usize,
}

/// What bars are made of, the lowest first.
type Signs = &'static [char];

const BLOCKS: Signs = &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: Signs = &['.', ':', '-', '=', '+', '*', '#', '@'];

/// What became of calls in a part of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Part {
    /// When it begins, in seconds.
    pub(super) at: f64,
    /// How long it is, in seconds.
    pub(super) length: f64,
    pub(super) offered: u64,
    pub(super) served: u64,
    pub(super) shed: u64,
    pub(super) longest_wait: Duration,
}

type Count = fn(&Part) -> u64;

/// The span of a forecast in so many parts.
pub(super) fn parts(forecast: &Forecast, count: usize) -> Vec<Part> {
    let bins = &forecast.bins;
    let count = count.min(bins.len());
    let length = forecast.span.as_secs_f64() / bins.len().max(1) as f64;
    let part = |at: usize| {
        let (first, end) = (at * bins.len() / count, (at + 1) * bins.len() / count);
        let empty = Part {
            at: first as f64 * length,
            length: (end - first) as f64 * length,
            ..Part::default()
        };
        bins[first..end].iter().fold(empty, |part, bin| Part {
            offered: part.offered + bin.offered,
            served: part.served + bin.admitted,
            shed: part.shed + bin.rejected,
            longest_wait: part.longest_wait.max(bin.longest_wait),
            ..part
        })
    };
    (0..count).map(part).collect()
}

impl Chart {
    /// Blocks where text is UTF-8, else what every terminal has; as wide as the terminal, and as for 80 columns where there is none.
    pub(super) fn on(screen: Screen) -> Self {
        let set = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let is_utf8 = |locale: String| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        let columns = screen.width.unwrap_or(80);
        Self {
            signs: if locale.is_some_and(is_utf8) {
                BLOCKS
            } else {
                ASCII
            },
            width: usize::from(columns).saturating_sub(BESIDE).clamp(10, 120),
        }
    }

    /// What came, what got its turn and what was turned away, to one scale, and how long those waited who got their turn.
    pub(super) fn draw(self, forecast: &Forecast) -> String {
        let parts = parts(forecast, self.width);
        let rate = |calls: u64, part: &Part| calls as f64 / part.length;
        let rates = |of: Count| parts.iter().map(move |part| rate(of(part), part));
        let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let calls: [(&str, Count); 3] = [
            ("came", |part| part.offered),
            ("served", |part| part.served),
            ("turned away", |part| part.shed),
        ];
        let top = highest(&mut calls.iter().flat_map(|(_, of)| rates(*of)));
        let mut rows = String::new();
        for (name, of) in calls {
            let most = highest(&mut rates(of));
            if most > 0.0 {
                rows += &self.row(name, rates(of), top, &a_second(most));
            }
        }
        let waits = parts.iter().map(|part| part.longest_wait.as_secs_f64());
        let longest = highest(&mut waits.clone());
        if longest > 0.0 {
            rows += &self.row(
                "longest wait",
                waits,
                longest,
                &seconds(Duration::from_secs_f64(longest)),
            );
        }
        rows
    }

    fn row(self, name: &str, values: impl Iterator<Item = f64>, top: f64, most: &str) -> String {
        format!("{name:<12} {}  up to {most}\n", self.bars(values, top))
    }

    /// A bar for each value, as high as its part of `top`; nothing for nothing.
    fn bars(self, values: impl Iterator<Item = f64>, top: f64) -> String {
        let highest = self.signs.len() - 1;
        let bar = |value: f64| {
            let height = (value / top * highest as f64).round() as usize;
            if value > 0.0 {
                self.signs[height.min(highest)]
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

    const fn chart(signs: Signs, width: usize) -> Chart {
        Chart { signs, width }
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        let values = [0.0, 0.1, 5.0, 10.0, 20.0];
        assert_eq!(chart(BLOCKS, 5).bars(values.into_iter(), 10.0), " ▁▅██");
        assert_eq!(chart(ASCII, 5).bars(values.into_iter(), 10.0), " .+@@");
        assert_eq!(chart(ASCII, 2).bars([0.0, 0.0].into_iter(), 0.0), "  ");
    }

    #[test]
    fn pieces_become_parts_of_which_none_is_lost() {
        let bin = |at: u64| TimeBin {
            offered: at,
            admitted: 1,
            rejected: 0,
            longest_wait: Duration::from_secs(at),
        };
        let forecast = Forecast {
            span: Duration::from_secs(20),
            bins: (0..10).map(bin).collect(),
            ..Forecast::default()
        };
        let parts = parts(&forecast, 3);
        assert_eq!(
            parts.iter().map(|part| part.offered).collect::<Vec<_>>(),
            [3, 12, 30]
        );
        assert_eq!(
            parts.iter().map(|part| part.at).collect::<Vec<_>>(),
            [0.0, 6.0, 12.0]
        );
        assert_eq!(parts[2].longest_wait, Duration::from_secs(9));
        assert_eq!(super::parts(&forecast, 99).len(), 10);
        let drawn = "came         :+@  up to 3.8 a second\nserved       :::  up to 0.5 a second\n\
                     longest wait -+@  up to 9.00 s\n";
        assert_eq!(chart(ASCII, 3).draw(&forecast), drawn);
    }
}
