//! Where requests pass the limits of their key and of its account, both or neither.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::dialect::Standing;
use crate::limits::{Account, Denied, Gauge, Meter};
use crate::scenario::Scenario;

/// All limits of a scenario, with what is spent of them.
#[derive(Debug)]
pub(crate) struct Gate {
    accounts: Mutex<Vec<Account>>,
    keys: Vec<Entrance>,
    clock: Clock,
}

/// What a key has to pass.
#[derive(Debug, Default)]
struct Entrance {
    /// Which of the accounts: one of its own, the one it shares, or both.
    accounts: Vec<usize>,
    organization: Option<String>,
}

/// What became of a request at the gate.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) result: Result<Permit, Denied>,
    /// What is left afterwards.
    pub(crate) standing: Standing,
}

/// A request that passed. Dropping it ends its being in flight.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    key: Option<usize>,
}

impl Gate {
    pub(crate) fn new(scenario: &Scenario, clock: Clock) -> Self {
        let mut accounts = Vec::new();
        let mut limited = |limits| {
            accounts.push(Account::new(limits));
            accounts.len() - 1
        };
        let shared: Vec<Option<usize>> = scenario
            .accounts
            .iter()
            .map(|account| account.limits.map(&mut limited))
            .collect();
        let keys = scenario.keys.iter().map(|key| {
            let account = scenario.account_of(key);
            Entrance {
                accounts: [
                    key.limits.map(&mut limited),
                    account.and_then(|index| shared[index]),
                ]
                .into_iter()
                .flatten()
                .collect(),
                organization: account.and_then(|index| scenario.accounts[index].organization.clone()),
            }
        });
        Self {
            keys: keys.collect(),
            accounts: Mutex::new(accounts),
            clock,
        }
    }

    /// Lets a request of so many tokens in, or not.
    pub(crate) fn enter(self: &Arc<Self>, key: Option<usize>, tokens: u32) -> Passage {
        let mut accounts = self.lock();
        // Read under the lock, so that it never goes back.
        let now = self.clock.elapsed();
        let result = admit(&mut self.of(key, &mut accounts), tokens, now).map(|()| Permit {
            gate: Arc::clone(self),
            key,
        });
        let mut least = |meter| least(&mut self.of(key, &mut accounts), meter, now);
        let standing = Standing {
            requests: least(Meter::Requests),
            tokens: least(Meter::Tokens),
            day: least(Meter::Day),
            ..self.look(key)
        };
        Passage { result, standing }
    }

    /// Whose key it is, and nothing of its limits: what a list of models tells, which does not count.
    pub(crate) fn look(&self, key: Option<usize>) -> Standing {
        Standing {
            organization: self
                .entrance(key)
                .and_then(|entrance| entrance.organization.clone()),
            ..Standing::default()
        }
    }

    fn leave(&self, key: Option<usize>) {
        let mut accounts = self.lock();
        for account in self.of(key, &mut accounts) {
            account.release();
        }
    }

    fn entrance(&self, key: Option<usize>) -> Option<&Entrance> {
        self.keys.get(key?)
    }

    fn of<'a>(&self, key: Option<usize>, accounts: &'a mut [Account]) -> Vec<&'a mut Account> {
        let wanted = self.entrance(key).map_or(&[][..], |entrance| &entrance.accounts);
        let accounts = accounts.iter_mut().enumerate();
        accounts
            .filter(|(index, _)| wanted.contains(index))
            .map(|(_, account)| account)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.key);
    }
}

/// Spends only where all agree. Of several denials the one that lasts longest is told.
fn admit(accounts: &mut [&mut Account], tokens: u32, now: Duration) -> Result<(), Denied> {
    let denials = accounts
        .iter_mut()
        .filter_map(|account| account.check(tokens, now).err());
    let Some(worst) = denials.max_by_key(lasts) else {
        accounts.iter_mut().for_each(|account| account.spend(tokens, now));
        return Ok(());
    };
    let counted = accounts
        .iter_mut()
        .map(|account| account.deny(worst, tokens, now));
    Err(counted.max_by_key(lasts).unwrap_or(worst))
}

fn lasts(denied: &Denied) -> Duration {
    denied.wait.unwrap_or(Duration::MAX)
}

/// What is told of a meter is what there is left of the scarcest.
fn least(accounts: &mut [&mut Account], meter: Meter, now: Duration) -> Option<Gauge> {
    let gauges = accounts
        .iter_mut()
        .filter_map(|account| account.gauge(meter, now));
    gauges.min_by_key(|gauge| gauge.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(json: &str) -> Arc<Gate> {
        Arc::new(Gate::new(&Scenario::from_json(json).unwrap(), Clock::start(0.0)))
    }

    /// Which meter denies the request, if one does; what passes stays in flight.
    fn enter(gate: &Arc<Gate>, key: usize) -> Option<Meter> {
        match gate.enter(Some(key), 1).result {
            Ok(permit) => {
                std::mem::forget(permit);
                None
            }
            Err(denied) => Some(denied.by),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_of_one_account_share_its_limits_and_others_do_not() {
        let gate = gate(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 2, "window": "sliding"}}, {"name": "free"}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a"}, {"key": "k2"},
                         {"key": "k3", "account": "free"}]}"#,
        );
        assert_eq!([enter(&gate, 0), enter(&gate, 1)], [None, None]);
        let full = Some(Meter::Requests);
        assert_eq!([enter(&gate, 0), enter(&gate, 1)], [full, full]);
        assert_eq!([enter(&gate, 2), enter(&gate, 3)], [None, None]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(enter(&gate, 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_account_denies_costs_the_key_nothing() {
        let gate = gate(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 1, "per": 1, "window": "sliding"}}],
                "keys": [{"key": "k", "account": "a", "limits": {"requests": 2, "window": "sliding"}}]}"#,
        );
        assert_eq!([enter(&gate, 0), enter(&gate, 0)], [None, Some(Meter::Requests)]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(enter(&gate, 0), None, "the key has its second request still");
        tokio::time::advance(Duration::from_secs(1)).await;
        let denied = gate.enter(Some(0), 1).result.unwrap_err();
        assert_eq!(
            denied.wait,
            Some(Duration::from_secs(58)),
            "and now the key denies"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back_with_the_permit_to_everybody_it_was_taken_from() {
        let gate = gate(
            r#"{"accounts": [{"name": "a", "limits": {"concurrency": 1}}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a", "limits": {"concurrency": 1}}]}"#,
        );
        let permit = gate.enter(Some(1), 1).result.unwrap();
        let full = Some(Meter::Concurrency);
        assert_eq!([enter(&gate, 0), enter(&gate, 1)], [full, full]);
        drop(permit);
        assert_eq!([enter(&gate, 1), enter(&gate, 0)], [None, full]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_scarcest_is_told() {
        let gate = gate(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 100}, "organization": "org-a"}],
                "keys": [{"key": "k", "account": "a", "limits": {"requests": 5, "tokens": 50}}]}"#,
        );
        let standing = gate.enter(Some(0), 20).standing;
        let left = |gauge: Option<Gauge>| gauge.map(|gauge| (gauge.limit, gauge.remaining));
        assert_eq!(left(standing.requests), Some((5, 4)));
        assert_eq!(left(standing.tokens), Some((50, 30)));
        assert_eq!(
            (standing.day, standing.organization.as_deref()),
            (None, Some("org-a"))
        );
        assert_eq!(gate.enter(None, 20).standing, Standing::default());
    }
}
