//! Reads the limits of models and keys.

use llmpool_core::limits::{Limits, RateLimit};

use super::field::{Field, Fields};
use super::reader::FileReader;

const ADMITS_NOTHING: &str = "a limit of 0 admits no request";
const DEFAULT_CAPACITY: u32 = 10;
const DEFAULT_REFILL_RATE: f64 = 1.0;

impl<'a> FileReader<'a> {
    /// Reads the limits that a model or a key can have: `rpm`, `tpm`, `rpd` and `max_concurrency`. The rate
    /// limit of the result is `rate_limit`.
    pub(super) fn limits(&mut self, rate_limit: Option<RateLimit>, members: &Fields<'a>) -> Limits {
        let mut limit = |name| self.limit(&members.get_non_null(name)?);
        Limits {
            rate_limit,
            rpm: limit("rpm"),
            tpm: limit("tpm"),
            rpd: limit("rpd"),
            max_concurrency: limit("max_concurrency"),
        }
    }

    fn limit(&mut self, field: &Field<'a>) -> Option<u32> {
        if self.number(field)? == 0.0 {
            let help = "use a positive number, or remove the field for no limit";
            self.error(field, ADMITS_NOTHING, help);
            return None;
        }
        self.integer(field, 1, u32::MAX)
    }

    /// Reads a model's rate limit. A model without one has the default, unless it sets `rpm`.
    pub(super) fn model_rate_limit(&mut self, members: &Fields<'a>) -> Option<RateLimit> {
        let fields = ["rate_limit_capacity", "rate_limit_refill_rate"];
        if fields.iter().any(|name| members.get(name).is_some()) {
            return self.rate_limit(members);
        }
        if members.get_non_null("rpm").is_some() {
            return None;
        }
        self.without_rate_limit += 1;
        RateLimit::new(DEFAULT_CAPACITY, DEFAULT_REFILL_RATE).ok()
    }

    /// Reads the rate limit of a model or key, which consists of a capacity and a refill rate. If only one of
    /// the two is set, the other one has its default. There is no rate limit if none is set, or if one of
    /// them is `null`.
    pub(super) fn rate_limit(&mut self, members: &Fields<'a>) -> Option<RateLimit> {
        let capacity = members.get("rate_limit_capacity");
        let rate = members.get("rate_limit_refill_rate");
        if capacity.is_none() && rate.is_none() {
            return None;
        }
        if capacity.as_ref().is_some_and(Field::is_null) || rate.as_ref().is_some_and(Field::is_null) {
            return None;
        }
        let burst = match capacity {
            Some(field) => {
                self.positive_number(&field)?;
                self.integer(&field, 1, u32::MAX)?
            }
            None => DEFAULT_CAPACITY,
        };
        let Some(field) = rate else {
            return RateLimit::new(burst, DEFAULT_REFILL_RATE).ok();
        };
        match RateLimit::new(burst, self.positive_number(&field)?) {
            Ok(rate_limit) => Some(rate_limit),
            Err(error) => {
                self.error(&field, &error.to_string(), "use a higher rate");
                None
            }
        }
    }

    fn positive_number(&mut self, field: &Field<'a>) -> Option<f64> {
        let help = "use a positive number, or null for no limit; max_concurrency limits parallel requests, rpd requests per day";
        let number = self.non_negative_number(field, help)?;
        if number == 0.0 {
            self.error(field, ADMITS_NOTHING, help);
            return None;
        }
        Some(number)
    }
}
