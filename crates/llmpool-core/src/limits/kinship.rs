//! Which keys turn out to share one account, though nobody said so.
//!
//! Two signs. The provider names the account in a header (`openai-organization`). Or what is left of one key's limit goes down by what
//! another key used as well: between two answers of a key the remainder fell by exactly the requests of both. One such coincidence proves
//! nothing; four do, when the other key alone accounts for several of the requests.

use super::key::KeyId;
use super::learned::Sight;

/// Coincidences that make a certainty.
const CERTAIN: u8 = 4;
/// What the other key has to show, lest a third one is behind it.
const LIKELY: u8 = 2;
/// Every key is compared with every other one; of more than this only the account's name is looked at.
const MOST_COMPARED: usize = 64;

/// What was seen of the keys of one provider.
#[derive(Clone, Debug, Default)]
pub struct Kinship {
    seen: Vec<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    key: Option<KeyId>,
    /// A fingerprint of the account's name.
    account: Option<u64>,
    /// Answers so far.
    answers: u64,
    remaining: Option<Remaining>,
    /// How many are known to share its account, itself included.
    kin: usize,
    /// Coincidences with each other key, by place in `seen`, and the answers of each at the last observation.
    others: Vec<(u64, u8)>,
}

#[derive(Clone, Copy, Debug)]
struct Remaining {
    left: u32,
    answers: u64,
}

impl Kinship {
    /// An answer came for a key: perhaps the name of its account, perhaps what is left of its requests. Answers with all keys that are now
    /// known to share an account with it, when that is news.
    pub fn answered(&mut self, key: KeyId, account: Option<u64>, requests: &Sight) -> Option<Vec<KeyId>> {
        let at = self.place(key);
        self.seen[at].answers += 1;
        if account.is_some() {
            self.seen[at].account = account;
        }
        if let Some(left) = requests.remaining
            && self.seen.len() <= MOST_COMPARED
        {
            self.compare(at, left);
        }
        let kin = self.kin_of(at);
        let known = std::mem::replace(&mut self.seen[at].kin, kin.len());
        (kin.len() > known.max(1)).then(|| self.tell(kin))
    }

    /// All of them know it from now on.
    fn tell(&mut self, kin: Vec<KeyId>) -> Vec<KeyId> {
        for seen in &mut self.seen {
            if seen.key.is_some_and(|key| kin.contains(&key)) {
                seen.kin = kin.len();
            }
        }
        kin
    }

    /// Looks whether what is left of one key went down by what others used.
    fn compare(&mut self, at: usize, left: u32) {
        let now: Vec<u64> = self.seen.iter().map(|seen| seen.answers).collect();
        let all: u64 = now.iter().sum();
        let before = self.seen[at].remaining;
        if let Some(before) = before.filter(|before| before.left > left) {
            let fell = u64::from(before.left - left);
            let own = now[at] - before.answers;
            let everybody = all - self.seen[at].others.iter().map(|(then, _)| then).sum::<u64>();
            for (other, answers) in now.iter().enumerate().filter(|(other, _)| *other != at) {
                let (then, sure) = self.seen[at].others[other];
                let theirs = answers - then;
                let together = fell == own + theirs || (fell == everybody && everybody > own);
                let next = match (theirs, fell) {
                    (0, _) => sure,
                    _ if together => sure.saturating_add(1),
                    _ if fell > own => sure,
                    // It fell by its own requests alone although the other one was used.
                    _ => 0,
                };
                self.seen[at].others[other].1 = next;
            }
        }
        for (other, answers) in now.iter().enumerate() {
            self.seen[at].others[other].0 = *answers;
        }
        self.seen[at].remaining = Some(Remaining {
            left,
            answers: now[at],
        });
    }

    fn kin_of(&self, at: usize) -> Vec<KeyId> {
        let account = self.seen[at].account;
        let kin = self.seen.iter().enumerate().filter(|(other, seen)| {
            *other == at
                || (account.is_some() && seen.account == account)
                || (self.certain(at, *other) >= CERTAIN && self.certain(*other, at) >= LIKELY)
        });
        kin.filter_map(|(_, seen)| seen.key).collect()
    }

    fn certain(&self, at: usize, other: usize) -> u8 {
        self.seen[at].others.get(other).map_or(0, |(_, sure)| *sure)
    }

    fn place(&mut self, key: KeyId) -> usize {
        let known = self.seen.iter().position(|seen| seen.key == Some(key));
        let at = known.unwrap_or_else(|| {
            self.seen.push(Seen {
                key: Some(key),
                ..Seen::default()
            });
            self.seen.len() - 1
        });
        if known.is_some() || self.seen.len() > MOST_COMPARED {
            return at;
        }
        let answers: Vec<u64> = self.seen.iter().map(|seen| seen.answers).collect();
        for seen in &mut self.seen {
            let new = answers.iter().skip(seen.others.len());
            seen.others.extend(new.map(|answers| (*answers, 0)));
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(remaining: u32) -> Sight {
        Sight {
            remaining: Some(remaining),
            ..Sight::default()
        }
    }

    /// Sends `count` requests round the keys; `shared` says which of them share one account of 1000.
    fn play(keys: u32, shared: &[u32], count: u32) -> Option<(u32, Vec<u32>)> {
        let mut kinship = Kinship::default();
        let mut own = vec![1000; keys as usize];
        let mut together = 1000;
        for turn in 0..count {
            let key = turn % keys;
            let remaining = if shared.contains(&key) {
                together -= 1;
                together
            } else {
                own[key as usize] -= 1;
                own[key as usize]
            };
            if let Some(kin) = kinship.answered(KeyId(key), None, &left(remaining)) {
                return Some((turn, kin.iter().map(|id| id.0).collect()));
            }
        }
        None
    }

    #[test]
    fn l07_keys_of_one_account_are_found_out_by_what_is_left() {
        for (keys, shared) in [(2, vec![0, 1]), (3, vec![0, 1, 2]), (4, vec![1, 3])] {
            let (turn, kin) = play(keys, &shared, 100).unwrap();
            assert_eq!(kin, shared);
            assert!(turn <= keys * 6, "{turn}");
        }
    }

    #[test]
    fn keys_of_their_own_stay_apart() {
        assert_eq!(play(3, &[], 900), None);
        assert_eq!(play(1, &[0], 900), None);
    }

    #[test]
    fn the_accounts_name_is_enough() {
        let mut kinship = Kinship::default();
        let none = Sight::default();
        assert_eq!(kinship.answered(KeyId(0), Some(7), &none), None);
        assert_eq!(kinship.answered(KeyId(1), Some(8), &none), None);
        assert_eq!(
            kinship.answered(KeyId(2), Some(7), &none),
            Some(vec![KeyId(0), KeyId(2)])
        );
        assert_eq!(
            kinship.answered(KeyId(2), Some(7), &none),
            None,
            "it is news once"
        );
    }
}
