//! Rates and other limits of models and keys.

use llmpool_core::limits::rate_limit::RateLimit;
use serde_json::value::RawValue;

use super::super::json::Kind;
use super::{Named, Reader, joined};

/// The limits that models and keys have in common.
pub(super) struct Caps {
    pub(super) rpm: Option<u32>,
    pub(super) tpm: Option<u32>,
    pub(super) rpd: Option<u32>,
    pub(super) max_concurrency: Option<u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn rate_limit(
        &mut self,
        capacity: Option<&'a RawValue>,
        rate: Option<&'a RawValue>,
        path: &str,
    ) -> Option<(u32, f64)> {
        if capacity.is_none() && rate.is_none() {
            self.without_limits += 1;
        }
        let is_null = |value: Option<&RawValue>| value.is_some_and(|value| Kind::of(value) == Kind::Null);
        if is_null(capacity) || is_null(rate) {
            return None;
        }
        let never = "this would never admit a request";
        let cure = "give a number above 0, or null for no limit; to bound what runs at once set max_concurrency, and for a day's total rpd";
        let (capacity_path, rate_path) = (
            joined(path, "rate_limit_capacity"),
            joined(path, "rate_limit_refill_rate"),
        );
        let burst = match capacity {
            Some(value) if self.number(value, &capacity_path)? == 0.0 => {
                self.defect(value, &capacity_path, never, cure);
                return None;
            }
            Some(value) => self.whole(value, &capacity_path, 1, u32::MAX)?,
            None => 10,
        };
        let Some(value) = rate else {
            return Some((burst, 1.0));
        };
        let per_second = self.number(value, &rate_path)?;
        if per_second == 0.0 {
            self.defect(value, &rate_path, never, cure);
        } else if let Err(error) = RateLimit::new(burst, per_second) {
            self.defect(value, &rate_path, &error.to_string(), "give a higher rate");
        }
        Some((burst, per_second))
    }

    /// The limits that models and keys have in common.
    pub(super) fn caps(&mut self, members: &[Named<'a>], path: &str) -> Caps {
        let mut cap = |name: &str| {
            let (_, value) = members.iter().find(|(known, _)| known == name)?;
            if Kind::of(value) == Kind::Null {
                return None;
            }
            self.cap(value, &joined(path, name))
        };
        Caps {
            rpm: cap("rpm"),
            tpm: cap("tpm"),
            rpd: cap("rpd"),
            max_concurrency: cap("max_concurrency"),
        }
    }

    pub(super) fn cap(&mut self, value: &RawValue, path: &str) -> Option<u32> {
        if self.number(value, path)? == 0.0 {
            let cure = "give a number above 0, or leave it out for no limit";
            self.defect(value, path, "this would never admit a request", cure);
            return None;
        }
        self.whole(value, path, 1, u32::MAX)
    }
}
