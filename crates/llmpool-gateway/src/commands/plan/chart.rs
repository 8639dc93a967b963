//! Rows of small bars.

/// What bars are made of, the lowest first.
#[derive(Clone, Copy)]
pub(super) struct Signs(&'static [char]);

const BLOCKS: Signs = Signs(&['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']);
const ASCII: Signs = Signs(&['.', ':', '-', '=', '+', '*', '#', '@']);

impl Signs {
    /// Blocks where text is UTF-8, else what every terminal has.
    pub(super) fn of_terminal() -> Self {
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
        if locale.is_some_and(is_utf8) {
            BLOCKS
        } else {
            ASCII
        }
    }

    /// A bar for each value, as high as its part of `top`; nothing for nothing.
    pub(super) fn row(self, values: impl Iterator<Item = f64>, top: f64) -> String {
        let highest = self.0.len() - 1;
        let bar = |value: f64| {
            let height = (value / top * highest as f64).round() as usize;
            if value > 0.0 {
                self.0[height.min(highest)]
            } else {
                ' '
            }
        };
        values.map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_values() {
        let values = [0.0, 0.1, 5.0, 10.0, 20.0];
        assert_eq!(BLOCKS.row(values.into_iter(), 10.0), " ▁▅██");
        assert_eq!(ASCII.row(values.into_iter(), 10.0), " .+@@");
        assert_eq!(ASCII.row([0.0, 0.0].into_iter(), 0.0), "  ");
    }
}
