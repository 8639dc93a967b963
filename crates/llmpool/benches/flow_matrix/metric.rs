//! What a run measures, and the bars that the results have to reach.

use crate::load::Failure;

/// The measured values of one run, in the order of the scenario's metrics.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) values: Vec<f64>,
    /// The first call that failed.
    pub(crate) failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Count,
    /// From 0 to 1.
    Index,
    Seconds,
    Factor,
}

/// Which values of a metric are good enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    high_is_good: bool,
    bound: Option<f64>,
    /// Whether the worst run has to reach the bar. Otherwise, the mean of the runs has to.
    in_each_run: bool,
}

impl Bar {
    /// No bar; low values are better.
    pub(crate) const LOW: Self = Self {
        high_is_good: false,
        bound: None,
        in_each_run: false,
    };
    /// No bar; high values are better.
    pub(crate) const HIGH: Self = Self {
        high_is_good: true,
        bound: None,
        in_each_run: false,
    };

    pub(crate) fn at_least(bound: f64) -> Self {
        Self {
            bound: Some(bound),
            ..Self::HIGH
        }
    }

    pub(crate) fn at_most(bound: f64) -> Self {
        Self {
            bound: Some(bound),
            ..Self::LOW
        }
    }

    pub(crate) fn in_each_run(self) -> Self {
        Self {
            in_each_run: true,
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) title: &'static str,
    unit: Unit,
    bar: Bar,
}

/// Mean and worst value of the runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Result {
    pub(crate) mean: f64,
    pub(crate) worst: f64,
}

impl Metric {
    pub(crate) fn new(title: &'static str, unit: Unit, bar: Bar) -> Self {
        Self { title, unit, bar }
    }

    pub(crate) fn result(&self, values: impl Iterator<Item = f64> + Clone) -> Result {
        let sum: f64 = values.clone().sum();
        let worst = if self.bar.high_is_good { f64::min } else { f64::max };
        Result {
            mean: sum / values.clone().count() as f64,
            worst: values.reduce(worst).unwrap(),
        }
    }

    /// Returns the bar as text if the result misses it.
    pub(crate) fn missed(&self, result: Result) -> Option<String> {
        let value = if self.bar.in_each_run {
            result.worst
        } else {
            result.mean
        };
        let bound = self.bar.bound?;
        let (is_missed, sign) = if self.bar.high_is_good {
            (value < bound, "≥")
        } else {
            (value > bound, "≤")
        };
        is_missed.then(|| format!("{} {sign} {}", self.title, self.bound_text(bound)))
    }

    pub(crate) fn text(&self, result: Result) -> String {
        format!(
            "{} ({})",
            self.value_text(result.mean),
            self.value_text(result.worst)
        )
    }

    fn value_text(&self, value: f64) -> String {
        match self.unit {
            _ if value.is_infinite() => "never".to_owned(),
            Unit::Percent => format!("{:.1}", value * 100.0),
            // The mean of counts may have a fraction.
            Unit::Count => format!("{}", (value * 10.0).round() / 10.0),
            Unit::Index => format!("{value:.3}"),
            Unit::Seconds | Unit::Factor => format!("{value:.1}"),
        }
    }

    fn bound_text(&self, bound: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{} %", (bound * 1000.0).round() / 10.0),
            Unit::Seconds => format!("{bound} s"),
            Unit::Factor => format!("{bound} ×"),
            Unit::Count | Unit::Index => format!("{bound}"),
        }
    }

    /// Returns the title with its unit.
    pub(crate) fn heading(&self) -> String {
        match self.unit {
            Unit::Percent => format!("{} %", self.title),
            Unit::Seconds => format!("{} s", self.title),
            Unit::Factor => format!("{} ×", self.title),
            Unit::Count | Unit::Index => self.title.to_owned(),
        }
    }
}
